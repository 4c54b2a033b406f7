package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// joiner takes a node into the group.
//
//	          a list comes in             the list is complete
//	┌────────┐ ────────────▶ ┌─────────┐ ─────────────────────▶ ┌─────────┐ Welcome ┌────────┐
//	│ asking │               │ pulling │                        │ knocking│ ──────▶ │ member │
//	└────────┘ ◀──────────── └─────────┘                        └─────────┘         └────────┘
//	     ▲       no answer        │ a gateway admits itself                              ▲
//	     └── no answer ───────────┴──────────────────────────────────────────────────────┘
//
// The list is pulled before the node is admitted, so that it can send heartbeats from its
// first moment as a member. A gateway that finds no group founds one.
type joiner struct {
	stage     stage
	due       time.Duration
	tries     int            // at this stage, with this contact
	contact   netip.AddrPort // whom the list is pulled from, and then the gateway that is to admit
	missing   []stretch      // of the ring, whose part of the list has not come yet
	pulled    time.Duration  // when it was last asked for
	quiet     time.Duration  // without a page, after which it is asked for again
	pages     int            // that have come in answer
	redirects int
	earlier   uint64   // the latest incarnation of this address that the list holds
	knockSeq  uint64   // of the last Join; 0: there was none yet
	asked     int      // index of the gateway that is asked
	rounds    int      // of asking everyone in vain
	waiting   bool     // EventWaiting has been emitted
	forming   []formed // gateways that said they are not in a group either
}

type stage uint8

const (
	asking stage = iota
	pulling
	knocking
	resting // a gateway whose earlier life began a moment ago does not admit itself again at once
)

// stretch is a part of the ring, both ends included, from <= to.
type stretch struct {
	from, to ring.Position
}

type formed struct {
	addr netip.AddrPort
	at   time.Duration
}

// Limits of the joiner.
const (
	foundAfter   = joinTries // rounds in vain before a gateway founds a group
	knownPerTurn = 4         // members of an earlier life that are asked in a round
	// quietMin is the shortest silence that is taken for the loss of a page.
	quietMin = 20 * time.Millisecond
)

func (n *Node) beginJoin() {
	n.phase = Joining
	n.joiner = joiner{due: n.now.Mono}
	n.gateway.leader = netip.AddrPort{}
}

// joinAfresh gives up the list and the incarnation, and joins like a newcomer.
func (n *Node) joinAfresh(why string) {
	old := n.self
	n.self.Incarnation = max(uint64(n.now.Wall.UnixNano()), n.self.Incarnation+1)
	if n.gray.is {
		n.emit(Event{Kind: EventGray, Peer: old, Detail: "joins afresh, and has yet to hear anybody"})
	}
	n.emit(Event{Kind: EventRejoin, Peer: n.self, Previous: old, Detail: why})
	n.cfg.Known = nil
	for _, m := range n.list.ring.Points() {
		if m.Live() && m.position != n.position {
			n.cfg.Known = append(n.cfg.Known, m.Addr)
		}
	}
	version := n.list.version
	n.list = newList(nil)
	n.list.version = version + 1
	n.detector, n.hearing, n.gray = detector{}, newHearing(n.bounds), gray{}
	n.spreader.init()
	n.recaller = recaller{next: n.now.Mono + recallEvery}
	n.beginJoin()
}

func (n *Node) tickJoin() {
	j := &n.joiner
	if n.now.Mono < j.due {
		return
	}
	j.due = n.now.Mono + joinRetry
	switch j.stage {
	case asking:
		n.ask()
	case pulling:
		n.retryContact(n.pull)
	case knocking:
		n.retryContact(n.knock)
	case resting:
		n.admitSelf()
	}
}

// retryContact repeats a request, or goes back to asking if the contact is silent.
func (n *Node) retryContact(request func()) {
	j := &n.joiner
	if j.tries++; j.tries > joinTries {
		j.stage, j.tries, j.redirects = asking, 0, 0
		j.asked++ // not the same one again
		n.ask()
		return
	}
	request()
}

// ask looks for someone with a list.
func (n *Node) ask() {
	if n.cfg.isGateway(n.cfg.Addr) {
		n.askAsGateway()
		return
	}
	j := &n.joiner
	gateways := n.cfg.Gateways
	n.requestList(gateways[j.asked%len(gateways)], wholeRing)
	j.asked++
	if j.asked%len(gateways) == 0 {
		n.endRound()
	}
}

// endRound makes the next round of asking come later, and says that there was one in vain.
func (n *Node) endRound() {
	j := &n.joiner
	j.rounds++
	wait := min(joinBackoff, joinRetry<<min(j.rounds-1, 8))
	j.due = n.now.Mono + wait/2 + time.Duration(n.cfg.Rand.Int64N(int64(wait/2)+1))
	if j.rounds >= joinTries && !j.waiting {
		j.waiting = true
		n.emit(Event{Kind: EventWaiting, Detail: fmt.Sprintf("no gateway admits this node yet: asked %v", n.cfg.Gateways)})
	}
}

// askAsGateway asks the other gateways and some members of an earlier life, all at once,
// and founds a group when none of them is in one.
func (n *Node) askAsGateway() {
	j := &n.joiner
	others := 0
	for _, g := range n.cfg.Gateways {
		if g != n.self.Addr {
			others++
			n.requestList(g, wholeRing)
		}
	}
	for i := range min(knownPerTurn, len(n.cfg.Known)) {
		others++
		n.requestList(n.cfg.Known[(j.rounds*knownPerTurn+i)%len(n.cfg.Known)], wholeRing)
	}
	if others == 0 || j.rounds >= foundAfter && !n.outranked() {
		n.admitSelf()
		return
	}
	j.rounds++
}

// outranked reports whether another gateway that is not in a group either comes first, and
// so is the one to found it.
func (n *Node) outranked() bool {
	return slices.ContainsFunc(n.joiner.forming, func(f formed) bool {
		return f.addr.Compare(n.self.Addr) < 0 && n.now.Mono-f.at < joinTries*joinRetry
	})
}

var wholeRing = []stretch{{0, ^ring.Position(0)}}

// requestList asks for what a list holds in some stretches of the ring, by comparing it with
// nothing.
func (n *Node) requestList(from netip.AddrPort, stretches []stretch) {
	m := Message{Kind: Ranges, Seq: n.nextSeq()}
	for _, s := range stretches[:min(len(stretches), RangesMax)] {
		m.Ranges = append(m.Ranges, Range{From: s.from, To: s.to})
	}
	n.send(from, m)
}

func (n *Node) pull() {
	j := &n.joiner
	j.pages, j.pulled = 0, n.now.Mono
	n.requestList(j.contact, j.missing)
}

// beginKnocking asks a gateway to admit this node. All repetitions have one sequence number,
// so that an answer counts however late it comes.
func (n *Node) beginKnocking(gateway netip.AddrPort) {
	j := &n.joiner
	j.stage, j.contact, j.knockSeq = knocking, gateway, n.nextSeq()
	n.knock()
}

func (n *Node) knock() { n.send(n.joiner.contact, Message{Kind: Join, Seq: n.joiner.knockSeq}) }

func (n *Node) stepJoining(from netip.AddrPort, m *Message) {
	switch m.Kind {
	case Entries:
		n.stepPage(from, m)
	case Redirect:
		n.stepRedirect(m)
	case Welcome:
		n.stepWelcome(m)
	case Probe, Update:
		n.stepProofOfAdmission(from, m)
	case Ranges, Join:
		if n.gateway.is {
			n.send(from, Message{Kind: Welcome, Seq: m.Seq, Verdict: Forming})
		}
	}
}

// stepPage takes in a page of the list. Pages may be lost or come out of order: each says
// which stretch of the ring it covers, and what is missing in the end is asked for again.
func (n *Node) stepPage(from netip.AddrPort, m *Message) {
	j := &n.joiner
	if j.stage == asking {
		j.stage, j.contact, j.missing = pulling, from, slices.Clone(wholeRing)
		j.pages, j.pulled, j.quiet = 0, n.now.Mono, joinRetry
	}
	if j.stage != pulling || from != j.contact || m.From > m.To {
		return
	}
	n.learnBeforeJoin(m.Entries)
	j.missing = without(j.missing, stretch{m.From, m.To})
	if len(j.missing) == 0 {
		n.finishPulling()
		return
	}
	j.tries = 0
	if j.pages++; j.pages == 1 {
		j.quiet = min(max(2*(n.now.Mono-j.pulled), quietMin), joinRetry)
	}
	if j.pages >= pagesMax {
		n.pull()
	}
	j.due = n.now.Mono + j.quiet
}

// without returns the stretches less one.
func without(stretches []stretch, less stretch) (rest []stretch) {
	for _, s := range stretches {
		if less.to < s.from || s.to < less.from {
			rest = append(rest, s)
			continue
		}
		if s.from < less.from {
			rest = append(rest, stretch{s.from, less.from - 1})
		}
		if less.to < s.to {
			rest = append(rest, stretch{less.to + 1, s.to})
		}
	}
	return rest
}

func (n *Node) finishPulling() {
	if n.cfg.isGateway(n.self.Addr) {
		n.rest()
		return
	}
	n.joiner.due = n.now.Mono + joinRetry
	n.beginKnocking(n.joiner.contact)
}

// rest admits a gateway, which nobody else does and so nobody else can damp: at once, or when its
// last life began gatewayGap ago.
func (n *Node) rest() {
	j := &n.joiner
	since := n.now.Wall.Sub(time.Unix(0, int64(j.earlier)))
	if since < 0 || since >= gatewayGap {
		n.admitSelf()
		return
	}
	j.stage, j.due = resting, n.now.Mono+gatewayGap-since
}

// learnBeforeJoin merges a part of a pulled list. Entries of this address are of earlier
// lives; the new one has to come after them, whatever the wall clock says.
func (n *Node) learnBeforeJoin(entries []Entry) {
	for _, e := range entries {
		if e.Addr == n.self.Addr {
			if !n.plausible(e) {
				continue
			}
			n.self.Incarnation = max(n.self.Incarnation, e.Incarnation+1)
			n.joiner.earlier = max(n.joiner.earlier, e.Incarnation)
			continue
		}
		n.change(e, ViaSync, Event{})
	}
}

func (n *Node) stepRedirect(m *Message) {
	j := &n.joiner
	if j.stage == knocking && m.Seq == j.knockSeq && m.Leader.IsValid() && j.redirects < gatewaysMax {
		j.redirects++
		n.beginKnocking(m.Leader)
	}
}

func (n *Node) stepWelcome(m *Message) {
	j := &n.joiner
	switch {
	case m.Verdict == Forming:
		j.forming = slices.DeleteFunc(j.forming, func(f formed) bool { return f.addr == m.Sender.Addr })
		if len(j.forming) < gatewaysMax {
			j.forming = append(j.forming, formed{addr: m.Sender.Addr, at: n.now.Mono})
		}
	case j.knockSeq == 0 || m.Seq != j.knockSeq:
	case m.Verdict == Stale:
		above := ID{Addr: n.self.Addr, Incarnation: m.Incarnation}
		if n.plausible(Entry{ID: above}) {
			n.self.Incarnation = max(n.self.Incarnation+1, m.Incarnation)
			j.knockSeq = n.nextSeq() // sent when the time for a repetition has come
		}
	case m.Verdict == Damped:
		n.waitDamped(m.Wait)
	case m.Verdict == Admitted:
		n.learnBeforeJoin(m.Entries)
		n.enterGroup()
		n.compareLists(j.contact, false) // for what changed since the list was pulled
	}
}

// waitDamped has a newcomer wait that the gateway has admitted too often lately, and say so. It
// asks again no sooner than after any other answer.
func (n *Node) waitDamped(wait time.Duration) {
	j := &n.joiner
	wait = min(max(wait, joinRetry), flapWaitMax)
	j.tries, j.due = 0, n.now.Mono+wait
	j.knockSeq = n.nextSeq() // or a repetition of this answer would make it wait again
	j.waiting = true
	n.emit(Event{Kind: EventWaiting, Detail: fmt.Sprintf("%v has come back so often of late that it "+
		"is admitted only in %v", n.self.Addr, wait.Round(100*time.Millisecond))})
}

// stepProofOfAdmission looks whether others treat this node as a member already: the Welcome
// was lost or is late. That holds at every stage after the first Join: a gateway that was given
// up may have been slow to get it.
func (n *Node) stepProofOfAdmission(from netip.AddrPort, m *Message) {
	admitted := m.Kind == Probe && m.Incarnation == n.self.Incarnation ||
		m.Kind == Update && slices.Contains(m.Entries, Entry{ID: n.self, State: Alive})
	if n.joiner.knockSeq != 0 && admitted {
		n.enterGroup()
		n.compareLists(n.joiner.contact, false)
		n.step(from, m)
	}
}

// admitSelf makes a gateway a member, of the group whose list it pulled or of a new one.
func (n *Node) admitSelf() {
	n.enterGroup()
	n.spread(Entry{ID: n.self, State: Alive})
}

// enterGroup makes this node a member.
func (n *Node) enterGroup() {
	n.phase = InGroup
	n.change(Entry{ID: n.self, State: Alive}, ViaSelf, Event{})
	n.watchAfresh()
	n.startGateway()
	n.recaller.next = n.now.Mono + recallEvery
}
