package membership

import (
	"fmt"
	"strings"
	"time"
)

// Bounds is what a configuration promises to a group of so many members, and the sum behind
// it. It holds while no more than MaxFailures members fail within Detect, links have a base
// delay of at most Margin, and packets are not lost; what loss costs is in PROTOCOL.md.
type Bounds struct {
	Members, MaxFailures int

	Interval time.Duration // between two heartbeats
	Doubt    time.Duration // age of the freshest stamp at which probing begins
	Agreed   time.Duration // ... at which the monitors declare the member failed if all of them agree
	Deadline time.Duration // ... at which any of them does
	Margin   time.Duration // base delay of a link, and lateness of a monitor
	Detect   time.Duration // = Deadline + Margin: a crash is in the first live list

	Rank     time.Duration // the last of the monitors waits so long for the others to spread
	Batch    time.Duration // updates wait so long for others to go with them
	Hops     int           // from the originator to the last member
	Hop      time.Duration // base delay of a link
	Takeover time.Duration // a dead member at the head of an arc is passed over
	Spread   time.Duration // = Rank + Batch + Hops x Hop + MaxFailures x Takeover
	All      time.Duration // = Detect + Spread: a crash is in all live lists

	SpreadWithin time.Duration // what All may come to at the most; the configuration says it
}

// BoundsOf computes the bounds for a group of n members. The error says why the
// configuration cannot work; it wraps ErrConfig.
func BoundsOf(cfg Config, n int) (Bounds, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Bounds{}, err
	}
	return boundsOf(cfg, n), nil
}

// Bounds computes the bounds of the node's configuration for a group of so many members;
// 0 means those that its list holds to be alive.
func (n *Node) Bounds(members int) (Bounds, error) {
	if members == 0 {
		members = n.Alive()
	}
	if members < 0 || members > membersMax {
		return Bounds{}, fmt.Errorf("bounds for %d members: a group has at most %d", members, membersMax)
	}
	return boundsOf(n.cfg, members), nil
}

func boundsOf(c Config, n int) Bounds {
	b := Bounds{
		Members: n, MaxFailures: c.MaxFailures,
		Margin: detectMargin, Detect: c.DetectWithin,
		Rank: time.Duration(c.MaxFailures-1) * spreadRank, Batch: batchEvery,
		Hops: hops(n), Hop: detectMargin, Takeover: hopTimeout, SpreadWithin: c.SpreadWithin,
	}
	b.Deadline = b.Detect - b.Margin
	b.Interval = b.Deadline - doubtWindow
	b.Doubt = b.Interval + heartbeatSlack
	turn := b.Interval / time.Duration(b.MaxFailures)
	b.Agreed = min(b.Deadline, max(b.Interval+agreedAfter, turn+pauseMax))
	b.Spread = b.Rank + b.Batch + time.Duration(b.Hops)*b.Hop + time.Duration(b.MaxFailures)*b.Takeover
	b.All = b.Detect + b.Spread
	return b
}

// hops is the depth of a multicast to n members.
func hops(n int) int {
	depth := 0
	for reach := 1; reach < n; reach *= fanOut {
		depth++
	}
	return depth
}

// String shows the sum, a line a term.
func (b Bounds) String() string {
	var s strings.Builder
	line := func(d time.Duration, format string, args ...any) {
		fmt.Fprintf(&s, "%10v  %s\n", d, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&s, "%d members, at most %d of them failing at once\n", b.Members, b.MaxFailures)
	line(b.Interval, "heartbeat interval")
	line(b.Doubt, "silence at which a member is doubted and probed")
	line(b.Agreed, "silence at which it is declared failed if all its monitors agree")
	line(b.Deadline, "silence at which any of them declares it failed")
	line(b.Margin, "+ base delay of a link and lateness of a monitor")
	line(b.Detect, "= a failure is in the first live list")
	line(b.Rank, "+ later monitors wait for earlier ones to spread it")
	line(b.Batch, "+ updates wait to travel together")
	line(time.Duration(b.Hops)*b.Hop, "+ %d hops of %v", b.Hops, b.Hop)
	line(time.Duration(b.MaxFailures)*b.Takeover, "+ %d dead members on the way, passed over in %v each", b.MaxFailures, b.Takeover)
	line(b.All, "= every change is in all live lists")
	line(b.SpreadWithin, "is the bound configured for that")
	return strings.TrimSuffix(s.String(), "\n")
}
