package membership

import "time"

// baseDelay finds the smallest difference of receive and send time over a sliding window:
// the offset of the two clocks plus the delay of an undisturbed packet. Adding it to a
// send stamp gives when the packet would have come at the latest, had nothing delayed it.
//
// A co-monitor's report gives another upper bound on the offset, by way of its own link. It
// corrects a link that is as good, or that is not known for long enough to tell whether it is
// slow or has only been disturbed so far. But a link that is slow by itself is measured by
// itself: if it were not, each of its heartbeats would look late, and with the co-monitors
// dead the target would be taken for dead as well. Where there is no co-monitor, as between two
// members, a round trip does the same for a new link: until more is known, the way there is
// taken to be within the margin that the bound has for it.
//
// An answered probe gives a lower bound: the stamp was made after the question was sent. It
// finds out that the target's clock has stood still, as that of a virtual machine that is
// being moved: all that was known before, and what co-monitors that have not noticed report,
// then says that each stamp is older than it is.
type baseDelay struct {
	sampled       bool          // a stamp has come from the target itself
	since         time.Duration // when the first one came
	began         time.Duration // of the current half of the window
	current, past time.Duration // smallest of the current half and of the one before

	reports upperBound // by co-monitors' reports
	trips   upperBound // by round trips
	proof   lowerBound // by answered probes
}

// upperBound is the smallest bound of a while, of at least baseWindow.
type upperBound struct {
	bound, at time.Duration
	known     bool
}

func (u *upperBound) take(bound, now time.Duration) {
	if !u.known || bound < u.bound || now-u.at >= baseWindow {
		*u = upperBound{bound, now, true}
	}
}

// below returns the bound if it is still valid and less than another one, or else that.
func (u *upperBound) below(other, now time.Duration) time.Duration {
	if u.known && now-u.at < 2*baseWindow {
		return min(u.bound, other)
	}
	return other
}

// lowerBound is the largest bound of a while, of at least baseWindow.
type lowerBound struct {
	bound, at time.Duration
	known     bool
}

func (l *lowerBound) take(bound, now time.Duration) {
	if !l.known || bound > l.bound || now-l.at >= baseWindow {
		*l = lowerBound{bound, now, true}
	}
}

// refutes reports whether an upper bound is too small for what is known for certain.
func (l *lowerBound) refutes(upper, now time.Duration) bool {
	return l.known && now-l.at < 2*baseWindow && upper < l.bound-driftMax
}

// add takes in a difference of receive and send time.
func (b *baseDelay) add(difference, now time.Duration) {
	if b.proof.refutes(difference, now) {
		b.proof.known = false // the clock has been set forward, or this node's stood still
	}
	switch {
	case !b.sampled:
		b.sampled, b.since = true, now
		b.began, b.current, b.past = now, difference, never
	case now-b.began >= baseWindow:
		b.began, b.current, b.past = now, difference, b.current
	default:
		b.current = min(b.current, difference)
	}
}

// restore takes in what an earlier process of this node has found out. As long as the link was
// young that was corrected already, so the link is not young again.
func (b *baseDelay) restore(least, at time.Duration) {
	b.add(least, at)
	b.since = at - familiarAfter
}

// atLeast takes in a lower bound. What contradicts it is of another time, and forgotten.
func (b *baseDelay) atLeast(bound, now time.Duration) {
	b.proof.take(bound, now)
	if b.proof.refutes(min(b.current, b.past), now) {
		b.sampled = false
	}
	for _, u := range []*upperBound{&b.reports, &b.trips} {
		if b.proof.refutes(u.bound, now) {
			u.known = false
		}
	}
}

// min needs a sample.
func (b *baseDelay) min(now time.Duration) time.Duration {
	own := min(b.current, b.past)
	reported := b.reports.below(own, now)
	if now-b.since < familiarAfter {
		return b.trips.below(reported, now)
	}
	if own-reported > heartbeatSlack {
		return own
	}
	return reported
}
