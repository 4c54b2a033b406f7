package main

import (
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

const (
	// takeOverFor is how long an event is remembered that another member tells of. That
	// member may hear of the event 6 s later than this one, and then needs a moment; and if
	// it dies, it takes another 6 s until this one knows.
	takeOverFor = 20 * time.Second
	// heardWithin is how long after this node another member may hear of an event: the
	// default bound for a change to be in all lists. A member that leaves has told what it had
	// heard of, and so only for events so young it has to be taken over.
	heardWithin = 6 * time.Second
	// youngFor is how long after its arrival nobody counts on a member: what happened
	// just before then may never come into its log.
	youngFor = 10 * time.Second
	// pullFor is how long after this node's own arrival others that it takes into its list
	// have been there before.
	pullFor = 2 * time.Second
	// recentMax bounds the events that are remembered, the oldest going first.
	recentMax = 4000
)

// elector settles which member tells of an event that all of them log, by rendezvous hashing.
type elector struct {
	self     string
	since    time.Time // when this node came into its own list
	alive    map[string]time.Time
	departed map[string]time.Time // who is gone, by the log, and until when that matters
	recent   []waiting
}

// waiting is an event that another member tells of.
type waiting struct {
	event  event
	seen   time.Time
	chosen string // empty: not decided, for want of a list
	until  time.Time
}

// gone takes note of a member that is no longer one, and returns what this node has to
// tell by that.
func (c *elector) gone(id string, left bool, now time.Time) (due []event) {
	if c.departed == nil {
		c.departed = map[string]time.Time{}
	}
	c.departed[id] = now.Add(takeOverFor)
	if left {
		c.recent = slices.DeleteFunc(c.recent, func(w waiting) bool {
			return w.chosen == id && now.Sub(w.seen) >= heardWithin
		})
	}
	return c.decide(func(w *waiting) bool { return w.chosen == id }, now)
}

// joined takes note of a member that joins, and returns what this node has to tell by that:
// its failure a moment ago, where this node found that out. A chosen one that hears of the
// new incarnation first takes the failure for old news, and never logs it.
func (c *elector) joined(id string, now time.Time) (due []event) {
	c.recent = slices.DeleteFunc(c.recent, func(w waiting) bool {
		back := w.event.Event == string(eventlog.Fail) && w.event.Via == eventlog.ViaMonitor && w.event.Peer != id &&
			eventlog.AddrOf(w.event.Peer) == eventlog.AddrOf(id) && now.Sub(w.seen) < heardWithin
		if back {
			due = append(due, w.event)
		}
		return back
	})
	return due
}

// take decides about an event of the whole group: it returns it where this node has to tell
// of it, and else remembers it.
func (c *elector) take(e event, now time.Time) (due []event) {
	if len(c.recent) >= recentMax {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, waiting{event: e, seen: now, until: now.Add(takeOverFor)})
	last := len(c.recent) - 1
	return c.decide(func(w *waiting) bool { return w == &c.recent[last] }, now)
}

// members takes in who is in the group, and returns what this node has to tell by that: what
// was not decided yet. Who is no longer there is in the log as well, with the reason.
func (c *elector) members(request *notifypb.MembersRequest, now time.Time) (due []event) {
	c.self = request.Self
	c.alive = make(map[string]time.Time, len(request.Alive))
	for _, m := range request.Alive {
		c.alive[m.Id] = time.Unix(0, m.SinceUnixNanos)
	}
	if since, ok := c.alive[c.self]; ok {
		c.since = since
	}
	return c.decide(func(w *waiting) bool { return w.chosen == "" }, now)
}

// decide chooses for those events that it is asked to, and returns and forgets those that
// this node has to tell of.
func (c *elector) decide(again func(*waiting) bool, now time.Time) (due []event) {
	if c.alive == nil {
		return nil // nobody has said yet who there is
	}
	kept := c.recent[:0]
	for i := range c.recent {
		w := &c.recent[i]
		if again(w) {
			w.chosen = c.choose(&w.event, now)
			w.until = now.Add(takeOverFor)
		}
		if w.chosen == c.self && c.self != "" {
			due = append(due, w.event)
			continue
		}
		kept = append(kept, *w)
	}
	clear(c.recent[len(kept):])
	c.recent = kept
	return due
}

// choose returns the member with the highest score for the event.
func (c *elector) choose(e *event, now time.Time) (chosen string) {
	var highest uint64
	for id, since := range c.alive {
		_, gone := c.departed[id]
		if gone || id == e.Peer || id != c.self && c.young(since, now) {
			continue
		}
		if score := scoreOf(id, e.key); chosen == "" || score > highest || score == highest && id > chosen {
			chosen, highest = id, score
		}
	}
	return chosen
}

func (c *elector) young(since, now time.Time) bool {
	return since.After(c.since.Add(pullFor)) && now.Sub(since) < youngFor
}

// scoreOf goes by the address, which outlives a rejoin.
func scoreOf(id, key string) uint64 {
	return xxhash.Sum64String(eventlog.AddrOf(id) + " " + key)
}

// forget drops what no longer matters. Before there is a list, nothing can be decided.
func (c *elector) forget(now time.Time) {
	c.recent = slices.DeleteFunc(c.recent, func(w waiting) bool { return c.alive != nil && now.After(w.until) })
	for id, until := range c.departed {
		if now.After(until) {
			delete(c.departed, id)
		}
	}
}
