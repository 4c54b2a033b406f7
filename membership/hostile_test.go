package membership

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// testMember returns a node in a group of n, that has been in it for a while.
func testMember(t testing.TB, n int) *Node {
	t.Helper()
	wall := time.Unix(1763793600, 0)
	var l list
	for i := range n {
		l.merge(Entry{ID: ID{Addr: testAddr(i), Incarnation: 1}}, wall)
	}
	snapshot := Snapshot{Self: ID{Addr: testAddr(0), Incarnation: 1}, Phase: InGroup, Beat: time.Hour, Rows: l.ring.Points()}
	cfg := Config{Addr: testAddr(0), Gateways: []netip.AddrPort{testAddr(1)}, Rand: rand.New(rand.NewPCG(1, 1))}
	node, err := RestoreNode(cfg, snapshot, false, Now{Mono: time.Hour, Wall: wall})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// run lets time pass for a node whose messages go nowhere, and counts them.
func run(node *Node, d time.Duration) (messages int) {
	now := node.now
	for end := now.Mono + d; node.Wake() <= end; {
		step := max(0, node.Wake()-now.Mono)
		now.Mono, now.Wall = now.Mono+step, now.Wall.Add(step)
		node.Tick(now)
		messages += len(node.Ready().Messages)
	}
	return messages
}

// answer has every member but one answer what the node has just asked: that one is silent.
func answer(node *Node, silent netip.AddrPort) {
	for _, e := range slices.Clone(node.Ready().Messages) {
		to := node.list.get(e.To)
		switch {
		case to == nil || e.To == silent:
		case e.Kind == Query:
			node.Step(node.now, e.To, &Message{Kind: Report, Sender: to.ID, Seq: e.Seq, Target: e.Target})
		case e.Kind == Probe:
			node.Step(node.now, e.To, &Message{Kind: ProbeAck, Sender: to.ID, Seq: e.Seq, Stamp: node.now.Mono})
		}
	}
}

func TestImplausibleEntriesAreNotTakenIn(t *testing.T) {
	node := testMember(t, 10)
	before := node.Version()
	stranger := netip.MustParseAddrPort
	for _, e := range []Entry{
		{ID: ID{Addr: stranger("0.0.0.0:1"), Incarnation: 1}},
		{ID: ID{Addr: stranger("224.0.0.1:1"), Incarnation: 1}},
		{ID: ID{Addr: stranger("10.9.9.9:0"), Incarnation: 1}},
		{ID: ID{Incarnation: 1}},
		{ID: ID{Addr: stranger("10.9.9.9:1"), Incarnation: math.MaxUint64}},
		{ID: ID{Addr: stranger("10.9.9.9:1"), Incarnation: 1}, State: Left + 1},
		{ID: ID{Addr: node.Self().Addr, Incarnation: math.MaxUint64}, State: Failed},
	} {
		node.Step(node.now, testAddr(3), &Message{Kind: Update, Sender: ID{testAddr(3), 1}, Seq: 1, Hops: 1, Entries: []Entry{e}})
		node.spreader.seen = recent[hopName]{size: seenMax}
	}
	run(node, time.Second)
	if node.Version() != before || node.Self().Incarnation != 1 {
		t.Errorf("the list changed, or this node's incarnation did: %v", node.Self())
	}
}

// TestForgedIncarnationLocksNobodyOut: whatever is forged about a member, it has a higher
// incarnation to come back with, and everyone accepts it.
func TestForgedIncarnationLocksNobodyOut(t *testing.T) {
	victim, other := testMember(t, 10), testMember(t, 10)
	highest := uint64(victim.now.Wall.UnixNano()) + uint64(incarnationAhead)
	victim.Step(victim.now, testAddr(3), &Message{Kind: Recall, Sender: ID{testAddr(3), 1}, Incarnation: highest, State: Failed})
	run(victim, time.Second)
	if victim.Self().Incarnation <= highest {
		t.Fatalf("the victim goes on as %v, want more than %d", victim.Self(), highest)
	}
	later := other.now
	later.Mono, later.Wall = later.Mono+time.Second, later.Wall.Add(time.Second)
	other.Tick(later)
	if alive := (Entry{ID: ID{testAddr(5), highest + 1}}); !other.acceptable(alive) {
		t.Errorf("%v is not accepted", alive)
	}
}

// TestForgedIncarnationIsOutdoneOnceTheClocksAllow: what one whose clock is ahead takes for
// possible its victim takes for a forgery, but not for longer than the clocks differ.
func TestForgedIncarnationIsOutdoneOnceTheClocksAllow(t *testing.T) {
	const behind = time.Hour
	victim := testMember(t, 10)
	highest := uint64(victim.now.Wall.Add(behind).UnixNano()) + uint64(incarnationAhead)
	recall := &Message{Kind: Recall, Sender: ID{testAddr(3), 1}, Incarnation: highest, State: Failed}
	victim.Step(victim.now, testAddr(3), recall)
	run(victim, time.Second)
	if victim.Self().Incarnation != 1 {
		t.Errorf("an hour early the victim goes on as %v", victim.Self())
	}
	now := victim.now
	now.Wall = now.Wall.Add(behind)
	victim.Step(now, testAddr(3), recall)
	run(victim, time.Second)
	if victim.Self().Incarnation <= highest {
		t.Errorf("an hour later the victim is %v, want more than %d", victim.Self(), highest)
	}
}

func TestFloodOfStrangersIsBounded(t *testing.T) {
	node := testMember(t, 10)
	seq := uint64(0)
	for i := range 60_000 {
		seq++
		stranger := i / 2 // each first alive, then gone, then the next
		ip := netip.AddrFrom4([4]byte{20, byte(stranger >> 16), byte(stranger >> 8), byte(stranger)})
		state := State(i % 2 * (1 + stranger%2))
		e := Entry{ID: ID{Addr: netip.AddrPortFrom(ip, 1), Incarnation: 1}, State: state}
		pos := ring.Position(rand.Uint64())
		node.Step(node.now, testAddr(3), &Message{
			Kind: Update, Sender: ID{testAddr(3), 1}, Seq: seq, Hops: 1,
			From: pos, To: pos, Entries: []Entry{e},
		})
		node.Ready()
	}
	if live, rest := node.list.ring.Live(), node.list.ring.Len()-node.list.ring.Live(); live > membersMax || rest > terminalsMax {
		t.Errorf("the list has %d live rows and %d others", live, rest)
	}
	if f := len(node.spreader.flights); f > flightsMax {
		t.Errorf("%d hops are under way", f)
	}
}

// TestClockSetBackHidesNoFailure: a member whose incarnation is implausible since this node's
// wall clock was set back is declared failed like any other.
func TestClockSetBackHidesNoFailure(t *testing.T) {
	node := testMember(t, 10)
	target := node.detector.monitors[0].target.Addr
	high := Entry{ID: ID{target, uint64(node.now.Wall.UnixNano()) + uint64(incarnationAhead)}}
	if !node.change(high, ViaUpdate, Event{}) {
		t.Fatalf("%v was not taken in", high)
	}
	high.State = Failed
	now := node.now
	now.Wall = now.Wall.Add(-time.Hour)
	if !node.acceptable(high) {
		t.Fatalf("%v is not accepted before the clock was set back", high)
	}
	node.Tick(now)
	if !node.acceptable(high) { // looked at first: without it, the node would declare without end
		t.Fatalf("%v is not accepted", high)
	}
	for range 80 {
		now.Mono, now.Wall = now.Mono+50*time.Millisecond, now.Wall.Add(50*time.Millisecond)
		node.Tick(now)
		answer(node, target)
	}
	if !node.list.holds(high) {
		t.Errorf("the list has %v, want %v", node.list.get(target), high)
	}
}

// TestNobodySpeaksInThisNodesName: a machine that was given this node's address does not take
// its place in its own list.
func TestNobodySpeaksInThisNodesName(t *testing.T) {
	for _, kind := range []Kind{Join, ProbeAck} {
		node := newGateway(t)
		second := ID{node.Self().Addr, node.Self().Incarnation + 1}
		node.Step(node.now, testAddr(7), &Message{Kind: kind, Sender: second, Seq: 1})
		if !node.list.holds(Entry{ID: node.Self()}) {
			t.Errorf("%v: the list has %v, this node is %v", kind, node.list.get(second.Addr), node.Self())
		}
	}
}

func TestAnswerToOnePageIsBounded(t *testing.T) {
	node := testMember(t, 2*pagesMax*EntriesMax)
	node.Ready()
	node.Step(node.now, testAddr(7), &Message{
		Kind: Entries, Sender: ID{testAddr(7), 1}, Seq: 1, From: 0, To: ^ring.Position(0), Reply: true,
	})
	if answers := len(node.Ready().Messages); answers != pagesMax {
		t.Errorf("%d messages in answer to one, want %d", answers, pagesMax)
	}
}

// TestEveryMessageFromAStrangerIsSurvived throws messages of every kind with random fields
// at a node in every phase; it must neither panic nor call for a Tick without end.
func TestEveryMessageFromAStrangerIsSurvived(t *testing.T) {
	r := random(t)
	for _, phase := range []Phase{Joining, InGroup, Leaving, Gone} {
		node := testMember(t, 10)
		switch phase {
		case Joining:
			node.joinAfresh("for the test")
		case Leaving:
			node.Leave(node.now)
		case Gone:
			node.phase = Gone
		}
		for range 5000 {
			m := randomMessage(r)
			node.Step(node.now, testAddr(r.IntN(20)), &m)
			node.Ready()
			if node.Phase() == Joining || phase == Leaving {
				node.leaveEnd = never // stay in the phase
			}
		}
		if n := run(node, 10*time.Second); n > 200_000 {
			t.Errorf("%v: %d messages in 10 s", phase, n)
		}
	}
}

func randomMessage(r *rand.Rand) Message {
	id := func() ID { return ID{Addr: testAddr(r.IntN(20)), Incarnation: uint64(r.IntN(4))} }
	m := Message{
		Kind: Kind(r.IntN(int(GatewayBeat) + 2)), Sender: id(), Short: r.Uint32(), Seq: uint64(r.IntN(50)),
		Stamp: time.Duration(r.Int64N(int64(100 * time.Hour))), Age: time.Duration(r.Int64N(int64(time.Hour))),
		Digest: r.Uint64(), Target: id(), From: ring.Position(r.Uint64()), To: ring.Position(r.Uint64()),
		Hops: r.IntN(10), Reply: r.IntN(2) == 0, Flood: r.IntN(2) == 0, Verdict: Verdict(r.IntN(3)),
		Incarnation: uint64(r.IntN(4)), State: State(r.IntN(3)), Leader: id().Addr, Count: r.IntN(20),
	}
	for range r.IntN(5) {
		m.Entries = append(m.Entries, Entry{ID: id(), State: State(r.IntN(3))})
		a, b := ring.Position(r.Uint64()), ring.Position(r.Uint64())
		m.Ranges = append(m.Ranges, Range{From: min(a, b), To: max(a, b), Digest: r.Uint64(), Count: r.IntN(100)})
	}
	return m
}
