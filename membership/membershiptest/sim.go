package membershiptest

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Options says what to simulate. The zero value is a faultless LAN with perfect clocks.
type Options struct {
	// Seed is what everything is drawn from.
	Seed uint64
	// Gateways is how many of the first hosts are gateways. Zero means 2.
	Gateways int
	// Network is Sim.Network at the beginning. Zero means LAN.
	Network Network
	// Clocks says how far the hosts' clocks are apart.
	Clocks Clocks
	// Configure changes the configuration of a node before it starts, if not nil.
	Configure func(index int, cfg *membership.Config)
	// Drop loses the messages for which it returns true, if not nil.
	Drop func(from, to int, m *membership.Message) bool
	// Observer is told what the nodes do, if not nil.
	Observer Observer
	// Transcript receives a line for each event and fault, if not nil, and Messages adds
	// one for each message but heartbeats.
	Transcript io.Writer
	Messages   bool
	// PacketsMax is how many packets a host may send in a second. Zero means 2,000.
	PacketsMax int
	// Unbounded suspends the rules that a fault may break (detection, spreading, false
	// failures), so that any faults at all can be tried.
	Unbounded bool
	// Record keeps the last packets for Sim.Replay.
	Record bool
}

// Observer is told what the nodes of a simulation do, as a driver's is. Messages are only lent.
type Observer interface {
	Sent(self membership.ID, to netip.AddrPort, m *membership.Message)
	Received(self membership.ID, from netip.AddrPort, m *membership.Message)
	Event(self membership.ID, e membership.Event)
}

// Defaults of Options.
const (
	gatewaysDefault   = 2
	packetsMaxDefault = 2000
)

// Sim is a cluster in virtual time.
type Sim struct {
	// Network says how packets fare from now on.
	Network Network
	// Drop is Options.Drop, and may be changed.
	Drop func(from, to int, m *membership.Message) bool

	options Options
	now     time.Duration
	queue   queue
	hosts   []*host
	calls   []func()

	packets     []packet // those under way and those that are free
	freePackets []int32
	message     membership.Message // of the packet being delivered
	recorded    []packet           // a ring of those delivered last, if Options.Record
	recordNext  int

	fate      fate
	links     map[linkKey]*Link
	partition []int // the side of each host; nil: there is none

	rand     *rand.Rand // for clocks, and for when what happens
	checker  checker
	traffic  traffic
	gateways []netip.AddrPort
}

// Streams of the random numbers of a seed.
const (
	streamSim = iota
	streamNetwork
	streamNode // plus the index of the host; the upper half counts the nodes that have run on it
)

// New returns a simulation in which nothing runs yet.
func New(options Options) *Sim {
	if options.Gateways == 0 {
		options.Gateways = gatewaysDefault
	}
	if options.PacketsMax == 0 {
		options.PacketsMax = packetsMaxDefault
	}
	if options.Network == (Network{}) {
		options.Network = LAN
	}
	s := &Sim{
		Network: options.Network, Drop: options.Drop, options: options,
		rand:  newRand(options.Seed, streamSim),
		links: map[linkKey]*Link{},
	}
	s.fate = fate{network: &s.Network, rand: newRand(options.Seed, streamNetwork), seed: mix(options.Seed)}
	s.checker.sim = s
	for i := range options.Gateways {
		s.gateways = append(s.gateways, addrOf(i))
	}
	return s
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Now is how much virtual time has passed.
func (s *Sim) Now() time.Duration { return s.now }

// Node is the node that runs on a host, nil while there is none.
func (s *Sim) Node(index int) *membership.Node { return s.hosts[index].node }

// Len is how many hosts there are, whether up or down.
func (s *Sim) Len() int { return len(s.hosts) }

// Start adds n hosts that join through the gateways, and returns the first one's index.
func (s *Sim) Start(n int) int {
	first := len(s.hosts)
	for range n {
		h := s.addHost()
		s.boot(h)
	}
	s.note("start %v", names(first, len(s.hosts)))
	return first
}

// Form adds n hosts that are a group already, and have been for long: with lists that are equal,
// each with a few others that it knows, but nothing heard of each other lately. It must come first.
func (s *Sim) Form(n int) {
	entries := make([]membership.Entry, n)
	for i := range entries {
		h := s.addHost()
		h.formed = uint64(h.clock.now(s.now).Wall.UnixNano())
		entries[i].ID = membership.ID{Addr: h.addr, Incarnation: h.formed}
	}
	rows := s.rows(entries)
	for _, h := range s.hosts {
		s.restore(h, membership.Snapshot{
			Self:  entries[h.index].ID,
			Phase: membership.InGroup,
			Epoch: h.clock.now(s.now).Mono,
			Beat:  h.clock.now(s.now).Mono + uniform(s.rand, 0, formBeatMax),
			Rows:  append(make([]*membership.Member, 0, n+formRoom), rows...),

			Tallies: knownSinceLong(h, rows),
		})
	}
	for _, h := range s.hosts {
		h.formedList, h.changedAt = true, s.now-spreadWithin
	}
	s.note("form %v", names(0, n))
}

// knownSinceLong has members, spread over the ring, answer a host's questions so long ago that only
// the acquaintance counts.
func knownSinceLong(h *host, rows []*membership.Member) (tallies []membership.Tally) {
	since := h.clock.now(0).Mono - 25*detectWithin/2
	for i := range min(formKnown, len(rows)) {
		row := rows[(h.index+i*(len(rows)/formKnown+1))%len(rows)]
		if row.Addr != h.addr {
			tallies = append(tallies, membership.Tally{To: row.Position(), Since: since, Asked: 1, Answered: 1})
		}
	}
	return tallies
}

// formKnown is how many others a member knows that Form makes.
const formKnown = 13

// formRoom is how many newcomers each of the lists that Form makes has room for. Where there
// are 10,000 lists of 10,000, it is dear to move them.
const formRoom = 16

// formBeatMax is when the last of the members that Form makes begins to send heartbeats.
const formBeatMax = time.Second

// rows makes the rows of a list, by telling the entries to a gateway on a host of its own
// that has founded a group. All members that Form makes share these rows.
func (s *Sim) rows(entries []membership.Entry) []*membership.Member {
	const lastIndex = 1<<24 - 1
	scribe := newHost(lastIndex, Clocks{}, s.rand)
	now := scribe.clock.now(s.now)
	node, err := membership.NewNode(membership.Config{
		Addr: scribe.addr, Gateways: []netip.AddrPort{scribe.addr}, Rand: s.rand,
	}, now)
	if err != nil {
		s.checker.violate(RuleDriver, "no group can be founded: %v", err)
		return nil
	}
	node.Tick(now)
	node.Step(now, addrOf(0), &membership.Message{Kind: membership.Entries, To: math.MaxUint64, Entries: entries})
	return slices.DeleteFunc(node.Members(), func(m *membership.Member) bool { return m.Addr == scribe.addr })
}

// restore puts a node on a host that goes on from a snapshot.
func (s *Sim) restore(h *host, snapshot membership.Snapshot) {
	node, err := membership.RestoreNode(s.configure(h), snapshot, false, h.clock.now(s.now))
	if err != nil {
		s.checker.violate(RuleDriver, "%s cannot be restored: %v", nodeName(h.index), err)
		return
	}
	s.run(h, node)
	s.afterStep(h)
}

func (s *Sim) addHost() *host {
	h := newHost(len(s.hosts), s.options.Clocks, s.rand)
	if s.partition != nil {
		h.disturbedUntil = never
	}
	s.hosts = append(s.hosts, h)
	return h
}

// boot starts a node on a host that has none.
func (s *Sim) boot(h *host) {
	node, err := membership.NewNode(s.configure(h), h.clock.now(s.now))
	if err != nil {
		s.checker.violate(RuleDriver, "%s cannot start: %v", nodeName(h.index), err)
		return
	}
	s.run(h, node)
	s.tick(h)
}

// run puts a node on a host.
func (s *Sim) run(h *host, node *membership.Node) {
	h.node, h.startedAt = node, s.now
	h.scheduledAt, h.ticks = never, 0
	if node.Phase() == membership.Joining {
		s.checker.forget(h) // it begins with a new list
	}
}

func (s *Sim) configure(h *host) membership.Config {
	h.nodes++
	stream := streamNode + uint64(h.index) + uint64(h.nodes)<<32
	cfg := membership.Config{
		Addr: h.addr, Gateways: s.gateways, Known: h.stateFile, Rand: newRand(s.options.Seed, stream),
	}
	if s.options.Configure != nil {
		s.options.Configure(h.index, &cfg)
	}
	return cfg
}

// Run lets the time d pass.
func (s *Sim) Run(d time.Duration) {
	end := s.now + d
	for len(s.queue.heap) > 0 && s.queue.heap[0].at <= end {
		e := s.queue.pop()
		s.now = e.at
		s.handle(e)
	}
	s.now = end
}

func (s *Sim) handle(e event) {
	switch e.kind {
	case callEvent:
		call := s.calls[e.index]
		s.calls[e.index] = nil
		call()
	case packetEvent:
		s.arrive(e.index)
	case wakeEvent:
		s.wake(s.hosts[e.index])
	}
}

// After calls f when the time d has passed.
func (s *Sim) After(d time.Duration, f func()) {
	s.calls = append(s.calls, f)
	s.queue.push(s.now+d, callEvent, int32(len(s.calls)-1))
}

// wake ticks a node whose time has come. Wake-ups are put into the queue lazily: one
// that the node has moved to a later time since is put back.
func (s *Sim) wake(h *host) {
	if h.scheduledAt != s.now {
		return // overtaken by an earlier one
	}
	h.scheduledAt = never
	if !h.up() || h.paused {
		return
	}
	if h.wakeAt > s.now {
		s.schedule(h)
		return
	}
	s.tick(h)
}

func (s *Sim) tick(h *host) {
	if h.tickedAt != s.now {
		h.tickedAt, h.ticks = s.now, 0
	}
	h.ticks++
	h.node.Tick(h.clock.now(s.now))
	s.afterStep(h)
}

// afterStep does what the node wants done after each of its steps.
func (s *Sim) afterStep(h *host) {
	s.checker.node(h)
	ready := h.node.Ready()
	for i := range ready.Events {
		s.checker.event(h, &ready.Events[i])
		if s.options.Observer != nil {
			s.options.Observer.Event(h.id, ready.Events[i])
		}
	}
	for i := range ready.Messages {
		s.send(h, &ready.Messages[i])
	}
	if h.phase == membership.Gone {
		s.stop(h)
		return
	}
	s.schedule(h)
}

// schedule makes sure that the host is woken when its node wants it.
func (s *Sim) schedule(h *host) {
	h.wakeAt = max(s.now, h.clock.when(h.node.Wake()))
	if h.ticks > ticksMax {
		s.checker.spins(h)
		h.wakeAt = max(h.wakeAt, s.now+time.Millisecond)
	}
	if h.wakeAt < h.scheduledAt {
		h.scheduledAt = h.wakeAt
		s.queue.push(h.wakeAt, wakeEvent, int32(h.index))
	}
}

// stop takes the node off a host, as a crash does, or its end.
func (s *Sim) stop(h *host) {
	s.enterPhase(h, membership.Gone)
	s.dropBacklog(h)
	h.node, h.paused = nil, false
	h.scheduledAt, h.wakeAt = never, never
}

// enterPhase notes the phase of a host's node.
func (s *Sim) enterPhase(h *host, phase membership.Phase) {
	wasInGroup := h.inGroup()
	h.phase = phase
	s.traffic.advance(s.now)
	switch {
	case h.inGroup() && !wasInGroup:
		h.inGroupSince, h.changedAt = s.now, s.now
		s.traffic.up++
	case !h.inGroup() && wasInGroup:
		h.inGroupSince, h.changedAt = never, s.now
		s.traffic.up--
	}
}

// Ring is the order of the members on the ring, as a host's list has it.
func (s *Sim) Ring() []int {
	for _, h := range s.hosts {
		if !h.inGroup() {
			continue
		}
		var order []int
		for m := range h.node.All() {
			if m.State == membership.Alive {
				order = append(order, indexOf(m.Addr))
			}
		}
		return order
	}
	return nil
}

// Settled reports whether every host that is up is in the group, and all lists are equal.
func (s *Sim) Settled() bool {
	var first *membership.Node
	count := 0
	for _, h := range s.hosts {
		if !h.up() {
			continue
		}
		if h.phase != membership.InGroup {
			return false
		}
		count++
		if first == nil {
			first = h.node
		}
		if h.node.Digest() != first.Digest() {
			return false
		}
	}
	return first == nil || first.Alive() == count
}

// settleStep is how often Settle looks.
const settleStep = 10 * time.Millisecond

// Settle runs until Settled, for the time within at most, and reports whether it is.
func (s *Sim) Settle(within time.Duration) bool {
	for end := s.now + within; s.now < end && !s.Settled(); {
		s.Run(min(settleStep, end-s.now))
	}
	return s.Settled()
}

// RunUntilJoined runs until nobody is joining, for the time within at most.
func (s *Sim) RunUntilJoined(within time.Duration) {
	joining := func(h *host) bool { return h.up() && h.phase == membership.Joining }
	for end := s.now + within; s.now < end && slices.ContainsFunc(s.hosts, joining); {
		s.Run(min(settleStep, end-s.now))
	}
}

// note adds a line about what is done to the cluster to the transcript.
func (s *Sim) note(format string, args ...any) {
	if s.options.Transcript != nil {
		s.transcribe("%s", "-- "+fmt.Sprintf(format, args...))
	}
}

func (s *Sim) transcribe(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(s.options.Transcript, "%s %s\n", seconds(s.now), line)
}

// seconds is an instant as transcripts show it.
func seconds(t time.Duration) string { return fmt.Sprintf("%9.3fs", t.Seconds()) }

// names lists the hosts from first to before last.
func names(first, last int) string {
	if last-first == 1 {
		return nodeName(first)
	}
	return nodeName(first) + " to " + nodeName(last-1)
}
