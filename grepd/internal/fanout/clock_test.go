package fanout_test

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Whatever a clock is ahead by, and whatever takes how long, the truth is within the bound.
func TestClockDifferenceIsWithinItsBound(t *testing.T) {
	random := newRand(t)
	for range 10_000 {
		asked, truth := random.Int64N(1<<62), random.Int64N(1<<60)-1<<59
		there, within, back := random.Int64N(1<<30), random.Int64N(1<<30), random.Int64N(1<<30)
		received := asked + there + truth
		if received < 0 {
			continue
		}
		offset, bound, ok := fanout.Ahead(asked, received, received+within, asked+there+within+back)
		if !ok || offset < truth-bound || offset > truth+bound || bound > (there+back)/2+1 {
			t.Fatalf("%d ns ahead, %d there and %d back: %d ±%d, %v", truth, there, back, offset, bound, ok)
		}
	}
}

func TestTimesThatContradictEachOtherSayNothing(t *testing.T) {
	for _, times := range [][4]int64{
		{100, 100, 99, 200},                            // sent before it was received
		{100, 100, 300, 200},                           // took longer than all together
		{100, -5, -5, 200},                             // before 1970
		{100, math.MinInt64, math.MinInt64, 200},       //
		{100, math.MaxInt64 - 1e9, math.MaxInt64, 200}, //
	} {
		if offset, bound, ok := fanout.Ahead(times[0], times[1], times[2], times[3]); ok {
			t.Errorf("%d: %d ±%d", times, offset, bound)
		}
	}
	const now = int64(1.8e18)
	if offset, _, ok := fanout.Ahead(now, math.MaxInt64, math.MaxInt64, now+10); !ok || offset < math.MaxInt64-now-10 {
		t.Errorf("a clock at the end of time is %d ahead, %v", offset, ok)
	}
}

// fakeClock gives one time after the other.
type fakeClock struct {
	mu    sync.Mutex
	times []time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.times[0]
	c.times = c.times[1:]
	return first
}

func TestClocksAreCompared(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	told := &greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{
		ReceivedUnixNanos: at.Add(3200*time.Millisecond + 300*time.Microsecond).UnixNano(),
		SentUnixNanos:     at.Add(3200*time.Millisecond + 500*time.Microsecond).UnixNano(),
	}}}
	ahead, _ := startPeer(t, "127.0.0.1:0", says(told, chunk("x\n", false)))
	const self = "192.0.2.1:1"
	f := newFanout(t, fanout.NewStatic(self, []string{ahead}), says(told))
	clock := &fakeClock{times: []time.Time{at, at.Add(time.Millisecond)}}
	f.SetClock(clock.now)
	clocks := make(map[uint32]greppb.NodeClock)
	a := newAnswer(t)
	request := timeout(soon)
	request.Clocks = true
	if err := f.Query(t.Context(), request, func(reply *greppb.QueryReply) error {
		if c := reply.GetNodeClock(); c != nil {
			clocks[c.Node] = *c
			return nil
		}
		return a.take(reply)
	}); err != nil {
		t.Fatal(err)
	}
	a.want(t, ahead, "ANSWERED")
	// 0.3 ms there, 0.2 ms within and 0.5 ms back.
	want := greppb.NodeClock{Node: 1, AheadNanos: int64(3200*time.Millisecond - 100*time.Microsecond), ErrorNanos: int64(400*time.Microsecond) + 1}
	if len(clocks) != 2 || clocks[0] != (greppb.NodeClock{}) || clocks[1] != want {
		t.Errorf("%+v, want %+v of the peer, and no difference of the own node", clocks, want)
	}
}

// A version that does not know the question does not answer it; and nobody else need know of a clock that was not asked for.
func TestNothingIsSaidOfClocksUnasked(t *testing.T) {
	told := &greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{ReceivedUnixNanos: 1, SentUnixNanos: 2}}}
	addr, _ := startPeer(t, "127.0.0.1:0", says(told))
	f := newFanout(t, newLiveList(addr), nil)
	if err := f.Query(t.Context(), timeout(soon), func(reply *greppb.QueryReply) error {
		if reply.GetNodeClock() != nil {
			t.Errorf("%+v", reply)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// In a follow a clock is told once the client knows the node, and again when the node is followed again.
func TestClocksOfAFollowAreToldWithTheirNodes(t *testing.T) {
	clock := &greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{ReceivedUnixNanos: 1, SentUnixNanos: 1}}}
	follows := saysAndFreezes(clock, places(), numbered("x\n", 0))
	a, _ := startPeer(t, "127.0.0.1:0", follows)
	b, _ := startPeer(t, "127.0.0.1:0", follows)
	list := newLiveList(a)
	request := timeout(soon)
	request.Clocks = true
	l := listen(t, newFanout(t, list, nil), request)
	l.want("clock 0", "0 x\n")
	list.join(fanout.Member{Addr: b})
	l.want("clock 0", "0 x\n", "begin 1", "clock 1", "1 x\n")
	list.set(b, fanout.Failed)
	l.want("clock 0", "0 x\n", "begin 1", "clock 1", "1 x\n", "end 1 FAILED ")
	list.set(b, fanout.Alive)
	l.want("clock 0", "0 x\n", "begin 1", "clock 1", "1 x\n", "end 1 FAILED ", "begin 1", "clock 1", "1 x\n")
	l.end()
}

// The first exchange with a node does not count the time in which its connection opens.
func TestClockIsAskedOnAnOpenConnection(t *testing.T) {
	asked := make(chan struct{})
	peer, _ := startPeer(t, "127.0.0.1:0", says(&greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{}}}))
	proxy, opened := startWatchedProxy(t, peer)
	f := newFanout(t, newLiveList(proxy), nil)
	first := sync.OnceFunc(func() {
		if !opened() {
			t.Error("asked before the connection was open")
		}
		close(asked)
	})
	f.SetClock(func() time.Time { first(); return time.Now() })
	request := timeout(soon)
	request.Clocks = true
	if err := f.Query(t.Context(), request, func(*greppb.QueryReply) error { return nil }); err != nil {
		t.Fatal(err)
	}
	<-asked
}

// startWatchedProxy passes one connection on to a peer, and tells whether the peer has said anything.
func startWatchedProxy(t *testing.T, peer string) (addr string, spoken func() bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var heard atomic.Bool
	var group sync.WaitGroup
	group.Go(func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", peer)
		if err != nil {
			return
		}
		defer server.Close()
		group.Go(func() { io.Copy(server, client); server.Close() })
		first := make([]byte, 1)
		if _, err := io.ReadFull(server, first); err == nil {
			heard.Store(true)
			client.Write(first)
			io.Copy(client, server)
		}
	})
	t.Cleanup(func() { listener.Close(); group.Wait() })
	return listener.Addr().String(), heard.Load
}
