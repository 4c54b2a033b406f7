package membership

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestReturnsAreDamped(t *testing.T) {
	var d damper
	now := time.Hour
	var waits []time.Duration
	for range 14 {
		waits = append(waits, d.wait())
		now = max(now, d.at+d.wait()) + 3*time.Second
		d.add(now)
	}
	for i, w := range waits {
		if i < flapsFree && w != 0 {
			t.Errorf("return %d waits %v", i+1, w)
		}
		if w > flapWaitMax || i > 0 && w < waits[i-1] && w < flapWaitMax/4 {
			t.Errorf("return %d waits %v, after %v", i+1, w, waits[i-1])
		}
	}
	if waits[len(waits)-1] < flapWaitMax/4 {
		t.Errorf("the last of %d returns waits %v", len(waits), waits[len(waits)-1])
	}
	if d.add(now + time.Hour); d.wait() != 0 {
		t.Errorf("after an hour in peace it waits %v", d.wait())
	}
}

func TestAdmissionsRememberSoManyAddresses(t *testing.T) {
	var a admissions
	for range flapsFree + 2 {
		a.add(testAddr(1), time.Minute)
	}
	if a.wait(testAddr(1), time.Minute) == 0 || a.wait(testAddr(2), time.Minute) != 0 {
		t.Error("another address is damped, or this one is not")
	}
	for i := range 3 * dampedMax {
		a.add(testAddr(10+i), time.Minute)
	}
	if len(a.dampers) > dampedMax {
		t.Errorf("%d addresses are kept", len(a.dampers))
	}
	a.add(testAddr(1), time.Hour)
	if len(a.dampers) != 1 {
		t.Errorf("%d addresses are kept after an hour of peace", len(a.dampers))
	}
}

// The address that is forgotten is that whose last return is longest ago, not the one that began
// first: that is the one that goes on.
func TestAdmissionsForgetTheLongestQuiet(t *testing.T) {
	var a admissions
	for range flapsFree + 2 {
		a.add(testAddr(1), time.Minute)
	}
	for i := range 2 * dampedMax {
		a.add(testAddr(10+i), time.Minute)
		if i%100 == 0 {
			a.add(testAddr(1), time.Minute)
		}
	}
	if a.wait(testAddr(1), time.Minute) == 0 {
		t.Error("who comes back again and again is no longer damped, since others came once")
	}
}

// A reload forgets neither this node's own returns nor those that it has admitted.
func TestReturnsOutliveAReload(t *testing.T) {
	node := testMember(t, 3)
	if err := node.SetGateways(node.now, []netip.AddrPort{testAddr(0)}); err != nil {
		t.Fatal(err)
	}
	for range flapsFree + 3 {
		node.recaller.damper.add(node.now.Mono)
		node.gateway.admitted.add(testAddr(7), node.now.Mono)
	}
	if err := node.SetGateways(node.now, []netip.AddrPort{testAddr(0), testAddr(1)}); err != nil {
		t.Fatal(err)
	}
	s := node.Snapshot()
	s.Returns = append(s.Returns,
		Returns{testAddr(8), math.NaN(), node.now.Mono}, Returns{testAddr(9), math.Inf(1), node.now.Mono + time.Hour})
	restored, err := RestoreNode(node.cfg, s, true, node.now)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := restored.recaller.damper, node.recaller.damper; got != want || want.wait() == 0 {
		t.Errorf("its own returns are %+v, want %+v", got, want)
	}
	admitted := &restored.gateway.admitted
	for addr, want := range map[netip.AddrPort]time.Duration{
		testAddr(7): 8 * time.Second,
		testAddr(8): 0,
		testAddr(9): flapWaitMax,
	} {
		if got := admitted.wait(addr, node.now.Mono); got != want {
			t.Errorf("%v waits %v, want %v", addr, got, want)
		}
	}
}

// A gateway that bids a newcomer wait for no time at all is not asked at the network's pace.
func TestNewcomerAsksAGatewayThatDampsItAtABoundedPace(t *testing.T) {
	cfg := testConfig()
	cfg.Gateways = []netip.AddrPort{testAddr(2)}
	now := Now{Wall: time.Now()}
	n, err := NewNode(cfg, now)
	if err != nil {
		t.Fatal(err)
	}
	n.Tick(now)
	gateway := ID{Addr: testAddr(2), Incarnation: 1}
	n.Step(now, gateway.Addr, &Message{Kind: Entries, Sender: gateway, To: math.MaxUint64, Entries: []Entry{{ID: gateway}}})
	asked := 0
	for now.Mono < 10*time.Second {
		n.Tick(now)
		for _, e := range slices.Clone(n.Ready().Messages) {
			if e.Kind == Join {
				asked++
				n.Step(now, gateway.Addr, &Message{Kind: Welcome, Sender: gateway, Seq: e.Seq, Verdict: Damped})
			}
		}
		now.Mono = max(n.Wake(), now.Mono+1)
	}
	if most := int(10*time.Second/joinRetry) + 1; asked < 2 || asked > most {
		t.Errorf("it asked %d times in 10 s, want at most %d", asked, most)
	}
}
