package printer

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// clockErrorMax is how wrong a clock may be before a timeline has a warning of it: NTP calls so much a step, which it does not
// slew away, so that a clock in its care is never further off for long (RFC 5905, STEPT).
const clockErrorMax = 128 * time.Millisecond

// clockData is what JSON says of a node's clock, by that of the node that was asked.
type clockData struct {
	AheadSeconds float64 `json:"ahead_seconds"`
	ErrorSeconds float64 `json:"error_seconds"`
}

// nodeClockData is a record of it.
type nodeClockData struct {
	Node string `json:"node"`
	clockData
}

func clockDataOf(c *greppb.NodeClock) clockData {
	return clockData{time.Duration(c.AheadNanos).Seconds(), time.Duration(c.ErrorNanos).Seconds()}
}

// newClocks gives the nodes whose clocks have become known since the last call.
func (o *Outcome) newClocks() []*node {
	var news []*node
	for i := range o.nodes {
		if n := &o.nodes[i]; n.clock != nil && !n.clockTold {
			n.clockTold = true
			news = append(news, n)
		}
	}
	return news
}

// describeClock says how far a clock is ahead, and how exactly that is known:
//
//	+3.2 ms ±0.2 ms
//	-1m40s ±812 µs
//	reference
//	-
func describeClock(c *greppb.NodeClock) string {
	switch {
	case c == nil:
		return "-"
	case c.ErrorNanos == 0: // which no measurement has
		return "reference"
	}
	sign := "+"
	if c.AheadNanos < 0 {
		sign = "-"
	}
	return sign + formatTime(magnitude(c.AheadNanos)) + " ±" + formatTime(magnitude(c.ErrorNanos))
}

func magnitude(nanos int64) time.Duration { return time.Duration(nanos).Abs() }

// formatTime gives a duration in few digits.
func formatTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Round(time.Microsecond).Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// clockWarnings says which clocks are certainly wrong enough to matter in a timeline. Since that of the node that was asked may be
// the one that is wrong, they are compared with the median.
func (o *Outcome) clockWarnings() []string {
	var clocks []*greppb.NodeClock
	for i := range o.nodes {
		if o.nodes[i].clock != nil {
			clocks = append(clocks, o.nodes[i].clock)
		}
	}
	if len(clocks) < 2 {
		return nil
	}
	right := medianClock(clocks)
	var warnings []string
	unnamed := 0
	for _, c := range clocks {
		off := greppb.NodeClock{AheadNanos: c.AheadNanos - right.AheadNanos, ErrorNanos: c.ErrorNanos + right.ErrorNanos}
		n := &o.nodes[c.Node]
		if n.clockWarned || magnitude(off.AheadNanos)-magnitude(off.ErrorNanos) <= clockErrorMax {
			continue
		}
		n.clockWarned = true
		if len(warnings) == namedMax {
			unnamed++
			continue
		}
		direction, effect := "ahead", "late"
		if off.AheadNanos < 0 {
			direction, effect = "behind", "early"
		}
		consequence := "its lines stand so much too " + effect + " in this timeline"
		if o.Follow {
			consequence = "the times in its lines are so much too " + effect
		}
		warnings = append(warnings, fmt.Sprintf("warning: the clock of %s is %s %s (±%s): %s",
			n.addr, formatTime(magnitude(off.AheadNanos)), direction, formatTime(magnitude(off.ErrorNanos)), consequence))
	}
	if unnamed > 0 {
		warnings = append(warnings, fmt.Sprintf("warning: so it is with the clocks of %d more, which --json names", unnamed))
	}
	return warnings
}

// clockSpan says between what the clocks of all nodes lie.
func (o *Outcome) clockSpan() string {
	var slow, fast *greppb.NodeClock
	for i := range o.nodes {
		c := o.nodes[i].clock
		if c == nil {
			continue
		}
		if slow == nil || c.AheadNanos < slow.AheadNanos {
			slow = c
		}
		if fast == nil || c.AheadNanos > fast.AheadNanos {
			fast = c
		}
	}
	if slow == fast {
		return ""
	}
	return fmt.Sprintf("clocks from %s (%s) to %s (%s)\n", describeClock(slow), o.nodes[slow.Node].addr, describeClock(fast), o.nodes[fast.Node].addr)
}

// medianClock gives the clock in the middle; of the two in the middle of an even number the one that is nearer to that of the
// node that was asked.
func medianClock(clocks []*greppb.NodeClock) *greppb.NodeClock {
	sorted := slices.SortedFunc(slices.Values(clocks), func(a, b *greppb.NodeClock) int { return cmp.Compare(a.AheadNanos, b.AheadNanos) })
	low, high := sorted[(len(sorted)-1)/2], sorted[len(sorted)/2]
	if magnitude(high.AheadNanos) < magnitude(low.AheadNanos) {
		return high
	}
	return low
}
