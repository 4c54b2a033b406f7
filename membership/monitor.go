package membership

import (
	"net/netip"
	"time"
)

// monitor watches one predecessor.
//
//	           stamp older than Bounds.Doubt             stamp older than Bounds.Deadline,
//	┌───────┐ ─────────────────────────────▶ ┌───────┐   or Bounds.Agreed if all agree
//	│ quiet │                                │ doubt │ ──────────────────────────────────▶ FAIL
//	└───────┘ ◀───────────────────────────── └───────┘   and rounds of questions in vain
//	           a stamp made since a heartbeat
//	           was due, from anyone
type monitor struct {
	target *Member
	stamp  time.Duration // the newest of the target's, on its clock
	fresh  time.Duration // Mono at which the stamp was made, at the latest
	base   baseDelay
	trip   time.Duration // the shortest round trip, so more than the base delay; 0: not known
	began  time.Duration // Mono at which the watch began

	doubting  bool
	suspected bool          // EventSuspect has been emitted, and EventTrust has not
	since     time.Duration // the doubt began, or begins anew
	nextProbe time.Duration
	asked     questions
	probes    int // that went unanswered
	rounds    int // of them, in which others were asked as well, since nobody had heard of the target
	answers   int // others' reports that knew nothing newer
	inVain    int // questions to the target and to helpers, but for those underway
	underway  int // ... in the latest round
	held      int // rounds in which the verdict was held back
	// knowsGray is when the target last answered a gray node's question, and so has heard that it
	// is.
	knowsGray time.Duration
	// wronged is when a doubt ended last that this node had for nothing; 0: none has.
	wronged time.Duration
	// agreeing are the members that knew the target in these rounds, and nothing newer.
	agreeing []netip.AddrPort
	// confirming are those of them that said so in a later round: they had time to ask it.
	confirming []netip.AddrPort
	// ripe is when roundsMin rounds have been in vain for long enough; never before.
	ripe time.Duration

	// until ends the watch of a target that a newcomer has come in front of. The newcomer
	// begins with a deadline of grace; until that is over, the relieved monitor is the one
	// that knows how long the target has been silent. Zero: this node is a monitor by right.
	until time.Duration
}

// takeUp begins to watch a member. It has a full deadline of grace: nobody can have told it
// earlier whom to send its heartbeats to. It is asked at once, so that what its link is like
// is known by a round trip, and not by a first heartbeat that may have been delayed.
func (n *Node) takeUp(target *Member) monitor {
	m := monitor{target: target, fresh: n.now.Mono, began: n.now.Mono, ripe: never, knowsGray: -n.grayFor()}
	if n.phase == InGroup {
		n.probeTarget(target, &m)
	}
	return m
}

func (m *monitor) watched() Watched {
	w := Watched{ID: m.target.ID, Stamp: m.stamp, Fresh: m.fresh, Trip: m.trip, Wronged: m.wronged, HasBase: m.base.sampled}
	if w.HasBase {
		w.Base = m.base.min(m.fresh)
	}
	if m.doubting {
		w.Doubt = Doubt{
			Probes: m.probes, Rounds: m.rounds, InVain: m.inVain, Underway: m.underway,
			Since: m.since, NextProbe: m.nextProbe, Ripe: m.ripe,
		}
	}
	return w
}

// heard takes in a stamp that came straight from the target.
func (m *monitor) heard(stamp, now time.Duration) (newer bool) {
	m.base.add(now-stamp, now)
	if stamp > m.stamp {
		m.stamp = stamp
		m.fresh = stamp + m.base.min(now)
		return true
	}
	m.fresh = min(m.fresh, m.stamp+m.base.min(now))
	return false
}

// answered takes in the stamp with which the target answered a probe. It was made after the
// probe was sent, which is a proof of life that no clock can spoil: where the base delay says
// otherwise, the target's clock has stood still.
func (m *monitor) answered(seq uint64, stamp, now time.Duration) (newer bool) {
	if sent, ok := m.asked.at(seq); ok {
		if m.stamp-stamp > now-sent+driftMax {
			m.stamp = 0 // it is further ahead than the target's clock can be: it was forged
		}
		m.base.atLeast(sent-stamp, now)
		if m.trip == 0 || now-sent < m.trip {
			m.trip = max(1, now-sent)
		}
		if now-sent <= tripMax {
			m.base.trips.take(sent-stamp+detectMargin, now)
		}
	}
	return m.heard(stamp, now)
}

// questions are the last rounds of a monitor's probes and queries: more than there are in a
// doubt, since others' queries have this node probe as well.
type questions struct {
	last [32]round
	next int
}

// round is what was asked at one instant: questions with successive numbers.
type round struct {
	first, last uint64
	sent        time.Duration
}

func (q *questions) add(seq uint64, now time.Duration) {
	latest := &q.last[(q.next+len(q.last)-1)%len(q.last)]
	if latest.sent == now && latest.last+1 == seq {
		latest.last = seq
		return
	}
	q.last[q.next] = round{seq, seq, now}
	q.next = (q.next + 1) % len(q.last)
}

// at is when the question with this number was sent.
func (q *questions) at(seq uint64) (sent time.Duration, ok bool) {
	for _, r := range q.last {
		if r.first <= seq && seq <= r.last && seq != 0 {
			return r.sent, true
		}
	}
	return 0, false
}

// told takes in a stamp that a co-monitor reports, of which it says how old it is. The report
// answers the question with this number, or none. It is news if the stamp is, or if it turns out to
// be fresher.
func (m *monitor) told(seq uint64, stamp, age, now time.Duration) (news bool) {
	if stamp < m.stamp || stamp == 0 {
		return false
	}
	at := now - age // or before, since the report has been on its way
	if m.base.proof.refutes(at-stamp, now) {
		at = stamp + m.base.min(now) // the co-monitor has not noticed yet
	} else {
		m.base.reports.take(at-stamp, now)
	}
	newer := stamp > m.stamp
	m.stamp = stamp
	if m.base.sampled {
		if newer {
			m.fresh = max(m.fresh, min(at, stamp+m.base.min(now)))
		} else {
			m.fresh = min(m.fresh, stamp+m.base.min(now)) // the report may have corrected that
		}
		return newer
	}
	// This monitor has not heard anything itself, and goes by what the others know, even
	// where that is less than the grace it gave. It is more only if it was so when the
	// question was asked: the report may have been long on its way. So it may be more, too, than
	// it was by an earlier report of the same stamp that answered no question.
	before := m.fresh
	if sent, ok := m.asked.at(seq); ok {
		m.fresh = max(m.fresh, sent-age)
	}
	m.fresh = min(m.fresh, at)
	return newer || m.fresh > before
}
