package membership

import (
	"net/netip"
	"slices"
	"time"
)

// detector is this node's part in the extended ring: heartbeats to its successors, and a
// monitor for each of its predecessors.
type detector struct {
	successors []*Member
	monitors   []monitor
	nextBeat   time.Duration
	beatSeq    uint64
}

// monitor watches one predecessor.
//
//	           stamp older than timing.doubt
//	┌───────┐ ─────────────────────────────▶ ┌───────┐  stamp older than timing.deadline,
//	│ quiet │                                │ doubt │  and probes unanswered
//	└───────┘ ◀───────────────────────────── └───────┘ ────────────────────────────────▶ FAIL
//	           a newer stamp, from anyone
type monitor struct {
	target *Member
	stamp  time.Duration // the newest of the target's, on its clock
	fresh  time.Duration // Mono at which the stamp was made, at the latest
	base   baseDelay

	doubting  bool
	nextProbe time.Duration
	// ripe is when probesMin probes have gone unanswered long enough; never before.
	ripe    time.Duration
	probes  int
	answers int // co-monitors' reports that knew nothing newer

	askers []asker // co-monitors to be told of a newer stamp
}

type asker struct {
	addr netip.AddrPort
	seq  uint64
}

// askersMax bounds what co-monitors can make a monitor remember.
const askersMax = 2 * maxFailuresMax

func newMonitor(target *Member, now time.Duration) monitor {
	// A new neighbour has a full deadline of grace: nobody can have told it earlier whom to
	// send its heartbeats to.
	return monitor{target: target, fresh: now, ripe: never}
}

func (m *monitor) watched() Watched {
	base, ok := m.base.min()
	return Watched{ID: m.target.ID, Stamp: m.stamp, Fresh: m.fresh, Base: base, HasBase: ok}
}

// heard takes in a stamp that came straight from the target.
func (m *monitor) heard(stamp, now time.Duration) (newer bool) {
	m.base.add(now-stamp, now)
	newer = stamp > m.stamp
	if newer {
		m.stamp = stamp
	}
	if base, ok := m.base.min(); ok && m.stamp > 0 {
		m.fresh = m.stamp + base
	}
	return newer
}

// told takes in a stamp that a co-monitor reports, which was made at the given time or
// before.
func (m *monitor) told(stamp, at time.Duration) (newer bool) {
	if stamp <= m.stamp {
		return false
	}
	m.stamp = stamp
	if base, ok := m.base.min(); ok {
		at = min(at, stamp+base)
	}
	m.fresh = max(m.fresh, at)
	return true
}

// baseDelay finds the smallest difference of receive and send time over a sliding window:
// the offset of the two clocks plus the delay of an undisturbed packet. Adding it to a
// send stamp gives when the packet would have come at the latest, had nothing delayed it.
type baseDelay struct {
	began         time.Duration // of the current half of the window
	current, past time.Duration // smallest of the current half and of the one before
	halves        int           // that hold a value: 0, 1 or 2
}

func (b *baseDelay) add(difference, now time.Duration) {
	switch {
	case b.halves == 0:
		*b = baseDelay{began: now, current: difference, halves: 1}
	case now-b.began >= baseWindow:
		*b = baseDelay{began: now, current: difference, past: b.current, halves: 2}
	default:
		b.current = min(b.current, difference)
	}
}

func (b *baseDelay) min() (smallest time.Duration, ok bool) {
	if b.halves == 2 {
		return min(b.current, b.past), true
	}
	return b.current, b.halves == 1
}

// followList makes the detector watch and feed the neighbours that the list gives it now.
func (n *Node) followList() {
	d := &n.detector
	d.successors = n.list.ring.Successors(d.successors[:0], n.position, n.cfg.MaxFailures)
	targets := n.list.ring.Predecessors(make([]*Member, 0, maxFailuresMax), n.position, n.cfg.MaxFailures)
	if slices.EqualFunc(targets, d.monitors, func(t *Member, m monitor) bool { return t.ID == m.target.ID }) {
		return
	}
	monitors := make([]monitor, len(targets))
	for i, t := range targets {
		monitors[i] = newMonitor(t, n.now.Mono)
		if old := d.monitor(t.ID); old != nil {
			monitors[i] = *old
		}
	}
	d.monitors = monitors
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

func (d *detector) restore(w Watched) {
	if m := d.monitor(w.ID); m != nil {
		m.stamp, m.fresh = w.Stamp, w.Fresh
		if w.HasBase {
			m.base.add(w.Base, w.Fresh)
		}
	}
}

// startOver forgets the unanswered probes: the node was late, and what it did not hear
// meanwhile proves nothing.
func (d *detector) startOver(now time.Duration) {
	for i := range d.monitors {
		m := &d.monitors[i]
		m.probes, m.answers, m.ripe, m.nextProbe = 0, 0, never, now
	}
}

func (n *Node) detectorDue() time.Duration {
	due := n.detector.nextBeat
	if len(n.detector.successors) == 0 {
		due = never // until there is a successor, a round is nothing to wake for
	}
	for i := range n.detector.monitors {
		due = min(due, n.detector.monitors[i].due(n.timing))
	}
	return due
}

func (m *monitor) due(t timing) time.Duration {
	if !m.doubting {
		return m.fresh + t.doubt
	}
	if m.ripe == never {
		return m.nextProbe
	}
	return min(m.nextProbe, max(m.ripe, m.fresh+t.deadline))
}

func (n *Node) tickDetector() {
	n.tickHeartbeat()
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

func (n *Node) tickHeartbeat() {
	d := &n.detector
	if n.now.Mono < d.nextBeat || len(d.successors) == 0 {
		return
	}
	d.nextBeat += n.timing.interval
	if d.nextBeat <= n.now.Mono {
		d.nextBeat = n.now.Mono + n.timing.interval
	}
	if n.phase != InGroup {
		return
	}
	d.beatSeq++
	beat := Message{
		Kind: Heartbeat, Short: n.self.Short(), Seq: d.beatSeq,
		Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest)),
	}
	for _, s := range d.successors {
		n.send(s.Addr, beat)
	}
}

// tickMonitor reports whether it declared its target failed.
func (n *Node) tickMonitor(m *monitor) (declared bool) {
	now := n.now.Mono
	silent := now - m.fresh
	if silent < n.timing.doubt {
		n.trust(m, silent)
		return false
	}
	if !m.doubting {
		m.doubting, m.nextProbe, m.ripe, m.probes, m.answers = true, now, never, 0, 0
		n.emit(Event{Kind: EventSuspect, Peer: m.target.ID, Silent: silent})
	}
	if silent >= n.timing.deadline && now >= m.ripe && !n.isolated() {
		n.declare(m, silent)
		return true
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
		n.emit(Event{Kind: EventTrust, Peer: m.target.ID, Silent: silent})
	}
}

// isolated reports whether this node has heard nothing from anyone for as long as a member
// may be silent, though more members should be there than may fail at once. It is probably
// the one that is cut off, and declares nobody.
func (n *Node) isolated() bool {
	others := n.list.ring.Live() - 1
	return others > n.cfg.MaxFailures && n.now.Mono-n.lastHeard >= n.timing.deadline
}

// probe asks the target itself and its other monitors.
func (n *Node) probe(m *monitor) {
	now := n.now.Mono
	m.nextProbe = now + probeEvery
	n.probeTarget(m)
	if m.probes++; m.probes == probesMin {
		m.ripe = now + probeEvery
	}
	for _, c := range n.monitorsOf(m.target) {
		if c.Addr != n.self.Addr {
			n.send(c.Addr, Message{Kind: Query, Seq: n.nextSeq(), Target: m.target.ID, Stamp: m.stamp})
		}
	}
}

func (n *Node) probeTarget(m *monitor) {
	n.send(m.target.Addr, Message{Kind: Probe, Seq: n.nextSeq(), Incarnation: m.target.Incarnation})
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
	for i := range n.detector.monitors {
		w := &n.detector.monitors[i]
		// An address behind a translation is not the one the member is known by, so the
		// short form alone is enough among so few.
		if uint32(w.target.hash) == m.Short {
			n.fresher(w, w.heard(m.Stamp, n.now.Mono))
			n.compareDigest(w.target.Addr, m.Digest)
			return
		}
	}
	n.stepStrangersHeartbeat(from, m)
}

// stepStrangersHeartbeat deals with a heartbeat from a member that this node does not
// watch: the two have different lists.
func (n *Node) stepStrangersHeartbeat(from netip.AddrPort, m *Message) {
	known := n.list.get(from)
	switch {
	case known == nil:
		n.compareLists(from)
	case known.ID.Short() != m.Short:
		n.compareLists(from)
	case known.State != Alive:
		n.recall(known)
	default:
		n.compareDigest(from, m.Digest)
	}
}

// fresher passes a newer stamp on to the co-monitors that asked for it.
func (n *Node) fresher(m *monitor, newer bool) {
	if !newer {
		return
	}
	for _, a := range m.askers {
		n.report(a.addr, a.seq, m)
	}
	m.askers = m.askers[:0]
	if m.doubting && n.now.Mono-m.fresh < n.timing.doubt {
		n.trust(m, n.now.Mono-m.fresh)
	}
}

func (n *Node) report(to netip.AddrPort, seq uint64, m *monitor) {
	age := max(0, n.now.Mono-m.fresh).Truncate(time.Microsecond)
	n.send(to, Message{Kind: Report, Seq: seq, Target: m.target.ID, Stamp: m.stamp, Age: age})
}

func (n *Node) stepProbe(from netip.AddrPort, m *Message) {
	// A later incarnation answers for itself: the asker learns that the earlier one is over.
	if n.phase == InGroup && n.self.Incarnation >= m.Incarnation {
		n.send(from, Message{Kind: ProbeAck, Seq: m.Seq, Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest))})
	}
}

func (n *Node) stepProbeAck(m *Message) {
	if w := n.detector.monitor(m.Sender); w != nil {
		n.fresher(w, w.heard(m.Stamp, n.now.Mono))
		return
	}
	if old := n.list.get(m.Sender.Addr); old != nil && m.Sender.Incarnation > old.Incarnation {
		n.change(Entry{ID: m.Sender, State: Alive}, ViaSync, Event{})
	}
}

func (n *Node) stepQuery(from netip.AddrPort, m *Message) {
	w := n.detector.monitor(m.Target)
	if w == nil {
		n.answerAboutStranger(from, m)
		return
	}
	n.report(from, m.Seq, w)
	if w.stamp > m.Stamp {
		return
	}
	w.askers = slices.DeleteFunc(w.askers, func(a asker) bool { return a.addr == from })
	if len(w.askers) < askersMax {
		w.askers = append(w.askers, asker{addr: from, seq: m.Seq})
	}
	if !w.doubting {
		n.probeTarget(w) // on behalf of the asker
	}
}

// answerAboutStranger answers a Query about a member that this node does not watch: with
// what it knows to be over, or with a report that knows nothing.
func (n *Node) answerAboutStranger(from netip.AddrPort, m *Message) {
	known := n.list.get(m.Target.Addr)
	if known != nil && known.supersedes(Entry{ID: m.Target, State: Alive}) {
		n.tell(from, known.Entry)
		return
	}
	n.send(from, Message{Kind: Report, Seq: m.Seq, Target: m.Target})
}

func (n *Node) stepReport(m *Message) {
	w := n.detector.monitor(m.Target)
	if w == nil {
		return
	}
	if w.told(m.Stamp, n.now.Mono-m.Age) {
		n.fresher(w, true)
	} else if w.doubting {
		w.answers++
	}
}
