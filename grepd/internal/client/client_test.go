package client

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

// grepd answers queries as a test wants it.
type grepd struct {
	greppb.UnimplementedGrepServer
	answer func(greppb.Grep_QueryServer) error
}

func (g *grepd) Query(_ *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	return g.answer(stream)
}

// serve gives the address of a grepd that answers so.
func serve(t *testing.T, answer func(greppb.Grep_QueryServer) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(gogocodec.ServerOption())
	greppb.RegisterGrepServer(server, &grepd{answer: answer})
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	return listener.Addr().String()
}

var begin = &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{}}}

func waits(stream greppb.Grep_QueryServer) error { <-stream.Context().Done(); return nil }

func take(*greppb.QueryReply) error { return nil }

func TestTroubleWithTheConnectionIsWordedWithWhatToDo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, c := range []struct {
		name  string
		addr  string
		begun bool
		want  string // after the address is put in
		is    error
	}{
		{"nobody listens", closed.Addr().String(), false,
			"cannot reach grepd at ADDR: connection refused; start it there, or name another with --via", nil},
		{"silent from the start", serve(t, waits), false, "grepd at ADDR does not answer; name another with --via", ErrSilent},
		{"silent after a while", serve(t, func(stream greppb.Grep_QueryServer) error {
			return errors.Join(stream.Send(begin), waits(stream))
		}), true, "grepd at ADDR fell silent before the answer was complete", ErrSilent},
		{"broken", serve(t, func(stream greppb.Grep_QueryServer) error {
			return errors.Join(stream.Send(begin), status.Error(codes.Unavailable, "gone"))
		}), true, "the connection to grepd at ADDR broke before the answer was complete", nil},
	} {
		silence, wrong := time.Minute, t.Errorf
		if c.is == ErrSilent {
			watch := timetest.Begin(t)
			silence = 300 * time.Millisecond
			wrong = func(format string, args ...any) { watch.Errorf(t, format, args...) }
		}
		begun, err := Query(t.Context(), c.addr, &greppb.QueryRequest{}, silence, take)
		var trouble *Trouble
		want := strings.Replace(c.want, "ADDR", c.addr, 1)
		if begun != c.begun || !errors.As(err, &trouble) || err.Error() != want || c.is != nil && !errors.Is(err, c.is) {
			wrong("%s: begun %t, %v; want %t, %s", c.name, begun, err, c.begun, want)
		}
	}
}

// What a grepd refuses, and what the listener returns, is no trouble with the connection.
func TestOtherErrorsAreGivenAsTheyAre(t *testing.T) {
	refuses := serve(t, func(greppb.Grep_QueryServer) error { return status.Error(codes.InvalidArgument, "a bad pattern") })
	_, err := Query(t.Context(), refuses, &greppb.QueryRequest{}, time.Minute, take)
	if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "a bad pattern" {
		t.Errorf("%v, want InvalidArgument: a bad pattern", err)
	}
	speaks := serve(t, func(stream greppb.Grep_QueryServer) error { return stream.Send(begin) })
	enough := errors.New("enough")
	if _, err := Query(t.Context(), speaks, &greppb.QueryRequest{}, time.Minute, func(*greppb.QueryReply) error { return enough }); err != enough {
		t.Errorf("%v, want what take returned", err)
	}
	if begun, err := Query(t.Context(), speaks, &greppb.QueryRequest{}, time.Minute, take); err != nil || !begun {
		t.Errorf("begun %t, %v; want an answer to its end", begun, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the reader is gone")
	time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
	if _, err := Query(ctx, serve(t, waits), &greppb.QueryRequest{}, time.Minute, take); err != gone {
		t.Errorf("%v, want why the context ended", err)
	}
}

// While the listener is at work nobody waits for the grepd, however long that takes.
func TestASlowListenerIsNoSilence(t *testing.T) {
	const silence = 300 * time.Millisecond
	addr := serve(t, func(stream greppb.Grep_QueryServer) error {
		for range 3 {
			if err := stream.Send(begin); err != nil {
				return err
			}
		}
		return nil
	})
	watch, heard := timetest.Begin(t), 0
	_, err := Query(t.Context(), addr, &greppb.QueryRequest{}, silence, func(*greppb.QueryReply) error {
		if heard++; heard == 1 {
			time.Sleep(2 * silence) // simulates a slow terminal
		}
		return nil
	})
	if err != nil || heard != 3 {
		watch.Errorf(t, "%d of 3 steps, %v", heard, err)
	}
}

// A follow goes on with the next grepd at the address, and says so.
func TestAFollowGoesOnWhereTheConnectionBroke(t *testing.T) {
	tries := 0
	var resumed []greppb.NodePlaces
	node := []string{"192.0.2.1:1"}
	step := func(reply greppb.SearchReply) *greppb.QueryReply {
		return &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Reply: reply}}}
	}
	places := step(greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: &greppb.Places{
		Places: []greppb.Place{{File: 1, Path: "logs/a", Offset: 5}}, CaughtUp: true,
	}}})
	line := step(greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{Data: []byte("x\n"), Lengths: []uint32{2}, File: 1}}})
	addr := serve(t, func(stream greppb.Grep_QueryServer) error {
		tries++
		started := &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: node}}}
		if err := errors.Join(stream.Send(started), stream.Send(places), stream.Send(line)); err != nil {
			return err
		}
		if tries == 1 {
			return status.Error(codes.Unavailable, "upgraded")
		}
		return waits(stream)
	})
	query := &greppb.QueryRequest{Search: greppb.SearchRequest{Paths: []string{"logs/a"}, Follow: &greppb.Follow{}}}
	follow := NewFollow(addr, query, time.Minute)
	var said []string
	lines := 0
	enough := errors.New("enough")
	err := follow.Run(t.Context(), func(s Step) error {
		if s.Reply == nil {
			said = append(said, s.Notice)
			return nil
		}
		if node := s.Reply.GetNodeStep(); node == nil || node.Reply.GetChunk() == nil {
			return nil
		}
		if lines++; lines == 2 {
			resumed = query.Resume
			return enough
		}
		return nil
	})
	if err != enough || len(resumed) != 1 || resumed[0].Places[0].Offset != 5 || resumed[0].Places[0].Skip != 1 {
		t.Errorf("%v, resumed with %+v; want it to go on after one line at 5", err, resumed)
	}
	want := []string{
		"following 1 of 1 node",
		"the connection to grepd at " + addr + " broke: upgraded; trying to go on for 1m0s",
		"connected to grepd at " + addr + " again; going on where the lines broke off",
	}
	if len(said) != len(want) || said[0] != want[0] || said[1] != want[1] || said[2] != want[2] {
		t.Errorf("it said %q, want %q", said, want)
	}
	var ends int
	if err := follow.Conclude(func(reply *greppb.QueryReply) error {
		if reply.GetNodeEnd() != nil || reply.GetEnd() != nil {
			ends++
		}
		return nil
	}); err != nil || ends != 2 {
		t.Errorf("%d ends, %v; want that of the node and that of the answer", ends, err)
	}
	if err := follow.Conclude(func(*greppb.QueryReply) error { return io.EOF }); err != io.EOF {
		t.Errorf("%v, want what take returned", err)
	}
}
