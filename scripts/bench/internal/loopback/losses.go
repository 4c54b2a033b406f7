package loopback

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Losses are the members that one list has lost, because they were taken for dead.
type Losses struct {
	mu   sync.Mutex
	list []Loss
}

// Loss is one of them.
type Loss struct {
	Addr netip.AddrPort
	At   time.Time
}

// Add takes a loss down.
func (l *Losses) Add(addr netip.AddrPort, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, Loss{addr, at})
}

// Since returns what was lost at that time and later.
func (l *Losses) Since(t time.Time) []Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.list), func(x Loss) bool { return x.At.Before(t) })
}

// Outcome is how a crash of one or more members reached the lists of the others.
type Outcome struct {
	First   time.Duration // until each victim was missing in at least one list
	All     time.Duration // until each victim was missing in every list
	Pending int           // lists that still hold a victim
	False   int           // losses of members that had not crashed
}

// OutcomeOf says how far the crash of the victims has spread among the survivors' lists.
func OutcomeOf(survivors []*Losses, victims []netip.AddrPort, crashed time.Time) Outcome {
	var o Outcome
	first := make([]time.Duration, len(victims))
	for _, survivor := range survivors {
		lost := survivor.Since(crashed)
		for i, victim := range victims {
			at := slices.IndexFunc(lost, func(x Loss) bool { return x.Addr == victim })
			if at < 0 {
				o.Pending++
				continue
			}
			after := lost[at].At.Sub(crashed)
			if first[i] == 0 || after < first[i] {
				first[i] = after
			}
			o.All = max(o.All, after)
		}
		for _, x := range lost {
			if !slices.Contains(victims, x.Addr) {
				o.False++
			}
		}
	}
	o.First = slices.Max(first)
	return o
}
