package fanout_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests; 0: a new one")

// newRand returns a source whose seed is printed when the test fails.
func newRand(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// tick is far below, and soon far above, what anything here takes when nothing is frozen.
const (
	tick = 500 * time.Millisecond
	soon = 30 * time.Second
)

func timeout(d time.Duration) *greppb.QueryRequest {
	return &greppb.QueryRequest{TimeoutNanos: int64(d)}
}

func TestOrderWithinNodesIsKeptAndGroupsAreNotTornApart(t *testing.T) {
	random := newRand(t)
	var addrs []string
	said := make(map[string][]string)
	for n := range 12 {
		var steps []*greppb.SearchReply
		var texts []string
		for i := range random.IntN(200) {
			text := fmt.Sprintf("node %d line %d\n", n, i)
			steps, texts = append(steps, chunk(text, random.IntN(3) > 0)), append(texts, text)
			if random.IntN(10) == 0 {
				steps = append(steps, progress(uint64(i)))
			}
		}
		addr, _ := startPeer(t, "127.0.0.1:0", says(steps...))
		addrs = append(addrs, addr)
		said[addr] = texts
	}
	a := ask(t, newFanout(t, newLiveList(addrs...), nil), timeout(soon))

	heard := make(map[string][]string)
	speaker := -1 // whose group goes on
	for _, step := range a.steps {
		if speaker >= 0 && int(step.Node) != speaker {
			t.Fatalf("node %d speaks while a group of node %d goes on", step.Node, speaker)
		}
		if c := step.Reply.GetChunk(); c != nil {
			addr := a.begin.Nodes[step.Node]
			heard[addr] = append(heard[addr], string(c.Data))
			speaker = -1
			if c.More {
				speaker = int(step.Node)
			}
		} else if step.Reply.GetProgress() == nil {
			speaker = -1
		}
	}
	for addr, texts := range said {
		a.want(t, addr, "ANSWERED")
		if got, want := strings.Join(heard[addr], ""), strings.Join(texts, ""); got != want {
			t.Errorf("node %s said\n%sheard\n%s", addr, want, got)
		}
	}
}

// As a disk that hangs does to the node that is asked.
func TestOwnNodeCanFreezeToo(t *testing.T) {
	other, _ := startPeer(t, "127.0.0.1:0", says(fileBegin("logs/b"), chunk("b\n", false)))
	const self = "192.0.2.1:1"
	f := newFanout(t, fanout.NewStatic(self, []string{other}), saysAndFreezes(fileBegin("logs/a"), chunk("a\n", false)))
	a := ask(t, f, timeout(50*time.Millisecond))
	a.want(t, self, "TIMED_OUT: silent for 50ms (partial)")
	a.want(t, other, "ANSWERED")
}

// A node whose disk is slow but reads is waited for, and what it has read is told.
func TestProgressIsToldAndKeepsATargetAlive(t *testing.T) {
	var bytes uint64
	told := make(chan struct{})
	slow := func(ctx context.Context, send func(*greppb.SearchReply) error) error {
		for {
			select {
			case <-told:
				return send(searchEnd())
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond): // simulates a slow disk
				bytes += 1000
				step := progress(bytes)
				step.GetProgress().Bytes = bytes
				if err := send(step); err != nil {
					return err
				}
			}
		}
	}
	peer, _ := startPeer(t, "127.0.0.1:0", slow)
	f := newFanout(t, newLiveList(peer), nil)
	seen := false
	err := f.Query(t.Context(), &greppb.QueryRequest{TimeoutNanos: int64(300 * time.Millisecond)}, func(reply *greppb.QueryReply) error {
		if p := reply.GetProgress(); p != nil && p.Bytes >= 1000 && !seen {
			seen = true
			close(told)
		}
		if end := reply.GetNodeEnd(); end != nil && end.Outcome != greppb.NodeEnd_ANSWERED {
			t.Errorf("it ended %v: %s", end.Outcome, end.Message)
		}
		return nil
	})
	if err != nil || !seen {
		t.Errorf("%v, progress was told: %v", err, seen)
	}
}

func TestOwnNodeIsSearchedInProcess(t *testing.T) {
	other, _ := startPeer(t, "127.0.0.1:0", says(fileBegin("logs/b")))
	const self = "192.0.2.1:1" // where nobody could be reached
	f := newFanout(t, fanout.NewStatic(self, []string{other}), says(fileBegin("logs/a")))
	a := ask(t, f, timeout(soon))
	a.want(t, self, "ANSWERED")
	a.want(t, other, "ANSWERED")
	if a.begin.Live || len(a.begin.Nodes) != 2 {
		t.Errorf("begin is %+v, want a static list of 2", a.begin)
	}
}

func TestFrozenNodeCostsTheTimeout(t *testing.T) {
	frozen := startFrozen(t)
	halfway, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(fileBegin("logs/a"), chunk("half\n", true)))
	well, _ := startPeer(t, "127.0.0.1:0", says(chunk("x\n", false)))
	a := ask(t, newFanout(t, newLiveList(frozen, halfway, well), nil), timeout(tick))
	a.want(t, frozen, "TIMED_OUT: silent for 500ms")
	a.want(t, halfway, "TIMED_OUT: silent for 500ms (partial)")
	a.want(t, well, "ANSWERED")
	if a.took < tick || a.took > soon {
		t.Errorf("took %v, want the timeout of %v and little more", a.took, tick)
	}
}

func TestDeclaredFailureEndsTheWait(t *testing.T) {
	for _, test := range []struct {
		state fanout.State
		want  string
	}{{fanout.Failed, "FAILED"}, {fanout.Left, "LEFT"}} {
		frozen := startFrozen(t)
		halfway, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(chunk("half\n", false)))
		well, _ := startPeer(t, "127.0.0.1:0", says(chunk("x\n", false)))
		list := newLiveList(frozen, halfway, well)
		f := newFanout(t, list, nil)
		time.AfterFunc(tick, func() {
			list.set(frozen, test.state)
			list.set(halfway, test.state)
		})
		a := ask(t, f, timeout(time.Minute))
		a.want(t, frozen, test.want)
		a.want(t, halfway, test.want+" (partial)")
		a.want(t, well, "ANSWERED")
		if a.took > soon {
			t.Errorf("took %v after a failure that was declared after %v", a.took, tick)
		}
	}
}

func TestDeclaredFailureLosesNothingThatWasSaid(t *testing.T) {
	var steps []*greppb.SearchReply
	for range 50 {
		steps = append(steps, chunk(strings.Repeat("x", 1000)+"\n", false))
	}
	addr, _ := startPeer(t, "127.0.0.1:0", says(steps...))
	list := newLiveList(addr)
	f := newFanout(t, list, nil)
	a := newAnswer(t)
	err := f.Query(t.Context(), timeout(soon), func(reply *greppb.QueryReply) error {
		if len(a.steps) == 1 {
			list.set(addr, fanout.Failed)
		}
		return a.take(reply)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.want(t, addr, "ANSWERED")
}

func TestNodesThatCannotBeAsked(t *testing.T) {
	dead, failed, left := startDead(t), startDead(t), startDead(t)
	refusing, _ := startPeer(t, "127.0.0.1:0", func(context.Context, func(*greppb.SearchReply) error) error {
		return status.Error(codes.ResourceExhausted, "busy")
	})
	abrupt, _ := startPeer(t, "127.0.0.1:0", func(_ context.Context, send func(*greppb.SearchReply) error) error {
		return send(chunk("x\n", false))
	})
	list := newLiveList(dead, failed, left, refusing, abrupt)
	list.set(failed, fanout.Failed)
	list.set(left, fanout.Left)
	request := timeout(soon)
	request.Nodes = []string{dead, failed, left, refusing, abrupt, "192.0.2.7:7117", dead}
	a := ask(t, newFanout(t, list, nil), request)
	a.want(t, dead, "UNREACHABLE: connection refused")
	a.want(t, failed, "FAILED: before the query")
	a.want(t, left, "LEFT: before the query")
	a.want(t, refusing, "REFUSED: busy")
	a.want(t, abrupt, "UNREACHABLE: the answer broke off (partial)")
	a.want(t, "192.0.2.7:7117", "NOT_MEMBER")
	if a.end.Asked != 6 {
		t.Errorf("asked %d, want 6: a node that is named twice is asked once", a.end.Asked)
	}
	if everyone := ask(t, newFanout(t, list, nil), timeout(soon)); len(everyone.begin.Nodes) != 3 {
		t.Errorf("an open query goes to %v, want the three that are alive", everyone.begin.Nodes)
	}
}

func TestNodeThatGetsOnIsNotTimedOut(t *testing.T) {
	addr, _ := startPeer(t, "127.0.0.1:0", func(ctx context.Context, send func(*greppb.SearchReply) error) error {
		start := time.Now()
		for work := uint64(1); time.Since(start) < 3*tick; time.Sleep(tick / 10) { // the node is at work
			work++
			if err := send(progress(work)); err != nil {
				return err
			}
		}
		return send(searchEnd())
	})
	a := ask(t, newFanout(t, newLiveList(addr), nil), timeout(tick))
	a.want(t, addr, "ANSWERED")
}

// As a node does whose disk hangs if its version shows progress whenever a clock ticks.
func TestNodeThatSaysTheSameForeverIsTimedOut(t *testing.T) {
	stuck := func(ctx context.Context, send func(*greppb.SearchReply) error) error {
		for err := send(chunk("half\n", false)); err == nil; err = send(progress(17)) {
			select {
			case <-time.After(tick / 20):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	peer, _ := startPeer(t, "127.0.0.1:0", stuck)
	const self = "192.0.2.1:1"
	f := newFanout(t, fanout.NewStatic(self, []string{peer}), searchFunc(stuck))
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	a := newAnswer(t)
	if err := f.Query(ctx, timeout(tick), a.take); err != nil {
		t.Fatal(err)
	}
	a.want(t, self, "TIMED_OUT: silent for 500ms (partial)")
	a.want(t, peer, "TIMED_OUT: silent for 500ms (partial)")
}

// The nodes have more to say than there is room for, and say the same of their work for as long as they wait.
func TestSlowClientDoesNotTimeNodesOut(t *testing.T) {
	large := chunk(strings.Repeat("x", 200<<10)+"\n", false)
	var addrs []string
	for range 4 {
		addr, _ := startPeer(t, "127.0.0.1:0", says(large, progress(1), progress(1), large, progress(1), large))
		addrs = append(addrs, addr)
	}
	f := newFanout(t, newLiveList(addrs...), nil)
	a := newAnswer(t)
	err := f.Query(t.Context(), timeout(tick), func(reply *greppb.QueryReply) error {
		if reply.GetNodeStep() != nil && len(a.steps) == 0 {
			time.Sleep(2 * tick) // simulates a paused terminal
		}
		return a.take(reply)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		a.want(t, addr, "ANSWERED")
	}
}

// TestANodeThatHoldsTheFloorHoldsNobodyUp is about nodes that begin a group of lines and go on with something else.
func TestANodeThatHoldsTheFloorHoldsNobodyUp(t *testing.T) {
	groups := &greppb.SearchReply{Step: &greppb.SearchReply_Groups{Groups: &greppb.Groups{Groups: []greppb.Group{{Values: []string{"a"}, Count: 1}}}}}
	for name, search := range map[string]searchFunc{
		"counts": says(chunk("x\n", true), groups),
		"progress": func(ctx context.Context, send func(*greppb.SearchReply) error) error {
			for step := chunk("x\n", true); ; step = progress(1) {
				if err := send(step); err != nil {
					return err
				}
			}
		},
	} {
		for _, countBy := range []bool{true, false} {
			liar, _ := startPeer(t, "127.0.0.1:0", search)
			held := make(chan struct{})
			honest, _ := startPeer(t, "127.0.0.1:0", func(ctx context.Context, send func(*greppb.SearchReply) error) error {
				<-held
				return says(chunk("y\n", false))(ctx, send)
			})
			f := newFanout(t, newLiveList(liar, honest), nil)
			request := timeout(time.Minute)
			request.Search.CountBy = countBy
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			a := newAnswer(t)
			err := f.Query(ctx, request, func(reply *greppb.QueryReply) error {
				err := a.take(reply)
				if len(a.steps) == 1 && reply.GetNodeStep() != nil {
					close(held)
				}
				if a.ends[honest] != nil {
					cancel() // that of the liar may never come
				}
				return err
			})
			if a.outcome(honest) != "ANSWERED" {
				t.Errorf("%s, count by %v: %v, and the honest node: %s", name, countBy, err, a.outcome(honest))
			}
			cancel()
		}
	}
}

func TestCancellationReachesEveryNode(t *testing.T) {
	const nodes = 8
	asked, released := make(chan struct{}, nodes), make(chan struct{}, nodes)
	var addrs []string
	for range nodes {
		addr, _ := startPeer(t, "127.0.0.1:0", func(ctx context.Context, _ func(*greppb.SearchReply) error) error {
			asked <- struct{}{}
			<-ctx.Done()
			released <- struct{}{}
			return ctx.Err()
		})
		addrs = append(addrs, addr)
	}
	f := newFanout(t, newLiveList(addrs...), nil)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		result <- f.Query(ctx, timeout(time.Minute), func(*greppb.QueryReply) error { return nil })
	}()
	await := func(what string, events <-chan struct{}) {
		for range nodes {
			select {
			case <-events:
			case <-time.After(soon):
				t.Fatalf("not every node was %s", what)
			}
		}
	}
	await("asked", asked)
	cancel()
	await("released", released)
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("query: %v, want context.Canceled", err)
	}
}

func TestClientThatIsGoneEndsTheQuery(t *testing.T) {
	addr, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(chunk("x\n", false)))
	gone := errors.New("gone")
	err := newFanout(t, newLiveList(addr), nil).Query(t.Context(), timeout(time.Minute), func(reply *greppb.QueryReply) error {
		if reply.GetNodeStep() != nil {
			return gone
		}
		return nil
	})
	if !errors.Is(err, gone) {
		t.Errorf("query: %v, want what send returned", err)
	}
}

func TestConnectionThatDiedUnnoticedIsReplaced(t *testing.T) {
	peerAddr, _ := startPeer(t, "127.0.0.1:0", says())
	addr, lose := startProxy(t, peerAddr)
	f := newFanout(t, newLiveList(addr), nil)
	ask(t, f, timeout(soon)).want(t, addr, "ANSWERED")
	lose()
	ask(t, f, timeout(soon)).want(t, addr, "ANSWERED")
}

func TestRestartedPeerAnswersAtOnce(t *testing.T) {
	addr, stop := startPeer(t, "127.0.0.1:0", says())
	f := newFanout(t, newLiveList(addr), nil)
	ask(t, f, timeout(soon)).want(t, addr, "ANSWERED")
	stop()
	ask(t, f, timeout(soon)).want(t, addr, "UNREACHABLE: connection refused")
	startPeer(t, addr, says())
	ask(t, f, timeout(soon)).want(t, addr, "ANSWERED")
}

func TestManyFrozenNodesCostOneTimeout(t *testing.T) {
	var addrs []string
	for range 50 {
		addrs = append(addrs, startFrozen(t))
	}
	a := ask(t, newFanout(t, newLiveList(addrs...), nil), timeout(tick))
	if a.end.Answered != 0 || a.took > soon {
		t.Errorf("%d answered in %v, want none in little more than %v", a.end.Answered, a.took, tick)
	}
}

func TestManyTargets(t *testing.T) {
	const nodes, frozen = 200, 20
	var addrs []string
	for range frozen {
		addrs = append(addrs, startFrozen(t))
	}
	for range nodes {
		addr, _ := startPeer(t, "127.0.0.1:0", says(chunk("x\n", false)))
		addrs = append(addrs, addr)
	}
	list := newLiveList(addrs...)
	f := newFanout(t, list, nil)
	goroutines := 0
	a := newAnswer(t)
	err := f.Query(t.Context(), timeout(time.Minute), func(reply *greppb.QueryReply) error {
		goroutines = max(goroutines, runtime.NumGoroutine())
		if reply.GetNodeEnd() != nil && len(a.ends) == nodes-1 {
			for _, addr := range addrs[:frozen] {
				list.set(addr, fanout.Failed)
			}
		}
		return a.take(reply)
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.end.Answered != nodes {
		t.Errorf("%d answered, want %d", a.end.Answered, nodes)
	}
	// The peers of this test are in the process too, with goroutines of their own.
	if limit := 25 * (nodes + frozen); goroutines > limit {
		t.Errorf("%d goroutines for %d targets, want at most %d", goroutines, nodes+frozen, limit)
	}
}

func TestMemoryIsFlatWithASlowReader(t *testing.T) {
	const nodes, chunks, chunkBytes = 8, 32, 256 << 10 // 64 MB
	data := strings.Repeat("x", chunkBytes-1) + "\n"
	var addrs []string
	for range nodes {
		addr, _ := startPeer(t, "127.0.0.1:0", func(_ context.Context, send func(*greppb.SearchReply) error) error {
			for range chunks {
				if err := send(chunk(data, false)); err != nil {
					return err
				}
			}
			return send(searchEnd())
		})
		addrs = append(addrs, addr)
	}
	f := newFanout(t, newLiveList(addrs...), nil)
	var peak uint64
	var bytes int
	err := f.Query(t.Context(), timeout(soon), func(reply *greppb.QueryReply) error {
		if c := reply.GetNodeStep(); c != nil {
			bytes += len(c.Reply.GetChunk().GetData())
			if bytes/chunkBytes%64 == 1 {
				time.Sleep(tick) // simulates a slow reader, so that everybody sends what they can
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes != nodes*chunks*chunkBytes {
		t.Errorf("%d bytes came, want %d", bytes, nodes*chunks*chunkBytes)
	}
	if peak > 48<<20 {
		t.Errorf("%d MB on the heap, both sides together, want at most 48", peak>>20)
	}
	t.Logf("peak heap %d KB", peak>>10)
}

// With many connections to be opened each has to await its turn, for which nobody at the other end can be blamed.
func TestWaitForATurnIsNoSilence(t *testing.T) {
	const frozen = 64 * 4 // four times as many as are opened at a time, each of which keeps its turn for 250 ms
	var addrs []string
	for range frozen {
		addrs = append(addrs, startFrozen(t))
	}
	var well []string
	for range 20 {
		addr, _ := startPeer(t, "127.0.0.1:0", says(chunk("x\n", false)))
		well = append(well, addr)
	}
	a := ask(t, newFanout(t, newLiveList(append(addrs, well...)...), nil), timeout(tick))
	for _, addr := range well {
		a.want(t, addr, "ANSWERED")
	}
	for _, addr := range addrs {
		a.want(t, addr, "TIMED_OUT: silent for 500ms")
	}
	if a.took < 2*tick {
		t.Errorf("took %v: nobody waited for a turn, so this test shows nothing", a.took)
	}
}
