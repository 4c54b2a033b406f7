package membership

import (
	"net/netip"
	"slices"
	"time"
)

// gray is whether this node, and others as it knows, hear so little that they must not be relied
// on. A gray node goes on with all it does, and holds its verdicts back until they are proven.
// It says that it is gray with all it sends, but heartbeats. Who hears so
//   - sends its heartbeats to one more member, which watches it in the gray one's place,
//   - does not count the gray one's agreement to a verdict,
//   - gives the arc of an update to somebody else as well,
//   - does not ask it for help, nor takes it for the leader of the gateways if there is another.
//
// It ends by itself: a gray node asks on, and knows by the answers when its links are well again.
type gray struct {
	is      bool
	since   time.Time     // the wall clock's, of a gray node
	listen  time.Duration // Mono of the next look at how this node hears
	tell    time.Duration // Mono at which a gray node tells those that it watches that do not know yet
	tellAll time.Duration // ... and all of them
	// doubted is how often others have asked lately whether this node is there: it leaks
	// doubtedLeak a second. A node whose heartbeats do not arrive has no other way to know.
	doubted   float64
	doubtedAt time.Duration
	askers    []asker
	others    []GrayMember
}

// GrayMember is a member that has said that it is gray.
type GrayMember struct {
	Addr  netip.AddrPort
	Until time.Duration // Mono at which it is trusted again, if it does not say so once more
}

// asker is a member that has asked a moment ago whether this node is there.
type asker struct {
	addr  netip.AddrPort
	until time.Duration
}

const (
	// A node is gray that has asked grayMin questions lately, or more, and got an answer to less
	// than a share of grayBelow; until it gets one to grayAbove, or has too little to ask.
	grayMin, grayLeast   = 32, 8
	grayBelow, grayAbove = 0.38, 0.55
	// listenEvery is how often a node looks how well it hears, at most.
	listenEvery = 500 * time.Millisecond
	// tellEvery is how often a gray node tells a member until that answers, or has not for long.
	tellEvery = 200 * time.Millisecond
	// A node that is doubted more often than doubtedLeak times a second, and doubtedMax times at
	// once, asks somebody every tellEvery, to know whether it is gray.
	doubtedLeak, doubtedMax = 2, 12
	grayOthersMax           = 64
)

// grayFor is how long a member counts as gray that does not say anything any more, and how long a
// gray node holds back a verdict at the most where all others may be dead.
func (n *Node) grayFor() time.Duration { return 15 * n.bounds.Detect }

func (g *gray) due() time.Duration {
	if g.is || g.doubted > doubtedMax {
		return g.tell
	}
	return never
}

// holds reports whether a member has said that it is gray.
func (g *gray) holds(addr netip.AddrPort) bool {
	return slices.ContainsFunc(g.others, func(o GrayMember) bool { return o.Addr == addr })
}

// listen finds out whether this node is gray. It costs a look at all recent questions.
func (n *Node) listen() {
	g := &n.gray
	if n.now.Mono < g.listen {
		return
	}
	g.listen = n.now.Mono + listenEvery
	s := n.howItHears()
	heard := float64(s.answered) / float64(max(1, s.asked))
	switch {
	case !g.is && s.asked >= grayMin && heard < grayBelow:
		n.turnGray(true, s, "hears too little to judge others")
	case g.is && (heard >= grayAbove && s.asked >= grayLeast || n.list.ring.Live() == 1):
		n.turnGray(false, s, "hears well again")
	}
}

// howItHears is the share of this node's questions that others have answered lately, but for those
// who may be dead. Where all may be, it is how they answered before they could have died at once.
func (n *Node) howItHears() share {
	h, now := &n.hearing, n.now.Mono
	if n.few() {
		return n.heard(h.lately(now-n.hearingBefore(), n.hearingWindow(), now), 0)
	}
	return n.heard(h.lately(now, n.hearingWindow(), now), n.cfg.MaxFailures)
}

func (n *Node) turnGray(is bool, s share, detail string) {
	g := &n.gray
	g.since = n.now.Wall
	g.is, g.tell, g.tellAll = is, n.now.Mono+tellEvery, n.now.Mono
	for i := range n.detector.monitors {
		n.detector.monitors[i].knowsGray = -n.grayFor()
	}
	n.emit(Event{
		Kind: EventGray, Peer: n.self, Gray: is,
		Answers: s.answered, Questions: s.asked, Detail: detail,
	})
	n.tellGray()
}

// stepDoubted takes note that somebody doubts that this node is there. Questions of one asker that
// come at once, as they do after a pause of this node, are one.
func (n *Node) stepDoubted(from netip.AddrPort) {
	g, now := &n.gray, n.now.Mono
	g.askers = slices.DeleteFunc(g.askers, func(a asker) bool { return now >= a.until })
	if len(g.askers) == doubtedMax || slices.ContainsFunc(g.askers, func(a asker) bool { return a.addr == from }) {
		return
	}
	g.askers = append(g.askers, asker{from, now + probeEvery/2})
	g.leak(now)
	g.doubted = min(g.doubted+1, doubtedMax+doubtedLeak)
}

func (g *gray) leak(now time.Duration) {
	g.doubted = max(0, g.doubted-doubtedLeak*(now-g.doubtedAt).Seconds())
	g.doubtedAt = now
}

// tickGray has a node that is gray, or may be, find out how well it hears; and say so.
func (n *Node) tickGray() {
	n.forgetGray()
	g := &n.gray
	if n.now.Mono < g.due() {
		return
	}
	g.tell = n.now.Mono + tellEvery
	if n.listen(); g.is {
		n.tellGray()
		return
	}
	g.leak(n.now.Mono)
	n.askAnyone()
}

// tellGray probes those that this node watches, who so learn whether it is gray: all of them
// once an interval, and those that may not know yet more often. It also probes others,
// to know how well it hears, since all those may be dead.
func (n *Node) tellGray() {
	g := &n.gray
	all := n.now.Mono >= g.tellAll
	for i := range n.detector.monitors {
		m := &n.detector.monitors[i]
		if m.until == 0 && (all || n.now.Mono-m.knowsGray > n.grayFor()/2) {
			n.ping(m.target)
		}
	}
	if all {
		g.tellAll = n.now.Mono + n.bounds.Interval
		n.askAnyone()
		n.askAnyone()
	}
}

func (n *Node) askAnyone() {
	if other := n.anyone(); other != nil {
		n.ping(other)
	}
}

// noteGray takes note of what a member says of itself.
func (n *Node) noteGray(m *Message) {
	g := &n.gray
	if m.Kind == Heartbeat {
		return
	}
	n.detector.hear(m.Sender)
	if !m.Gray && len(g.others) == 0 {
		return
	}
	i := slices.IndexFunc(g.others, func(o GrayMember) bool { return o.Addr == m.Sender.Addr })
	switch {
	case i >= 0 && m.Gray:
		g.others[i].Until = n.now.Mono + n.grayFor()
	case i >= 0:
		g.others = slices.Delete(g.others, i, i+1)
		n.followList()
	case m.Gray && len(g.others) < grayOthersMax && n.list.holds(Entry{ID: m.Sender, State: Alive}):
		g.others = append(g.others, GrayMember{m.Sender.Addr, n.now.Mono + n.grayFor()})
		n.followList()
	}
}

// forgetGray drops those that have not said so for a while.
func (n *Node) forgetGray() {
	g := &n.gray
	before := len(g.others)
	g.others = slices.DeleteFunc(g.others, func(o GrayMember) bool { return n.now.Mono >= o.Until })
	if len(g.others) < before {
		n.followList()
	}
}

// Gray reports whether this node hears so little that it must not be relied on, since when,
// and how many of the questions that say so were answered.
func (n *Node) Gray() (is bool, since time.Time, answers, questions int) {
	if !n.gray.is {
		return false, time.Time{}, 0, 0
	}
	s := n.howItHears()
	return true, n.gray.since, s.answered, s.asked
}

// GrayMembers are the members that are gray as far as this node knows: itself, and others that
// have told it lately. Those that a gray member watches know of it first, and not everybody does.
func (n *Node) GrayMembers() (addrs []netip.AddrPort) {
	if n.gray.is {
		addrs = append(addrs, n.self.Addr)
	}
	for _, o := range n.gray.others {
		addrs = append(addrs, o.Addr)
	}
	return addrs
}

func (n *Node) snapshotGray(s *Snapshot) {
	if n.gray.is {
		s.GraySince = n.gray.since
	}
	s.GrayMembers = slices.Clone(n.gray.others)
	s.Questions, s.Tallies = n.hearing.snapshot(n.now.Mono)
}

// restoreGray has a node go on as gray as it was. It goes by the answers to the earlier process's
// questions: without them a gray node would seem to have nothing to judge itself by.
func (n *Node) restoreGray(s Snapshot, crashed bool) {
	g := &n.gray
	g.is, g.since = !s.GraySince.IsZero(), s.GraySince
	g.tell, g.tellAll = n.now.Mono+tellEvery, n.now.Mono
	g.others = slices.Clone(s.GrayMembers[:min(len(s.GrayMembers), grayOthersMax)])
	n.hearing.restore(s.Questions, s.Tallies, crashed)
	n.meetAgain(s)
}

// meetAgain knows those that must have answered the earlier process.
func (n *Node) meetAgain(s Snapshot) {
	for _, b := range s.Beats {
		if b.Unheard == 0 {
			n.hearing.meet(b.Addr)
		}
	}
	for _, w := range s.Watched {
		if w.HasBase {
			n.hearing.meet(w.ID.Addr)
		}
	}
	for _, t := range n.hearing.tallies {
		if i, found := n.list.ring.Search(t.to); found && t.answered > 0 {
			n.hearing.meet(n.list.ring.At(i).Addr)
		}
	}
}
