package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// recaller brings back members that were taken for dead and are not: those on the other
// side of a partition that has healed, and those that were paused. Each failed address is
// tried now and then by the members that would watch it. It also drops terminal entries
// when they are old.
type recaller struct {
	next   time.Duration // of the next look at the failed members
	round  int
	recent []recalled // last recalls, for recallGap

	rejoinAt time.Duration  // when this node goes on as a new incarnation; 0: it need not
	waits    bool           // for that, since it has come back too often of late
	above    uint64         // the incarnation that the new one has to exceed
	why      string         // for people
	contact  netip.AddrPort // who said so
	damper   damper         // of its rejoins
}

type recalled struct {
	addr netip.AddrPort
	at   time.Duration
}

// recentRecallsMax bounds the addresses for which recallGap is kept.
const recentRecallsMax = 64

func (r *recaller) due() time.Duration {
	if r.rejoinAt > 0 {
		return min(r.next, r.rejoinAt)
	}
	return r.next
}

func (n *Node) tickRecaller() {
	r := &n.recaller
	if r.rejoinAt > 0 && n.now.Mono >= r.rejoinAt {
		n.rejoin()
	}
	if n.now.Mono < r.next {
		return
	}
	r.next = n.now.Mono + recallEvery
	r.round++
	n.recallGateways()
	if n.list.ring.Len() > n.list.ring.Live() {
		n.reviewTerminals()
	}
}

// reviewTerminals tries the failed members that are this node's to try, and forgets those
// that have been gone for long.
func (n *Node) reviewTerminals() {
	var old []*Member
	for _, m := range n.list.ring.Points() {
		if m.Live() {
			continue // nearly all are; time is for the few
		}
		age := n.now.Wall.Sub(m.Since)
		switch {
		case m.State == Failed && age > keepFailed, m.State == Left && age > keepLeft:
			old = append(old, m)
		case m.State == Failed && n.mineToRecall(m):
			n.recall(m)
		}
	}
	for _, m := range old {
		n.list.forget(m)
	}
}

// recallGateways tries the gateways that this list does not hold to be alive, whatever became
// of them. One that left, comes back and finds none of the members that it knew founds a group
// of its own; and no member of the old group would ever speak to it.
func (n *Node) recallGateways() {
	for _, addr := range n.cfg.Gateways {
		m := n.list.get(addr)
		if m == nil {
			m = NewMember(Entry{ID: ID{Addr: addr}, State: Left}, n.now.Wall)
		}
		if !m.Live() && n.mineToRecall(m) {
			n.recall(m)
		}
	}
}

// mineToRecall reports whether it is this node's turn among those that would watch m.
func (n *Node) mineToRecall(m *Member) bool {
	monitors := n.monitorsOf(m)
	rank := slices.IndexFunc(monitors, func(c *Member) bool { return c.position == n.position })
	return rank >= 0 && n.recaller.round%len(monitors) == rank
}

// recall tells a member what this list says of it.
func (n *Node) recall(m *Member) {
	r := &n.recaller
	r.recent = slices.DeleteFunc(r.recent, func(x recalled) bool { return n.now.Mono-x.at >= recallGap })
	again := slices.ContainsFunc(r.recent, func(x recalled) bool { return x.addr == m.Addr })
	if again || len(r.recent) == recentRecallsMax {
		return
	}
	r.recent = append(r.recent, recalled{addr: m.Addr, at: n.now.Mono})
	n.send(m.Addr, Message{Kind: Recall, Incarnation: m.Incarnation, State: m.State})
}

func (n *Node) stepRecall(from netip.AddrPort, m *Message) {
	if m.Incarnation < n.self.Incarnation {
		// The sender has not heard of this incarnation yet.
		pos := ring.PositionOf(from)
		n.send(from, Message{
			Kind: Update, Seq: n.nextSeq(), Flood: true, Hops: 1, From: pos, To: pos,
			Entries: []Entry{{ID: n.self, State: Alive}},
		})
		return
	}
	n.hearAboutSelf(Entry{ID: ID{Addr: n.self.Addr, Incarnation: m.Incarnation}, State: m.State})
	if n.recaller.rejoinAt > 0 {
		n.recaller.contact = from
	}
}

// hearAboutSelf takes in what another list says of this node. Where that makes this
// incarnation void, the node rejoins, a little later, so that many that were declared
// failed together do not all speak at once.
func (n *Node) hearAboutSelf(e Entry) {
	r := &n.recaller
	void := e.supersedes(Entry{ID: n.self, State: Alive})
	if n.phase != InGroup || !void || !n.plausible(e) {
		return
	}
	n.noticeTwin(e.Incarnation)
	if r.above = max(r.above, e.Incarnation); r.above > n.self.Incarnation {
		r.why = "another machine has this address, or an earlier life's clock was ahead"
	} else {
		r.why = "was declared failed"
	}
	if r.rejoinAt == 0 {
		r.rejoinAt = n.now.Mono + time.Duration(n.cfg.Rand.Int64N(int64(rejoinJitter)))
		n.dampRejoin()
	}
}

// dampRejoin puts off the rejoin of a node that was declared failed again and again: its links come
// and go, its machine starves, or another machine has its address and would otherwise outdo it
// without end.
func (n *Node) dampRejoin() {
	r := &n.recaller
	due := r.damper.at + r.damper.wait()
	if due <= r.rejoinAt {
		return
	}
	r.rejoinAt, r.waits = due, true
	n.emit(Event{Kind: EventWaiting, Detail: fmt.Sprintf("waits %v before it rejoins, having come "+
		"back %d times of late: %s", (due - n.now.Mono).Round(100*time.Millisecond), int(r.damper.returns), r.why)})
}

// Waiting reports whether this node, which others hold to be dead, waits before it rejoins. Until
// then nobody tells it what changes.
func (n *Node) Waiting() bool { return n.recaller.waits }

// rejoin goes on under a new incarnation, without asking a gateway: this node never left,
// and it knows members. It accuses nobody until it has listened to them for a while.
func (n *Node) rejoin() {
	r := &n.recaller
	old, contact, why := n.self, r.contact, r.why
	n.self.Incarnation = max(uint64(n.now.Wall.UnixNano()), r.above+1, n.self.Incarnation+1)
	r.rejoinAt, r.waits, r.above, r.why, r.contact = 0, false, 0, "", netip.AddrPort{}
	r.damper.add(n.now.Mono)

	alive := Entry{ID: n.self, State: Alive}
	n.emit(Event{Kind: EventRejoin, Peer: n.self, Previous: old, Detail: why})
	n.change(alive, ViaSelf, Event{})
	n.watchAfresh()
	m := n.list.get(contact)
	if n.gray.is {
		n.haveSpread(alive, m)
	} else {
		n.spread(alive)
	}
	if m != nil {
		if !n.gray.is { // the contact has a list that lacks this node, so it tells those on it
			n.launch(flight{head: m, arc: ring.Around(n.position), entries: []Entry{alive}})
		}
		n.compareLists(contact, true)
	}
}

// watchAfresh takes up every watched member anew, and lingers over nobody.
func (n *Node) watchAfresh() {
	d := &n.detector
	d.monitors = slices.DeleteFunc(d.monitors, func(m monitor) bool { return m.until > 0 })
	for i := range d.monitors {
		d.monitors[i] = n.takeUp(d.monitors[i].target)
	}
	d.nextBeat = n.now.Mono
}
