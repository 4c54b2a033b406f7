package membership

import (
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// list is a member list: one row an address, in ring order.
//
// Merging takes, for each address, the entry that supersedes the others. That is
// commutative, associative and idempotent, so lists that have merged the same entries
// are equal, whatever the order and however often.
type list struct {
	ring    ring.Ring[*Member]
	digest  uint64 // sum of the live rows' hashes
	version uint64 // counts changes
}

func newList(rows []*Member) list {
	l := list{ring: ring.Of(rows)}
	for _, m := range rows {
		l.digest += m.hash
	}
	return l
}

// get returns the row of an address, or nil.
func (l *list) get(addr netip.AddrPort) *Member {
	return l.at(ring.PositionOf(addr), addr)
}

func (l *list) at(pos ring.Position, addr netip.AddrPort) *Member {
	i, found := l.ring.Search(pos)
	if !found || l.ring.At(i).Addr != addr {
		return nil
	}
	return l.ring.At(i)
}

// holds reports whether the list says exactly this.
func (l *list) holds(e Entry) bool {
	m := l.get(e.Addr)
	return m != nil && m.Entry == e
}

// merge takes e in if it supersedes what the list holds. It returns the row that was
// replaced, if any, and the new one, or nil where nothing changed.
//
// Of two addresses with the same position, which 10,000 members have with a probability
// of 3 in a million million, the list keeps the first.
func (l *list) merge(e Entry, since time.Time) (old, new *Member) {
	new = NewMember(e, since)
	if i, found := l.ring.Search(new.position); found {
		old = l.ring.At(i)
		if old.Addr != e.Addr || !e.supersedes(old.Entry) {
			return old, nil
		}
		l.digest -= old.hash
	}
	l.ring.Put(new)
	l.digest += new.hash
	l.version++
	return old, new
}

// forget drops a terminal row.
func (l *list) forget(m *Member) {
	l.ring.Delete(m.position)
	l.digest -= m.hash
	l.version++
}

// summary says what the list holds from one position to another.
func (l *list) summary(from, to ring.Position) Range {
	r := Range{From: from, To: to}
	for m := range l.ring.In(ring.Arc{From: from, To: to}) {
		r.Digest += m.hash
		r.Count++
	}
	return r
}

// rows returns all rows from one position to another, terminal ones included. The slice
// is the list's own.
func (l *list) rows(from, to ring.Position) []*Member {
	i, _ := l.ring.Search(from)
	j, found := l.ring.Search(to)
	if found {
		j++
	}
	return l.ring.Points()[i:j]
}
