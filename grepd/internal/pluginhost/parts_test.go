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

// A plugin says with each update which members are gray. One that is older says nothing, and none is.
func TestRosterKnowsTheGrayMembersOfTheLatestUpdate(t *testing.T) {
	r := newRoster()
	for _, gray := range [][]string{{"a"}, {"a", "b"}, {"b"}, nil} {
		r.apply(&pluginpb.MembersUpdate{Gray: gray})
		if got := r.List().Gray; !slices.Equal(got, gray) {
			t.Errorf("gray are %q, want %q", got, gray)
		}
	}
}

func TestRosterKnowsWhetherThisNodeIsInTheGroup(t *testing.T) {
	row := func(addr string, incarnation uint64, state pluginpb.State) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation, State: state}
	}
	r := newRoster()
	for _, step := range []struct {
		what         string
		do           func()
		joined, left bool
	}{
		{"at first", func() {}, false, false},
		{"with others' rows", func() {
			r.apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("c", 1, pluginpb.State_ALIVE), row("a", 1, pluginpb.State_ALIVE)}})
		}, false, false},
		{"with an earlier life's row", func() {
			r.apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 1, pluginpb.State_LEFT)}})
		}, false, false},
		{"admitted", func() {
			r.apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 2, pluginpb.State_ALIVE)}})
		}, true, false},
		{"without a plugin", r.markStale, true, false},
		{"leaving", func() {
			r.apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 2, pluginpb.State_LEFT)}})
		}, false, true},
		{"left", r.markLeft, false, true},
		{"joining again", func() { r.apply(&pluginpb.MembersUpdate{Reset_: true, Self: "b@3"}) }, false, false},
	} {
		step.do()
		if list := r.List(); list.Joined != step.joined || list.Left != step.left {
			t.Errorf("%s: joined %t, left %t", step.what, list.Joined, list.Left)
		}
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
