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

// session is one stretch of work, from Start to Freeze. Its goroutine owns all of it; the
// methods with a context send it requests.
type session struct {
	cfg     config
	log     *eventlog.Log
	logs    []*followed
	since   time.Time // lines before that are old news
	node    string    // that wrote the line read last
	chooser chooser
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

// followed is a log that is read.
type followed struct {
	name string
	*eventlog.Follower
}

// finished is a delivery's end.
type finished struct {
	box *outbox
	outcome
}

// startSession begins where the request's snapshot ends, or at its time.
func startSession(cfg config, request *notifypb.StartRequest) (*session, error) {
	s := &session{
		cfg: cfg, requests: make(chan func()), finished: make(chan finished, len(cfg.destinations)),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	for _, d := range cfg.destinations {
		s.boxes = append(s.boxes, &outbox{destination: d})
	}
	if err := s.restore(request); err != nil {
		return nil, err
	}
	var err error
	if s.log, err = eventlog.Open(eventlog.Config{Dir: cfg.logDir, Name: eventlog.NotifyLog}); err != nil {
		s.closeLogs()
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

func (s *session) closeLogs() {
	for _, l := range s.logs {
		l.Close()
	}
}

// run is the session's goroutine.
func (s *session) run() {
	defer close(s.done)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case request := <-s.requests:
			request()
		case f := <-s.finished:
			s.finish(f)
		case <-poll.C:
			s.poll()
		}
		s.dispatch()
	}
}

// do runs f in the session's goroutine.
func (s *session) do(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case s.requests <- func() { f(); close(ran) }:
		<-ran
		return nil
	case <-s.done:
		return errIdle
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the session, and returns its state. Deliveries under way may end within grace.
func (s *session) stop(grace time.Duration) ([]byte, error) {
	close(s.stopping)
	<-s.done // from here on, this goroutine owns the session
	cut := time.AfterFunc(grace, s.cancel)
	for s.underWay > 0 {
		s.finish(<-s.finished)
	}
	cut.Stop()
	s.cancel()
	state, err := s.encode()
	s.closeLogs()
	s.log.Close()
	return state, err
}

// poll reads what the logs have got.
func (s *session) poll() {
	now := time.Now()
	for _, l := range s.logs {
		for range linesMax {
			line, err := l.Next()
			if err != nil {
				s.counts.readErrors++ // it is tried again at the next look
			}
			if line == nil {
				break
			}
			s.take(line, now)
		}
	}
	s.chooser.forget(now)
}

// take deals with a line.
func (s *session) take(line []byte, now time.Time) {
	name := nameOf(line)
	wanted := s.cfg.wanted[name]
	if !wanted && scopes[name] != ofGroup && scopes[name] != ofGateway { // who comes and goes concerns the chooser
		return
	}
	if at, ok := eventlog.Time(line); !ok || at.Before(s.since) {
		return
	}
	e, ok := parse(line)
	if !ok || len(line) > lineBytesMax {
		s.counts.malformed++
		return
	}
	s.node = e.Node
	if id, left := e.departed(); id != "" {
		s.enqueue(now, s.chooser.gone(id, left, now)...)
	}
	if name == eventlog.Join {
		s.enqueue(now, s.chooser.joined(e.Peer, now)...)
	}
	if !wanted {
		return
	}
	s.counts.matched++
	switch {
	case s.cfg.all, e.scope() == ofNode, e.scope() == ofGateway && e.Via == eventlog.ViaSelf && e.Peer != e.Node:
		s.enqueue(now, s.keyed(e))
	case e.scope() == ofGroup:
		s.enqueue(now, s.chooser.take(e, now)...)
	}
}

// keyed gives an event of which every member tells a key of this member's own.
func (s *session) keyed(e event) event {
	if s.cfg.all && e.scope() != ofNode {
		e.key += "/" + e.Node
	}
	return e
}

// enqueue gives events to all destinations.
func (s *session) enqueue(now time.Time, events ...event) {
	for _, e := range events {
		for _, box := range s.boxes {
			if !box.add(e, now) {
				s.counts.dropped++
			}
		}
	}
}

// dispatch begins what deliveries can begin.
func (s *session) dispatch() {
	now := time.Now()
	waiting := 0
	for _, box := range s.boxes {
		s.noteDropped(box, now)
		if events := box.begin(now, s.hurry); events != nil {
			s.underWay++
			self := s.self()
			go func() { s.finished <- finished{box, box.deliver(s.ctx, self, events)} }()
		}
		waiting += len(box.queue)
	}
	if waiting == 0 {
		for _, drained := range s.drained {
			close(drained)
		}
		s.drained = nil
	}
}

// self is this member's id: as the host says, or before that as the logs do.
func (s *session) self() string { return cmp.Or(s.chooser.self, s.node) }

// dropNotedEvery is the least time between two lines about events that were dropped.
const dropNotedEvery = 10 * time.Second

func (s *session) noteDropped(box *outbox, now time.Time) {
	if box.dropped == 0 || now.Sub(s.dropNoted) < dropNotedEvery {
		return
	}
	s.write(slog.LevelError, actionDrop, box, int(box.dropped),
		slog.String(eventlog.KeyError, fmt.Sprintf("%d events wait already", len(box.queue))))
	box.dropped, s.dropNoted = 0, now
}

// finish takes in what became of a delivery, and logs it.
func (s *session) finish(f finished) {
	s.underWay--
	box, attempts, events := f.box, f.box.attempts, f.box.batch
	v := box.finish(f.outcome, s.ctx.Err() != nil, time.Now())
	switch {
	case f.err == nil:
		s.counts.sent += uint64(v.done)
		s.write(slog.LevelInfo, actionSent, box, v.done)
	case v.done > 0:
		s.counts.failed += uint64(v.done)
		s.write(slog.LevelError, actionDrop, box, v.done,
			slog.String(eventlog.KeyError, fmt.Sprintf("%v (attempt %d)", f.err, attempts)))
	case v.retry > 0:
		s.counts.retries++
		s.write(slog.LevelWarn, actionRetry, box, events,
			slog.String(eventlog.KeyError, f.err.Error()), slog.Int64(eventlog.KeyRetryInMS, v.retry.Milliseconds()))
	}
}

func (s *session) write(level slog.Level, action string, box *outbox, events int, attrs ...slog.Attr) {
	s.log.Write(level, eventlog.Notify, s.self(), "", append([]slog.Attr{
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
func (s *session) members(ctx context.Context, request *notifypb.MembersRequest) error {
	return s.do(ctx, func() {
		now := time.Now()
		s.enqueue(now, s.chooser.members(request, now)...)
	})
}

// drain reads what the logs have got, and returns when all is delivered.
func (s *session) drain(ctx context.Context) error {
	drained := make(chan struct{})
	err := s.do(ctx, func() {
		s.poll()
		s.hurry, s.drained = true, append(s.drained, drained)
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
	if err := s.do(context.Background(), func() { left = s.giveUp() }); err != nil {
		return err
	}
	return fmt.Errorf("%d notifications were not delivered: %w", left, ctx.Err())
}

// giveUp logs what is lost when the service ends now.
func (s *session) giveUp() (left int) {
	for _, box := range s.boxes {
		if n := len(box.queue); n > 0 {
			left += n
			s.write(slog.LevelError, actionDrop, box, n, slog.String(eventlog.KeyError, "the daemon ends before they are delivered"))
		}
	}
	s.counts.dropped += uint64(left)
	return left
}

func (s *session) snapshot(ctx context.Context) (state []byte, err error) {
	if err := s.do(ctx, func() { state, err = s.encode() }); err != nil {
		return nil, err
	}
	return state, err
}

func (s *session) status(ctx context.Context) (counters []notifypb.Counter, err error) {
	err = s.do(ctx, func() {
		counters = s.counts.list()
		var waiting, lost uint64
		for _, box := range s.boxes {
			waiting += uint64(len(box.queue))
		}
		for _, l := range s.logs {
			lost += l.Lost()
		}
		counters = append(counters, notifypb.Counter{Name: "waiting", Value: waiting}, notifypb.Counter{Name: "log_files_lost", Value: lost})
	})
	return counters, err
}
