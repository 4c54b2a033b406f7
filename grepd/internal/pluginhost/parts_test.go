package pluginhost

import (
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

func TestBackoffGrowsFromNothingToItsLimit(t *testing.T) {
	b := backoff{first: 100 * time.Millisecond, max: time.Second}
	for i, want := range []time.Duration{0, 100, 200, 400, 800, 1000, 1000, 1000} {
		want *= time.Millisecond
		if got := b.next(); got < want/2 || got > want {
			t.Errorf("wait %d is %v, want %v to %v", i, got, want/2, want)
		}
	}
	for range 100 { // no overflow, however long it goes on
		if got := b.next(); got < b.max/2 || got > b.max {
			t.Fatalf("wait %v, want %v to %v", got, b.max/2, b.max)
		}
	}
	b.reset()
	if got := b.next(); got != 0 {
		t.Errorf("the first wait after a reset is %v", got)
	}
}

func TestRosterTakesInChangesAndForgets(t *testing.T) {
	r := newRoster()
	if r.List().StaleSince.IsZero() {
		t.Error("a list that nobody has fed is not stale")
	}
	member := func(addr string, incarnation uint64) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation}
	}
	changed := r.Changed()
	r.apply(&pluginpb.MembersUpdate{Reset_: true, Version: 1, Members: []pluginpb.Member{member("c", 1), member("a", 1), member("b", 1)}})
	select {
	case <-changed:
	default:
		t.Error("a change is not told")
	}
	before := r.List()
	r.apply(&pluginpb.MembersUpdate{Version: 2, Digest: 7, Self: "a@1", Members: []pluginpb.Member{member("b", 2), member("d", 1)}, Forgotten: []string{"c"}})
	list := r.List()
	want := []pluginpb.Member{member("a", 1), member("b", 2), member("d", 1)}
	if !slices.Equal(list.Members, want) || list.Version != 2 || list.Digest != 7 || list.Self != "a@1" || !list.StaleSince.IsZero() {
		t.Errorf("list %+v, want members %v", list, want)
	}
	if len(before.Members) != 3 || before.Members[1].Incarnation != 1 {
		t.Errorf("a list that was read has changed: %+v", before)
	}
	r.markStale()
	if r.List().StaleSince.IsZero() || len(r.List().Members) != 3 {
		t.Errorf("the stale list is %+v", r.List())
	}
	r.apply(&pluginpb.MembersUpdate{Reset_: true, Members: []pluginpb.Member{member("z", 1)}})
	if list := r.List(); !slices.Equal(list.Members, []pluginpb.Member{member("z", 1)}) || !list.StaleSince.IsZero() {
		t.Errorf("after a reset the list is %+v", list)
	}
}
