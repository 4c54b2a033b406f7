package ring

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

var seed = flag.Uint64("seed", rand.Uint64(), "seed of the random tests")

func random(t *testing.T) *rand.Rand {
	t.Logf("-seed=%d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

type point struct {
	pos  Position
	live bool
}

func (p point) Position() Position { return p.pos }
func (p point) Live() bool         { return p.live }

// dumb is the ring as a list of points in order, searched from end to end.
type dumb []point

func (d dumb) after(pos Position, k int, step int) (out []point) {
	type away struct {
		distance Position
		point
	}
	var all []away
	for _, p := range d {
		if p.live && p.pos != pos {
			distance := p.pos - pos
			if step < 0 {
				distance = pos - p.pos
			}
			all = append(all, away{distance, p})
		}
	}
	slices.SortFunc(all, func(a, b away) int {
		if a.distance < b.distance {
			return -1
		}
		return 1
	})
	for _, a := range all[:min(k, len(all))] {
		out = append(out, a.point)
	}
	return out
}

func TestRingEqualsItsDumbVersion(t *testing.T) {
	r := random(t)
	for range 300 {
		var ring Ring[point]
		points := map[Position]point{}
		// Few positions, so that points meet; some at the ends of the number range.
		place := func() Position { return Position(r.IntN(40)) - 20 }
		for range r.IntN(60) {
			p := point{place(), r.IntN(4) > 0}
			if r.IntN(5) == 0 {
				ring.Delete(p.pos)
				delete(points, p.pos)
				continue
			}
			ring.Put(p)
			points[p.pos] = p
		}
		var d dumb
		live := 0
		for _, p := range points {
			d = append(d, p)
			if p.live {
				live++
			}
		}
		if ring.Len() != len(points) || ring.Live() != live {
			t.Fatalf("%d points, %d live; want %d, %d", ring.Len(), ring.Live(), len(points), live)
		}
		pos, k := place(), r.IntN(6)
		if got, want := ring.Successors(nil, pos, k), d.after(pos, k, +1); !slices.Equal(got, want) {
			t.Fatalf("successors of %d: %v, want %v", pos, got, want)
		}
		if got, want := ring.Predecessors(nil, pos, k), d.after(pos, k, -1); !slices.Equal(got, want) {
			t.Fatalf("predecessors of %d: %v, want %v", pos, got, want)
		}
		arc := Arc{place(), place()}
		if got, want := slices.Collect(ring.In(arc)), d.in(arc); !slices.Equal(got, want) {
			t.Fatalf("in %v: %v, want %v", arc, got, want)
		}
	}
}

func (d dumb) in(a Arc) (out []point) {
	all := d.after(a.From-1, len(d)+1, +1)
	if i := slices.IndexFunc(d, func(p point) bool { return p.pos == a.From-1 && p.live }); i >= 0 {
		all = append(all, d[i]) // a full turn later
	}
	for _, p := range all {
		if p.pos-a.From <= a.To-a.From {
			out = append(out, p)
		}
	}
	return out
}

func TestSplitGivesEveryPointToOnePartInBalance(t *testing.T) {
	r := random(t)
	for range 300 {
		var ring Ring[point]
		for range r.IntN(200) {
			ring.Put(point{Position(r.Uint64()), r.IntN(5) > 0})
		}
		arc := Arc{Position(r.Uint64()), Position(r.Uint64())}
		var want, got []point
		skip := func(p point) bool { return p.pos%7 == 0 }
		for p := range ring.In(arc) {
			if !skip(p) {
				want = append(want, p)
			}
		}
		n := 1 + r.IntN(20)
		parts := ring.Split(arc, n, skip)
		for _, part := range parts {
			before := len(got)
			for p := range ring.In(part.Arc) {
				if !skip(p) {
					got = append(got, p)
				}
			}
			if part.Head.pos != part.Arc.From || len(got)-before != part.Size {
				t.Fatalf("part %+v holds %d points", part, len(got)-before)
			}
			if part.Size < len(want)/n || part.Size > len(want)/n+1 {
				t.Fatalf("a part of %d, of %d points in %d parts", part.Size, len(want), n)
			}
		}
		if !slices.Equal(got, want) || len(parts) > n {
			t.Fatalf("%d parts hold %d points, want at most %d with %d", len(parts), len(got), n, len(want))
		}
	}
}

func TestPositionsSpreadNeighbours(t *testing.T) {
	// 256 machines of one rack: no two of them next to each other on the ring of the rack
	// and another 10,000 more often than chance would have it.
	var ring Ring[addrPoint]
	for i := range 10_000 {
		ring.Put(addrPoint(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7117)))
	}
	adjacent := 0
	for i := range ring.Len() {
		a := netip.AddrPort(ring.At(i)).Addr().As4()
		b := netip.AddrPort(ring.At((i + 1) % ring.Len())).Addr().As4()
		if a[2] == b[2] {
			adjacent++
		}
	}
	// Chance: 10,000 pairs, each in one rack with a probability of 255/9,999.
	if adjacent < 150 || adjacent > 370 {
		t.Errorf("%d adjacent pairs share a rack, chance would give 255", adjacent)
	}
}

type addrPoint netip.AddrPort

func (p addrPoint) Position() Position { return PositionOf(netip.AddrPort(p)) }
func (p addrPoint) Live() bool         { return true }
