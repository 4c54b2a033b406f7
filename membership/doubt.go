package membership

import "time"

// Doubt begins when the freshest stamp of a member is heartbeatSlack older than an interval.
// If the others have heard of it since, one heartbeat was lost, or the member has crashed just
// after the last one: the monitor goes on to probe it, alone, until it hears of something that
// the member did after that heartbeat was due. If nobody has, there are rounds of questions, to
// the co-monitors and to random members too.
//
// The verdict falls at the deadline. It falls earlier where each of the co-monitors has said, in
// these rounds, that it knows of nothing newer either: then the freshest stamp of all is known,
// and since a member speaks to its monitors in turns, it has been silent for longer than any
// pause that it may make. That reckons with all heartbeats: where one is lost, or a member has
// been doubted for nothing lately, everything waits for the deadline, which is late enough for a
// lost heartbeat before a pause.

// tickMonitor reports whether it declared its target failed.
func (n *Node) tickMonitor(m *monitor) (declared bool) {
	now := n.now.Mono
	silent := now - m.fresh
	if !m.doubting {
		if silent < n.bounds.Doubt {
			return false
		}
		n.doubt(m, silent)
	}
	if now >= m.ripe && (silent >= n.bounds.Deadline || silent >= n.bounds.Agreed && n.agreed(m)) {
		switch {
		case n.isolated(m):
			n.detector.held = true
			n.probe(m)
			m.nextProbe = now + heldProbeEvery
			m.ripe = m.nextProbe
		case n.phase == Leaving && m.since > n.leaveBegan || !n.proven(m):
			// To a node that leaves nobody sends heartbeats, so what it has begun to doubt since
			// means nothing.
			n.hold(m)
		case now < n.lastMoment(m):
			m.ripe = n.lastMoment(m)
		default:
			n.declare(m, silent)
			return true
		}
	}
	if now >= n.probeDue(m) {
		n.probe(m)
	}
	return false
}

// doubt begins to doubt a target.
func (n *Node) doubt(m *monitor, silent time.Duration) {
	m.doubting = true
	m.doubtAfresh(n.now.Mono)
	if m.until == 0 { // else it sends its heartbeats elsewhere
		m.suspected = true
		n.emit(Event{Kind: EventSuspect, Peer: m.target.ID, Silent: silent})
	}
}

// doubtAfresh forgets what has been asked, and that nobody knew anything.
func (m *monitor) doubtAfresh(now time.Duration) {
	m.since, m.nextProbe, m.probes, m.answers = now, now, 0, 0
	m.endRounds()
}

// endRounds forgets the rounds of questions: they were about an earlier stamp.
func (m *monitor) endRounds() {
	m.rounds, m.ripe, m.held = 0, never, 0
	m.newStamp()
}

// newStamp forgets what was about an earlier stamp.
func (m *monitor) newStamp() {
	m.agreeing, m.confirming = m.agreeing[:0], m.confirming[:0]
	m.inVain, m.underway = 0, 0
}

// reconsider ends a doubt about a target that has done something since its heartbeat was due.
func (n *Node) reconsider(m *monitor) {
	silent := n.now.Mono - m.fresh
	if silent >= n.bounds.Doubt {
		m.newStamp()
		return
	}
	if m.endRounds(); m.fresh < m.since-heartbeatSlack {
		return
	}
	m.doubting, m.wronged = false, n.now.Mono
	if m.suspected {
		m.suspected = false
		n.emit(Event{Kind: EventTrust, Peer: m.target.ID, Silent: silent})
	}
}

// monitorDue is when there is something to do about a target.
func (n *Node) monitorDue(m *monitor) time.Duration {
	switch {
	case m.doubting && m.ripe == never:
		return n.probeDue(m)
	case m.doubting && n.agreed(m):
		return min(m.nextProbe, max(m.ripe, m.fresh+n.bounds.Agreed))
	case m.doubting:
		return min(m.nextProbe, max(m.ripe, m.fresh+n.bounds.Deadline))
	case m.until > 0:
		return min(m.until, m.fresh+n.bounds.Doubt)
	default:
		return m.fresh + n.bounds.Doubt
	}
}

// probeDue is when the target of a doubt is to be probed next. The rounds may have become due
// meanwhile, where the stamp turned out to be older than it had seemed.
func (n *Node) probeDue(m *monitor) time.Duration {
	if m.rounds == 0 {
		return min(m.nextProbe, m.fresh+n.bounds.Doubt)
	}
	return m.nextProbe
}

// helpers is how many random members are asked in a round, the first, the second and so on.
// Many doubts end with the first round. The later ones are rare, and near the deadline, where
// many ways are better than few.
func helpers(round int) int { return min(2*(round-1), helpersMax) }

// probe asks the target itself and, if they have not heard of it lately, its other monitors.
// Where that does not end the doubt, it also asks random members: the way from the target may
// be bad, and those from the co-monitors as well, or they are dead.
func (n *Node) probe(m *monitor) {
	now := n.now.Mono
	m.nextProbe = now + probeEvery
	n.listen()
	m.probes++
	m.inVain, m.underway = m.inVain+m.underway, 1
	n.probeTarget(m.target, m)
	if rounds := m.fresh + n.bounds.Doubt; now < rounds {
		if m.probes >= lonesMax {
			m.nextProbe = rounds
		}
		return
	}
	if m.rounds++; m.rounds >= roundsMin && m.ripe == never {
		m.ripe = now + probeEvery
	}
	if m.until > 0 && m.rounds < roundsMin {
		return // it was relieved, and no heartbeat was due; nobody is in doubt yet
	}
	monitors := n.monitorsOf(m.target)
	for _, c := range monitors {
		n.query(c, m)
	}
	but := append(monitors, m.target)
	for range helpers(m.rounds) {
		if helper := n.anyone(but...); helper != nil {
			n.query(helper, m)
			but = append(but, helper) // each is another way
		} else {
			n.probeTarget(m.target, m) // for want of another way, the same once more
		}
		m.underway++
	}
}

func (n *Node) query(c *Member, m *monitor) {
	if c != nil && c.position != n.position {
		seq := n.nextSeq()
		m.asked.add(seq, n.now.Mono)
		n.hearing.ask(seq, c.Addr, n.now.Mono)
		n.send(c.Addr, Message{Kind: Query, Seq: seq, Target: m.target.ID, Stamp: m.stamp})
	}
}

// probeTarget asks a member whether it is there. The monitor that watches it, if any, takes
// note of the question.
func (n *Node) probeTarget(target *Member, m *monitor) (seq uint64) {
	seq = n.nextSeq()
	n.hearing.ask(seq, target.Addr, n.now.Mono)
	if m != nil {
		m.asked.add(seq, n.now.Mono)
	}
	n.send(target.Addr, Message{Kind: Probe, Seq: seq, Incarnation: target.Incarnation})
	return seq
}

// ping asks a member that nobody doubts for an answer, in whatever incarnation.
func (n *Node) ping(m *Member) {
	seq := n.nextSeq()
	n.hearing.ask(seq, m.Addr, n.now.Mono)
	n.send(m.Addr, Message{Kind: Probe, Seq: seq})
}

// monitorsOf returns the members that watch m, the first successor first.
func (n *Node) monitorsOf(m *Member) []*Member {
	return n.list.ring.Successors(make([]*Member, 0, maxFailuresMax), m.position, n.cfg.MaxFailures)
}

// fresher takes note that a stamp of the target has come.
func (n *Node) fresher(m *monitor, newer bool) {
	if !newer {
		return
	}
	if len(n.detector.relays) > 0 {
		n.relay(m.target.ID, m.stamp, n.now.Mono-m.fresh, noProbe)
	}
	if m.doubting {
		n.reconsider(m)
	}
}

func (n *Node) stepProbeAck(m *Message) {
	n.hearing.answer(m.Seq, m.Sender.Addr)
	if w := n.detector.monitor(m.Sender); w != nil {
		if n.gray.is {
			w.knowsGray = n.now.Mono
		}
		n.fresher(w, w.answered(m.Seq, m.Stamp, n.now.Mono))
		return
	}
	n.relay(m.Sender, m.Stamp, 0, m.Seq)
	if old := n.list.get(m.Sender.Addr); old != nil && m.Sender.Incarnation > old.Incarnation {
		n.change(Entry{ID: m.Sender, State: Alive}, ViaSync, Event{})
	}
}

func (n *Node) stepReport(m *Message) {
	n.hearing.answer(m.Seq, m.Sender.Addr)
	w := n.detector.monitor(m.Target)
	if w == nil {
		return
	}
	if w.told(m.Seq, m.Stamp, m.Age, n.now.Mono) {
		n.fresher(w, true)
	} else if w.doubting {
		w.answers++
		n.takeAgreement(w, m)
		if w.held > 0 {
			w.ripe = n.now.Mono // it may be the proof that was missing
		}
	}
}
