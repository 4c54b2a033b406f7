package membership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// spreader tells the whole group about changes, by arc multicast: the originator divides
// the ring into a few arcs and gives each to its first member, which divides the rest of
// its arc in turn. Every hop is acknowledged. A head that is silent is sent the update
// again, while the next member of its arc takes the rest over.
type spreader struct {
	batch     []Entry // to be sent together
	lastFlush time.Duration
	lastAck   time.Duration
	staged    []stagedEntry
	flights   []flight
	retry     time.Duration // of the flight that is due first, or earlier
	seen      recent[hopName]
	handled   recent[arcName]
}

// stagedEntry is a verdict that waits for an earlier monitor to spread it.
type stagedEntry struct {
	entry Entry
	due   time.Duration
}

// flight is one hop that has not been acknowledged.
type flight struct {
	seq     uint64
	head    *Member
	arc     ring.Arc
	entries []Entry
	hops    int
	// relayed says that this node helps another one out. It does not look for helpers in
	// turn, or the hops around a dead member would multiply.
	relayed bool
	tries   int
	retry   time.Duration
}

// hopName names an Update as its sender does, arcName what it is about.
type (
	hopName struct {
		sender ID
		seq    uint64
	}
	arcName struct {
		arc     ring.Arc
		entries uint64 // their hashes, summed
		count   int
	}
)

// Limits of the spreader.
const (
	batchMax   = membersMax
	flightsMax = 4096
	// flightsInVain is how many hops a node has under way before it passes arcs on no more, if it
	// is gray or has no acknowledgement for long: it would try every member of the group in turn.
	flightsInVain = 64
	graySpreaders = 4 // members that a gray node has tell everyone that it is back
	seenMax       = 256
	handledMax    = 64
)

func (s *spreader) init() {
	*s = spreader{
		lastFlush: -batchEvery,
		retry:     never,
		seen:      recent[hopName]{size: seenMax},
		handled:   recent[arcName]{size: handledMax},
	}
}

// Pending is what a spreader has under way, for a Snapshot.
type Pending struct {
	Batch   []Entry // to be sent together next
	Staged  []Staged
	Flights []Flight
}

// Staged is a verdict that waits for an earlier monitor to spread it.
type Staged struct {
	Entry Entry
	Due   time.Duration // Mono
}

// Flight is an Update that has not been acknowledged.
type Flight struct {
	Seq     uint64
	Head    ID // whom it went to
	Arc     ring.Arc
	Entries []Entry
	Hops    int
	Relayed bool
	Tries   int
	Retry   time.Duration // Mono
}

// flightsKept bounds a snapshot; what the next process knows nothing of, the digests find.
const flightsKept = 256

// pending says what is under way. A flight's entries are never written to, so they are shared.
func (s *spreader) pending() Pending {
	p := Pending{Batch: slices.Clone(s.batch)}
	for _, e := range s.staged {
		p.Staged = append(p.Staged, Staged{Entry: e.entry, Due: e.due})
	}
	for _, f := range s.flights[:min(len(s.flights), flightsKept)] {
		p.Flights = append(p.Flights, Flight{
			Seq: f.seq, Head: f.head.ID, Arc: f.arc, Entries: f.entries,
			Hops: f.hops, Relayed: f.relayed, Tries: f.tries, Retry: f.retry,
		})
	}
	return p
}

// restoreSpreader goes on with what an earlier process had under way. The sequence numbers
// stay, so its acknowledgements count, and who has an Update already knows it again.
func (n *Node) restoreSpreader(p Pending) {
	s := &n.spreader
	s.batch = append(s.batch, p.Batch[:min(len(p.Batch), batchMax)]...)
	for _, e := range p.Staged {
		s.staged = append(s.staged, stagedEntry{entry: e.Entry, due: e.Due})
	}
	for _, f := range p.Flights[:min(len(p.Flights), flightsKept)] {
		head := n.list.get(f.Head.Addr)
		if head == nil || head.ID != f.Head {
			continue // nobody waits for it any more
		}
		s.flights = append(s.flights, flight{
			seq: f.Seq, head: head, arc: f.Arc, entries: f.Entries,
			hops: f.Hops, relayed: f.Relayed, tries: f.Tries, retry: f.Retry,
		})
		s.retry = min(s.retry, f.Retry)
	}
}

func (s *spreader) idle() bool { return len(s.batch) == 0 && len(s.flights) == 0 }

func (s *spreader) due() time.Duration {
	due := s.retry
	if len(s.batch) > 0 {
		due = min(due, s.lastFlush+batchEvery)
	}
	for i := range s.staged {
		due = min(due, s.staged[i].due)
	}
	return due
}

// spread tells everyone, together with what else happens within batchEvery of the last
// time this node told anyone something.
func (n *Node) spread(entries ...Entry) {
	s := &n.spreader
	if len(s.batch) < batchMax {
		s.batch = append(s.batch, entries...)
	}
	if n.now.Mono >= s.lastFlush+batchEvery {
		n.flush()
	}
}

func (n *Node) spreadLater(e Entry, delay time.Duration) {
	if delay == 0 {
		n.spread(e)
		return
	}
	n.spreader.staged = append(n.spreader.staged, stagedEntry{entry: e, due: n.now.Mono + delay})
}

func (n *Node) tickSpreader() {
	s := &n.spreader
	now := n.now.Mono
	s.staged = slices.DeleteFunc(s.staged, func(e stagedEntry) bool {
		if now < e.due {
			return false
		}
		if n.list.holds(e.entry) {
			s.batch = append(s.batch, e.entry)
		}
		return true
	})
	if len(s.batch) > 0 && now >= s.lastFlush+batchEvery {
		n.flush()
	}
	if now >= s.retry {
		n.retryFlights()
	}
}

// flush sends the batch around the ring.
func (n *Node) flush() {
	s := &n.spreader
	s.lastFlush = n.now.Mono
	for entries := range slices.Chunk(s.batch, EntriesMax) {
		n.divide(ring.Around(n.position), slices.Clone(entries), 0, netip.AddrPort{})
	}
	s.batch = s.batch[:0]
}

// divide gives the arc's members the entries, but for this node, those that the entries
// say are gone, and the one at the given address.
func (n *Node) divide(arc ring.Arc, entries []Entry, hops int, but netip.AddrPort) {
	skip := func(m *Member) bool { return m.position == n.position || m.Addr == but }
	relayed := hops > 0 && !arc.Contains(n.position)
	for _, part := range n.list.ring.Split(arc, fanOut, skip) {
		n.launch(flight{head: part.Head, arc: part.Arc, entries: entries, hops: hops, relayed: relayed})
	}
}

func (n *Node) launch(f flight) {
	s := &n.spreader
	if len(s.flights) >= flightsMax {
		return // the digests will find what is missing
	}
	f.seq = n.nextSeq()
	f.retry = n.now.Mono + hopTimeout
	s.retry = min(s.retry, f.retry)
	s.flights = append(s.flights, f)
	n.sendFlight(&f, f.head.Addr)
}

func (n *Node) sendFlight(f *flight, to netip.AddrPort) {
	n.send(to, Message{
		Kind: Update, Seq: f.seq, Hops: f.hops + 1,
		From: f.arc.From, To: f.arc.To, Entries: f.entries,
	})
}

// retryFlights deals with the hops that were not acknowledged in time.
func (n *Node) retryFlights() {
	s := &n.spreader
	pending := s.flights
	s.flights, s.retry = nil, never
	kept := pending[:0]
	unheard := n.gray.is || n.now.Mono-s.lastAck > 2*hopTimeout
	futile := unheard && len(pending) > flightsInVain
	for i := range pending {
		f := pending[i]
		if n.now.Mono < f.retry || n.retryFlight(&f, !futile) {
			kept = append(kept, f)
			s.retry = min(s.retry, f.retry)
		}
	}
	s.flights = append(kept, s.flights...)
}

// retryFlight reports whether the flight goes on.
func (n *Node) retryFlight(f *flight, passOn bool) bool {
	if passOn && f.arc.From != f.arc.To {
		n.passOn(f)
	}
	f.tries++
	if f.tries >= hopTries || f.relayed && f.tries >= relayTries || n.list.get(f.head.Addr) != f.head {
		return false
	}
	f.retry = n.now.Mono + hopTimeout<<max(0, f.tries-3)
	n.sendFlight(f, f.head.Addr)
	if f.tries >= aroundFrom && !f.relayed {
		n.sendAround(f)
	}
	return true
}

// passOn gives the rest of a silent head's arc to the next member in it, and leaves the
// head alone in the flight.
func (n *Node) passOn(f *flight) {
	rest := ring.Arc{From: f.arc.From + 1, To: f.arc.To}
	f.arc.To = f.arc.From
	skip := func(m *Member) bool { return m.position == n.position }
	for _, part := range n.list.ring.Split(rest, 1, skip) {
		n.launch(flight{head: part.Head, arc: part.Arc, entries: f.entries, hops: f.hops, relayed: f.relayed})
	}
}

// haveSpread asks a few members, one of them perhaps known, to tell everyone. A gray node
// does that with what is about itself: hardly any acknowledgement would come back, so by dividing
// the ring itself it would have each member told twenty times over. If none of them gets it, those
// who recall this node ask it again.
func (n *Node) haveSpread(e Entry, known *Member) {
	var helpers []*Member
	if known != nil {
		helpers = append(helpers, known)
	}
	for m := n.anyone(helpers...); m != nil && len(helpers) < graySpreaders; m = n.anyone(helpers...) {
		helpers = append(helpers, m)
	}
	for _, h := range helpers {
		whole := flight{seq: n.nextSeq(), arc: ring.Around(n.position), entries: []Entry{e}}
		n.sendFlight(&whole, h.Addr)
	}
}

// sendAround asks others to deliver, in case only the way from here is bad: one more with each try.
func (n *Node) sendAround(f *flight) {
	but := []*Member{f.head}
	for range f.tries - aroundFrom + 1 {
		if helper := n.anyone(but...); helper != nil {
			n.sendFlight(&flight{seq: n.nextSeq(), arc: f.arc, entries: f.entries, hops: f.hops}, helper.Addr)
			but = append(but, helper) // each is another way
		}
	}
}

// anyone returns a random live member other than this node and the given ones, or nil: one that has
// answered this node before, as one that was made up has not, and one that is not gray; unless
// there is no such member left.
func (n *Node) anyone(but ...*Member) (gray *Member) {
	suits := func(m *Member) bool {
		if m == nil || !m.Live() || m.position == n.position || slices.Contains(but, m) {
			return false
		}
		if n.gray.holds(m.Addr) {
			gray = m
			return false
		}
		return true
	}
	if known := n.hearing.known; len(known) > 0 {
		first := n.cfg.Rand.IntN(len(known))
		for i := range known {
			if m := n.list.get(known[(first+i)%len(known)]); suits(m) {
				return m
			}
		}
	}
	points := n.list.ring.Points()
	for range 16 { // tries; where hardly anyone is live, nil will do
		if m := points[n.cfg.Rand.IntN(len(points))]; suits(m) {
			return m
		}
	}
	return gray
}

// tell gives one member an entry, unasked and only once. It is no part of a multicast, which
// zero hops say.
func (n *Node) tell(to netip.AddrPort, entries ...Entry) {
	pos := ring.PositionOf(to)
	n.send(to, Message{Kind: Update, Seq: n.nextSeq(), From: pos, To: pos, Entries: entries})
}

func (n *Node) stepUpdate(from netip.AddrPort, m *Message) {
	n.send(from, Message{Kind: Ack, Seq: m.Seq})
	s := &n.spreader
	if len(m.Entries) == 0 || !s.seen.add(hopName{m.Sender, m.Seq}) {
		return
	}
	if m.Hops > 0 && !m.Flood {
		n.unstage(m.Entries)
	}
	news := n.learn(m.Entries, ViaUpdate)
	if m.Flood {
		n.flood(news, from)
		return
	}
	arc := ring.Arc{From: m.From, To: m.To}
	if arc == (ring.Arc{From: n.position, To: n.position}) {
		return
	}
	if s.handled.add(nameArc(arc, m.Entries)) {
		n.divide(arc, slices.Clone(m.Entries), m.Hops, m.Sender.Addr)
	}
}

func nameArc(arc ring.Arc, entries []Entry) arcName {
	name := arcName{arc: arc, count: len(entries)}
	for _, e := range entries {
		name.entries += (e.ID.hash() | 1) * uint64(e.State+1)
	}
	return name
}

// unstage drops the verdicts that another monitor has spread in time.
func (n *Node) unstage(heard []Entry) {
	s := &n.spreader
	s.staged = slices.DeleteFunc(s.staged, func(e stagedEntry) bool { return slices.Contains(heard, e.entry) })
}

// flood tells the neighbours on both sides what was news here, so that it runs along the
// ring as far as it is news. It repairs what a multicast left out: a whole stretch whose
// members agree with each other, and only at its ends would find that they lack something.
func (n *Node) flood(news []Entry, but netip.AddrPort) {
	if len(news) == 0 {
		return
	}
	neighbours := n.list.ring.Successors(nil, n.position, n.cfg.MaxFailures)
	neighbours = n.list.ring.Predecessors(neighbours, n.position, n.cfg.MaxFailures)
	for entries := range slices.Chunk(news, EntriesMax) {
		for _, m := range neighbours {
			if m.Addr != but {
				n.send(m.Addr, Message{
					Kind: Update, Seq: n.nextSeq(), Flood: true, Hops: 1,
					From: m.position, To: m.position, Entries: entries,
				})
			}
		}
	}
}

func (n *Node) stepAck(m *Message) {
	s := &n.spreader
	i := slices.IndexFunc(s.flights, func(f flight) bool { return f.seq == m.Seq && f.head.Addr == m.Sender.Addr })
	if i >= 0 {
		s.lastAck = n.now.Mono
		n.hearing.meet(m.Sender.Addr)
		f := s.flights[i]
		s.flights = slices.Delete(s.flights, i, i+1)
		if m.Gray && f.arc.From != f.arc.To {
			n.passOn(&f) // what a gray head sends may not arrive
		}
	}
	if len(s.flights) == 0 {
		s.retry = never
	}
}

// recent remembers the last few of something.
type recent[T comparable] struct {
	size  int
	items []T
	next  int
}

// add reports whether the item is new.
func (r *recent[T]) add(item T) bool {
	if slices.Contains(r.items, item) {
		return false
	}
	if len(r.items) < r.size {
		r.items = append(r.items, item)
		return true
	}
	r.items[r.next] = item
	r.next = (r.next + 1) % r.size
	return true
}
