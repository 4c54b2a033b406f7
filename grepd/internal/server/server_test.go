package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a server under test and a connection to it.
type node struct {
	*Server
	dir    string
	client *grpc.ClientConn
}

// start serves a new directory; configure may change the configuration.
func start(t *testing.T, configure func(*Config)) *node {
	t.Helper()
	n := &node{dir: t.TempDir()}
	mounts, err := files.OpenMounts([]string{"logs=" + n.dir})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Mounts: mounts, Members: fanout.NewStatic(listener.Addr().String(), nil)}
	if configure != nil {
		configure(&config)
	}
	if n.Server, err = New(config); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.Serve(listener) }()
	n.client, err = grpc.NewClient("passthrough:///"+listener.Addr().String(), gogocodec.DialOption(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStaticStreamWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.client.Close()
		n.Stop(t.Context()) // done by now, so it waits for nothing
		if err := errors.Join(<-served, mounts.Close()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// query asks for lines with x in all files.
func query() *greppb.QueryRequest {
	q := &greppb.QueryRequest{}
	q.Search.Pattern.Patterns = []string{"x"}
	q.Search.Paths = []string{"logs/*"}
	return q
}

// open begins a query and returns its stream after the first reply.
func (n *node) open(t *testing.T, ctx context.Context, q *greppb.QueryRequest) greppb.Grep_QueryClient {
	t.Helper()
	stream, err := greppb.NewGrepClient(n.client).Query(ctx, q)
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// drain reads a stream to its end.
func drain(stream greppb.Grep_QueryClient) (replies int, err error) {
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return replies, nil
		} else if err != nil {
			return replies, err
		}
		replies++
	}
}

func TestLimits(t *testing.T) {
	n := start(t, nil)
	many := func(count int, text string) []string {
		return strings.Split(strings.Repeat(text+"\n", count-1)+text, "\n")
	}
	for _, test := range []struct {
		spoil func(*greppb.QueryRequest)
		want  string
	}{
		{func(q *greppb.QueryRequest) { q.Search.Pattern.Patterns = many(limits.PatternBytesMax/8+1, "xxxxxxx") },
			"patterns of 1048584 bytes, at most 1048576 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Where = many(10, "a~"+strings.Repeat("x{1000}", 580)) },
			"patterns and conditions that may take 4966 MB of memory, at most 256 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Paths = nil }, "no file named"},
		{func(q *greppb.QueryRequest) { q.Search.Paths = many(limits.PathsMax+1, "logs/a") },
			"1001 paths named, at most 1000 are possible; a glob in quotes is one path"},
		{func(q *greppb.QueryRequest) { q.Search.Paths = []string{strings.Repeat("a", limits.PathBytesMax+1)} },
			"a path of 4097 bytes, at most 4096 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Paths = []string{"logs/" + strings.Repeat("{a,b}", 10)} },
			"a glob whose braces stand for more than 1000 words: logs/{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}..."},
		{func(q *greppb.QueryRequest) {
			q.Search.Globs = []greppb.Glob{{Pattern: strings.Repeat("a", limits.GlobBytesMax+1)}}
		},
			"globs to include or exclude of 65537 bytes, at most 65536 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Globs = []greppb.Glob{{Pattern: "[z-a]"}} },
			`--include, --exclude or --exclude-dir, as a regular expression: pattern "[z-a]", at byte 4: Invalid range end`},
		{func(q *greppb.QueryRequest) { q.Search.Directories = 3 }, "unknown treatment 3 of directories"},
		{func(q *greppb.QueryRequest) {
			q.Search.Globs = make([]greppb.Glob, limits.GlobsMax)
			q.Search.ExcludeDir = many(1, "b")
		},
			"1001 globs to include or exclude, at most 1000 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.BeforeContext = limits.BeforeContextMax + 1 },
			"100001 lines of context before each match, at most 100000 are possible"},
		{func(q *greppb.QueryRequest) { q.Nodes = many(limits.NodesMax+1, "n") }, "20001 nodes named, at most 20000 are possible"},
		{func(q *greppb.QueryRequest) { q.TimeoutNanos = -1 }, "negative timeout"},
		{func(q *greppb.QueryRequest) { q.TimeoutNanos = int64(2 * time.Hour) }, "timeout of 2h0m0s, at most 1h0m0s is possible"},
		{func(q *greppb.QueryRequest) { q.Search.Report = 77 }, "unknown report 77"},
		{func(q *greppb.QueryRequest) { q.Search.Binary = -1 }, "unknown treatment -1 of binary files"},
		{func(q *greppb.QueryRequest) { q.Search.Where = many(limits.ConditionsMax+1, "a=b") }, "101 conditions, at most 100 are possible"},
		{func(q *greppb.QueryRequest) {
			q.Search.Where = []string{"a=" + strings.Repeat("b", limits.ConditionBytesMax)}
		},
			"a condition of 4098 bytes, at most 4096 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Where = []string{"a~["} }, "condition \"a~[\": error parsing regexp: missing closing ]: `[`"},
		{func(q *greppb.QueryRequest) { q.Search.Fields = many(limits.FieldsMax+1, "a") }, "101 fields to show, at most 100 are possible"},
		{func(q *greppb.QueryRequest) { q.Search.Fields = []string{""} }, "a field has no name"},
		{func(q *greppb.QueryRequest) {
			q.Search.Fields, q.Search.Report = []string{"a"}, greppb.Report_PARTS
		},
			"fields are of selected lines, so they go neither with matched parts, counts, names of files, nor with context"},
		{func(q *greppb.QueryRequest) { q.Search.CountBy = true }, "nothing to count by"},
		{func(q *greppb.QueryRequest) {
			q.Search.Fields, q.Search.CountBy, q.Search.ByTime = []string{"a"}, true, true
		},
			"only lines have an order of time"},
		{func(q *greppb.QueryRequest) { q.Search.Report, q.Search.ByTime = greppb.Report_COUNT, true },
			"only lines have an order of time"},
		{func(q *greppb.QueryRequest) { q.Search.SinceUnixNanos, q.Search.NullData = 1, true },
			"times and fields are of lines that end in newlines, so they do not go with -z"},
		{func(q *greppb.QueryRequest) { q.Sort = 7 }, "unknown order 7"},
		{func(q *greppb.QueryRequest) { q.Sort = greppb.Sort_BY_TIME },
			"the order of times needs the lines of each node in that order"},
		{func(q *greppb.QueryRequest) { q.Search.Pattern.Syntax = 9 }, "unknown syntax 9 of patterns"},
		{func(q *greppb.QueryRequest) { q.Search.Pattern.Patterns = []string{`a\(`} }, `pattern "a\\(", at byte 2: Unmatched ( or \(`},
	} {
		q := query()
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

// endless makes a file whose output no client reads to its end by accident.
func (n *node) endless(t *testing.T) {
	n.write(t, "big", strings.Repeat(strings.Repeat("x", 99)+"\n", 160<<10))
}

func TestQueriesBeyondTheLimitAreRefused(t *testing.T) {
	n := start(t, func(c *Config) { c.QueriesMax = 1 })
	n.endless(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := n.open(t, ctx, query())
	second, err := greppb.NewGrepClient(n.client).Query(t.Context(), query())
	if err == nil {
		_, err = second.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "busy with 1 queries") ||
		!strings.Contains(err.Error(), "try again later, or ask another node with --via") {
		t.Errorf("second query: %v, want ResourceExhausted and what to do", err)
	}
	cancel()
	drain(first)
	// The place is free again soon after its query has ended.
	for deadline := time.Now().Add(time.Minute); ; {
		if third, err := greppb.NewGrepClient(n.client).Query(t.Context(), query()); err == nil {
			if _, err = drain(third); err == nil {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("no query is answered after the first one was cancelled")
		}
	}
}

func TestSearchesBeyondTheLimitAreRefused(t *testing.T) {
	n := start(t, func(c *Config) { c.SearchesMax = 1 })
	n.endless(t)
	awaitChunk(t, n.open(t, t.Context(), query())) // its search has the place by then
	second := n.open(t, t.Context(), query())
	for {
		reply, err := second.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if end := reply.GetNodeEnd(); end != nil {
			if end.Outcome != greppb.NodeEnd_REFUSED || !strings.Contains(end.Message, "busy with 1 searches") ||
				!strings.Contains(end.Message, "try again later") {
				t.Errorf("second search ended %v: %s, want REFUSED and what to do", end.Outcome, end.Message)
			}
			return
		}
	}
}

func TestStopLetsQueriesEnd(t *testing.T) {
	n := start(t, nil)
	n.endless(t)
	stream := n.open(t, t.Context(), query())
	stopped := make(chan struct{})
	go func() { n.Stop(context.Background()); close(stopped) }()
	if _, err := drain(stream); err != nil {
		t.Errorf("the query that ran was broken off: %v", err)
	}
	<-stopped
}

func TestStopBreaksOffQueriesAtItsDeadline(t *testing.T) {
	n := start(t, nil)
	n.endless(t)
	stream := n.open(t, t.Context(), query())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n.Stop(ctx) // returns although nobody reads
	if _, err := drain(stream); err == nil {
		t.Error("the query that nobody read was answered in full")
	}
}

// TestPatternsAreCompiledInASlotOnly asks with a wrong pattern, which nobody notices before it is compiled.
func TestPatternsAreCompiledInASlotOnly(t *testing.T) {
	n := start(t, func(c *Config) { c.QueriesMax, c.SearchesMax, c.FollowsMax = 1, 1, 1 })
	n.endless(t)
	awaitChunk(t, n.open(t, t.Context(), query()))
	wrong := query()
	wrong.Search.Pattern.Patterns = []string{`a\(`}
	queried, err := greppb.NewGrepClient(n.client).Query(t.Context(), wrong)
	if err == nil {
		_, err = queried.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("query: %v, want ResourceExhausted", err)
	}
	search := func() error {
		stream, err := greppb.NewGrepClient(n.client).Search(t.Context(), &wrong.Search)
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	if err := search(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("search: %v, want ResourceExhausted", err)
	}
	wrong.Search.Follow = &greppb.Follow{}
	n.local.follows <- struct{}{}
	if err := search(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("follow: %v, want ResourceExhausted", err)
	}
}

// costly asks with more patterns than cost nothing.
func costly() *greppb.QueryRequest {
	q := query()
	q.Search.Pattern.Patterns = []string{strings.Repeat("x", request.CostMin/100)}
	return q
}

func TestWhoeverLeavesWaitsNoLongerForTheCompiler(t *testing.T) {
	l := newLocal(nil, 1, 1, 0)
	for range cap(l.compiling) {
		l.compiling <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	compiled := false
	err := l.inTurn(ctx, request.CostMin, func() error { compiled = true; return nil })
	if status.Code(err) != codes.Canceled || compiled {
		t.Errorf("%v, compiled %v; want Canceled", err, compiled)
	}
	// Nor does it keep a slot, or memory.
	if err := l.Search(ctx, &costly().Search, nil); status.Code(err) != codes.Canceled || len(l.slots) != 0 || !l.matchers.TryAcquire(matchersBytesMax) {
		t.Errorf("%v, %d slots taken; want Canceled, none, and all memory free", err, len(l.slots))
	}
}

// Where the lines of files are put in order, each may wait with a long one for its turn.
func TestLongLinesThatWaitForTheirTurnHaveALimit(t *testing.T) {
	n := start(t, nil)
	const files, size = 8, 4 << 20
	for i := range files {
		n.write(t, fmt.Sprint("a", i), fmt.Sprintf("2026-11-01T00:00:00Z x\n2026-11-02T00:00:%02dZ %s\n", i, strings.Repeat("x", size)))
	}
	n.local.longLines = search.NewLongLines(3 * 2 * size)
	q := query()
	q.Search.Paths, q.Search.ByTime = []string{"logs/a*"}, true
	long, refused := 0, 0
	err := n.local.Search(t.Context(), &q.Search, func(reply *greppb.SearchReply) error {
		if c := reply.GetChunk(); c != nil && len(c.Data) > size {
			long++
		}
		if e := reply.GetFileError(); e != nil && strings.Contains(e.Message, "A line is longer than 1 MiB, and such lines that are being searched take 24 MiB") {
			refused++
		}
		return nil
	})
	if err != nil || long == 0 || refused == 0 || long+refused != files {
		t.Errorf("%d long lines came and %d were refused, %v", long, refused, err)
	}
}

func TestSearchBeyondTheLimitsWaitsForNothing(t *testing.T) {
	l := newLocal(nil, 1, 1, 0)
	l.matchers.TryAcquire(matchersBytesMax)
	for range cap(l.compiling) {
		l.compiling <- struct{}{}
	}
	q := query()
	q.Search.Pattern.Patterns = []string{strings.Repeat("x", 10*limits.PatternBytesMax)}
	if err := l.Search(t.Context(), &q.Search, nil); status.Code(err) != codes.InvalidArgument || len(l.slots) != 0 {
		t.Errorf("%v, %d slots taken; want InvalidArgument and none", err, len(l.slots))
	}
}

// A megabyte of patterns takes seconds to compile.
func TestPatternsAreCompiledOnceOnTheAskedNode(t *testing.T) {
	n := start(t, nil)
	n.write(t, "a", "x\n")
	compiled := 0
	n.local.compileRequest = func(r *greppb.SearchRequest) (search.Options, error) {
		compiled++
		return request.Compile(r)
	}
	ask := func(what string, q *greppb.QueryRequest, wantLines bool) {
		t.Helper()
		compiled = 0
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream := n.open(t, ctx, q)
		switch {
		case wantLines && awaitChunk(t, stream) != "x\n":
			t.Errorf("%s: another line than x", what)
		case !wantLines:
			drain(stream)
		}
		if cancel(); compiled != 1 {
			t.Errorf("%s: compiled %d times, want 1", what, compiled)
		}
		drain(stream)
		// What was counted for the patterns is given back, whoever had it.
		ctx, cancelAcquire := context.WithTimeout(t.Context(), time.Minute)
		defer cancelAcquire()
		matchers := n.local.memoryFor(&q.Search)
		if err := matchers.Acquire(ctx, matchersBytesMax); err != nil {
			t.Fatalf("%s: memory is still taken: %v", what, err)
		}
		matchers.Release(matchersBytesMax)
	}
	search := costly()
	search.Search.Pattern.Patterns = append(search.Search.Pattern.Patterns, "x")
	ask("a search", search, true)
	elsewhere := costly()
	elsewhere.Nodes = []string{"127.0.0.1:1"}
	ask("a query of another node", elsewhere, false)
	refused := costly()
	for range cap(n.local.slots) {
		n.local.slots <- struct{}{}
	}
	ask("a search that is refused", refused, false)
	for range cap(n.local.slots) {
		<-n.local.slots
	}
	follow := costly()
	follow.Search.Pattern.Patterns = append(follow.Search.Pattern.Patterns, "x")
	follow.Search.SinceUnixNanos, follow.Search.Follow = 1, &greppb.Follow{}
	n.write(t, "a", "2026-11-22T06:40:00Z\nx\n")
	ask("a follow", follow, true)
	// Without memory for them they are not kept, but checked all the same.
	n.local.matchers.TryAcquire(matchersBytesMax)
	compiled = 0
	wrong := costly()
	wrong.Search.Pattern.Patterns[0] += `\(`
	stream, err := greppb.NewGrepClient(n.client).Query(t.Context(), wrong)
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument || compiled != 1 {
		t.Errorf("a wrong pattern: %v after %d compilations, want InvalidArgument after 1", err, compiled)
	}
}

// Memory for patterns is taken before they are compiled, given back at the end, and no matter of ordinary patterns.
func TestPatternsBeyondTheMemoryForThemAreRefused(t *testing.T) {
	n := start(t, nil)
	n.write(t, "a", "x\n")
	for _, follow := range []*greppb.Follow{nil, {}} {
		matchers, what := n.local.matchers, "search"
		if follow != nil {
			matchers, what = n.local.followMatchers, "follow"
		}
		ask := func(q *greppb.QueryRequest) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			q.Search.Follow = follow
			stream, err := greppb.NewGrepClient(n.client).Search(ctx, &q.Search)
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}
		// Others have all but a little.
		matchers.TryAcquire(matchersBytesMax - 1)
		if err := ask(costly()); status.Code(err) != codes.ResourceExhausted ||
			!strings.Contains(err.Error(), "busy with patterns that may take 1024 MB") || !strings.Contains(err.Error(), "with fewer patterns") {
			t.Errorf("%s: %v, want ResourceExhausted and what to do", what, err)
		}
		for range cap(n.local.compiling) {
			n.local.compiling <- struct{}{}
		}
		if err := ask(query()); err != nil {
			t.Errorf("%s for an ordinary pattern: %v", what, err)
		}
		for range cap(n.local.compiling) {
			<-n.local.compiling
		}
		matchers.Release(matchersBytesMax - 1)
		if err := ask(costly()); err != nil {
			t.Errorf("%s: %v when there is memory again", what, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := matchers.Acquire(ctx, matchersBytesMax); err != nil { // which waits until the last one has ended
			t.Errorf("%s: %v: not all memory was given back", what, err)
		}
		cancel()
	}
}

// Work on a disk that hangs is given up by whoever waits for it, but keeps its place.
func TestADiskThatHangsKeepsNobodyWaiting(t *testing.T) {
	l := newLocal(nil, 1, 1, 0)
	ctx, cancel := context.WithCancel(t.Context())
	hangs, began := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx, l.slots, "searches", func() error { close(began); <-hangs; return nil }) }()
	<-began
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		t.Errorf("%v, want Canceled", err)
	}
	if err := l.run(t.Context(), l.slots, "searches", func() error { return nil }); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v, want ResourceExhausted", err)
	}
	close(hangs)
	l.wait(t.Context())
	if err := l.run(t.Context(), l.slots, "searches", func() error { return nil }); err != nil {
		t.Errorf("the place is not free again: %v", err)
	}
}

// Files with nothing to tell are not even named, unless all are to be counted.
func TestOnlyFilesWithResultsAreNamed(t *testing.T) {
	n := start(t, nil)
	n.write(t, "a", "x\n")
	n.write(t, "b", "y\n")
	for report, want := range map[greppb.Report]int{
		greppb.Report_LINES: 1, greppb.Report_COUNT: 2, greppb.Report_FILES_WITH_MATCHES: 1, greppb.Report_FILES_WITHOUT_MATCH: 2,
	} {
		q := query()
		q.Search.Report = report
		stream := n.open(t, t.Context(), q)
		begun := 0
		for {
			reply, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if reply.GetNodeStep() != nil && reply.GetNodeStep().Reply.GetFileBegin() != nil {
				begun++
			}
		}
		if begun != want {
			t.Errorf("%v: %d files named, want %d", report, begun, want)
		}
	}
}

// More files than can be open together are refused before any line is sent.
func TestTooManyFilesToMergeAreRefused(t *testing.T) {
	n := start(t, nil)
	for i := range search.FilesMax + 1 {
		n.write(t, fmt.Sprint(i), "2026-11-22T06:40:00Z x\n")
	}
	q := query()
	q.Sort, q.Search.ByTime = greppb.Sort_BY_TIME, true
	stream := n.open(t, t.Context(), q)
	var end *greppb.NodeEnd
	for end == nil {
		reply, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if step := reply.GetNodeStep(); step != nil && step.Reply.GetChunk() != nil {
			t.Fatal("a line was sent")
		}
		end = reply.GetNodeEnd()
	}
	if want := "more than 1000 files to be searched together: name fewer"; end.GetOutcome() != greppb.NodeEnd_REFUSED || end.GetMessage() != want {
		t.Errorf("ended with %v, want %s", end, want)
	}
}

// admin says who it is and fails to leave.
type admin struct {
	greppb.UnimplementedAdminServer
}

func (*admin) Version(context.Context, *greppb.VersionRequest) (*greppb.VersionReply, error) {
	return &greppb.VersionReply{Version: "v1"}, nil
}

func (*admin) Leave(context.Context, *greppb.LeaveRequest) (*greppb.LeaveReply, error) {
	return nil, syscall.EBUSY
}

func TestAdminIsTheDaemons(t *testing.T) {
	client := greppb.NewAdminClient(start(t, func(c *Config) { c.Admin = &admin{} }).client)
	if reply, err := client.Version(t.Context(), &greppb.VersionRequest{}); err != nil || reply.Version != "v1" {
		t.Errorf("version: %v, %v", reply, err)
	}
	if _, err := client.Leave(t.Context(), &greppb.LeaveRequest{}); status.Convert(err).Message() != syscall.EBUSY.Error() {
		t.Errorf("leave: %v, want the daemon's own words", err)
	}
	if _, err := client.Status(t.Context(), &greppb.StatusRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("status: %v, want Unimplemented", err)
	}
}

// The clock is told before anything is searched, or even understood.
func TestClockIsToldFirst(t *testing.T) {
	at := time.Unix(1_800_000_000, 5)
	l := newLocal(nil, 1, 1, 0)
	l.now = func() time.Time { at = at.Add(time.Microsecond); return at }
	var replies []*greppb.SearchReply
	request := &greppb.SearchRequest{Clock: true, Pattern: greppb.Pattern{Patterns: []string{"["}}}
	err := l.Search(t.Context(), request, func(reply *greppb.SearchReply) error {
		replies = append(replies, reply)
		return nil
	})
	if status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}
	want := greppb.Clock{ReceivedUnixNanos: 1_800_000_000_000_001_005, SentUnixNanos: 1_800_000_000_000_002_005}
	if len(replies) != 1 || *replies[0].GetClock() != want {
		t.Errorf("%v, want %+v", replies, want)
	}
	request.Clock, replies = false, nil
	l.Search(t.Context(), request, func(reply *greppb.SearchReply) error {
		replies = append(replies, reply)
		return nil
	})
	if len(replies) > 0 {
		t.Errorf("unasked it says %v", replies)
	}
}
