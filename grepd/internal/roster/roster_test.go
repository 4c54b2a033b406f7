package roster

import (
	"slices"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// A plugin says with each update which members are gray. One that is older says nothing, and
// none is.
func TestRosterKnowsTheGrayMembersOfTheLatestUpdate(t *testing.T) {
	r := New()
	for _, gray := range [][]string{{"a"}, {"a", "b"}, {"b"}, nil} {
		r.Apply(&pluginpb.MembersUpdate{Gray: gray})
		if got := r.List().Gray; !slices.Equal(got, gray) {
			t.Errorf("gray are %q, want %q", got, gray)
		}
	}
}

func TestRosterKnowsWhetherThisNodeIsInTheGroup(t *testing.T) {
	row := func(addr string, incarnation uint64, state pluginpb.State) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation, State: state}
	}
	r := New()
	for _, step := range []struct {
		what         string
		do           func()
		joined, left bool
	}{
		{"at first", func() {}, false, false},
		{"with others' rows", func() {
			r.Apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("c", 1, pluginpb.State_ALIVE), row("a", 1, pluginpb.State_ALIVE)}})
		}, false, false},
		{"with an earlier life's row", func() {
			r.Apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 1, pluginpb.State_LEFT)}})
		}, false, false},
		{"admitted", func() {
			r.Apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 2, pluginpb.State_ALIVE)}})
		}, true, false},
		{"without a plugin", r.MarkStale, true, false},
		{"leaving", func() {
			r.Apply(&pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{row("b", 2, pluginpb.State_LEFT)}})
		}, false, true},
		{"left", r.MarkLeft, false, true},
		{"joining again", func() { r.Apply(&pluginpb.MembersUpdate{Reset_: true, Self: "b@3"}) }, false, false},
	} {
		step.do()
		if list := r.List(); list.Joined != step.joined || list.Left != step.left {
			t.Errorf("%s: joined %t, left %t", step.what, list.Joined, list.Left)
		}
	}
}

func TestRosterTakesInChangesAndForgets(t *testing.T) {
	r := New()
	if r.List().StaleSince.IsZero() {
		t.Error("a list that nobody has fed is not stale")
	}
	member := func(addr string, incarnation uint64) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation}
	}
	changed := r.Changed()
	r.Apply(&pluginpb.MembersUpdate{Reset_: true, Version: 1, Members: []pluginpb.Member{member("c", 1), member("a", 1), member("b", 1)}})
	select {
	case <-changed:
	default:
		t.Error("a change is not told")
	}
	before := r.List()
	r.Apply(&pluginpb.MembersUpdate{Version: 2, Digest: 7, Self: "a@1", Members: []pluginpb.Member{member("b", 2), member("d", 1)}, Forgotten: []string{"c"}})
	list := r.List()
	want := []pluginpb.Member{member("a", 1), member("b", 2), member("d", 1)}
	if !slices.Equal(list.Members, want) || list.Version != 2 || list.Digest != 7 || list.Self != "a@1" || !list.StaleSince.IsZero() {
		t.Errorf("list %+v, want members %v", list, want)
	}
	if len(before.Members) != 3 || before.Members[1].Incarnation != 1 {
		t.Errorf("a list that was read has changed: %+v", before)
	}
	r.MarkStale()
	if r.List().StaleSince.IsZero() || len(r.List().Members) != 3 {
		t.Errorf("the stale list is %+v", r.List())
	}
	r.Apply(&pluginpb.MembersUpdate{Reset_: true, Members: []pluginpb.Member{member("z", 1)}})
	if list := r.List(); !slices.Equal(list.Members, []pluginpb.Member{member("z", 1)}) || !list.StaleSince.IsZero() {
		t.Errorf("after a reset the list is %+v", list)
	}
}
