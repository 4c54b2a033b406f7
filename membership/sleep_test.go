package membership

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// newGateway returns the only gateway of a group that it has founded.
func newGateway(t *testing.T) *Node {
	t.Helper()
	cfg := Config{Addr: testAddr(0), Gateways: []netip.AddrPort{testAddr(0)}, Rand: rand.New(rand.NewPCG(1, 1))}
	node, err := NewNode(cfg, Now{Mono: time.Hour, Wall: time.Unix(1763793600, 0)})
	if err != nil {
		t.Fatal(err)
	}
	run(node, time.Second)
	if node.Phase() != InGroup {
		t.Fatalf("the gateway is %v", node.Phase())
	}
	return node
}

// TestLonelyGatewayHasNotSlept: a gateway that was alone for long was awake all the time,
// though it had no heartbeat to send.
func TestLonelyGatewayHasNotSlept(t *testing.T) {
	node := newGateway(t)
	self := node.Self()
	run(node, 2*forgetAfter)
	newcomer := ID{testAddr(1), uint64(node.now.Wall.UnixNano())}
	node.Step(node.now, newcomer.Addr, &Message{Kind: Join, Sender: newcomer, Seq: 1})
	if wake := node.Wake(); wake < node.now.Mono {
		t.Errorf("it should have been called %v ago", node.now.Mono-wake)
	}
	run(node, 100*time.Millisecond)
	if node.Self() != self || node.Phase() != InGroup || node.Alive() != 2 {
		t.Errorf("it goes on as %v, %v, with %d alive; want %v and 2 alive", node.Self(), node.Phase(), node.Alive(), self)
	}
}

// TestSleeperForgetsWhatItHadToSpread: what a node was about to spread when it fell asleep
// for long is not overdue in its next life, which would look like another sleep.
func TestSleeperForgetsWhatItHadToSpread(t *testing.T) {
	node := newGateway(t)
	node.spreadLater(Entry{ID: ID{testAddr(1), 1}, State: Failed}, spreadRank)
	now := node.now
	now.Mono, now.Wall = now.Mono+2*forgetAfter, now.Wall.Add(2*forgetAfter)
	node.Tick(now)
	node.Ready()
	run(node, time.Second)
	self := node.Self()
	run(node, time.Second)
	if node.Self() != self || node.Phase() != InGroup {
		t.Errorf("two seconds after its sleep it is %v, %v; a second before it was %v", node.Self(), node.Phase(), self)
	}
}

// TestMonitorThatSleptInADoubtAsksAnew: the questions of a doubt were in vain, then the monitor
// itself slept, and wakes after the deadline. What it has not heard meanwhile proves nothing.
func TestMonitorThatSleptInADoubtAsksAnew(t *testing.T) {
	const asleep = latenessMax + 200*time.Millisecond
	for _, slept := range []bool{false, true} {
		node := testMember(t, 10)
		target := node.detector.monitors[0].target
		now := node.now
		tick := func(d time.Duration) {
			now.Mono, now.Wall = now.Mono+d, now.Wall.Add(d)
			node.Tick(now)
			answer(node, target.Addr)
		}
		for m := node.detector.monitor(target.ID); m.rounds < roundsMin; {
			tick(10 * time.Millisecond)
		}
		for left := asleep; left > 0; {
			step := 10 * time.Millisecond
			if slept {
				step = asleep
			}
			tick(step)
			left -= step
		}
		if declared := !node.list.get(target.Addr).Live(); declared == slept {
			t.Errorf("slept: %t, declared: %t", slept, declared)
		}
	}
}

// TestLongSleeperJoinsAnew: a list that is older than forgetAfter is worth nothing.
func TestLongSleeperJoinsAnew(t *testing.T) {
	for slept, want := range map[time.Duration]Phase{forgetAfter: InGroup, forgetAfter + time.Second: Joining} {
		node := testMember(t, 10)
		run(node, 0)
		self, now := node.Self(), node.now
		now.Mono = node.Wake() + slept
		now.Wall = now.Wall.Add(now.Mono - node.now.Mono)
		node.Tick(now)
		if node.Phase() != want || (node.Self() == self) != (want == InGroup) {
			t.Errorf("having slept for %v it is %v, %v; want %v", slept, node.Self(), node.Phase(), want)
		}
	}
}
