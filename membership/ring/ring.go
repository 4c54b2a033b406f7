// Package ring is the extended ring: where an address stands on it, who comes before
// and after whom, and how a stretch of it is divided.
//
// Every member holds the same list, so every member computes the same ring, and nobody
// has to agree on anything. A position is a 64-bit hash of the address, so that machines
// which are neighbours in a rack, and may fail together, are not neighbours here.
//
// A Ring also holds points that are not live (failed and departed members), because the
// list needs them; successors, predecessors and arcs pass over them.
//
// # Concurrency
//
// A Ring belongs to one goroutine. The package starts none, and keeps no state of its own.
package ring

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Position is a place on the ring. The ring closes: after the largest comes zero.
type Position uint64

// PositionOf returns where an address stands: xxHash64 of the IP address in network
// order (4 or 16 bytes) followed by the port in network order.
func PositionOf(addr netip.AddrPort) Position {
	var buf [18]byte
	return Position(xxhash.Sum64(AppendAddr(buf[:0], addr)))
}

// AppendAddr appends the address in the form that is hashed and sent: the IP address,
// 4 or 16 bytes, then the port, 2 bytes, all in network order.
func AppendAddr(buf []byte, addr netip.AddrPort) []byte {
	if ip := addr.Addr(); ip.Is4() {
		b := ip.As4()
		buf = append(buf, b[:]...)
	} else {
		b := ip.As16()
		buf = append(buf, b[:]...)
	}
	return binary.BigEndian.AppendUint16(buf, addr.Port())
}

// Point is what stands on a ring.
type Point interface {
	comparable
	Position() Position
	Live() bool // only live points have successors and predecessors
}

// Ring holds points in the order of their positions. The zero value is an empty ring.
type Ring[P Point] struct {
	points []P
	live   int
}

// Of returns a ring of points, which must be in strictly ascending order of position.
// The slice is the ring's from then on.
func Of[P Point](points []P) Ring[P] {
	r := Ring[P]{points: points}
	for _, p := range points {
		if p.Live() {
			r.live++
		}
	}
	return r
}

// Len is the number of points, live or not.
func (r *Ring[P]) Len() int { return len(r.points) }

// Live is the number of live points.
func (r *Ring[P]) Live() int { return r.live }

// At returns the point with index i in the order of positions.
func (r *Ring[P]) At(i int) P { return r.points[i] }

// Points returns all points in order. The slice is the ring's own, to be read only.
func (r *Ring[P]) Points() []P { return r.points }

// Search returns the index of the first point at or after pos, and whether it is at pos.
func (r *Ring[P]) Search(pos Position) (index int, found bool) {
	lo, hi := 0, len(r.points)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r.points[mid].Position() < pos {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(r.points) && r.points[lo].Position() == pos
}

// Put adds p, or replaces the point at its position.
func (r *Ring[P]) Put(p P) {
	i, found := r.Search(p.Position())
	if found {
		r.count(r.points[i], -1)
		r.points[i] = p
	} else {
		r.points = slices.Insert(r.points, i, p)
	}
	r.count(p, +1)
}

// Delete removes the point at pos, if there is one.
func (r *Ring[P]) Delete(pos Position) {
	if i, found := r.Search(pos); found {
		r.count(r.points[i], -1)
		r.points = slices.Delete(r.points, i, i+1)
	}
}

func (r *Ring[P]) count(p P, by int) {
	if p.Live() {
		r.live += by
	}
}

// Successors appends the k live points that follow pos to dst, the nearest first; fewer
// if there are not so many. A point at pos itself is not its own successor.
func (r *Ring[P]) Successors(dst []P, pos Position, k int) []P {
	i, found := r.Search(pos)
	if found {
		i++
	}
	for range len(r.points) {
		if k == 0 {
			break
		}
		if i == len(r.points) {
			i = 0
		}
		if p := r.points[i]; p.Live() && p.Position() != pos {
			dst = append(dst, p)
			k--
		}
		i++
	}
	return dst
}

// Predecessors appends the k live points that precede pos to dst, the nearest first.
func (r *Ring[P]) Predecessors(dst []P, pos Position, k int) []P {
	i, _ := r.Search(pos)
	for range len(r.points) {
		if k == 0 {
			break
		}
		if i == 0 {
			i = len(r.points)
		}
		i--
		if p := r.points[i]; p.Live() && p.Position() != pos {
			dst = append(dst, p)
			k--
		}
	}
	return dst
}

// Arc is a stretch of the ring with both ends included. From may be larger than To: the
// arc then goes over the zero point. An arc from x to x-1 is the whole ring.
type Arc struct {
	From, To Position
}

// Around is the arc of the whole ring but for the point at pos, beginning behind it.
func Around(pos Position) Arc { return Arc{From: pos + 1, To: pos - 1} }

// Contains reports whether pos lies in the arc.
func (a Arc) Contains(pos Position) bool { return pos-a.From <= a.To-a.From }

// In yields the live points in the arc, in the arc's order.
func (r *Ring[P]) In(a Arc) iter.Seq[P] {
	return func(yield func(P) bool) {
		i, _ := r.Search(a.From)
		for range len(r.points) {
			if i == len(r.points) {
				i = 0
			}
			p := r.points[i]
			if !a.Contains(p.Position()) {
				return
			}
			if p.Live() && !yield(p) {
				return
			}
			i++
		}
	}
}

// Split divides the live points of the arc, without those that skip names, into at most n
// contiguous parts whose sizes differ by one at the most. Each part's arc reaches from its
// first to its last point.
func (r *Ring[P]) Split(a Arc, n int, skip func(P) bool) []Part[P] {
	var points []P
	for p := range r.In(a) {
		if !skip(p) {
			points = append(points, p)
		}
	}
	n = min(n, len(points))
	parts := make([]Part[P], 0, n)
	for i := range n {
		part := points[i*len(points)/n : (i+1)*len(points)/n]
		parts = append(parts, Part[P]{
			Head: part[0],
			Arc:  Arc{From: part[0].Position(), To: part[len(part)-1].Position()},
			Size: len(part),
		})
	}
	return parts
}

// Part is one of the parts of an arc.
type Part[P Point] struct {
	Head P // its first point
	Arc  Arc
	Size int // how many points it has
}
