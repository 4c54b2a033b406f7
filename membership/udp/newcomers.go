package udp

import (
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// A member sends from the address that it says it has, unless addresses are translated on the way.
// Whoever forges Joins has to forge the source of the packets too, which many networks do not let
// through, or is limited to few.
var (
	// ownLimit is for Joins that come from the address that they name. A cluster of 1,000 that is
	// switched on is let in as before, and so is a rack of 40 each second.
	ownLimit = limit{most: 1_000, perSecond: 50}
	// otherLimit is for those that do not: a rack of 100 behind a translator is let in at once.
	otherLimit = limit{most: 100, perSecond: 10}
)

// limit is how many unknown addresses may ask to join at once, and how many more each second after
// that.
type limit struct{ most, perSecond float64 }

// newcomers limits the unknown addresses whose Joins are heard. Anybody can send Joins with made-up
// senders as fast as the network goes: each became a member, was watched, and was told to all
// others, until real members were declared failed. A Join that is not heard is as good as lost, and
// is sent again.
//
// The protocol's core knows nothing of it, so that what is simulated is the protocol alone. The
// zero value lets all in that the limits do.
type newcomers struct{ own, others comers }

// comers are those who came of late, as far as a limit minds.
type comers struct {
	n  float64
	at time.Duration // the Mono when that was so
}

// admit reports whether a Join that came from somewhere is to be heard. Those of addresses that the
// list has, as of a member that has begun anew or asks again, are always.
func (c *newcomers) admit(node *membership.Node, from, says netip.AddrPort, now time.Duration) bool {
	switch {
	case node.Lists(says):
		return true
	case from == says:
		return c.own.admit(ownLimit, now)
	}
	return c.others.admit(otherLimit, now)
}

func (c *comers) admit(l limit, now time.Duration) bool {
	c.n = max(0, c.n-l.perSecond*(now-c.at).Seconds())
	c.at = now
	if c.n+1 > l.most {
		return false
	}
	c.n++
	return true
}
