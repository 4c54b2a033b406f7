package membership

import (
	"net/netip"
	"slices"
	"time"
)

// damper keeps a member that comes and goes from costing all others two updates each time, in the
// manner of route flap damping (RFC 2439): each return adds one, which is forgotten in flapCalm.
// The first flapsFree returns are free; each one beyond waits twice as long as the one before.
type damper struct {
	returns float64
	at      time.Duration // of the last return
}

const (
	flapsFree   = 4
	flapCalm    = time.Minute
	flapWait    = time.Second
	flapWaitMax = time.Minute
	// gatewayGap is the least time between the beginnings of two lives of a gateway.
	gatewayGap = 3 * time.Second
	// dampedMax bounds the addresses of newcomers that a gateway remembers.
	dampedMax = 512
	// returnsMax is more than a member can have, which waits a minute in the end.
	returnsMax = 64
)

// wait is how long after the last return the next one may be.
func (d *damper) wait() time.Duration {
	if d.returns < flapsFree {
		return 0
	}
	wait := flapWait
	for range int(d.returns) - flapsFree {
		wait = min(2*wait, flapWaitMax)
	}
	return wait
}

// add counts a return.
func (d *damper) add(now time.Duration) {
	d.returns = d.level(now) + 1
	d.at = now
}

func (d *damper) level(now time.Duration) float64 {
	return max(0, d.returns-(now-d.at).Seconds()/flapCalm.Seconds())
}

// admissions are a gateway's dampers, of the addresses that it has admitted lately.
type admissions struct {
	dampers []addrDamper
}

type addrDamper struct {
	addr netip.AddrPort
	damper
}

// wait is how long an address has to wait before it is admitted again; 0: not at all.
func (a *admissions) wait(addr netip.AddrPort, now time.Duration) time.Duration {
	i := a.index(addr)
	if i < 0 {
		return 0
	}
	return max(0, a.dampers[i].at+a.dampers[i].wait()-now)
}

// add counts an admission. Of too many addresses, the one is forgotten whose last is longest ago.
func (a *admissions) add(addr netip.AddrPort, now time.Duration) {
	a.dampers = slices.DeleteFunc(a.dampers, func(d addrDamper) bool {
		return d.addr != addr && d.level(now) == 0
	})
	latest := addrDamper{addr: addr}
	if i := a.index(addr); i >= 0 {
		latest = a.dampers[i]
		a.dampers = slices.Delete(a.dampers, i, i+1)
	} else if len(a.dampers) >= dampedMax {
		a.dampers = slices.Delete(a.dampers, 0, 1)
	}
	latest.add(now)
	a.dampers = append(a.dampers, latest)
}

func (a *admissions) index(addr netip.AddrPort) int {
	return slices.IndexFunc(a.dampers, func(d addrDamper) bool { return d.addr == addr })
}

// Returns is how often an address has come back of late, for a Snapshot.
type Returns struct {
	Addr  netip.AddrPort
	Count float64
	At    time.Duration // Mono of the last one
}

// snapshotReturns is what a reload must not forget: this node's own returns, and those that it has
// admitted as a gateway.
func (n *Node) snapshotReturns() (returns []Returns) {
	if d := n.recaller.damper; d.level(n.now.Mono) > 0 {
		returns = append(returns, Returns{n.self.Addr, d.returns, d.at})
	}
	for _, d := range n.gateway.admitted.dampers {
		returns = append(returns, Returns{d.addr, d.returns, d.at})
	}
	return returns
}

func (n *Node) restoreReturns(returns []Returns) {
	for _, r := range returns[:min(len(returns), dampedMax)] {
		d := damper{returns: min(r.Count, returnsMax), at: min(r.At, n.now.Mono)}
		switch {
		case !(r.Count > 0): // nor is it no number
		case r.Addr == n.self.Addr:
			n.recaller.damper = d
		case n.gateway.is:
			n.gateway.admitted.dampers = append(n.gateway.admitted.dampers, addrDamper{r.Addr, d})
		}
	}
}
