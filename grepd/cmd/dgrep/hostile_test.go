package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// liars is a node that answers whatever comes to its mind. An answer whose listener is gone may still be under way when the
// next one begins, so that each has a liar of its own.
type liars struct {
	greppb.UnimplementedGrepServer
	seed atomic.Uint64 // of the next answer
}

// liar makes up one answer.
type liar struct{ random *rand.Rand }

func (ls *liars) next() *liar { return &liar{rand.New(rand.NewPCG(ls.seed.Load(), 0))} }

func (ls *liars) Search(_ *greppb.SearchRequest, stream greppb.Grep_SearchServer) error {
	l := ls.next()
	for range l.random.IntN(40) {
		if err := stream.Send(l.reply()); err != nil {
			return err
		}
	}
	return l.farewell()
}

func (ls *liars) Query(_ *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	l := ls.next()
	for range l.random.IntN(60) {
		if err := stream.Send(l.queryReply()); err != nil {
			return err
		}
	}
	return l.farewell()
}

func (l *liar) farewell() error {
	if l.random.IntN(3) > 0 {
		return nil
	}
	return status.Error(codes.Code(l.random.IntN(20)), l.text())
}

func (l *liar) text() string {
	return pick(l.random, "", "logs/a", "\x1b[2J\n", "\xff", strings.Repeat("x", l.random.IntN(10_000)))
}

// number is small or odd, of any size.
func (l *liar) number() uint64 {
	return pick(l.random, 0, 1, 2, 3, 4, 5, 9, math.MaxInt32, math.MaxUint32, math.MaxInt64, math.MaxInt64+1, math.MaxUint64, l.random.Uint64())
}

func (l *liar) yes() bool { return l.random.IntN(2) == 0 }

// numbers is as long as there are lines, or not.
func numbers[T any](l *liar, lines int, number func(uint64) T) (all []T) {
	n := pick(l.random, 0, lines, lines, l.random.IntN(8))
	for range n {
		all = append(all, number(l.number()))
	}
	return all
}

func (l *liar) chunk() *greppb.Chunk {
	c := &greppb.Chunk{More: l.yes(), File: uint32(l.number())}
	for range l.random.IntN(4) {
		text := pick(l.random, "", "\n", "liar\n", "liar without end", "two\nlines\n", "\x00", "é\n")
		c.Data, c.Lengths = append(c.Data, text...), append(c.Lengths, uint32(len(text)))
		if l.random.IntN(3) == 0 {
			c.Spans = append(c.Spans, 1, 0, 1)
		}
	}
	if l.random.IntN(4) == 0 {
		c.Lengths = append(c.Lengths, uint32(l.number()))
	}
	n := len(c.Lengths)
	c.LineNumbers = numbers(l, n, func(x uint64) uint64 { return x })
	c.ByteOffsets = numbers(l, n, func(x uint64) uint64 { return x })
	c.Kinds = numbers(l, n, func(x uint64) byte { return byte(x) })
	c.Times = numbers(l, n, func(x uint64) int64 { return int64(x) })
	c.Spans = append(c.Spans, numbers(l, n, func(x uint64) uint32 { return uint32(x) })...)
	return c
}

func (l *liar) reply() *greppb.SearchReply {
	return []func() *greppb.SearchReply{
		func() *greppb.SearchReply { return &greppb.SearchReply{} },
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{
				Path: l.text(), Size_: int64(l.number()), File: uint32(l.number())}}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: l.chunk()}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_FileEnd{FileEnd: &greppb.FileEnd{
				Matches: l.number(), Binary: l.yes(), Bytes: l.number(), File: uint32(l.number())}}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &greppb.FileError{
				Path: l.text(), Message: l.text(), Missing: l.yes(), Warning: l.yes(), Gap: l.yes(), Lost: l.number()}}}
		},
		func() *greppb.SearchReply {
			if l.random.IntN(4) > 0 {
				return l.reply() // so that most answers go on for a while
			}
			return &greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{
				Matches: l.number(), Files: l.number(), Bytes: l.number(), ElapsedNanos: int64(l.number()),
				Marks: []greppb.FileMark{{Path: l.text(), Mark: l.number()}, {Mark: 1}, {Mark: 1}}}}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_Progress{Progress: &greppb.Progress{Bytes: l.number(), Matches: l.number()}}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_Groups{Groups: l.groups()}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{
				ReceivedUnixNanos: int64(l.number()), SentUnixNanos: int64(l.number())}}}
		},
		func() *greppb.SearchReply {
			return &greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: &greppb.Places{
				Places: []greppb.Place{{File: uint32(l.number()), Path: l.text(), Offset: l.number(), Skip: l.number()}}, CaughtUp: l.yes()}}}
		},
	}[l.random.IntN(10)]()
}

func (l *liar) groups() *greppb.Groups {
	return &greppb.Groups{Other: l.number(), Groups: []greppb.Group{
		{Count: l.number()}, {Values: []string{l.text()}, Count: l.number()}, {Values: []string{l.text(), l.text(), l.text()}, Count: l.number()}}}
}

func (l *liar) queryReply() *greppb.QueryReply {
	node := uint32(pick(l.random, 0, 1, 2, l.number()))
	return []func() *greppb.QueryReply{
		func() *greppb.QueryReply { return &greppb.QueryReply{} },
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{
				Nodes: slices.Repeat([]string{l.text()}, l.random.IntN(3)), Live: l.yes(), Stale: l.yes(), StaleNanos: int64(l.number())}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Node: node, Reply: *l.reply()}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{
				Node: node, Outcome: greppb.NodeEnd_Outcome(l.number()), Message: l.text(), Partial: l.yes()}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{Asked: uint32(l.number()), Answered: uint32(l.number())}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: l.groups()}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_Progress{Progress: &greppb.QueryProgress{
				Ended: uint32(l.number()), Bytes: l.number(), Matches: l.number()}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_NodeClock{NodeClock: &greppb.NodeClock{
				Node: node, AheadNanos: int64(l.number()), ErrorNanos: int64(l.number())}}}
		},
		func() *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_NodeBegin{NodeBegin: &greppb.NodeBegin{Node: node, Addr: l.text()}}}
		},
	}[pick(l.random, 0, 1, 2, 2, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8)]()
}

// serveLiar starts a liar until the test ends.
func serveLiar(t *testing.T) (l *liars, addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &liars{}
	server := grpc.NewServer(gogocodec.ServerOption())
	greppb.RegisterGrepServer(server, l)
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(listener) }()
	t.Cleanup(func() { server.Stop(); <-served })
	return l, listener.Addr().String()
}

// ways are command lines that print answers in different ways.
var ways = [][]string{
	{"x", "logs/*"}, {"-n", "-b", "-T", "x", "logs/a"}, {"-h", "x", "logs/a"}, {"-C2", "--color=always", "x", "logs/a"}, {"-o", "--color=always", "x", "logs/a"},
	{"-c", "x", "logs/a"}, {"-l", "x", "logs/a"}, {"-L", "x", "logs/a"}, {"-q", "x", "logs/a"}, {"--json", "--stats", "x", "logs/a"},
	{"--sort=time", "--stats", "-C1", "x", "logs/a"}, {"--sort=node", "x", "logs/a"}, {"--sort=time", "--json", "x", "logs/a"}, {"--stats", "--progress", "x", "logs/a"},
	{"--count-by", "event,@node", "logs/a"}, {"--fields", "event", "logs/a"}, {"-z", "-n", "x", "logs/a"}, {"--require=any", "-m1", "x", "logs/a"},
}

// TestALyingNodeHarmsNobodyElse has an honest node beside it, whose lines must all be there.
func TestALyingNodeHarmsNobodyElse(t *testing.T) {
	random := newRandom(t)
	l, addr := serveLiar(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("2026-11-22T06:40:00Z x one\n2026-11-22T06:41:00Z x two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listeners, err := servertest.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := servertest.Start(listeners, []string{dir}, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	for trial := range 2 * *trialsFlag {
		way := ways[trial%len(ways)]
		l.seed.Store(random.Uint64())
		var stdout, stderr bytes.Buffer
		status := run(slices.Concat([]string{"--via=" + cluster.Nodes[0].Addr}, way), strings.NewReader(""), &stdout, &stderr, noEnv)
		if status < 0 || status > 2 {
			t.Errorf("trial %d: %q: exit status %d", trial, way, status)
		}
		lines := !slices.ContainsFunc(way, func(o string) bool {
			return slices.Contains([]string{"-c", "-l", "-L", "-q", "--count-by", "--fields", "-o", "-m1", "-C2", "-z"}, o)
		})
		if got := stdout.String(); lines && (!strings.Contains(got, "x one") || !strings.Contains(got, "x two")) {
			t.Errorf("trial %d: %q: no line of the honest node in %.500q, %.500q", trial, way, got, &stderr)
		}
		if strings.Contains(stderr.String(), "\x1b[2J") {
			t.Errorf("trial %d: %q: an escape sequence in %.500q", trial, way, &stderr)
		}
	}
}

// TestALyingGrepdIsSurvived asks one.
func TestALyingGrepdIsSurvived(t *testing.T) {
	random := newRandom(t)
	l, addr := serveLiar(t)
	for trial := range 2 * *trialsFlag {
		way := ways[trial%len(ways)]
		l.seed.Store(random.Uint64())
		var stdout, stderr bytes.Buffer
		status := run(slices.Concat([]string{"--via=" + addr}, way), strings.NewReader(""), &stdout, &stderr, noEnv)
		if status < 0 || status > 2 {
			t.Errorf("trial %d: %q: exit status %d", trial, way, status)
		}
		if strings.Contains(stderr.String(), "\x1b[2J") {
			t.Errorf("trial %d: %q: an escape sequence in %.500q", trial, way, fmt.Sprint(&stderr))
		}
	}
}
