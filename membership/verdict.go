package membership

import (
	"net/netip"
	"slices"
	"time"
)

// A verdict ends a doubt about a member that is silent: it is declared failed. Here is what must
// hold before. PROTOCOL.md says why, and what of it is proven and what is probable.

// proven reports whether this node knows that it is the target that is silent, and not itself
// that is deaf. It does if a co-monitor agrees, or if so many questions about the target
// have been in vain as cannot be for a node that hears as well as this one does.
func (n *Node) proven(m *monitor) bool {
	if n.corroborated(m) {
		return true
	}
	h, f, now := &n.hearing, n.cfg.MaxFailures, n.now.Mono
	if n.heard(h.justNow(now), f).proves(m.inVain) &&
		n.heard(h.lately(now, n.hearingWindow(), now), f).proves(m.inVain) {
		return true
	}
	if !n.few() {
		return false
	}
	// So few others may all be dead, or all but one that is hard to reach. All there is to go by is
	// how well this node heard before.
	return !n.gray.is || n.reliable() <= f && now-m.fresh > n.grayFor()
}

// few reports whether there are so few others that all of them, or all but one, may be dead or
// gray.
func (n *Node) few() bool {
	return n.list.ring.Live()-1 < 2*n.cfg.MaxFailures || n.reliable() <= n.cfg.MaxFailures
}

// reliable is how many others there are, but for those that have said that they are gray.
func (n *Node) reliable() int {
	reliable := n.list.ring.Live() - 1
	for _, o := range n.gray.others {
		if m := n.list.get(o.Addr); m != nil && m.Live() {
			reliable--
		}
	}
	return reliable
}

// corroborated reports whether another monitor of the target has said lately that it knows of
// nothing newer either, when it had had the time to ask the target itself.
func (n *Node) corroborated(m *monitor) bool {
	return slices.ContainsFunc(n.monitorsOf(m.target), func(c *Member) bool {
		return c.position != n.position && slices.Contains(m.confirming, c.Addr)
	})
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

// lastMoment is when a verdict must fall that no other monitor confirms. If all of them are silent,
// they may be dead together with the target; or they are all paused, and will be back before long.
// So what the target's link leaves of the margin is used.
func (n *Node) lastMoment(m *monitor) time.Duration {
	if m.trip == 0 || n.corroborated(m) || n.agreed(m) {
		return 0
	}
	if n.cfg.MaxFailures == 1 || n.list.ring.Live()-1 <= n.cfg.MaxFailures {
		return 0 // there is no other monitor, or all others may be dead
	}
	spare := n.bounds.Margin - m.trip - calledLate
	return m.fresh + n.bounds.Deadline + max(0, spare)
}

// declare says that the target has failed, and spreads it: at once as the first of its
// monitors, later as another, unless it is heard by then.
func (n *Node) declare(m *monitor, silent time.Duration) {
	entry := Entry{ID: m.target.ID, State: Failed}
	rank := slices.IndexFunc(n.monitorsOf(m.target), func(c *Member) bool { return c.Addr == n.self.Addr })
	n.change(entry, ViaMonitor, Event{Silent: silent, Probes: m.probes, Answers: m.answers})
	n.spreadLater(entry, time.Duration(max(rank, 0))*spreadRank)
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
