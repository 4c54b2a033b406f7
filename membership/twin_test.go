package membership

import (
	"net/netip"
	"testing"
	"time"
)

// One foreign incarnation may be an earlier life's; a second one is another machine's. It is told
// once a minute.
func TestAnotherMachineWithThisAddressIsTold(t *testing.T) {
	for name, hear := range map[string]func(n *Node, now Now, incarnation uint64){
		"from its packets": func(n *Node, now Now, incarnation uint64) {
			n.Step(now, testAddr(9), &Message{Kind: Probe, Sender: ID{Addr: testAddr(1), Incarnation: incarnation}})
		},
		"from others' lists": func(n *Node, now Now, incarnation uint64) {
			n.Step(now, testAddr(2), &Message{Kind: Update, Sender: ID{Addr: testAddr(2), Incarnation: 1}, Seq: incarnation,
				Entries: []Entry{{ID: ID{Addr: testAddr(1), Incarnation: incarnation}}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Gateways = []netip.AddrPort{testAddr(1)}
			now := Now{Wall: time.Unix(1e9, 0)}
			n, err := NewNode(cfg, now)
			if err != nil {
				t.Fatal(err)
			}
			n.Tick(now)
			n.Ready()
			conflicts := func(after time.Duration, incarnation uint64) (count int) {
				now.Mono, now.Wall = now.Mono+after, now.Wall.Add(after)
				n.Tick(now)
				hear(n, now, incarnation)
				for _, e := range n.Ready().Events {
					if e.Kind == EventConflict {
						count++
					}
				}
				return count
			}
			next := func() uint64 { return uint64(now.Wall.Add(time.Hour).UnixNano()) }
			first := next()
			for _, step := range []struct {
				what        string
				after       time.Duration
				incarnation uint64
				want        int
			}{
				{"its own", time.Second, n.Self().Incarnation, 0},
				{"one foreign", time.Second, first, 0},
				{"the same", time.Second, first, 0},
				{"another", time.Second, first + uint64(time.Minute), 1},
				{"a third, soon", time.Second, first + uint64(2*time.Minute), 0},
				{"a fourth, later", twinEvery, first + uint64(time.Hour), 1},
				{"one after long", 2 * twinSpell, first + uint64(2*time.Hour), 0},
			} {
				if got := conflicts(step.after, step.incarnation); got != step.want {
					t.Errorf("%s: %d conflicts told, want %d", step.what, got, step.want)
				}
			}
		})
	}
}

// A forged packet, with the highest incarnation that is taken in, hides no twin: that comes up with
// one below, and another one.
func TestForgedIncarnationHidesNoTwin(t *testing.T) {
	node := testMember(t, 3)
	hear := func(incarnation uint64) {
		node.Step(node.now, testAddr(9), &Message{
			Kind: Probe, Sender: ID{Addr: testAddr(0), Incarnation: incarnation},
		})
	}
	now := uint64(node.now.Wall.UnixNano())
	hear(now + uint64(time.Hour))
	hear(now)
	hear(now + 1)
	if events := node.Ready().Events; len(events) != 1 || events[0].Kind != EventConflict {
		t.Errorf("events %v, want one conflict", events)
	}
}
