package membership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

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

// hold puts a verdict off, until more questions have been in vain or others agree.
func (n *Node) hold(m *monitor) {
	now := n.now.Mono
	if now >= m.nextProbe {
		n.probe(m)
		if m.held++; m.held > heldMax {
			m.nextProbe = now + heldProbeEvery
		}
	}
	m.ripe = m.nextProbe
}

// proven reports whether this node knows that it is the target that is silent, and not itself
// that is deaf. It does if a co-monitor agrees, or if so many questions about the target
// have been in vain as cannot be for a node that hears as well as this one does.
func (n *Node) proven(m *monitor) bool {
	if n.recaller.rejoinAt > 0 {
		return false // the others hold this node to be dead, and do not send it anything
	}
	if n.corroborated(m) {
		return true
	}
	h, f, now := &n.hearing, n.cfg.MaxFailures, n.now.Mono
	others := n.list.ring.Live() - 1
	if h.share(hearingNow, f, now).proves(m.inVain) && h.share(n.hearingWindow(), f, now).proves(m.inVain) {
		return true
	}
	if others >= 2*f {
		return false
	}
	// So few others may all be dead, or all but one that is hard to reach. All there is to go by is
	// how well this node heard before.
	return !n.gray.is || others <= f && now-m.fresh > n.grayFor()
}

// lastMoment is when a verdict must fall that no other monitor confirms. If all of them are silent,
// they may be dead together with the target; or they are all paused, and will be back before long. So
// what the target's link leaves of the margin is used.
func (n *Node) lastMoment(m *monitor) time.Duration {
	if m.trip == 0 || n.corroborated(m) || n.agreed(m) {
		return 0
	}
	if n.cfg.MaxFailures == 1 || n.list.ring.Live() <= 2 {
		return 0 // there is no other monitor
	}
	spare := n.bounds.Margin - m.trip - calledLate
	return m.fresh + n.bounds.Deadline + max(0, spare)
}

// judgeBeforeLeaving declares those failed whose last moment a node waits for that leaves now: who
// watches in its place would have to begin to ask.
func (n *Node) judgeBeforeLeaving() {
	var ripe []ID
	for i := range n.detector.monitors {
		m := &n.detector.monitors[i]
		silent := n.now.Mono - m.fresh
		if m.rounds >= roundsMin && silent >= n.bounds.Deadline && !n.isolated(m) && n.proven(m) {
			ripe = append(ripe, m.target.ID)
		}
	}
	for _, id := range ripe { // each verdict changes who is watched
		if m := n.detector.monitor(id); m != nil {
			entry := Entry{ID: id, State: Failed}
			n.change(entry, ViaMonitor, Event{Silent: n.now.Mono - m.fresh, Probes: m.probes, Answers: m.answers})
			n.spread(entry)
		}
	}
}

// corroborated reports whether another monitor of the target has said lately that it knows of nothing
// newer either, when it had had the time to ask the target itself.
func (n *Node) corroborated(m *monitor) bool {
	return slices.ContainsFunc(n.monitorsOf(m.target), func(c *Member) bool {
		return c.position != n.position && slices.Contains(m.confirming, c.Addr)
	})
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

// agreed reports whether there are as many co-monitors as there can be, each has said in the
// rounds that it knows of nothing newer, and the target has not been doubted for nothing lately.
func (n *Node) agreed(m *monitor) bool {
	if m.wronged != 0 && n.now.Mono-m.wronged < wrongedFor {
		return false
	}
	asked := 0
	for _, c := range n.monitorsOf(m.target) {
		if c.position == n.position {
			continue
		}
		if !slices.Contains(m.agreeing, c.Addr) {
			return false
		}
		asked++
	}
	return asked > 0 && asked >= n.cfg.MaxFailures-1
}

// isolated reports whether this node is probably the one that is cut off, and so should
// declare nobody: it has heard nothing from anyone for as long as a member may be silent,
// though more members should be there than may fail at once. In a group of more than twice as
// many, where the probes of a doubt reach several members that must be alive, it is enough
// that none of them has answered.
func (n *Node) isolated(m *monitor) bool {
	others := n.list.ring.Live() - 1
	unanswered := n.lastHeard <= max(m.since, m.fresh+n.bounds.Doubt) && others > 2*n.cfg.MaxFailures
	return unanswered || n.now.Mono-n.lastHeard >= n.bounds.Deadline && others > n.cfg.MaxFailures
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
		n.hearing.ask(seq, c.position, n.now.Mono)
		n.send(c.Addr, Message{Kind: Query, Seq: seq, Target: m.target.ID, Stamp: m.stamp})
	}
}

// probeTarget asks a member whether it is there. The monitor that watches it, if any, takes
// note of the question.
func (n *Node) probeTarget(target *Member, m *monitor) (seq uint64) {
	seq = n.nextSeq()
	n.hearing.ask(seq, target.position, n.now.Mono)
	if m != nil {
		m.asked.add(seq, n.now.Mono)
	}
	n.send(target.Addr, Message{Kind: Probe, Seq: seq, Incarnation: target.Incarnation})
	return seq
}

// ping asks a member that nobody doubts for an answer, in whatever incarnation.
func (n *Node) ping(m *Member) {
	seq := n.nextSeq()
	n.hearing.ask(seq, m.position, n.now.Mono)
	n.send(m.Addr, Message{Kind: Probe, Seq: seq})
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
	if m.doubting {
		n.reconsider(m)
	}
}

func (n *Node) stepProbeAck(m *Message) {
	n.hearing.answer(m.Seq, ring.PositionOf(m.Sender.Addr))
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
	n.hearing.answer(m.Seq, ring.PositionOf(m.Sender.Addr))
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

// takeAgreement notes a report that knows the target, and of nothing newer, if it answers a
// question of the rounds.
func (n *Node) takeAgreement(w *monitor, m *Message) {
	sent, ok := w.asked.at(m.Seq)
	if !ok || m.Gray || m.Stamp == 0 {
		return
	}
	if sent-w.fresh >= n.bounds.Doubt {
		w.agreeing = with(w.agreeing, m.Sender.Addr)
	}
	if sent-w.fresh >= n.bounds.Doubt+(roundsMin-1)*probeEvery {
		w.confirming = with(w.confirming, m.Sender.Addr)
	}
}

// with adds an address to a few, unless it is among them.
func with(few []netip.AddrPort, addr netip.AddrPort) []netip.AddrPort {
	if slices.Contains(few, addr) || len(few) >= agreeingMax {
		return few
	}
	return append(few, addr)
}
