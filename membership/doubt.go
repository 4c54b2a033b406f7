package membership

import (
	"slices"
	"time"
)

// tickMonitor reports whether it declared its target failed.
func (n *Node) tickMonitor(m *monitor) (declared bool) {
	now := n.now.Mono
	silent := now - m.fresh
	if silent < n.bounds.Doubt {
		n.trust(m, silent)
		return false
	}
	if !m.doubting {
		m.doubting, m.since, m.nextProbe, m.ripe, m.probes, m.answers = true, now, now, never, 0, 0
		if m.until == 0 { // else it sends its heartbeats elsewhere
			m.suspected = true
			n.emit(Event{Kind: EventSuspect, Peer: m.target.ID, Silent: silent})
		}
	}
	if silent >= n.bounds.Deadline && now >= m.ripe {
		if !n.isolated(m) {
			n.declare(m, silent)
			return true
		}
		n.detector.held = true
		n.probe(m)
		m.nextProbe = now + heldProbeEvery
		m.ripe = m.nextProbe
	}
	if now >= m.nextProbe {
		n.probe(m)
	}
	return false
}

// trust ends the doubt about a target that was heard of.
func (n *Node) trust(m *monitor, silent time.Duration) {
	if m.doubting {
		m.doubting, m.ripe = false, never
		if m.suspected {
			m.suspected = false
			n.emit(Event{Kind: EventTrust, Peer: m.target.ID, Silent: silent})
		}
	}
}

// isolated reports whether this node is probably the one that is cut off, and so should
// declare nobody: it has heard nothing from anyone for as long as a member may be silent,
// though more members should be there than may fail at once. In a group of more than twice as
// many, where the probes of a doubt reach several members that must be alive, it is enough
// that none of them has answered.
func (n *Node) isolated(m *monitor) bool {
	others := n.list.ring.Live() - 1
	unanswered := n.lastHeard <= m.since && others > 2*n.cfg.MaxFailures
	return unanswered || n.now.Mono-n.lastHeard >= n.bounds.Deadline && others > n.cfg.MaxFailures
}

// helpers is how many random members are asked with a probe, the first, the second and so on.
// Most doubts are about one lost heartbeat, and end with the first. The later ones are rare, and
// near the deadline, where many ways are better than few.
func helpers(probes int) int { return min(2*(probes-1), helpersMax) }

// probe asks the target itself and its other monitors. Where that does not end the doubt, it
// also asks random members: the way from the target may be bad, and those from the co-monitors
// as well, or they are dead.
func (n *Node) probe(m *monitor) {
	now := n.now.Mono
	m.nextProbe = now + probeEvery
	n.probeTarget(m.target.ID, m)
	if m.probes++; m.probes == probesMin {
		m.ripe = now + probeEvery
	}
	if m.until > 0 && m.probes < probesMin {
		return // it was relieved, and no heartbeat was due; nobody is in doubt yet
	}
	monitors := n.monitorsOf(m.target)
	for _, c := range monitors {
		n.query(c, m)
	}
	but := append(monitors, m.target)
	for range helpers(m.probes) {
		n.query(n.anyone(but...), m)
	}
}

func (n *Node) query(c *Member, m *monitor) {
	if c != nil && c.position != n.position {
		seq := n.nextSeq()
		m.asked.add(seq, n.now.Mono)
		n.send(c.Addr, Message{Kind: Query, Seq: seq, Target: m.target.ID, Stamp: m.stamp})
	}
}

// probeTarget asks a member whether it is there. The monitor that watches it, if any, takes
// note of the question.
func (n *Node) probeTarget(target ID, m *monitor) (seq uint64) {
	seq = n.nextSeq()
	if m != nil {
		m.asked.add(seq, n.now.Mono)
	}
	n.send(target.Addr, Message{Kind: Probe, Seq: seq, Incarnation: target.Incarnation})
	return seq
}

// monitorsOf returns the members that watch m, the first successor first.
func (n *Node) monitorsOf(m *Member) []*Member {
	return n.list.ring.Successors(make([]*Member, 0, maxFailuresMax), m.position, n.cfg.MaxFailures)
}

// declare says that the target has failed, and spreads it: at once as the first of its
// monitors, later as another, unless it is heard by then.
func (n *Node) declare(m *monitor, silent time.Duration) {
	entry := Entry{ID: m.target.ID, State: Failed}
	rank := slices.IndexFunc(n.monitorsOf(m.target), func(c *Member) bool { return c.Addr == n.self.Addr })
	n.change(entry, ViaMonitor, Event{Silent: silent, Probes: m.probes, Answers: m.answers})
	n.spreadLater(entry, time.Duration(max(rank, 0))*spreadRank)
}

// fresher takes note that a stamp of the target has come.
func (n *Node) fresher(m *monitor, newer bool) {
	if !newer {
		return
	}
	if len(n.detector.relays) > 0 {
		n.relay(m.target.ID, m.stamp, n.now.Mono-m.fresh, noProbe)
	}
	if m.doubting && n.now.Mono-m.fresh < n.bounds.Doubt {
		n.trust(m, n.now.Mono-m.fresh)
	}
}

func (n *Node) stepProbeAck(m *Message) {
	if w := n.detector.monitor(m.Sender); w != nil {
		n.fresher(w, w.answered(m.Seq, m.Stamp, n.now.Mono))
		return
	}
	n.relay(m.Sender, m.Stamp, 0, m.Seq)
	if old := n.list.get(m.Sender.Addr); old != nil && m.Sender.Incarnation > old.Incarnation {
		n.change(Entry{ID: m.Sender, State: Alive}, ViaSync, Event{})
	}
}

func (n *Node) stepReport(m *Message) {
	w := n.detector.monitor(m.Target)
	if w == nil {
		return
	}
	if w.told(m.Seq, m.Stamp, m.Age, n.now.Mono) {
		n.fresher(w, true)
	} else if w.doubting {
		w.answers++
	}
}
