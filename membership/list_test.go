package membership

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

var seed = flag.Uint64("seed", rand.Uint64(), "seed of the random tests")

func random(t *testing.T) *rand.Rand {
	t.Logf("-seed=%d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

func testAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7117)
}

// randomEntries are about few addresses and incarnations, so that they meet.
func randomEntries(r *rand.Rand, n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{
			ID:    ID{Addr: testAddr(r.IntN(8)), Incarnation: uint64(1 + r.IntN(3))},
			State: State(r.IntN(3)),
		}
	}
	return entries
}

func merged(entries ...Entry) *list {
	l := new(list)
	for _, e := range entries {
		l.merge(e, time.Time{})
	}
	return l
}

// content is what two equal lists have in common.
func content(l *list) []Entry {
	entries := []Entry{}
	for _, m := range l.ring.Points() {
		entries = append(entries, m.Entry)
	}
	return entries
}

func TestMergeIsCommutativeAssociativeAndIdempotent(t *testing.T) {
	r := random(t)
	for range 500 {
		a, b, c := randomEntries(r, r.IntN(12)), randomEntries(r, r.IntN(12)), randomEntries(r, r.IntN(12))
		want := content(merged(slices.Concat(a, b, c)...))
		for name, entries := range map[string][]Entry{
			"commutative": slices.Concat(c, b, a),
			"associative": slices.Concat(a, content(merged(slices.Concat(b, c)...))),
			"idempotent":  slices.Concat(a, b, c, c, a, b, a),
		} {
			if got := content(merged(entries...)); !slices.Equal(got, want) {
				t.Fatalf("not %s: %v, want %v", name, got, want)
			}
		}
	}
}

func TestMergeIsMonotone(t *testing.T) {
	r := random(t)
	for range 200 {
		l := new(list)
		for _, e := range randomEntries(r, 40) {
			before := l.get(e.Addr)
			l.merge(e, time.Time{})
			after := l.get(e.Addr)
			switch {
			case before == nil:
			case after.Incarnation < before.Incarnation:
				t.Fatalf("%v made %v into %v: the incarnation fell", e, before.Entry, after.Entry)
			case after.Incarnation == before.Incarnation && after.State < before.State:
				t.Fatalf("%v made %v into %v: back from a terminal state", e, before.Entry, after.Entry)
			}
		}
	}
}

func TestDigestFollowsTheLiveMembersAlone(t *testing.T) {
	r := random(t)
	for range 200 {
		l := merged(randomEntries(r, r.IntN(40))...)
		var alive []Entry
		for _, e := range content(l) {
			if e.State == Alive {
				alive = append(alive, e)
			}
		}
		again := merged(alive...)
		if l.digest != again.digest || l.ring.Live() != len(alive) {
			t.Fatalf("digest %x with %d live, want %x with %d", l.digest, l.ring.Live(), again.digest, len(alive))
		}
		whole := l.summary(0, ^ring.Position(0))
		if whole.Digest != l.digest || whole.Count != len(alive) {
			t.Fatalf("the summary of the whole ring is %+v, want %x of %d", whole, l.digest, len(alive))
		}
		for _, m := range slices.Clone(l.ring.Points()) {
			l.forget(m)
		}
		if l.digest != 0 || l.ring.Len() != 0 {
			t.Fatalf("an emptied list has digest %x and %d rows", l.digest, l.ring.Len())
		}
	}
}
