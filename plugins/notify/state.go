package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// errState is wrapped by the error for every state that cannot be gone on from.
var errState = errors.New("unusable state")

// stateVersion is the meaning of the fields as they are written today.
const stateVersion = 1

// logNames are the logs that are followed.
var logNames = []string{eventlog.MembershipLog, eventlog.GrepdLog}

// counts are for people; each is of events but the last three.
type counts struct {
	matched uint64 // of the kinds that were asked for
	sent    uint64 // and taken by a destination
	failed  uint64 // given up after too many attempts, or one that was no use repeating
	dropped uint64 // for want of room, or of time at the end
	retries uint64 // of notifications

	malformed  uint64 // lines
	readErrors uint64 // of the logs
}

// named gives each count with its name.
func (c *counts) named() map[string]*uint64 {
	return map[string]*uint64{
		"matched": &c.matched, "sent": &c.sent, "failed": &c.failed, "dropped": &c.dropped, "retries": &c.retries,
		"lines_malformed": &c.malformed, "log_read_errors": &c.readErrors,
	}
}

func (c *counts) list() (counters []notifypb.Counter) {
	for name, value := range c.named() {
		counters = append(counters, notifypb.Counter{Name: name, Value: *value})
	}
	slices.SortFunc(counters, func(a, b notifypb.Counter) int { return cmp.Compare(a.Name, b.Name) })
	return counters
}

// encode returns the notifier's state. It belongs to one instant: what the positions say has
// been read is in the outboxes, with the elector, or done with.
func (n *notifier) encode() ([]byte, error) {
	state := &notifypb.State{Version: stateVersion, Counters: n.counts.list()}
	for _, l := range n.logs {
		pos := l.Position()
		p := notifypb.Position{Log: l.name, Offset: pos.Offset}
		if !pos.File.IsZero() {
			p.FileUnixNanos = pos.File.UnixNano()
		}
		state.Positions = append(state.Positions, p)
	}
	for _, w := range n.elector.recent {
		state.Recent = append(state.Recent, notifypb.Waiting{
			Line: w.event.line, Chosen: w.chosen, SeenUnixNanos: w.seen.UnixNano(), UntilUnixNanos: w.until.UnixNano(),
		})
	}
	for id, until := range n.elector.departed {
		state.Departed = append(state.Departed, notifypb.Departure{Id: id, UntilUnixNanos: until.UnixNano()})
	}
	for _, box := range n.boxes {
		o := notifypb.Outbox{Destination: box.name(), Batch: uint32(box.batch)}
		for _, e := range box.queue {
			o.Lines = append(o.Lines, e.line)
		}
		state.Outboxes = append(state.Outboxes, o)
	}
	return state.Marshal()
}

// restore sets a notifier up from the request's snapshot, or afresh.
func (n *notifier) restore(request *notifypb.StartRequest) error {
	if len(request.Snapshot) == 0 {
		n.since = time.Unix(0, request.SinceUnixNanos)
		for _, name := range logNames {
			n.logs = append(n.logs, &logTail{name, eventlog.FollowSince(n.cfg.logDir, name, n.since)})
		}
		return nil
	}
	var state notifypb.State
	if err := state.Unmarshal(request.Snapshot); err != nil {
		return fmt.Errorf("%w: %v", errState, err)
	}
	if state.Version < 1 || state.Version > stateVersion {
		return fmt.Errorf("%w: version %d, this program knows 1 to %d", errState, state.Version, stateVersion)
	}
	if err := n.restoreEvents(&state); err != nil {
		return err
	}
	for _, c := range state.Counters {
		if value, ok := n.counts.named()[c.Name]; ok {
			*value = c.Value
		}
	}
	for _, name := range logNames {
		n.logs = append(n.logs, &logTail{name, n.follow(name, state.Positions)})
	}
	return nil
}

func (n *notifier) follow(name string, positions []notifypb.Position) *eventlog.Follower {
	var from eventlog.Position
	for _, p := range positions {
		if p.Log == name && p.FileUnixNanos != 0 {
			from = eventlog.Position{File: time.Unix(0, p.FileUnixNanos).UTC(), Offset: p.Offset}
		}
	}
	return eventlog.Follow(n.cfg.logDir, name, from)
}

func (n *notifier) restoreEvents(state *notifypb.State) error {
	now := time.Now()
	for _, w := range state.Recent {
		e, err := n.reparse(w.Line)
		if err != nil {
			return err
		}
		n.elector.recent = append(n.elector.recent, waiting{
			event: e, chosen: w.Chosen, seen: time.Unix(0, w.SeenUnixNanos), until: time.Unix(0, w.UntilUnixNanos),
		})
	}
	n.elector.departed = map[string]time.Time{}
	for _, d := range state.Departed {
		n.elector.departed[d.Id] = time.Unix(0, d.UntilUnixNanos)
	}
	for _, o := range state.Outboxes {
		i := slices.IndexFunc(n.boxes, func(b *outbox) bool { return b.name() == o.Destination })
		if i < 0 {
			continue // it is no longer configured
		}
		for _, line := range o.Lines {
			e, err := n.reparse(line)
			if err != nil {
				return err
			}
			n.boxes[i].add(e, now)
		}
		n.boxes[i].batch = min(int(o.Batch), len(n.boxes[i].queue))
	}
	return nil
}

// reparse reads a line that has been read before.
func (n *notifier) reparse(line []byte) (event, error) {
	e, ok := parse(line)
	if !ok {
		return event{}, fmt.Errorf("%w: %q is not a line of a log", errState, line)
	}
	return n.keyed(e), nil
}
