package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

const (
	// pollEvery is how often the logs are looked at. A look at a file that has not grown
	// costs a few system calls.
	pollEvery = 200 * time.Millisecond
	// linesMax bounds the lines that are read at one look, so that calls are answered while
	// there is much to catch up on.
	linesMax = 20_000
	// lineBytesMax bounds what is told of one event, and with it the state.
	lineBytesMax = 64 << 10
	// freezeGrace is how long a delivery may go on when the service is frozen. With
	// pipesTimeout it has to stay well below what the host waits, pluginapi.CallTimeout.
	freezeGrace = 400 * time.Millisecond
)

// notifier reads the logs and notifies, from a Start to the next Freeze. Its goroutine owns it;
// the methods with a context send it requests.
type notifier struct {
	cfg     config
	log     *eventlog.Log
	logs    []*logTail
	since   time.Time // lines before that are old news
	node    string    // that wrote the line read last
	elector elector
	boxes   []*outbox
	counts  counts

	requests  chan func()
	finished  chan finished
	stopping  chan struct{}
	done      chan struct{}
	ctx       context.Context // of the deliveries
	cancel    context.CancelFunc
	underWay  int             // deliveries
	hurry     bool            // the service is about to end
	drained   []chan struct{} // to be closed when nothing waits any more
	dropNoted time.Time
}

// logTail is a log that is read.
type logTail struct {
	name string
	*eventlog.Follower
}

// finished is a delivery's end.
type finished struct {
	box *outbox
	outcome
}

// startNotifier begins where the request's snapshot ends, or at its time.
func startNotifier(cfg config, request *notifypb.StartRequest) (*notifier, error) {
	n := &notifier{
		cfg: cfg, requests: make(chan func()), finished: make(chan finished, len(cfg.destinations)),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	for _, d := range cfg.destinations {
		n.boxes = append(n.boxes, &outbox{destination: d})
	}
	if err := n.restore(request); err != nil {
		return nil, err
	}
	var err error
	if n.log, err = eventlog.Open(eventlog.Config{Dir: cfg.logDir, Name: eventlog.NotifyLog}); err != nil {
		n.closeLogs()
		return nil, err
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	go n.run()
	return n, nil
}

func (n *notifier) closeLogs() {
	for _, l := range n.logs {
		l.Close()
	}
}

// run is the notifier's goroutine.
func (n *notifier) run() {
	defer close(n.done)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-n.stopping:
			return
		case request := <-n.requests:
			request()
		case f := <-n.finished:
			n.finish(f)
		case <-poll.C:
			n.poll()
		}
		n.dispatch()
	}
}

// do runs f in the notifier's goroutine.
func (n *notifier) do(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case n.requests <- func() { f(); close(ran) }:
		<-ran
		return nil
	case <-n.done:
		return errIdle
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the notifier, and returns its state. Deliveries under way may end within grace.
func (n *notifier) stop(grace time.Duration) ([]byte, error) {
	close(n.stopping)
	<-n.done // from here on, this goroutine owns the notifier
	cut := time.AfterFunc(grace, n.cancel)
	for n.underWay > 0 {
		n.finish(<-n.finished)
	}
	cut.Stop()
	n.cancel()
	state, err := n.encode()
	n.closeLogs()
	n.log.Close()
	return state, err
}

// poll reads what the logs have got.
func (n *notifier) poll() {
	now := time.Now()
	for _, l := range n.logs {
		for range linesMax {
			line, err := l.Next()
			if err != nil {
				n.counts.readErrors++ // it is tried again at the next look
			}
			if line == nil {
				break
			}
			n.take(line, now)
		}
	}
	n.elector.forget(now)
}

// take deals with a line.
func (n *notifier) take(line []byte, now time.Time) {
	name := nameOf(line)
	wanted := n.cfg.wanted[name]
	if !wanted && scopes[name] != ofGroup && scopes[name] != ofGateway { // who comes and goes concerns the elector
		return
	}
	if at, ok := eventlog.Time(line); !ok || at.Before(n.since) {
		return
	}
	e, ok := parse(line)
	if !ok || len(line) > lineBytesMax {
		n.counts.malformed++
		return
	}
	n.node = e.Node
	if id, left := e.departed(); id != "" {
		n.enqueue(now, n.elector.gone(id, left, now)...)
	}
	if name == eventlog.Join {
		n.enqueue(now, n.elector.joined(e.Peer, now)...)
	}
	if !wanted {
		return
	}
	n.counts.matched++
	switch {
	case n.cfg.all, e.scope() == ofNode, e.scope() == ofGateway && e.Via == eventlog.ViaSelf && e.Peer != e.Node:
		n.enqueue(now, n.keyed(e))
	case e.scope() == ofGroup:
		n.enqueue(now, n.elector.take(e, now)...)
	}
}

// keyed gives an event of which every member tells a key of this member's own.
func (n *notifier) keyed(e event) event {
	if n.cfg.all && e.scope() != ofNode {
		e.key += "/" + e.Node
	}
	return e
}

// enqueue gives events to all destinations.
func (n *notifier) enqueue(now time.Time, events ...event) {
	for _, e := range events {
		for _, box := range n.boxes {
			if !box.add(e, now) {
				n.counts.dropped++
			}
		}
	}
}

// dispatch begins what deliveries can begin.
func (n *notifier) dispatch() {
	now := time.Now()
	waiting := 0
	for _, box := range n.boxes {
		n.noteDropped(box, now)
		if events := box.begin(now, n.hurry); events != nil {
			n.underWay++
			self := n.self()
			go func() { n.finished <- finished{box, box.deliver(n.ctx, self, events)} }()
		}
		waiting += len(box.queue)
	}
	if waiting == 0 {
		for _, drained := range n.drained {
			close(drained)
		}
		n.drained = nil
	}
}

// self is this member's id: as the host says, or before that as the logs do.
func (n *notifier) self() string { return cmp.Or(n.elector.self, n.node) }

// dropNotedEvery is the least time between two lines about events that were dropped.
const dropNotedEvery = 10 * time.Second

func (n *notifier) noteDropped(box *outbox, now time.Time) {
	if box.dropped == 0 || now.Sub(n.dropNoted) < dropNotedEvery {
		return
	}
	n.write(slog.LevelError, actionDrop, box, int(box.dropped),
		slog.String(eventlog.KeyError, fmt.Sprintf("%d events wait already", len(box.queue))))
	box.dropped, n.dropNoted = 0, now
}

// finish takes in what became of a delivery, and logs it.
func (n *notifier) finish(f finished) {
	n.underWay--
	box, attempts, events := f.box, f.box.attempts, f.box.batch
	v := box.finish(f.outcome, n.ctx.Err() != nil, time.Now())
	switch {
	case f.err == nil:
		n.counts.sent += uint64(v.done)
		n.write(slog.LevelInfo, actionSent, box, v.done)
	case v.done > 0:
		n.counts.failed += uint64(v.done)
		n.write(slog.LevelError, actionDrop, box, v.done,
			slog.String(eventlog.KeyError, fmt.Sprintf("%v (attempt %d)", f.err, attempts)))
	case v.retry > 0:
		n.counts.retries++
		n.write(slog.LevelWarn, actionRetry, box, events,
			slog.String(eventlog.KeyError, f.err.Error()), slog.Int64(eventlog.KeyRetryInMS, v.retry.Milliseconds()))
	}
}

func (n *notifier) write(level slog.Level, action string, box *outbox, events int, attrs ...slog.Attr) {
	n.log.Write(level, eventlog.Notify, n.self(), "", append([]slog.Attr{
		slog.String(eventlog.KeyAction, action), slog.String(eventlog.KeyTo, box.name()), slog.Int(eventlog.KeyEvents, events),
	}, attrs...)...)
}

// The actions of NOTIFY events.
const (
	actionSent  = "sent"  // and taken by the destination
	actionRetry = "retry" // not taken; it will be tried again
	actionDrop  = "drop"  // not taken, or no room for it; given up
)

// members takes in who is in the group.
func (n *notifier) members(ctx context.Context, request *notifypb.MembersRequest) error {
	return n.do(ctx, func() {
		now := time.Now()
		n.enqueue(now, n.elector.members(request, now)...)
	})
}

// drain reads what the logs have got, and returns when all is delivered.
func (n *notifier) drain(ctx context.Context) error {
	drained := make(chan struct{})
	err := n.do(ctx, func() {
		n.poll()
		n.hurry, n.drained = true, append(n.drained, drained)
	})
	if err != nil {
		return err
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	var left int
	if err := n.do(context.Background(), func() { left = n.giveUp() }); err != nil {
		return err
	}
	return fmt.Errorf("%d notifications were not delivered: %w", left, ctx.Err())
}

// giveUp logs what is lost when the service ends now.
func (n *notifier) giveUp() (left int) {
	for _, box := range n.boxes {
		if queued := len(box.queue); queued > 0 {
			left += queued
			n.write(slog.LevelError, actionDrop, box, queued, slog.String(eventlog.KeyError, "the daemon ends before they are delivered"))
		}
	}
	n.counts.dropped += uint64(left)
	return left
}

func (n *notifier) snapshot(ctx context.Context) (state []byte, err error) {
	if err := n.do(ctx, func() { state, err = n.encode() }); err != nil {
		return nil, err
	}
	return state, err
}

func (n *notifier) status(ctx context.Context) (counters []notifypb.Counter, err error) {
	err = n.do(ctx, func() {
		counters = n.counts.list()
		var waiting, lost uint64
		for _, box := range n.boxes {
			waiting += uint64(len(box.queue))
		}
		for _, l := range n.logs {
			lost += l.Lost()
		}
		counters = append(counters, notifypb.Counter{Name: "waiting", Value: waiting}, notifypb.Counter{Name: "log_files_lost", Value: lost})
	})
	return counters, err
}
