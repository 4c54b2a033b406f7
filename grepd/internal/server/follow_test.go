package server

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func followQuery() *greppb.QueryRequest {
	q := query()
	q.Search.Follow = &greppb.Follow{}
	return q
}

// awaitChunk reads until lines come.
func awaitChunk(t *testing.T, stream greppb.Grep_QueryClient) string {
	t.Helper()
	for {
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if step := reply.GetNodeStep(); step != nil && step.Reply.GetChunk() != nil {
			return string(step.Reply.GetChunk().Data)
		}
	}
}

// awaitCaughtUp reads until all that was there has been searched.
func awaitCaughtUp(t *testing.T, stream greppb.Grep_QueryClient) {
	t.Helper()
	for {
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if step := reply.GetNodeStep(); step != nil && step.Reply.GetPlaces().GetCaughtUp() {
			return
		}
	}
}

// Follows last for hours: they must neither take the place of searches nor be without a limit.
func TestFollowsAreCountedApart(t *testing.T) {
	n := start(t, func(c *Config) { c.FollowsMax, c.QueriesMax, c.SearchesMax = 1, 1, 1 })
	n.write(t, "a", "x1\n")
	stream := n.open(t, t.Context(), followQuery())
	awaitCaughtUp(t, stream)
	if _, err := drain(n.open(t, t.Context(), query())); err != nil {
		t.Errorf("a query beside a follow: %v", err)
	}
	second, err := greppb.NewGrepClient(n.client).Query(t.Context(), followQuery())
	if err == nil {
		_, err = second.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "busy with 1 follows") {
		t.Errorf("a second follow: %v, want ResourceExhausted", err)
	}
	file, err := os.OpenFile(filepath.Join(n.dir, "a"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	io.WriteString(file, "x2\n")
	if got := awaitChunk(t, stream); got != "x2\n" {
		t.Errorf("got %q", got)
	}
}

// Whoever follows goes on with the next daemon, so the old one need not wait for it.
func TestStopEndsFollows(t *testing.T) {
	n := start(t, nil)
	stream := n.open(t, t.Context(), followQuery())
	awaitCaughtUp(t, stream)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !n.Stop(ctx) {
		t.Error("the follow went on for a minute")
	}
	for {
		if _, err := stream.Recv(); err != nil {
			if status.Code(err) != codes.Unavailable || errors.Is(err, io.EOF) {
				t.Errorf("the follow ended with %v, want Unavailable", err)
			}
			return
		}
	}
}

func TestFollowsThatMakeNoSenseAreRefused(t *testing.T) {
	n := start(t, nil)
	for _, test := range []struct {
		spoil func(*greppb.QueryRequest)
		want  string
	}{
		{func(q *greppb.QueryRequest) { q.Search.Report = greppb.Report_COUNT }, "only lines can be followed, neither counts nor names"},
		{func(q *greppb.QueryRequest) { q.Search.UntilUnixNanos = 1 }, "a follow has no order, no end, and lines that end in newlines"},
		{func(q *greppb.QueryRequest) { q.Search.MaxCountSet = true }, "a follow has no order, no end, and lines that end in newlines"},
		{func(q *greppb.QueryRequest) { q.Search.NullData = true }, "a follow has no order, no end, and lines that end in newlines"},
		{func(q *greppb.QueryRequest) { q.Search.Follow.From = make([]greppb.Place, limits.FollowPlacesMax+1) }, "2001 places to go on from, at most 2000 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Follow.From = []greppb.Place{{Offset: 1 << 63}} }, "a place to go on from that is none"},
		{func(q *greppb.QueryRequest) { q.Search.Follow.From = []greppb.Place{{Shown: 1}} }, "a place to go on from that is none"},
	} {
		q := followQuery()
		test.spoil(q)
		stream, err := greppb.NewGrepClient(n.client).Query(t.Context(), q)
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != test.want {
			t.Errorf("got %v, want InvalidArgument: %s", err, test.want)
		}
	}
}
