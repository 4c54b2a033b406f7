package membership

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// A newcomer whose gateways have moved asks them where they are now, and not where they were.
func TestNewcomerAsksTheGatewaysWhereTheyAreNow(t *testing.T) {
	cfg := testConfig()
	cfg.Gateways = []netip.AddrPort{testAddr(2)}
	now := Now{Wall: time.Now()}
	n, err := NewNode(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	asked := func() (to []netip.AddrPort) {
		n.Tick(now)
		for _, m := range n.Ready().Messages {
			to = append(to, m.To)
		}
		return to
	}
	for range 10 { // until it waits
		asked()
		now.Mono = n.Wake()
	}
	if err := n.SetGateways(now, []netip.AddrPort{testAddr(4), testAddr(3)}); err != nil {
		t.Fatal(err)
	}
	if n.Wake() > now.Mono {
		t.Errorf("it asks the new gateways only after %v", n.Wake()-now.Mono)
	}
	events := n.Ready().Events
	if len(events) != 1 || events[0].Kind != EventGateways {
		t.Errorf("events %v", events)
	}
	var to []netip.AddrPort
	for range 4 {
		to = append(to, asked()...)
		now.Mono = n.Wake()
	}
	if slices.Contains(to, testAddr(2)) || !slices.Contains(to, testAddr(3)) || !slices.Contains(to, testAddr(4)) {
		t.Errorf("it asks %v", to)
	}
	if err := n.SetGateways(now, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("no gateways at all: %v", err)
	}
	if err := n.SetGateways(now, []netip.AddrPort{testAddr(3), testAddr(4)}); err != nil || len(n.Ready().Events) > 0 {
		t.Errorf("the same gateways in another order are news, %v", err)
	}
}

// A gateway that waits to admit itself again, and is none any more, asks those that are.
func TestGatewayThatRestsMayCeaseToBeOne(t *testing.T) {
	cfg := testConfig()
	now := Now{Wall: time.Now()}
	n, err := NewNode(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	n.Tick(now)
	other := ID{Addr: testAddr(2), Incarnation: 1}
	earlier := ID{Addr: cfg.Addr, Incarnation: uint64(now.Wall.Add(-time.Second).UnixNano())}
	n.Step(now, other.Addr, &Message{
		Kind: Entries, Sender: other, To: ^ring.Position(0), Entries: []Entry{{ID: other}, {ID: earlier}},
	})
	if n.joiner.stage != resting {
		t.Fatalf("the stage is %v", n.joiner.stage)
	}
	if err := n.SetGateways(now, []netip.AddrPort{testAddr(3)}); err != nil {
		t.Fatal(err)
	}
	n.Ready()
	for range 20 {
		n.Tick(now)
		for _, e := range n.Ready().Messages {
			if e.To != testAddr(3) {
				t.Errorf("it sends %v to %v", e.Kind, e.To)
			}
		}
		now.Mono = n.Wake()
	}
	if n.Phase() != Joining {
		t.Error("it has admitted itself")
	}
}

// A member whose name was given to another machine is no gateway any more, and one that got a
// gateway's name is one.
func TestMemberBecomesAGatewayAndCeasesToBeOne(t *testing.T) {
	cfg := testConfig()
	cfg.Gateways = []netip.AddrPort{testAddr(1)}
	now := Now{Wall: time.Now()}
	n, err := NewNode(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	n.Tick(now) // founds a group
	if n.Phase() != InGroup {
		t.Fatalf("the phase is %v", n.Phase())
	}
	step := func(gateways ...netip.AddrPort) (messages []Envelope) {
		t.Helper()
		if err := n.SetGateways(now, gateways); err != nil {
			t.Fatal(err)
		}
		now.Mono += 2 * gatewayEvery
		n.Tick(now)
		return slices.Clone(n.Ready().Messages)
	}
	n.Tick(now)
	n.Ready()
	beats := func(messages []Envelope) (to []netip.AddrPort) {
		for _, m := range messages {
			if m.Message.Kind == GatewayBeat {
				to = append(to, m.To)
			}
		}
		return to
	}
	if got := beats(step(testAddr(1), testAddr(2))); !slices.Equal(got, []netip.AddrPort{testAddr(2)}) {
		t.Errorf("with another gateway it beats to %v", got)
	}
	if got := beats(step(testAddr(2))); len(got) > 0 || n.Leader().IsValid() {
		t.Errorf("as none it beats to %v, and holds %v to lead", got, n.Leader())
	}
	if got := beats(step(testAddr(1), testAddr(3))); !slices.Equal(got, []netip.AddrPort{testAddr(3)}) {
		t.Errorf("as one again it beats to %v", got)
	}
}
