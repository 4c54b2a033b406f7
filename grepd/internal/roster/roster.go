// Package roster keeps the host's copy of the member list, which outlives the plugins that
// feed it. Queries and the notify plugin read it without asking anybody.
//
//	r := roster.New()
//	r.Apply(update)     // what the membership plugin tells
//	...
//	changed := r.Changed()
//	list := r.List()
//	<-changed
//
// # Concurrency
//
// Any goroutine may read a Roster. Its host's goroutines write to it, one after the other.
package roster

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// List is the member list at one time. It and its rows are never written to.
type List struct {
	Version uint64 // counts its changes
	Digest  uint64 // equal on members that hold the same members to be alive
	Self    string // this node's id; empty before the first join
	Members []pluginpb.Member
	Gray    []string // the addresses of those that are gray, as far as this node knows
	// StaleSince is when the list last had a membership service behind it; zero while it
	// has one.
	StaleSince time.Time
	// Joined reports whether this node is in the group that the list is of. Before, the list is
	// what the node has heard so far, and may lack members.
	Joined bool
	// Left reports whether this node has left the group that the list is of.
	Left bool
}

// findSelf says what the list, which is sorted, holds of this node.
func (l *List) findSelf() {
	addr, _, _ := strings.Cut(l.Self, "@")
	i, found := slices.BinarySearchFunc(l.Members, addr, func(m pluginpb.Member, addr string) int {
		return cmp.Compare(m.Addr, addr)
	})
	if found && eventlog.FormatID(l.Members[i].Addr, l.Members[i].Incarnation) == l.Self {
		l.Joined = l.Members[i].State == pluginpb.State_ALIVE
		l.Left = l.Members[i].State == pluginpb.State_LEFT
	}
}

// Roster is the member list that is replaced as a whole with each change. What it returns is
// shared and immutable.
type Roster struct {
	mu      sync.Mutex
	list    *List
	changed chan struct{} // closed when list is replaced
}

// New returns an empty list that has never had a service behind it.
func New() *Roster {
	return &Roster{list: &List{StaleSince: time.Now()}, changed: make(chan struct{})}
}

// List returns the list as it is now.
func (r *Roster) List() *List {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// Changed returns a channel that is closed at the next change. Take it first and List
// then, and no change is missed.
func (r *Roster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Apply takes in what a plugin tells. Only the plugin at work tells anything, so updates
// come one after the other, and a list that was stale is so no more.
func (r *Roster) Apply(update *pluginpb.MembersUpdate) {
	list := &List{Version: update.Version, Digest: update.Digest, Self: update.Self, Gray: update.Gray}
	if update.Reset_ {
		list.Members = update.Members
	} else {
		list.Members = merge(r.List().Members, update)
	}
	slices.SortFunc(list.Members, func(a, b pluginpb.Member) int { return cmp.Compare(a.Addr, b.Addr) })
	list.findSelf()
	r.replace(list)
}

// merge returns the rows with the update's changes, in any order.
func merge(rows []pluginpb.Member, update *pluginpb.MembersUpdate) []pluginpb.Member {
	gone := make(map[string]bool, len(update.Members)+len(update.Forgotten))
	for _, m := range update.Members {
		gone[m.Addr] = true
	}
	for _, addr := range update.Forgotten {
		gone[addr] = true
	}
	merged := slices.Clone(update.Members)
	for _, m := range rows {
		if !gone[m.Addr] {
			merged = append(merged, m)
		}
	}
	return merged
}

// MarkStale says that no service stands behind the list from now on.
func (r *Roster) MarkStale() {
	list := *r.List()
	list.StaleSince = time.Now()
	r.replace(&list)
}

// MarkLeft says that this node is in no group any more, and is not to be in one.
func (r *Roster) MarkLeft() {
	list := *r.List()
	list.Joined, list.Left = false, true
	r.replace(&list)
}

func (r *Roster) replace(list *List) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
	close(r.changed)
	r.changed = make(chan struct{})
}
