// Package fanout asks many nodes one question and merges their answers.
//
// A Fanout belongs to the node that a client called. For each query it chooses the
// targets from the member list, searches its own files in process and the others' over
// gRPC, all at the same time, and hands one merged stream to the caller:
//
//	QueryBegin  the targets
//	NodeClock*  how far their clocks are ahead of this node's, where that is wanted
//	NodeStep*   the steps of their searches, interleaved; each target's own stay in order
//	NodeEnd*    how each of them ended
//	Groups*     what they counted by fields, added up
//	QueryEnd    how many were asked, and how many answered in full
//
// # Memory and order
//
// Nothing is queued. Each target has one goroutine, which receives a step, waits for the
// floor, and sends the step on while it holds the floor. While the client's terminal is
// slow, the floor is held, nobody receives, and gRPC's flow control stops every target's
// disk; what can pile up is one window a target. A target whose step says that a group of
// lines goes on (Chunk.More) keeps the floor for its next step, so that no group is ever
// torn apart.
//
// A query may ask for an order. By node, a target waits with its first step, or with its end, until the targets before it
// have ended. By time, each waits until its next line is the earliest of all (package timeline),
// which is known once every target has said its next line or ended. Both cost no more memory: what a
// target has to say meanwhile waits in the window of its connection, and when that is full
// its search waits too. So with an answer that is larger than the windows, by node the targets take their
// turns at searching too, and by time all go at the pace of the slowest.
//
// Each target costs the node that asks about 75 KB while the query runs and until its connection has been idle for two minutes,
// six goroutines of gRPC's included, and a file descriptor; so 9,000 took 650 MB, with answers of one line. What may wait in windows
// comes on top of it.
//
// # How a wait ends
//
// A target that ends its search has answered, whatever the member list says of it.
// Otherwise the wait for it ends as soon as its connection breaks, or the member list says
// that it failed or left; and when it has been silent for the query's timeout, counted only
// while somebody listens to it. Targets with nothing to say send Progress steps as long as they read something, so that
// the timeout need not be as long as the longest search, and yet ends the wait for a disk that hangs, this
// node's own included. A Progress step that says no more than the one before is silence, so that a target cannot
// be waited for just because it still has a clock. Those steps go no further; what they come to together is told the client
// in QueryProgress steps.
//
// # Clocks
//
// Lines bear the times of the machines that wrote them, so a timeline of several machines is as good as their clocks
// agree. Where a query asks for it, each target says what its clock shows before it searches anything, and what it is ahead
// by is told with the bound of its error, half of a round trip: as NTP measures it, and as exact as the
// query's own way to the target is fast. A target whose version does not know the question says nothing, and
// nothing is told of it. It is measured here and not by the membership service: that compares no two
// clocks, since its bounds must hold whatever they show; it hears of three neighbours only; and what it measured would be as
// old as its last heartbeat, where a clock may have been set since.
//
// # Following
//
// A query with SearchRequest.Follow has no end. Its targets are asked for as long as somebody listens: those that fail or
// leave are ended with a NodeEnd, and begun again with a NodeBegin when they are back; those that join are begun with one of the next
// number. A target whose connection breaks although it is a member, as in an upgrade, is asked again at once, and nothing is said
// unless it stays away for 3 s.
//
// Each target says how far its files were followed (Places), which is kept for as long as the query lasts, and sent
// along when it is asked again: it goes on with the next line. A newcomer begins with what it has logged since it joined, by its
// lines' times and its own clock. A node that is still joining asks those whom it hears of as if they had been known and could
// not be asked: they are no newcomers. A client that has lost this node can send what it has heard of all targets to
// another one, or to this one's successor (QueryRequest.resume).
//
// A target that has nothing to say shows Progress steps because it looks at its files all the time. So the timeout is for a
// follow what it is for a search.
//
// # Concurrency
//
// A Fanout may be used by any number of goroutines. Query calls send from several
// goroutines, one call at a time. Everything that Query starts has ended when it returns,
// except for the connections to peers, which wait for the next query.
package fanout

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/tally"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// progressTime is how often targets say that they get on, and the client is told of it.
	progressTime = 500 * time.Millisecond
	// progressPerTimeout is how often at least they say so while they are waited for.
	progressPerTimeout = 4
	// drainTime is how long each step of a target that was declared failed may take: what
	// it said before is on its way, or here already.
	drainTime = 200 * time.Millisecond
)

// Searcher searches this node's own files.
type Searcher interface {
	// Search hands each step to send, never two at the same time, and returns when it is
	// through. It returns soon after ctx is done or send failed. Errors are gRPC statuses.
	Search(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error
}

// Fanout sends queries to many nodes.
type Fanout struct {
	members Members
	local   Searcher
	pool    *pool
	now     func() time.Time // the machine's clock, except in tests
}

// New returns a Fanout that chooses from members and searches local for its own node.
func New(members Members, local Searcher) *Fanout {
	return &Fanout{members: members, local: local, pool: newPool(), now: time.Now}
}

// With gives a Fanout that shares everything with f but searches this node's own files with local.
// It is for one query, and ends with it.
func (f *Fanout) With(local Searcher) *Fanout {
	other := *f
	other.local = local
	return &other
}

// AsksItself reports whether this node's own files are searched in a query, as things stand.
func (f *Fanout) AsksItself(request *greppb.QueryRequest) bool {
	return len(request.Nodes) == 0 || slices.Contains(request.Nodes, f.members.Targets().Self)
}

// Close closes the connections to peers. No query may be running.
func (f *Fanout) Close() { f.pool.retain(func(string) bool { return false }) }

// Query asks the targets and hands the merged stream to send. The caller has checked the
// request's limits. The error is that of send, or of ctx: that targets did not answer is no
// error but part of the stream.
func (f *Fanout) Query(ctx context.Context, request *greppb.QueryRequest, send func(*greppb.QueryReply) error) error {
	changed := f.members.Changed()
	list := f.members.Targets()
	roll := list.roll()
	f.pool.retain(func(addr string) bool { return roll.verdict(addr) == nil })

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := &query{
		ctx: ctx, cancel: cancel, fanout: f, request: &request.Search,
		timeout: limits.TimeoutDefault, send: send, floor: make(chan struct{}, 1), done: make(chan struct{}),
	}
	q.sort = request.Sort
	if request.TimeoutNanos > 0 {
		q.timeout = time.Duration(request.TimeoutNanos)
	}
	q.request.Clock = request.Clocks
	q.request.ProgressNanos = int64(min(progressTime, q.timeout/progressPerTimeout))
	q.choose(list, roll, request.Nodes)
	if len(request.Nodes) > 0 {
		list.Phase = greppb.Phase_MEMBER // nobody can be missing whom the list lacks
	}
	if err := send(q.begin(list)); err != nil {
		return err
	}
	if request.Search.Follow != nil {
		q.followAll(list, changed, request)
	} else {
		q.run(changed)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := q.sendCounts(); err != nil {
		return err
	}
	return send(&greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{
		Asked: uint32(len(q.targets)), Answered: q.answered,
	}}})
}

// query is one query under way.
type query struct {
	ctx     context.Context // done when nobody wants the answer any more
	cancel  context.CancelCauseFunc
	fanout  *Fanout
	request *greppb.SearchRequest
	timeout time.Duration
	sort    greppb.Sort
	targets []*target

	// Query's goroutine counts those that it has started, each of which says that it is done.
	running int
	done    chan struct{}

	// floor holds one token while somebody speaks, or could go on with a group of lines.
	floor    chan struct{}
	answered uint32      // targets that answered; guarded by floor
	numbered uint32      // targets of a follow that the client knows; guarded by floor
	tally    tally.Tally // what all targets have counted; guarded by floor

	sending sync.Mutex // held while send is called
	send    func(*greppb.QueryReply) error

	ended, bytes, matches atomic.Uint64 // for QueryProgress
}

// say sends one step.
func (q *query) say(reply *greppb.QueryReply) error {
	q.sending.Lock()
	defer q.sending.Unlock()
	return q.send(reply)
}

// showProgress says how far the query has come, unless the client is still busy with what was said before.
func (q *query) showProgress() {
	if !q.sending.TryLock() {
		return
	}
	defer q.sending.Unlock()
	if err := q.send(&greppb.QueryReply{Step: &greppb.QueryReply_Progress{Progress: &greppb.QueryProgress{
		Ended: uint32(q.ended.Load()), Bytes: q.bytes.Load(), Matches: q.matches.Load(),
	}}}); err != nil {
		q.cancel(err)
	}
}

// choose lists the targets: this node and those alive, or those named.
func (q *query) choose(list Targets, roll roll, named []string) {
	seen := make(map[string]bool)
	add := func(addr string) {
		if addr == "" || seen[addr] {
			return
		}
		seen[addr] = true
		t := &target{index: uint32(len(q.targets)), addr: addr, local: addr == list.Self}
		if !t.local {
			t.verdict = roll.verdict(addr)
		}
		q.targets = append(q.targets, t)
	}
	if len(named) > 0 {
		for _, addr := range named {
			add(addr)
		}
		return
	}
	if _, listed := roll[list.Self]; !listed {
		add(list.Self)
	}
	for _, m := range list.Members {
		if m.State == Alive || m.Addr == list.Self {
			add(m.Addr)
		}
	}
}

func (q *query) begin(list Targets) *greppb.QueryReply {
	begin := &greppb.QueryBegin{Live: list.Live, Stale: list.Stale, StaleNanos: int64(list.StaleFor), Phase: list.Phase}
	for _, t := range q.targets {
		begin.Nodes = append(begin.Nodes, t.addr)
	}
	return &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: begin}}
}

// run asks every target and returns when each has ended.
func (q *query) run(changed <-chan struct{}) {
	q.order()
	for _, t := range q.targets {
		targetCtx, cancel := context.WithCancelCause(q.ctx)
		t.patience = newPatience(q.timeout, cancel)
		q.start(func() {
			defer cancel(nil)
			q.ask(targetCtx, t)
		})
	}
	q.await(changed, func(list Targets) { q.look(list.roll()) })
}

// start does something for a target in a goroutine of its own.
func (q *query) start(work func()) {
	q.running++
	go func() {
		work()
		q.done <- struct{}{}
	}()
}

// await returns when all that was started is done. Meanwhile it shows the progress, and has a member list that has
// changed looked at, for which more may be started.
func (q *query) await(changed <-chan struct{}, look func(Targets)) {
	progress := time.NewTicker(progressTime)
	defer progress.Stop()
	for q.running > 0 {
		select {
		case <-progress.C:
			q.showProgress()
		case <-q.done:
			q.running--
		case <-changed:
			changed = q.fanout.members.Changed()
			look(q.fanout.members.Targets())
		}
	}
}

// look ends the wait for targets that are no longer members.
func (q *query) look(roll roll) {
	for _, t := range q.targets {
		if t.local || t.verdict != nil {
			continue
		}
		switch err := roll.verdict(t.addr); err {
		case nil:
		case errLeft:
			t.patience.shorten(drainTime, errLeft)
		default:
			t.patience.shorten(drainTime, errFailed)
		}
	}
}

// take waits for the floor.
func (q *query) take(ctx context.Context) error {
	select {
	case q.floor <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give hands the floor to the next.
func (q *query) give() { <-q.floor }

// roll is a list of members by address.
type roll map[string]Member

func (l Targets) roll() roll {
	r := make(roll, len(l.Members))
	for _, m := range l.Members {
		r[m.Addr] = m
	}
	return r
}

// verdict says why a node cannot be asked, or need not be waited for; nil if it can.
func (r roll) verdict(addr string) error {
	switch m, listed := r[addr]; {
	case !listed:
		return errNotMember
	case m.State == Failed:
		return errFailed
	case m.State == Left:
		return errLeft
	}
	return nil
}

// Why a target was not asked, or not waited for: causes of its context.
var (
	errNotMember = errors.New("not a member")
	errFailed    = errors.New("declared failed")
	errLeft      = errors.New("left")
	errSilent    = errors.New("silent")
	errEnded     = errors.New("the answer broke off")
)
