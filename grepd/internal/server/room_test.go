package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// from is a call of a client at an address.
func from(t *testing.T, addr string) context.Context {
	return peer.NewContext(t.Context(), &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))})
}

func TestNoAddressGetsTheWholeRoom(t *testing.T) {
	r := newRoom("queries", 16)
	var leave func()
	for range 14 {
		var err error
		if leave, err = r.take(from(t, "192.0.2.1:1")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.take(from(t, "192.0.2.1:2")); status.Code(err) != codes.ResourceExhausted ||
		!strings.Contains(err.Error(), "busy with 14 queries of 192.0.2.1, the most that it answers one address") {
		t.Errorf("the 15th of an address: %v, want ResourceExhausted and why", err)
	}
	for range 2 {
		if _, err := r.take(from(t, "[2001:db8::1]:1")); err != nil {
			t.Errorf("another address: %v", err)
		}
	}
	if _, err := r.take(from(t, "192.0.2.3:1")); !strings.Contains(status.Convert(err).Message(), "busy with 16 queries, the most that it answers at") {
		t.Errorf("the 17th of all: %v", err)
	}
	leave()
	if _, err := r.take(from(t, "192.0.2.1:1")); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

// mortal is a connection of a machine that dies: nothing comes from it any more, and nothing arrives.
type mortal struct {
	net.Conn
	dead chan struct{}
}

func (m *mortal) Write(b []byte) (int, error) {
	select {
	case <-m.dead:
		return len(b), nil
	default:
		return m.Conn.Write(b)
	}
}

// endless answers queries for as long as there is room for the answer.
type endless struct {
	greppb.UnimplementedGrepServer
	ended atomic.Bool
}

func (e *endless) Query(_ *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	defer e.ended.Store(true)
	for {
		if err := stream.Send(&greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{}}}); err != nil {
			return err
		}
	}
}

// A client may leave its answer unread for as long as it likes, but not longer than its machine lives.
func TestTheQueryOfAClientThatDiedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &endless{}
		arrivals := newArrivals()
		server := grpc.NewServer(grpcOptions(arrivals)...)
		greppb.RegisterGrepServer(server, service)
		listener := bufconn.Listen(64 << 10)
		served := make(chan error, 1)
		go func() { served <- server.Serve(newGate(listener, arrivals)) }()
		dead := make(chan struct{})
		client, err := grpc.NewClient("passthrough:///x", gogocodec.DialOption(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithStaticStreamWindowSize(64<<10), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				conn, err := listener.DialContext(ctx)
				return &mortal{conn, dead}, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := greppb.NewGrepClient(client).Query(ctx, &greppb.QueryRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Hour)
		if synctest.Wait(); service.ended.Load() {
			t.Error("the query of a client that did not read for ten hours was ended")
		}
		close(dead)
		time.Sleep(keepaliveTime + keepaliveTimeout + time.Second)
		if synctest.Wait(); !service.ended.Load() {
			t.Error("the query of a client that is dead goes on")
		}
		client.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
