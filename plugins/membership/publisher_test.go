package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7117)
}

func row(i int, incarnation uint64, state membership.State) *membership.Member {
	id := membership.ID{Addr: addr(i), Incarnation: incarnation}
	return membership.NewMember(membership.Entry{ID: id, State: state}, time.Unix(0, int64(incarnation)))
}

// copyOf is what a host makes of the updates.
type copyOf map[string]pluginpb.Member

func (c copyOf) apply(u *pluginpb.MembersUpdate) {
	if u.Reset_ {
		clear(c)
	}
	for _, m := range u.Members {
		c[m.Addr] = m
	}
	for _, addr := range u.Forgotten {
		delete(c, addr)
	}
}

func wholeOf(view udp.View) copyOf {
	c := copyOf{}
	for _, row := range view.Rows {
		m := toProto(row)
		c[m.Addr] = m
	}
	return c
}

// TestDifferencesAddUpToTheWholeList changes a list at random and compares what a host
// puts together from the differences with the list.
func TestDifferencesAddUpToTheWholeList(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	rows := map[int]*membership.Member{}
	view := udp.View{}
	told, host := new(differ), copyOf{}
	host.apply(told.whole(view))
	for step := range 2000 {
		for range random.IntN(4) {
			i := random.IntN(40)
			if random.IntN(3) == 0 {
				delete(rows, i)
			} else {
				rows[i] = row(i, uint64(step+1), membership.State(random.IntN(3)))
			}
		}
		view.Version++
		view.Rows = slices.Collect(maps.Values(rows))
		update := told.difference(view)
		if update == nil {
			t.Fatalf("step %d: a new version is told as no change", step)
		}
		host.apply(update)
		if want := wholeOf(view); !maps.Equal(host, want) {
			t.Fatalf("step %d: the host has %v, want %v", step, host, want)
		}
	}
	if update := told.difference(view); update != nil {
		t.Errorf("the same view again is told as %v", update)
	}
}

func TestWatchTellsOfEveryChangeToTheLast(t *testing.T) {
	p := newPublisher()
	p.publish(udp.View{Version: 1, Rows: []*membership.Member{row(1, 1, membership.Alive)}})
	const versions = 500
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			host, last, resets := copyOf{}, uint64(0), 0
			err := p.watch(context.Background(), func(u *pluginpb.MembersUpdate) error {
				if u.Version <= last {
					t.Errorf("version %d after %d", u.Version, last)
				}
				if u.Reset_ {
					resets++
				}
				last = u.Version
				host.apply(u)
				return nil
			})
			// The publisher may be closed before the last view was told, never before the first.
			if err != nil || resets > 1 || last > 0 && len(host) == 0 {
				t.Errorf("watch ended with %v after %d resets, %d rows", err, resets, len(host))
			}
		})
	}
	for v := range versions {
		p.publish(udp.View{Version: uint64(v + 2), Rows: []*membership.Member{row(1, uint64(v), membership.Alive)}})
	}
	p.close()
	wg.Wait()
	if err := p.watch(context.Background(), func(*pluginpb.MembersUpdate) error { return errors.New("told") }); err != nil {
		t.Errorf("watch of a closed publisher: %v, want it to end at once", err)
	}
}

func TestWatchEndsWithItsContextAndWithItsReader(t *testing.T) {
	p := newPublisher()
	enough := errors.New("enough")
	if err := p.watch(context.Background(), func(*pluginpb.MembersUpdate) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("watch: %v, want the reader's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := p.watch(ctx, func(u *pluginpb.MembersUpdate) error {
		if !u.Reset_ {
			t.Errorf("first update %v is not the whole list", u)
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("watch: %v, want that it was cancelled", err)
	}
}

func viewOf(rows ...*membership.Member) udp.View {
	self := rows[0].ID
	slices.SortFunc(rows, func(a, b *membership.Member) int { return cmp.Compare(a.Position(), b.Position()) })
	return udp.View{Self: self, Rows: rows}
}

// Who is gray is news, though no row of the list has changed.
func TestWhoIsGrayIsTold(t *testing.T) {
	told := new(differ)
	view := udp.View{Version: 1, Rows: []*membership.Member{row(1, 1, membership.Alive)}}
	if update := told.whole(view); len(update.Gray) != 0 {
		t.Errorf("nobody is gray, and told is %q", update.Gray)
	}
	view.Gray = []netip.AddrPort{addr(1)}
	if update := told.difference(view); update == nil || !slices.Equal(update.Gray, []string{addr(1).String()}) {
		t.Errorf("a member is gray, and told is %v", update)
	}
	if update := told.difference(view); update != nil {
		t.Errorf("nothing has changed, and told is %v", update)
	}
	view.Gray = nil
	if update := told.difference(view); update == nil || len(update.Gray) != 0 {
		t.Errorf("nobody is gray any more, and told is %v", update)
	}
}
