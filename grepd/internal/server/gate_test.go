package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestShutGateWaitsForConnectionsThatNobodyHasLookedAt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(listener, newArrivals())
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn := <-accepted
	defer conn.Close()

	waited := func(ctx context.Context) bool {
		g.Shut(ctx)
		return ctx.Err() != nil
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if !waited(short) {
		t.Error("the gate is shut, and nobody has looked at a connection")
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // as gRPC does first
		t.Fatal(err)
	}
	long, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if waited(long) {
		t.Error("the gate is not shut, although somebody has looked at all connections")
	}
	select {
	case _, open := <-accepted:
		t.Fatalf("Accept returns before Close: a connection: %t", open)
	default:
	}
	g.Close()
	if _, open := <-accepted; open {
		t.Error("a connection came through a shut gate")
	}
}

// TestServersThatRelieveEachOtherLoseNoCall has one server after the other serve a socket,
// as grepd does in upgrades, while clients come anew for each call, or keep a connection.
func TestServersThatRelieveEachOtherLoseNoCall(t *testing.T) {
	const relieves, comers, keepers = 20, 6, 2
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts, err := files.OpenMounts([]string{"logs=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()

	ctx, end := context.WithCancel(t.Context())
	var calls atomic.Int64
	var clients sync.WaitGroup
	call := func(conn *grpc.ClientConn) {
		if err := count(conn); err != nil {
			t.Errorf("call %d: %v", calls.Load(), err)
		}
		calls.Add(1)
	}
	for i := range comers + keepers {
		clients.Go(func() {
			conn := connectTo(t, socket.Addr())
			defer func() { conn.Close() }()
			for ctx.Err() == nil {
				call(conn)
				if i < comers {
					conn.Close()
					conn = connectTo(t, socket.Addr())
				}
			}
		})
	}
	var old func()
	for range relieves {
		next := serveOn(t, socket.(*net.TCPListener), mounts)
		if old != nil {
			old()
		}
		old = next
		for target := calls.Load() + 2*(comers+keepers); calls.Load() < target && !t.Failed(); time.Sleep(time.Millisecond) {
		}
	}
	end()
	clients.Wait()
	old()
	t.Logf("%d calls", calls.Load())
}

// serveOn starts a server on a descriptor of its own of the socket.
func serveOn(t *testing.T, socket *net.TCPListener, mounts *files.Mounts) (stop func()) {
	t.Helper()
	file, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Mounts: mounts, Members: fanout.NewStatic(socket.Addr().String(), nil)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	return func() {
		if !s.Stop(context.Background()) {
			t.Error("calls were broken off")
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func connectTo(t *testing.T, addr net.Addr) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+addr.String(), gogocodec.DialOption(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Error(err)
	}
	return conn
}

// count searches for x, and wants an answer that is whole.
func count(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := greppb.NewGrepClient(conn).Search(ctx, &greppb.SearchRequest{
		Pattern: greppb.Pattern{Patterns: []string{"x"}}, Paths: []string{"logs/f"},
	})
	if err != nil {
		return err
	}
	ended := false
	for {
		reply, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && ended:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the answer broke off")
		case err != nil:
			return err
		}
		ended = ended || reply.GetSearchEnd() != nil
	}
}
