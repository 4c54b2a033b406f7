package membership

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Config is what a Node needs to know.
type Config struct {
	// Addr is where other members reach this one; it is half of its identity.
	Addr netip.AddrPort

	// Gateways admit newcomers. A node whose Addr is among them is a gateway itself.
	// The order does not matter: gateways are ranked by address, so that members which
	// were given them in different orders agree on the leader.
	Gateways []netip.AddrPort

	// Known are members that an earlier life of this gateway has seen. It asks them for a
	// group before it founds one. Only gateways use them.
	Known []netip.AddrPort

	// MaxFailures is how many members may fail at the same time without a failure going
	// unnoticed. It is the number of monitors of each member, since the failed member and
	// all but one of its monitors can be the ones that fail. More monitors cost one
	// heartbeat an interval each. Zero means 3.
	MaxFailures int

	// DetectWithin is the bound on the time from a crash until the first live list has
	// it. The heartbeat interval follows from it (interval = DetectWithin - 800 ms), so a
	// longer bound is less traffic. Zero means 2 s.
	DetectWithin time.Duration

	// SpreadWithin is the bound on the time from a change until all live lists have it. It
	// changes nothing that the node does: a configuration that cannot keep it is refused, and
	// an audit judges by it. Zero means 6 s; an hour is the most.
	SpreadWithin time.Duration

	// Rand is the node's only source of randomness: jitter and choice of helpers.
	Rand *rand.Rand
}

// Limits and defaults of Config.
const (
	maxFailuresDefault  = 3
	maxFailuresMax      = 8
	detectWithinDefault = 2 * time.Second
	detectWithinMax     = 60 * time.Second
	spreadWithinDefault = 6 * time.Second
	spreadWithinMax     = time.Hour
	gatewaysMax         = 16
)

// ErrConfig is wrapped by every error about a Config that cannot work.
var ErrConfig = errors.New("membership configuration")

// withDefaults returns the configuration with zero fields filled in and the gateways
// ranked, or an error that says what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.MaxFailures == 0 {
		c.MaxFailures = maxFailuresDefault
	}
	if c.DetectWithin == 0 {
		c.DetectWithin = detectWithinDefault
	}
	if c.SpreadWithin == 0 {
		c.SpreadWithin = spreadWithinDefault
	}
	c.Gateways = slices.Clone(c.Gateways)
	slices.SortFunc(c.Gateways, netip.AddrPort.Compare)
	c.Gateways = slices.Compact(c.Gateways)
	return c, c.check()
}

func (c Config) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case unreachable(c.Addr) != "":
		return fail("address %v cannot be reached by others: %s", c.Addr, unreachable(c.Addr))
	case c.Addr.Addr().IsLoopback() && !allLoopback(c.Gateways):
		return fail("address %v can be reached from this machine only, and not every gateway of %v is on it", c.Addr, c.Gateways)
	case len(c.Gateways) == 0:
		return fail("no gateway given, want at least one (this node itself may be one)")
	case len(c.Gateways) > gatewaysMax:
		return fail("%d gateways given, want at most %d", len(c.Gateways), gatewaysMax)
	case c.MaxFailures < 1 || c.MaxFailures > maxFailuresMax:
		return fail("max failures is %d, want 1 to %d", c.MaxFailures, maxFailuresMax)
	case c.Rand == nil:
		return fail("no source of randomness given")
	}
	b := boundsOf(c, membersMax)
	if b.Interval < intervalMin || c.DetectWithin > detectWithinMax {
		return fail("cannot detect within %v, want %v to %v: %v of it are margin and doubt, and what is left is the heartbeat interval, at least %v",
			c.DetectWithin, detectMargin+doubtWindow+intervalMin, detectWithinMax, detectMargin+doubtWindow, intervalMin)
	}
	if c.SpreadWithin > spreadWithinMax {
		return fail("spreading within %v is no bound, want at most %v", c.SpreadWithin, spreadWithinMax)
	}
	if c.SpreadWithin < b.All {
		return fail("cannot spread within %v: for %d members it takes up to %v\n%v", c.SpreadWithin, membersMax, b.All, b)
	}
	return nil
}

// unreachable says why no member could send anything to an address; "" where one may. Loopback
// addresses are another matter: they will do for a group that is all on one machine.
func unreachable(addr netip.AddrPort) string {
	ip := addr.Addr()
	switch {
	case !addr.IsValid() || addr.Port() == 0:
		return "want ip:port"
	case ip.Is4In6() || ip.Zone() != "":
		return "it is no plain address" // which each member would write in its own way
	case ip.IsUnspecified() || ip.Is4() && ip.As4()[0] == 0:
		return "it stands for any address of a machine"
	case ip.IsMulticast():
		return "it is a multicast address"
	case ip == broadcast:
		return "it is the broadcast address"
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return "it is a link-local address, which means something on one link of one machine only"
	}
	return ""
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func allLoopback(addrs []netip.AddrPort) bool {
	return !slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
}

// isGateway reports whether addr is one of the gateways.
func (c *Config) isGateway(addr netip.AddrPort) bool { return slices.Contains(c.Gateways, addr) }

// Fixed times and sizes of the protocol. PROTOCOL.md derives them.
const (
	// detectMargin is what is left of DetectWithin for the base delay of a link and the
	// lateness of a monitor.
	detectMargin = 150 * time.Millisecond
	// calledLate is what a monitor keeps of that for its own lateness, and for drift, when it uses
	// the rest.
	calledLate = 30 * time.Millisecond
	// doubtWindow is how long before the deadline the next heartbeat would be due: time
	// for half a dozen rounds of probes.
	doubtWindow = 650 * time.Millisecond
	// heartbeatSlack is how late a heartbeat may be before it is doubted.
	heartbeatSlack = 100 * time.Millisecond
	intervalMin    = 200 * time.Millisecond

	probeEvery = 100 * time.Millisecond
	lonesMax   = 3 // probes of a monitor whose co-monitors have heard of the target
	roundsMin  = 3 // that are in vain before a member is declared failed
	helpersMax = 6 // random members that are asked in each round
	// agreedAfter is how long after its heartbeat was due a member is declared failed at the
	// earliest about whom its monitors agree: time for roundsMin rounds.
	agreedAfter = heartbeatSlack + roundsMin*probeEvery
	// pauseMax is the longest pause of a member that its monitors do not agree to take for its
	// end, and some slack.
	pauseMax = 1200 * time.Millisecond
	// wrongedFor is how long a monitor does not go by what the others agree about a member after
	// it has doubted it for nothing: the member pauses, or packets are lost.
	wrongedFor  = 15 * time.Minute
	agreeingMax = 2 * maxFailuresMax
	// heldMax is how many rounds a monitor goes on with that lacks the proof for a verdict, before
	// it looks every heldProbeEvery only. So does a node that is cut off.
	heldMax        = 10
	heldProbeEvery = time.Second
	// relaysMax bounds the askers for whom a node passes a newer stamp on, relayFor how long it
	// does.
	relaysMax = 64
	relayFor  = 500 * time.Millisecond
	// lingerFor is how much longer than a deadline a monitor goes on to watch whom it has
	// been relieved of.
	lingerFor = time.Second
	// latenessMax is how late a monitor may be called. Beyond, what it has not heard
	// proves nothing, and its probes count anew.
	latenessMax = 300 * time.Millisecond
	// baseWindow is how long the smallest (receive - send) difference of a link is
	// remembered, at least; twice that at the most.
	baseWindow = 30 * time.Second
	// familiarAfter is how long a link is known before it counts as slow rather than disturbed.
	familiarAfter = 10 * time.Second
	// tripMax is the longest round trip that tells of a link that may be disturbed. One that
	// always takes longer is slow.
	tripMax = doubtWindow
	// driftMax is how far two clocks of 200 ppm each drift apart meanwhile.
	driftMax = 24 * time.Millisecond

	fanOut       = 16                     // arcs that a hop divides its arc into
	hopTimeout   = 150 * time.Millisecond // after which an unacknowledged hop is repeated
	hopTries     = 7                      // after which it is left to the digests
	aroundFrom   = 2                      // after which others are asked to deliver it, too
	relayTries   = 2                      // the same for a hop made on behalf of another member
	batchEvery   = 50 * time.Millisecond  // least time between two multicasts of a node
	spreadRank   = 200 * time.Millisecond // how much later the next monitor spreads
	leaveTimeout = 1500 * time.Millisecond
	// handOverEvery is how often a leaving node tells those who watch in its place what it knows.
	// The first time most of them do not know yet that it leaves, and packets are lost.
	handOverEvery = 50 * time.Millisecond

	settleTime   = 800 * time.Millisecond // how long digests may differ before lists are compared
	unsettledMax = 4 * settleTime         // ... also while changes come in
	syncEvery    = 300 * time.Millisecond // least time between two comparisons a node begins
	pagesMax     = 16                     // Entries messages in answer to one range
	answersMax   = 32                     // messages in answer to one Ranges message
	membersMax   = 16384                  // alive members that a list may have
	terminalsMax = 4096                   // terminal entries that a list may have

	joinRetry    = 250 * time.Millisecond
	joinTries    = 4
	joinBackoff  = 4 * time.Second // between two rounds of asking every gateway, at most
	gatewayEvery = 400 * time.Millisecond
	gatewayDead  = 1400 * time.Millisecond // without a beat another gateway leads

	recallEvery  = 1500 * time.Millisecond // at which each failed address is tried by one member
	recallGap    = time.Second             // least time between two recalls to one address
	rejoinJitter = 300 * time.Millisecond
	keepFailed   = 24 * time.Hour
	keepLeft     = time.Hour
	// forgetAfter is how long a node may sleep before its list is worth nothing, and it
	// joins like a newcomer.
	forgetAfter = 10 * time.Minute
)

// Sizes that package wire fits into a packet.
const (
	RangesMax  = 16 // ranges in a message; a range that differs is cut in so many
	EntriesMax = 32 // entries in a message
)
