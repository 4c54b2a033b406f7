package udp

import (
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

const (
	// newcomersMax is how many unknown addresses may ask to join at once. A cluster of 1,000 that
	// is switched on is let in as before.
	newcomersMax = 1_000
	// newcomersPerSecond is how many more may ask each second after that. A rack of 40 that joins
	// each second is let in, and made-up members, which fail within some seconds, never fill the
	// list.
	newcomersPerSecond = 50
)

// newcomers limits the unknown addresses whose Joins are heard. Anybody can send Joins with made-up
// senders as fast as the network goes: each became a member, was watched, and was told to all
// others, until real members were declared failed. A Join that is not heard is as good as lost, and
// is sent again.
//
// The protocol's core knows nothing of it, so that what is simulated is the protocol alone. The
// zero value lets newcomersMax in.
type newcomers struct {
	taken float64       // of newcomersMax
	at    time.Duration // the Mono of the last Join
}

// admit reports whether a Join is to be heard. Those of addresses that the list has, as of a member
// that has begun anew or asks again, are always.
func (c *newcomers) admit(node *membership.Node, addr netip.AddrPort, now time.Duration) bool {
	if node.Lists(addr) {
		return true
	}
	c.taken = max(0, c.taken-newcomersPerSecond*(now-c.at).Seconds())
	c.at = now
	if c.taken+1 > newcomersMax {
		return false
	}
	c.taken++
	return true
}
