package membership

import (
	"cmp"
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
	last  time.Duration // Mono of the last heartbeat to it; 0: there was none yet
	since time.Duration // Mono at which it became a successor
	heard bool          // it has spoken to this node since, so it is there
}

// followList makes the detector watch and feed the neighbours that the list gives it now.
func (n *Node) followList() {
	d := &n.detector
	if len(d.successors) == 0 {
		d.nextBeat = max(d.nextBeat, n.now.Mono) // alone, it was not late with any
	}
	var buf [2 * maxFailuresMax]*Member
	next := n.heartbeatTargets(buf[:0])
	var behind [maxFailuresMax]*Member
	targets := n.list.ring.Predecessors(behind[:0], n.position, n.cfg.MaxFailures)
	if d.follows(next, targets) {
		return // most changes are far away on the ring
	}
	d.follow(next, n.now.Mono)
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

// heartbeatTargets are the next members on the ring: MaxFailures that can be relied on, and those
// between them that cannot, since they are gray, or were never heard of though there was time.
// So whoever has such a monitor has another one in its place.
func (n *Node) heartbeatTargets(buf []*Member) []*Member {
	next := n.list.ring.Successors(buf, n.position, 2*n.cfg.MaxFailures)
	reliable := 0
	for i, m := range next {
		if n.gray.holds(m.Addr) || n.detector.mute(m, n.now.Mono) {
			continue
		}
		if reliable++; reliable == n.cfg.MaxFailures {
			return next[:i+1]
		}
	}
	return next
}

// muteAfter is how long a new successor may take to be heard of; those that watched in its place
// before go on for as long.
const muteAfter = time.Second

// mute reports whether it has not been heard of in time.
func (s *successor) mute(now time.Duration) bool { return !s.heard && now-s.since > muteAfter }

// mute reports whether a member is a successor that has not been heard of in time.
func (d *detector) mute(m *Member, now time.Duration) bool {
	return slices.ContainsFunc(d.successors, func(s successor) bool {
		return s.ID == m.ID && s.mute(now)
	})
}

// hear takes note that a member has spoken to this node.
func (d *detector) hear(id ID) {
	for i := range d.successors {
		if d.successors[i].ID == id {
			d.successors[i].heard = true
		}
	}
}

// follows reports whether these are the neighbours already.
func (d *detector) follows(successors, targets []*Member) bool {
	return slices.EqualFunc(d.successors, successors, func(s successor, m *Member) bool { return s.ID == m.ID }) &&
		slices.EqualFunc(d.monitors, targets, func(w monitor, m *Member) bool {
			return w.target.ID == m.ID && w.until == 0
		})
}

// follow takes up the successors, and keeps what is known of the old ones among them.
func (d *detector) follow(members []*Member, now time.Duration) {
	old := d.successors
	d.successors = make([]successor, len(members))
	for i, m := range members {
		d.successors[i] = successor{Member: m, since: now}
		for _, s := range old {
			if s.Addr == m.Addr {
				d.successors[i].last = s.last
			}
			if s.ID == m.ID {
				d.successors[i].since, d.successors[i].heard = s.since, s.heard
			}
		}
	}
}

// callSuccessors probes the successors that have not been heard of, and has others take the place
// of those that do not answer; these are probed on, with each heartbeat to them.
func (n *Node) callSuccessors() {
	d := &n.detector
	waiting := false
	for i := range d.successors {
		s := &d.successors[i]
		waiting = waiting || !s.heard
		if !s.heard && !s.mute(n.now.Mono) {
			n.ping(s.Member)
		}
	}
	if waiting || len(d.successors) > n.cfg.MaxFailures {
		n.followList()
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

// restoreSuccessors takes up the successors of a snapshot. Which of them are to be relied on
// decides how many this node has.
func (d *detector) restoreSuccessors(beats []Beat, l list) {
	for _, b := range beats {
		if m := l.get(b.Addr); m != nil && m.Live() {
			d.successors = append(d.successors, successor{
				Member: m, last: b.At, since: b.Unheard, heard: b.Unheard == 0,
			})
		}
	}
}

// restore takes in what a snapshot knows. Where the node may have worked on since, a doubt
// begins anew: it may have been about to end.
func (d *detector) restore(s Snapshot, crashed bool) {
	if len(d.successors) > 0 {
		d.nextBeat = s.Beat
	}
	for i := range d.successors {
		x := &d.successors[i]
		if !slices.ContainsFunc(s.Beats, func(b Beat) bool { return b.Addr == x.Addr }) {
			x.heard = true // as far as a snapshot of an earlier layout knows
		}
	}
	for _, w := range s.Watched {
		if m := d.monitor(w.ID); m != nil {
			m.stamp, m.fresh, m.trip, m.wronged = w.Stamp, w.Fresh, w.Trip, w.Wronged
			m.began = w.Fresh - familiarAfter
			if w.HasBase {
				m.base.restore(w.Base, w.Fresh)
			}
			if w.Doubt.Probes > 0 && !crashed {
				m.doubting, m.suspected, m.probes = true, true, w.Doubt.Probes
				m.rounds, m.since, m.nextProbe, m.ripe = w.Doubt.Rounds, w.Doubt.Since, w.Doubt.NextProbe, w.Doubt.Ripe
				m.inVain, m.underway = w.Doubt.InVain, w.Doubt.Underway
			}
		}
	}
}

// startOver forgets the unanswered probes: the node was late, and what it did not hear
// meanwhile proves nothing.
func (d *detector) startOver(now time.Duration) {
	d.held = false
	for i := range d.monitors {
		d.monitors[i].doubtAfresh(now)
	}
}

func (n *Node) detectorDue() time.Duration {
	due := n.detector.nextBeat
	if len(n.detector.successors) == 0 {
		due = never // until there is a successor, a round is nothing to wake for
	}
	for i := range n.detector.monitors {
		due = min(due, n.monitorDue(&n.detector.monitors[i]))
	}
	return due
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
	turn := n.bounds.Interval / time.Duration(max(n.cfg.MaxFailures, len(d.successors)))
	d.nextBeat += turn
	if d.nextBeat <= n.now.Mono {
		d.nextBeat = n.now.Mono + turn
	}
	if n.phase != InGroup {
		return
	}
	n.callSuccessors()
	n.meetMore()
	next := &d.successors[0]
	for i := range d.successors {
		if d.successors[i].last < next.last {
			next = &d.successors[i]
		}
	}
	next.last = n.now.Mono
	if next.mute(n.now.Mono) {
		n.ping(next.Member)
	}
	d.beatSeq++
	n.send(next.Addr, Message{
		Kind: Heartbeat, Short: n.self.Short(), Seq: d.beatSeq,
		Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest)),
	})
}

func (n *Node) stepHeartbeat(from netip.AddrPort, m *Message) {
	w := n.detector.watched(m.Short)
	if w == nil {
		n.stepStrangersHeartbeat(from, m)
		return
	}
	newer := w.heard(m.Stamp, n.now.Mono)
	if w.until > 0 {
		w.until = n.now.Mono + n.bounds.Deadline + lingerFor // it still relies on this node
	}
	n.fresher(w, newer)
	if newer && !w.doubting && n.now.Mono-w.fresh > heartbeatSlack {
		n.probeTarget(w.target, w) // it was delayed, or the target's clock has stood still
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
		n.watchGuest(known)
		n.compareDigest(from, m.Digest)
	}
}

// watchGuest takes up a member that sends this node heartbeats though others are closer behind it:
// one of those is gray.
func (n *Node) watchGuest(m *Member) {
	d := &n.detector
	behind := n.list.ring.Successors(nil, m.position, 2*n.cfg.MaxFailures)
	near := slices.ContainsFunc(behind, func(s *Member) bool { return s.position == n.position })
	if !near || n.phase != InGroup || len(d.monitors) >= n.cfg.MaxFailures+lingerersMax {
		return
	}
	guest := n.takeUp(m)
	guest.until = n.now.Mono + n.bounds.Deadline + lingerFor
	d.monitors = append(d.monitors, guest)
}
