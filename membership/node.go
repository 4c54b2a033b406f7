package membership

import (
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// Now is an instant as the driver's two clocks show it.
type Now struct {
	// Mono never steps. Its origin must outlive a reload: a node that is restored from a
	// snapshot has to find the clock of the node that was frozen.
	Mono time.Duration
	// Wall is for incarnations and for Member.Since. It may step.
	Wall time.Time
}

// Phase is where a node is in its life.
type Phase uint8

const (
	Joining Phase = iota // looking for a group
	InGroup
	Leaving // telling the others
	Gone    // has left; the node does nothing any more
)

var phaseNames = [...]string{Joining: "joining", InGroup: "member", Leaving: "leaving", Gone: "left"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// Ready is what the driver has to do. Its slices are valid until the next call of a
// method of the Node.
type Ready struct {
	Messages []Envelope // to be sent, in this order
	Events   []Event    // to be logged, in this order
	Changed  bool       // the member list has changed
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// Node is one member's state machine. See the package comment for how to drive it.
type Node struct {
	cfg    Config
	bounds Bounds // of the configuration; those that do not depend on the number of members

	now       Now           // of the call under way
	epoch     time.Duration // Mono at which stamps begin
	wake      time.Duration // the Mono at which Tick has to be called
	self      ID
	position  ring.Position // of self
	phase     Phase
	list      list
	seq       uint64        // of the messages that ask for an answer
	lastHeard time.Duration // Mono of the last message from a live member
	reported  uint64        // the list's version at the last Ready

	detector   detector
	hearing    hearing
	gray       gray
	spreader   spreader
	syncer     syncer
	joiner     joiner
	gateway    gateway
	recaller   recaller
	twin       twin
	leaveBegan time.Duration
	leaveEnd   time.Duration // when it is gone at the latest
	handOverAt time.Duration // of the next report to those who watch in a leaving node's place

	messages []Envelope
	events   []Event
}

// NewNode returns a node that begins to join at its first Tick. Its error wraps
// ErrConfig.
func NewNode(cfg Config, now Now) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg:       cfg,
		bounds:    boundsOf(cfg, membersMax),
		now:       now,
		epoch:     now.Mono,
		wake:      now.Mono,
		lastHeard: now.Mono,
		self:      ID{Addr: cfg.Addr, Incarnation: uint64(now.Wall.UnixNano())},
		position:  ring.PositionOf(cfg.Addr),
	}
	n.hearing = newHearing(n.bounds)
	n.spreader.init()
	n.gateway.init(&cfg)
	n.recaller.next = now.Mono + recallEvery
	n.beginJoin()
	return n, nil
}

// Snapshot is a node's state, for RestoreNode. Package wire encodes it.
type Snapshot struct {
	Self    ID
	Phase   Phase
	Epoch   time.Duration // Mono at which stamps begin
	Seq     uint64        // of the last message that asked for an answer
	BeatSeq uint64        // of the last heartbeat
	Beat    time.Duration // Mono of the next heartbeat
	Beats   []Beat        // the successors
	Heard   time.Duration // Mono of the last message from a live member; 0: not known
	Held    bool          // a verdict is held back, because the node may be cut off
	Version uint64        // of the list
	Rows    []*Member     // in ring order; shared, not copied
	Watched []Watched     // the members this node monitors
	// GraySince is when this node turned gray; zero: it is not.
	GraySince   time.Time
	GrayMembers []GrayMember // the others that are
	Questions   []Question   // of the last second, in the order of their numbers
	Tallies     []Tally      // of the questions that count for how well this node hears, as they came
	Returns     []Returns    // of this node, and of those that it has admitted
	Pending     Pending
}

// Beat is what a node knows of a successor.
type Beat struct {
	Addr    netip.AddrPort
	At      time.Duration // Mono of the last heartbeat to it
	Unheard time.Duration // Mono since which nothing has been heard of it; 0: it has been heard of
}

// Watched is what a monitor knows of a member.
type Watched struct {
	ID    ID
	Stamp time.Duration // the newest, on the member's clock
	Fresh time.Duration // Mono at which that stamp was made, as the monitor reckons
	Base  time.Duration // smallest (receive - send) difference; with HasBase
	// HasBase is false until a stamp has come from the member itself.
	HasBase bool
	Trip    time.Duration // the shortest round trip; 0: not known
	Wronged time.Duration // Mono at which a doubt ended last that was for nothing; 0: none has
	Doubt   Doubt         // zero: there is none
}

// Doubt is how far a monitor has come with a member that it doubts. Times are Mono.
type Doubt struct {
	Probes, Rounds         int // that have been in vain
	InVain, Underway       int // questions to the member and to helpers: without an answer, and asked last
	Since, NextProbe, Ripe time.Duration
}

// seqSkip is more messages than a node sends between a snapshot and a crash.
const seqSkip = 1 << 20

// RestoreNode returns a node that goes on from a snapshot: the same identity, the same
// clock, the same list. Where the snapshot is not from the very end of the earlier run,
// crashed says so, and sequence numbers skip what may have been used since.
func RestoreNode(cfg Config, s Snapshot, crashed bool, now Now) (*Node, error) {
	if s.Phase != InGroup {
		return NewNode(cfg, now)
	}
	if s.Self.Addr != cfg.Addr {
		return nil, fmt.Errorf("%w: the snapshot is of %v, not of %v", ErrConfig, s.Self.Addr, cfg.Addr)
	}
	n, err := NewNode(cfg, now)
	if err != nil {
		return nil, err
	}
	n.self, n.epoch, n.seq = s.Self, s.Epoch, s.Seq
	n.list = newList(s.Rows)
	n.list.version = s.Version
	n.reported = n.list.version
	n.detector.beatSeq = s.BeatSeq
	if crashed {
		n.seq += seqSkip
		n.detector.beatSeq += seqSkip
	}
	n.restoreGray(s, crashed)
	n.restoreReturns(s.Returns)
	n.detector.restoreSuccessors(s.Beats, n.list)
	n.followList()
	n.detector.restore(s, crashed)
	if s.Heard != 0 { // else a node that is cut off would seem to have just heard from others
		n.lastHeard, n.detector.held = s.Heard, s.Held
	}
	n.joiner = joiner{}
	n.phase = InGroup // only now: whom the snapshot watched need not be asked
	n.startGateway()
	n.restoreSpreader(s.Pending)
	n.wake = n.nextWake()
	return n, nil
}

// Snapshot returns the node's state. Its rows are the list's own, which never change.
func (n *Node) Snapshot() Snapshot {
	s := Snapshot{
		Self: n.self, Phase: n.phase, Epoch: n.epoch, Seq: n.seq,
		BeatSeq: n.detector.beatSeq, Beat: n.detector.nextBeat,
		Heard: n.lastHeard, Held: n.detector.held, Version: n.list.version,
		Rows: slices.Clone(n.list.ring.Points()), Returns: n.snapshotReturns(), Pending: n.spreader.pending(),
	}
	for _, x := range n.detector.successors {
		beat := Beat{Addr: x.Addr, At: x.last}
		if !x.heard {
			beat.Unheard = x.since
		}
		s.Beats = append(s.Beats, beat)
	}
	n.snapshotGray(&s)
	for i := range n.detector.monitors {
		s.Watched = append(s.Watched, n.detector.monitors[i].watched())
	}
	return s
}

// Config is the configuration that the node works with, the defaults filled in.
func (n *Node) Config() Config { return n.cfg }

// Self is the identity in use, or to be used once the node is admitted.
func (n *Node) Self() ID { return n.self }

// Phase says where the node is in its life.
func (n *Node) Phase() Phase { return n.phase }

// Leader is the gateway that leads, as far as this node knows; only gateways know.
func (n *Node) Leader() netip.AddrPort { return n.gateway.leader }

// Members returns the list's rows in ring order, terminal ones included. The rows are
// shared and must not be written to; the slice is the caller's.
func (n *Node) Members() []*Member { return slices.Clone(n.list.ring.Points()) }

// Lists reports whether the list has a row of an address, whatever it says.
func (n *Node) Lists(addr netip.AddrPort) bool { return n.list.get(addr) != nil }

// All yields the rows that Members returns. The node must not be called meanwhile.
func (n *Node) All() iter.Seq[*Member] { return slices.Values(n.list.ring.Points()) }

// Digest is equal on nodes that hold the same members to be alive.
func (n *Node) Digest() uint64 { return n.list.digest }

// Alive is how many members the list holds to be alive, this node included.
func (n *Node) Alive() int { return n.list.ring.Live() }

// Version counts the changes of the list.
func (n *Node) Version() uint64 { return n.list.version }

// Wake is the Now.Mono at which Tick has to be called, unless Step is called before.
func (n *Node) Wake() time.Duration { return n.wake }

// Ready returns what has to be done since it was called last.
func (n *Node) Ready() Ready {
	r := Ready{Messages: n.messages, Events: n.events, Changed: n.list.version != n.reported}
	n.messages, n.events = n.messages[:0], n.events[:0]
	n.reported = n.list.version
	return r
}

// Tick lets time pass. Call it when Wake is reached, after all packets that have arrived
// were given to Step; at any other time it does no harm.
func (n *Node) Tick(now Now) {
	n.enter(now)
	switch n.phase {
	case Joining:
		n.tickJoin()
	case InGroup:
		n.tickGray()
		n.tickDetector()
		n.tickSpreader()
		n.tickGateway()
		n.tickRecaller()
	case Leaving:
		n.tickDetector()
		n.tickSpreader()
		n.tickLeave()
	}
	n.exit()
}

// Step takes in a message that came from an address. The message is only lent.
func (n *Node) Step(now Now, from netip.AddrPort, m *Message) {
	n.enter(now)
	// A message in this node's own name is an echo, or of a second machine with its address.
	switch {
	case n.phase == Gone:
	case m.Sender.Addr == n.self.Addr:
		n.noticeTwin(m.Sender.Incarnation)
	default:
		if n.fromMember(from, m) {
			if n.detector.held {
				n.detector.startOver(now.Mono) // it was cut off until now
			}
			n.lastHeard = now.Mono
			n.noteGray(m)
		}
		n.step(from, m)
	}
	n.exit()
}

// fromMember reports whether a message is a sign that this node is not cut off from the
// group. One from a stranger is not.
func (n *Node) fromMember(from netip.AddrPort, m *Message) bool {
	if m.Kind == Heartbeat {
		if n.detector.watched(m.Short) != nil {
			return true
		}
		known := n.list.get(from)
		return known != nil && known.Live() && known.Short() == m.Short
	}
	known := n.list.get(m.Sender.Addr)
	return known != nil && known.Live()
}

func (n *Node) step(from netip.AddrPort, m *Message) {
	if n.phase == Joining {
		n.stepJoining(from, m)
		return
	}
	switch m.Kind {
	case Heartbeat:
		n.stepHeartbeat(from, m)
	case Probe:
		n.stepProbe(from, m)
	case ProbeAck:
		n.stepProbeAck(m)
	case Query:
		n.stepQuery(from, m)
	case Report:
		n.stepReport(m)
	case Update:
		n.stepUpdate(from, m)
	case Ack:
		n.stepAck(m)
	case Ranges:
		n.stepRanges(from, m)
	case Entries:
		n.stepEntries(from, m)
	case Join:
		n.stepJoin(from, m)
	case Welcome:
		// A late one; this node is a member already.
	case Recall:
		n.stepRecall(from, m)
	case GatewayBeat:
		n.stepGatewayBeat(from, m)
	}
}

// Leave begins to leave the group. Phase is Gone when the others have been told, or could
// not be told within leaveTimeout.
func (n *Node) Leave(now Now) {
	n.enter(now)
	switch n.phase {
	case Joining:
		n.phase = Gone
	case InGroup:
		n.judgeBeforeLeaving()
		n.phase = Leaving
		n.leaveBegan, n.leaveEnd = now.Mono, now.Mono+leaveTimeout
		n.change(Entry{ID: n.self, State: Left}, ViaSelf, Event{})
		n.spread(Entry{ID: n.self, State: Left})
		n.flush()
		n.tickLeave()
	}
	n.exit()
}

func (n *Node) tickLeave() {
	if n.spreader.idle() || n.now.Mono >= n.leaveEnd {
		n.phase = Gone
		n.handOver()
		return
	}
	// Some may not have heard yet that this node leaves, and what it reports is nothing to them.
	if n.now.Mono >= n.handOverAt {
		n.handOverAt = n.now.Mono + handOverEvery
		n.handOver()
	}
}

// enter begins every call: it takes the time, and looks whether the call comes late.
func (n *Node) enter(now Now) {
	late := now.Mono - n.wake
	n.now = now
	if late <= latenessMax || n.phase == Joining || n.phase == Gone {
		return
	}
	n.detector.startOver(now.Mono)
	if late > forgetAfter && n.phase == InGroup {
		n.joinAfresh(fmt.Sprintf("slept for %v", late.Round(time.Second)))
	}
}

// exit ends every call that may have changed something. What the call has made overdue was not
// due before it, so nobody is late with it yet.
func (n *Node) exit() { n.wake = max(n.nextWake(), min(n.wake, n.now.Mono)) }

func (n *Node) nextWake() time.Duration {
	switch n.phase {
	case Joining:
		return n.joiner.due
	case InGroup:
		return min(n.detectorDue(), n.spreader.due(), n.gateway.due(), n.recaller.due(), n.gray.due())
	case Leaving:
		return min(n.detectorDue(), n.spreader.due(), n.handOverAt, n.leaveEnd)
	default:
		return never
	}
}

// stamp is the node's own clock as others see it.
func (n *Node) stamp() time.Duration { return (n.now.Mono - n.epoch).Truncate(time.Microsecond) }

func (n *Node) nextSeq() uint64 {
	n.seq++
	return n.seq
}

// send queues a message. Its sender is filled in, except for heartbeats, which carry the
// short form.
func (n *Node) send(to netip.AddrPort, m Message) {
	if m.Kind != Heartbeat {
		m.Sender, m.Gray = n.self, n.gray.is
	}
	n.messages = append(n.messages, Envelope{To: to, Message: m})
}

func (n *Node) emit(e Event) { n.events = append(n.events, e) }

// change merges an entry into the list, logs what that changes, and lets the detector
// follow. It reports whether the entry was news. The event is the caller's where it has
// more to say than what and how.
func (n *Node) change(e Entry, via Via, event Event) bool {
	if !n.acceptable(e) {
		return false
	}
	old, new := n.list.merge(e, n.now.Wall)
	if new == nil {
		return false
	}
	wasAlive := old != nil && old.State == Alive
	event.Peer, event.Via = e.ID, via
	switch {
	case e.State == Alive:
		event.Kind = EventJoin
		if wasAlive {
			event.Previous = old.ID
		}
		n.emit(event)
	case e.State == Failed && wasAlive:
		event.Kind = EventFail
		n.emit(event)
	case e.State == Left && old != nil && old.State != Left:
		event.Kind = EventLeave
		n.emit(event)
	}
	if wasAlive && (via != ViaMonitor || n.list.ring.Live() > 2*n.cfg.MaxFailures) {
		n.hearing.forget(old.position) // but a small group may all be taken for dead by one that is deaf
	}
	if e.State == Alive || wasAlive {
		n.followList()
	}
	if n.list.ring.Len()-n.list.ring.Live() > terminalsMax {
		n.forgetOldest()
	}
	return true
}

// acceptable rejects what no member would say in earnest, and what would make the list grow
// without end.
func (n *Node) acceptable(e Entry) bool {
	known := n.list.get(e.Addr)
	if known != nil && known.Incarnation == e.Incarnation && e.State <= Left {
		return true // else, after the wall clock was set back, a member could not be declared failed
	}
	if !n.plausible(e) {
		return false
	}
	if e.State == Alive {
		return known != nil || n.list.ring.Live() < membersMax
	}
	return true // forgetOldest makes room
}

// incarnationAhead is how far ahead of this machine's clock an incarnation may be. It is
// generous, because that clock may stand at 1970; but a limit there must be, and one that
// moves with time, or a forged incarnation could be so high that its victim has no higher
// one to come back with.
const incarnationAhead = 100 * 365 * 24 * time.Hour

// plausible rejects in particular addresses that nobody can reach. A loopback address of another
// machine would be each member's own: they would all speak to themselves in its place.
func (n *Node) plausible(e Entry) bool {
	reachable := unreachable(e.Addr) == "" && (!e.Addr.Addr().IsLoopback() || n.self.Addr.Addr().IsLoopback())
	highest := uint64(max(0, n.now.Wall.UnixNano())) + uint64(incarnationAhead)
	return reachable && e.Incarnation <= highest && e.State <= Left
}

// forgetOldest makes room for terminal entries, by dropping those that are oldest: a good
// many at a time, since finding them takes a look at the whole list.
func (n *Node) forgetOldest() {
	var terminal []*Member
	for _, m := range n.list.ring.Points() {
		if !m.Live() && m.position != n.position {
			terminal = append(terminal, m)
		}
	}
	slices.SortStableFunc(terminal, func(a, b *Member) int { return a.Since.Compare(b.Since) })
	for _, m := range terminal[:len(terminal)/8] {
		n.list.forget(m)
	}
}

// learn merges what another member said, and returns what was news. An entry about this
// node itself is not merged: it is answered by a new incarnation, or is known anyway.
func (n *Node) learn(entries []Entry, via Via) (news []Entry) {
	for _, e := range entries {
		if e.Addr == n.self.Addr {
			n.hearAboutSelf(e)
			continue
		}
		if n.change(e, via, Event{}) {
			news = append(news, e)
		}
	}
	return news
}
