package membership

import (
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// syncer compares lists. Every heartbeat carries the digest of its sender's list; where two
// digests differ for longer than a multicast needs, the receiver sends the digests of a few
// ranges, the other answers those that differ with smaller ranges or with its entries, and
// so on until both have merged what the other had. Nothing is remembered in between: a
// packet that is lost is made good by the next heartbeat.
type syncer struct {
	differs []difference
	last    time.Duration // when this node last began a comparison
	begun   bool
}

// difference is a peer whose digest was not this node's.
type difference struct {
	peer    netip.AddrPort
	first   time.Duration // when the digests differed first
	since   time.Duration // ... with this version of this node's list
	version uint64
}

// differencesMax bounds the peers that are remembered; a member hears the digests of its
// predecessors and, as a gateway, of the other gateways.
const differencesMax = maxFailuresMax + gatewaysMax

// compareDigest looks at the low 32 bits of a peer's digest.
func (n *Node) compareDigest(peer netip.AddrPort, digest uint64) {
	s := &n.syncer
	if uint32(digest) == uint32(n.list.digest) {
		s.differs = slices.DeleteFunc(s.differs, func(d difference) bool { return d.peer == peer })
		return
	}
	n.differ(peer)
}

// differ takes note that a peer has another list. If it has had one for longer than a
// multicast needs, the two are compared, and what is news is told to the neighbours. While
// changes come in one after the other, the lists differ all the time and are none the worse
// for it, so each of them starts the clock again, for a while.
func (n *Node) differ(peer netip.AddrPort) {
	s := &n.syncer
	i := slices.IndexFunc(s.differs, func(d difference) bool { return d.peer == peer })
	switch {
	case i < 0:
		if len(s.differs) == differencesMax {
			s.differs = slices.Delete(s.differs, 0, 1)
		}
		s.differs = append(s.differs, difference{peer: peer, first: n.now.Mono, since: n.now.Mono, version: n.list.version})
	case s.differs[i].version != n.list.version && n.now.Mono-s.differs[i].first < unsettledMax:
		s.differs[i].since, s.differs[i].version = n.now.Mono, n.list.version
	case n.now.Mono-s.differs[i].since >= settleTime:
		n.compareLists(peer, true)
	}
}

// compareLists begins a comparison with a peer, unless one was begun just now. With flood,
// what either side learns it tells its neighbours; without, it is news to a newcomer only,
// or on its way to everyone already.
func (n *Node) compareLists(peer netip.AddrPort, flood bool) {
	s := &n.syncer
	if s.begun && n.now.Mono-s.last < syncEvery {
		return
	}
	s.begun, s.last = true, n.now.Mono
	n.send(peer, Message{Kind: Ranges, Seq: n.nextSeq(), Flood: flood, Ranges: n.cut(0, ^ring.Position(0))})
}

// cut divides a range into RangesMax parts and summarises each.
func (n *Node) cut(from, to ring.Position) []Range {
	width := (to-from)/RangesMax + 1
	ranges := make([]Range, 0, RangesMax)
	for at := from; ; at += width {
		end := at + width - 1
		last := end >= to || end < at
		if last {
			end = to
		}
		ranges = append(ranges, n.list.summary(at, end))
		if last {
			return ranges
		}
	}
}

func (n *Node) stepRanges(from netip.AddrPort, m *Message) {
	budget := answersMax
	for _, theirs := range m.Ranges {
		if theirs.From > theirs.To || budget <= 0 {
			continue
		}
		ours := n.list.summary(theirs.From, theirs.To)
		if ours == theirs {
			continue
		}
		budget -= n.answerRange(from, m, theirs, ours, budget)
	}
}

// answerRange answers a range that differs with at most budget messages, and returns how many
// it took.
func (n *Node) answerRange(to netip.AddrPort, m *Message, theirs, ours Range, budget int) int {
	if theirs.Count == 0 || max(theirs.Count, ours.Count) <= EntriesMax || theirs.To-theirs.From < RangesMax {
		return n.sendEntries(to, m, theirs.From, theirs.To, min(pagesMax, budget))
	}
	n.send(to, Message{Kind: Ranges, Seq: m.Seq, Flood: m.Flood, Ranges: n.cut(theirs.From, theirs.To)})
	return 1
}

// sendEntries states what the list holds in a range, in pages that say how far each
// reaches, at most so many of them. It returns their number.
func (n *Node) sendEntries(to netip.AddrPort, asked *Message, first, last ring.Position, pages int) int {
	rows := n.list.rows(first, last)
	for page := 1; ; page++ {
		count := min(len(rows), EntriesMax)
		m := Message{Kind: Entries, Seq: asked.Seq, Flood: asked.Flood, From: first, To: last, Reply: true}
		for _, row := range rows[:count] {
			m.Entries = append(m.Entries, row.Entry)
		}
		rows = rows[count:]
		if len(rows) > 0 {
			m.To = rows[0].position - 1
		}
		n.send(to, m)
		if len(rows) == 0 || page == pages {
			return page
		}
		first = m.To + 1
	}
}

func (n *Node) stepEntries(from netip.AddrPort, m *Message) {
	if m.From > m.To {
		return
	}
	if m.Reply {
		newer := n.newerThan(m)
		newer = newer[:min(len(newer), pagesMax*EntriesMax)]
		for entries := range slices.Chunk(newer, EntriesMax) {
			n.send(from, Message{Kind: Entries, Seq: m.Seq, Flood: m.Flood, From: m.From, To: m.To, Entries: entries})
		}
	}
	news := n.learn(m.Entries, ViaSync)
	if m.Flood {
		n.flood(news, from)
	}
}

// newerThan returns what the list holds in the message's range that would be news to its
// sender.
func (n *Node) newerThan(m *Message) []Entry {
	var newer []Entry
	for _, row := range n.list.rows(m.From, m.To) {
		i := slices.IndexFunc(m.Entries, func(e Entry) bool { return e.Addr == row.Addr })
		if i < 0 || row.Entry.supersedes(m.Entries[i]) {
			newer = append(newer, row.Entry)
		}
	}
	return newer
}
