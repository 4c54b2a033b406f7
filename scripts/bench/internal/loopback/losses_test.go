package loopback

import (
	"net/netip"
	"testing"
	"time"
)

func TestOutcomeCountsTheLatestVictimAndWhoWasLostInVain(t *testing.T) {
	crashed := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { return crashed.Add(d) }
	x, y, z := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:3")
	var a, b Losses
	a.Add(x, after(-time.Second)) // of an earlier crash
	a.Add(x, after(1*time.Second))
	b.Add(x, after(3*time.Second))
	b.Add(y, after(2*time.Second))
	b.Add(z, after(2*time.Second))
	got := OutcomeOf([]*Losses{&a, &b}, []netip.AddrPort{x, y}, crashed)
	want := Outcome{First: 2 * time.Second, All: 3 * time.Second, Pending: 1, False: 1}
	if got != want {
		t.Errorf("outcome %+v, want %+v", got, want)
	}
}
