package membership

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// detector is this node's part in the extended ring: heartbeats to its successors, and a
// monitor for each of its predecessors.
type detector struct {
	successors []successor
	monitors   []monitor
	nextBeat   time.Duration // of the next heartbeat, to one of the successors
	beatSeq    uint64
	relays     []relay
	held       bool // a verdict is held back, because this node may be cut off
}

// successor is a member that this node sends its heartbeats to.
type successor struct {
	*Member
	last time.Duration // Mono of the last heartbeat to it; 0: there was none yet
}

// monitor watches one predecessor.
//
//	           stamp older than Bounds.Doubt
//	┌───────┐ ─────────────────────────────▶ ┌───────┐  stamp older than Bounds.Deadline,
//	│ quiet │                                │ doubt │  and probes unanswered
//	└───────┘ ◀───────────────────────────── └───────┘ ────────────────────────────────▶ FAIL
//	           a newer stamp, from anyone
type monitor struct {
	target *Member
	stamp  time.Duration // the newest of the target's, on its clock
	fresh  time.Duration // Mono at which the stamp was made, at the latest
	base   baseDelay

	doubting  bool
	suspected bool          // EventSuspect has been emitted, and EventTrust has not
	since     time.Duration // the doubt began, or begins anew
	nextProbe time.Duration
	asked     questions
	// ripe is when probesMin probes have gone unanswered long enough; never before.
	ripe    time.Duration
	probes  int
	answers int // co-monitors' reports that knew nothing newer

	// until ends the watch of a target that a newcomer has come in front of. The newcomer
	// begins with a deadline of grace; until that is over, the relieved monitor is the one
	// that knows how long the target has been silent. Zero: this node is a monitor by right.
	until time.Duration
}

// relay is a member that wants to be told of a newer stamp of the target.
type relay struct {
	target ID
	stamp  time.Duration // newer than this one
	asker  netip.AddrPort
	seq    uint64 // of its Query
	probe  uint64 // number of the probe that this node sent for it, if it did
	until  time.Duration
}

// takeUp begins to watch a member. It has a full deadline of grace: nobody can have told it
// earlier whom to send its heartbeats to. It is asked at once, so that what its link is like
// is known by a round trip, and not by a first heartbeat that may have been delayed.
func (n *Node) takeUp(target *Member) monitor {
	m := monitor{target: target, fresh: n.now.Mono, ripe: never}
	if n.phase == InGroup {
		n.probeTarget(target.ID, &m)
	}
	return m
}

func (m *monitor) watched() Watched {
	w := Watched{ID: m.target.ID, Stamp: m.stamp, Fresh: m.fresh, HasBase: m.base.sampled}
	if w.HasBase {
		w.Base = m.base.min(m.fresh)
	}
	if m.doubting {
		w.Doubt = Doubt{Probes: m.probes, Since: m.since, NextProbe: m.nextProbe, Ripe: m.ripe}
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
		m.base.atLeast(sent-stamp, now)
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
// answers the question with this number, or none.
func (m *monitor) told(seq uint64, stamp, age, now time.Duration) (newer bool) {
	if stamp < m.stamp || stamp == 0 {
		return false
	}
	at := now - age // or before, since the report has been on its way
	if m.base.proof.refutes(at-stamp, now) {
		at = stamp + m.base.min(now) // the co-monitor has not noticed yet
	} else {
		m.base.reports.take(at-stamp, now)
	}
	if stamp == m.stamp {
		if !m.base.sampled {
			m.fresh = min(m.fresh, at) // this report has been on its way for less time
		}
		return false
	}
	m.stamp = stamp
	if m.base.sampled {
		m.fresh = max(m.fresh, min(at, stamp+m.base.min(now)))
	} else {
		// This monitor has not heard anything itself, and goes by what the others know, even
		// where that is less than the grace it gave. It is more only if it was so when the
		// question was asked: the report may have been long on its way.
		if sent, ok := m.asked.at(seq); ok {
			m.fresh = max(m.fresh, sent-age)
		}
		m.fresh = min(m.fresh, at)
	}
	return true
}

// followList makes the detector watch and feed the neighbours that the list gives it now.
func (n *Node) followList() {
	d := &n.detector
	if len(d.successors) == 0 {
		d.nextBeat = max(d.nextBeat, n.now.Mono) // alone, it was not late with any
	}
	var buf [maxFailuresMax]*Member
	d.follow(n.list.ring.Successors(buf[:0], n.position, n.cfg.MaxFailures))
	targets := n.list.ring.Predecessors(buf[:0], n.position, n.cfg.MaxFailures)
	monitors := make([]monitor, 0, len(targets)+len(d.monitors))
	for _, t := range targets {
		if old := d.monitor(t.ID); old != nil {
			old.until = 0
			monitors = append(monitors, *old)
		} else {
			monitors = append(monitors, n.takeUp(t))
		}
	}
	for _, m := range d.monitors {
		if !slices.ContainsFunc(targets, func(t *Member) bool { return t.ID == m.target.ID }) && n.linger(&m) {
			monitors = append(monitors, m)
		}
	}
	// Those that have been lingered over longest are behind those just relieved; they go first.
	slices.SortStableFunc(monitors[len(targets):], func(a, b monitor) int { return cmp.Compare(b.until, a.until) })
	d.monitors = monitors[:min(len(monitors), len(targets)+lingerersMax)]
}

// follow takes up the successors, and keeps when the old ones among them were sent to.
func (d *detector) follow(members []*Member) {
	old := d.successors
	d.successors = make([]successor, len(members))
	for i, m := range members {
		d.successors[i].Member = m
		for _, s := range old {
			if s.Addr == m.Addr {
				d.successors[i].last = s.last
			}
		}
	}
}

// lingerersMax bounds the members that are watched beyond the predecessors.
const lingerersMax = 2 * maxFailuresMax

// linger reports whether a monitor that has been relieved goes on for a while.
func (n *Node) linger(m *monitor) bool {
	if n.phase == Joining || !n.list.holds(m.target.Entry) {
		return false
	}
	if m.until == 0 {
		m.until = n.now.Mono + n.bounds.Deadline + lingerFor
	}
	return true
}

// monitor returns the monitor of a member, or nil.
func (d *detector) monitor(id ID) *monitor {
	for i := range d.monitors {
		if d.monitors[i].target.ID == id {
			return &d.monitors[i]
		}
	}
	return nil
}

// restore takes in what a snapshot knows. Where the node may have worked on since, a doubt
// begins anew: it may have been about to end.
func (d *detector) restore(s Snapshot, crashed bool) {
	if len(d.successors) > 0 {
		d.nextBeat = s.Beat
	}
	for _, b := range s.Beats {
		for i := range d.successors {
			if d.successors[i].Addr == b.Addr {
				d.successors[i].last = b.At
			}
		}
	}
	for _, w := range s.Watched {
		if m := d.monitor(w.ID); m != nil {
			m.stamp, m.fresh = w.Stamp, w.Fresh
			if w.HasBase {
				m.base.add(w.Base, w.Fresh)
			}
			if w.Doubt.Probes > 0 && !crashed {
				m.doubting, m.suspected, m.probes = true, true, w.Doubt.Probes
				m.since, m.nextProbe, m.ripe = w.Doubt.Since, w.Doubt.NextProbe, w.Doubt.Ripe
			}
		}
	}
}

// startOver forgets the unanswered probes: the node was late, and what it did not hear
// meanwhile proves nothing.
func (d *detector) startOver(now time.Duration) {
	d.held = false
	for i := range d.monitors {
		m := &d.monitors[i]
		m.since, m.nextProbe, m.ripe, m.probes, m.answers = now, now, never, 0, 0
	}
}

func (n *Node) detectorDue() time.Duration {
	due := n.detector.nextBeat
	if len(n.detector.successors) == 0 {
		due = never // until there is a successor, a round is nothing to wake for
	}
	for i := range n.detector.monitors {
		due = min(due, n.detector.monitors[i].due(&n.bounds))
	}
	return due
}

func (m *monitor) due(b *Bounds) time.Duration {
	if !m.doubting {
		if m.until > 0 {
			return min(m.until, m.fresh+b.Doubt)
		}
		return m.fresh + b.Doubt
	}
	if m.ripe == never {
		return m.nextProbe
	}
	return min(m.nextProbe, max(m.ripe, m.fresh+b.Deadline))
}

func (n *Node) tickDetector() {
	n.tickHeartbeat()
	n.detector.monitors = slices.DeleteFunc(n.detector.monitors, func(m monitor) bool {
		return m.until > 0 && !m.doubting && n.now.Mono >= m.until
	})
	// A declaration changes the list, and with it the monitors; whom it brings in has
	// grace, and whom it moves is looked at in the next round.
	for {
		declared := false
		for i := range n.detector.monitors {
			if n.tickMonitor(&n.detector.monitors[i]) {
				declared = true
				break
			}
		}
		if !declared {
			return
		}
	}
}

// tickHeartbeat sends a heartbeat to the successor that has waited longest. The successors
// take turns, so that the freshest stamp among the three monitors is never older than a third
// of an interval: a member that then pauses for a second is not taken for dead, since the
// monitors tell each other. It costs no more than sending to all three at once. A single
// successor gets the turns of all.
func (n *Node) tickHeartbeat() {
	d := &n.detector
	if n.now.Mono < d.nextBeat || len(d.successors) == 0 {
		return
	}
	turn := n.bounds.Interval / time.Duration(n.cfg.MaxFailures)
	d.nextBeat += turn
	if d.nextBeat <= n.now.Mono {
		d.nextBeat = n.now.Mono + turn
	}
	if n.phase != InGroup {
		return
	}
	next := &d.successors[0]
	for i := range d.successors {
		if d.successors[i].last < next.last {
			next = &d.successors[i]
		}
	}
	next.last = n.now.Mono
	d.beatSeq++
	n.send(next.Addr, Message{
		Kind: Heartbeat, Short: n.self.Short(), Seq: d.beatSeq,
		Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest)),
	})
}

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

func (n *Node) stepHeartbeat(from netip.AddrPort, m *Message) {
	w := n.detector.watched(m.Short)
	if w == nil {
		n.stepStrangersHeartbeat(from, m)
		return
	}
	newer := w.heard(m.Stamp, n.now.Mono)
	n.fresher(w, newer)
	if newer && !w.doubting && n.now.Mono-w.fresh > heartbeatSlack {
		n.probeTarget(w.target.ID, w) // it was delayed, or the target's clock has stood still
	}
	n.compareDigest(w.target.Addr, m.Digest)
}

// watched returns the monitor of the member whose heartbeats have this short form, or nil. An
// address behind a translation is not the one the member is known by, so the short form alone
// has to be enough among so few.
func (d *detector) watched(short uint32) *monitor {
	for i := range d.monitors {
		if uint32(d.monitors[i].target.hash) == short {
			return &d.monitors[i]
		}
	}
	return nil
}

// stepStrangersHeartbeat deals with a heartbeat from a member that this node does not
// watch: the two have different lists.
func (n *Node) stepStrangersHeartbeat(from netip.AddrPort, m *Message) {
	known := n.list.get(from)
	switch {
	case known == nil || known.ID.Short() != m.Short:
		n.differ(from)
	case known.State != Alive:
		n.recall(known)
	default:
		n.compareDigest(from, m.Digest)
	}
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

// noProbe stands for a stamp that no probe asked for.
const noProbe = uint64(math.MaxUint64)

// relay passes a stamp on to those who asked for a newer one. A stamp in answer to one of this
// node's probes, of which all that is known is that it was made after that was sent, answers
// no question that came later.
func (n *Node) relay(target ID, stamp, age time.Duration, probe uint64) {
	d := &n.detector
	var told []netip.AddrPort
	for i := len(d.relays) - 1; i >= 0; i-- { // to each asker in answer to its last question
		r := d.relays[i]
		if r.target != target || stamp <= r.stamp || probe < r.probe {
			if n.now.Mono >= r.until {
				d.relays = slices.Delete(d.relays, i, i+1)
			}
			continue
		}
		if !slices.Contains(told, r.asker) {
			told = append(told, r.asker)
			n.report(r.asker, r.seq, target, stamp, age)
		}
		d.relays = slices.Delete(d.relays, i, i+1)
	}
}

func (n *Node) report(to netip.AddrPort, seq uint64, target ID, stamp, age time.Duration) {
	n.send(to, Message{Kind: Report, Seq: seq, Target: target, Stamp: stamp, Age: max(0, age).Truncate(time.Microsecond)})
}

func (n *Node) stepProbe(from netip.AddrPort, m *Message) {
	// A later incarnation answers for itself: the asker learns that the earlier one is over.
	if n.phase == InGroup && n.self.Incarnation >= m.Incarnation {
		n.send(from, Message{Kind: ProbeAck, Seq: m.Seq, Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest))})
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

// stepQuery answers at once with what this node knows of the target. If that is nothing
// newer than what the asker knows, it probes the target on the asker's behalf.
func (n *Node) stepQuery(from netip.AddrPort, m *Message) {
	known := n.list.get(m.Target.Addr)
	if known != nil && known.supersedes(Entry{ID: m.Target, State: Alive}) {
		n.tell(from, known.Entry)
		return
	}
	var stamp, age time.Duration
	w := n.detector.monitor(m.Target)
	if w != nil {
		stamp, age = w.stamp, n.now.Mono-w.fresh
	}
	n.report(from, m.Seq, m.Target, stamp, age)
	if stamp > m.Stamp || known == nil {
		return
	}
	r := relay{target: m.Target, stamp: m.Stamp, asker: from, seq: m.Seq, until: n.now.Mono + relayFor}
	if w == nil || !w.doubting {
		r.probe = n.probeTarget(m.Target, w)
	}
	n.promise(r)
}

// promise remembers an asker.
func (n *Node) promise(r relay) {
	d := &n.detector
	d.relays = slices.DeleteFunc(d.relays, func(old relay) bool { return n.now.Mono >= old.until })
	if len(d.relays) < relaysMax {
		d.relays = append(d.relays, r)
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

// handOver tells those who watch in this node's place, once it has left, what it knows.
func (n *Node) handOver() {
	for i := range n.detector.monitors {
		m := &n.detector.monitors[i]
		for _, c := range n.monitorsOf(m.target) {
			n.report(c.Addr, 0, m.target.ID, m.stamp, n.now.Mono-m.fresh)
		}
	}
}
