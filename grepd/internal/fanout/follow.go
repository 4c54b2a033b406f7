package fanout

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// A node that is lost is asked again after retryMin, and then less and less often, up to retryMax.
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second
	// quietTime is how long a node may be away before that is told: so long an upgrade takes.
	quietTime = 3 * time.Second
)

// followed is a target that is asked for as long as the query lasts, again and again if it has to be.
type followed struct {
	*target
	places   client.Places
	known    bool      // the client knows its number
	told     bool      // ... and takes it for one that is followed
	joined   bool      // it became a member after the query had begun
	since    time.Time // when the client began to listen, if lines may have been written after that; else zero
	attached bool      // it was followed at least once
	lostAt   time.Time
	clock    *greppb.NodeClock // that is to be told when the client knows the number; nil: none

	mu          sync.Mutex
	verdict     error // of the member list; nil: it can be asked
	incarnation uint64
	patience    *patience     // of the stream under way
	changed     chan struct{} // capacity 1
}

// followAll asks every target, and those that come to be members, until nobody listens any more or all have refused.
func (q *query) followAll(list Targets, changed <-chan struct{}, request *greppb.QueryRequest) {
	all := make(map[string]*followed)
	resumed := make(map[string]*greppb.NodePlaces)
	for i := range request.Resume {
		resumed[request.Resume[i].Node] = &request.Resume[i]
	}
	away := time.Duration(request.AwayNanos)
	began := time.Now().Add(-away)
	begin := func(t *target, roll roll, known, joined bool) {
		f := &followed{target: t, joined: joined, known: known, told: known, lostAt: time.Now(), changed: make(chan struct{}, 1)}
		if len(resumed) > 0 || !known {
			f.since = began
		}
		if r := resumed[t.addr]; r != nil {
			f.attached = true
			f.places.Set(r.Places, away)
		}
		t.followed = f
		all[t.addr] = f
		f.judge(roll)
		q.start(func() { q.follow(f) })
	}
	roll := list.roll()
	for _, t := range q.targets {
		begin(t, roll, true, false)
	}
	q.numbered = uint32(len(q.targets))
	phase := list.Phase
	q.await(changed, func(list Targets) {
		roll := list.roll()
		for _, f := range all {
			f.judge(roll)
		}
		if len(request.Nodes) > 0 || q.ctx.Err() != nil {
			return
		}
		before := phase
		if phase = list.Phase; phase != before {
			q.tellPhase(phase)
		}
		for _, m := range list.Members { // those that have joined
			if m.State != Alive || all[m.Addr] != nil || len(q.targets) == limits.NodesMax {
				continue
			}
			t := &target{addr: m.Addr, local: m.Addr == list.Self}
			q.targets = append(q.targets, t)
			// Those whom a node that joins hears of have been there before it.
			begin(t, roll, false, before == greppb.Phase_MEMBER)
		}
	})
}

// tellPhase tells the client that this node is in the group now, or not any more. Like progress, it may stand within
// a group of lines.
func (q *query) tellPhase(phase greppb.Phase) {
	step := &greppb.QueryPhase{Phase: phase}
	if err := q.say(&greppb.QueryReply{Step: &greppb.QueryReply_Phase{Phase: step}}); err != nil {
		q.cancel(err)
	}
}

// judge takes in what the member list says of the target, and ends the wait for one that is gone.
func (f *followed) judge(roll roll) {
	verdict, incarnation := roll.verdict(f.addr), roll[f.addr].Incarnation
	if f.local {
		verdict = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verdict == verdict && f.incarnation == incarnation {
		return
	}
	if verdict != nil && f.patience != nil {
		if verdict == errNotMember {
			verdict = errFailed // its row is gone
		}
		f.patience.shorten(drainTime, verdict)
	}
	f.verdict, f.incarnation = verdict, incarnation
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// current gives what the member list says.
func (f *followed) current() (incarnation uint64, verdict error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.incarnation, f.verdict
}

// follow asks a target until it refuses, or nobody listens. While it is no member it waits until it is one.
func (q *query) follow(f *followed) {
	for wait := retryMin; q.ctx.Err() == nil; {
		incarnation, verdict := f.current()
		if verdict != nil {
			q.tellLost(f, verdict)
			q.pause(f, math.MaxInt64)
			continue
		}
		began := time.Now()
		err := q.followOnce(f, incarnation)
		if q.ctx.Err() != nil {
			return
		}
		if final(err) {
			q.tellLost(f, err)
			return
		}
		now := time.Now()
		if f.begun {
			f.lostAt, wait = now, retryMin
		}
		if f.since.IsZero() {
			f.since = began
		}
		// A failure is told by the member list, soon; an upgrade is over soon.
		if !f.attached || now.Sub(f.lostAt) >= quietTime || errors.Is(err, errSilent) {
			q.tellLost(f, err)
		}
		q.pause(f, wait-now.Sub(began))
		wait = min(2*wait, retryMax)
	}
}

// final tells whether a target need not be asked again.
func final(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented:
		return true
	}
	return false
}

// pause waits for a time, or until the member list says something else of the target.
func (q *query) pause(f *followed, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.changed:
	case <-q.ctx.Done():
	}
}

// followOnce asks a target once. It gives the cause where the wait for it was ended.
func (q *query) followOnce(f *followed, incarnation uint64) error {
	ctx, cancel := context.WithCancelCause(q.ctx)
	defer cancel(nil)
	t := f.target
	t.begun, t.ended, t.reason = false, false, ""
	t.request = q.followRequest(f, incarnation)
	if t.request.Size() > limits.RequestBytesMax {
		return status.Errorf(codes.InvalidArgument,
			"too many of its files are followed to go on with them: their %d places and the rest of the request are more than %d bytes",
			len(t.request.Follow.From), limits.RequestBytesMax)
	}
	t.patience = newPatience(q.timeout, cancel)
	f.mu.Lock()
	f.patience = t.patience
	f.mu.Unlock()
	f.places.Restart()
	ask := q.askPeer
	if t.local {
		ask = q.askSelf
	}
	err := ask(ctx, t)
	f.mu.Lock()
	f.patience = nil
	f.mu.Unlock()
	if t.speaking {
		t.speaking = false
		q.give()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil {
		err = errEnded
	}
	return err
}

// followRequest says where the target is to begin: where it was; or, if it is a new member, with what it has logged in this
// life of it, by its own clock; or, if it could not be asked when the client began to listen, with that time by this node's clock.
func (q *query) followRequest(f *followed, incarnation uint64) *greppb.SearchRequest {
	request := *q.request
	request.Follow = &greppb.Follow{}
	switch {
	case f.places.Any():
		*request.Follow = greppb.Follow{Resume: true, From: f.places.List(), AwayNanos: int64(f.places.Away())}
	case request.SinceUnixNanos != 0:
	case f.joined:
		request.SinceUnixNanos = int64(incarnation)
	case !f.since.IsZero():
		request.SinceUnixNanos = f.since.UnixNano()
	}
	return &request
}

// observeFollowed tells the client that the target is followed, if it does not know. One that names no places at first
// is of a version that answers a search instead.
func (q *query) observeFollowed(ctx context.Context, f *followed, reply *greppb.SearchReply) error {
	switch {
	case reply.GetFileError() != nil && f.known:
		return nil
	case reply.GetFileError() != nil:
		return q.tellBegun(ctx, f)
	case !f.places.Named() && reply.GetPlaces() == nil:
		return status.Error(codes.Unimplemented, "its grepd is too old to follow files")
	}
	f.attached = true
	if !f.told {
		if err := q.tellBegun(ctx, f); err != nil {
			return err
		}
	}
	if f.clock == nil {
		return nil
	}
	clock := f.clock
	clock.Node, f.clock = f.index, nil
	return q.sendAlone(ctx, &greppb.QueryReply{Step: &greppb.QueryReply_NodeClock{NodeClock: clock}})
}

// tellBegun tells the client that the target is followed. One that the client does not know is given the next number: of
// several newcomers the first that answers has the first.
func (q *query) tellBegun(ctx context.Context, f *followed) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	defer q.give()
	if !f.known {
		f.index = q.numbered
		q.numbered++
	}
	f.known, f.told = true, true
	return q.say(&greppb.QueryReply{Step: &greppb.QueryReply_NodeBegin{NodeBegin: &greppb.NodeBegin{Node: f.index, Addr: f.addr}}})
}

// tellLost tells the client, once, that the target is not followed any more, or not yet.
func (q *query) tellLost(f *followed, err error) {
	if !f.known { // a newcomer that cannot be asked is missed too
		if err := q.tellBegun(q.ctx, f); err != nil {
			return
		}
	}
	if !f.told {
		return
	}
	f.told = false
	f.target.verdict = nil
	if f.attached {
		f.partial = false // it goes on where it was
	} else if _, v := f.current(); v != nil {
		f.target.verdict = v
	}
	end := f.end(q.ctx, err, q.timeout.String())
	if err := q.sendAlone(q.ctx, &greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: end}}); err != nil {
		q.cancel(err)
	}
}

// sendAlone sends a step when nobody else is in the middle of a group of lines.
func (q *query) sendAlone(ctx context.Context, reply *greppb.QueryReply) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	defer q.give()
	return q.say(reply)
}
