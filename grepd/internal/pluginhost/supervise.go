package pluginhost

import (
	"context"
	"log/slog"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// The actions of PLUGIN events.
const (
	actionStart    = "start"    // the first process
	actionReload   = "reload"   // replaced by another one
	actionRefuse   = "refuse"   // a new program was no good; the old one works on
	actionExit     = "exit"     // ended on its own, or was ended because it hung
	actionRestart  = "restart"  // started again after that
	actionRollback = "rollback" // the last good program started after that
	actionStop     = "stop"     // ended for good

	actionHandOver = "hand over" // ended, since another daemon's goes on
	actionTakeOver = "take over" // goes on with what another daemon's knew
)

// freshAfter is how many restarts in a row may fail before the plugin is started without
// a state: it may be the state that it cannot live with.
const freshAfter = 5

// owned is what the owner goroutine has for itself.
type owned struct {
	// Of these three there is one at most: the process at work, exactly while the state is
	// Running; one that crashed or hung, and is being ended; a launch of one that will work.
	current  *instance
	dying    *instance
	starting *launching

	program program // at work, or what a restart runs
	// snapshot is the last state that the host got hold of; nil: begin afresh. The current
	// instance may have a newer one.
	snapshot []byte
	restarts int
	lastExit string
	backoff  backoff
	retry    *time.Timer // of the next restart; runs only while none of the three is there

	reloads
	// handedOver ends the goroutine.
	handedOver bool
}

// begin starts the first process, in New's goroutine before there is an owner.
func (h *Host) begin() error {
	h.setClocks()
	p, err := stage(h.ctx, h.path, h.runDir.path)
	if err != nil {
		return err
	}
	i, err := h.startNew(h.ctx, p, nil, false)
	if err != nil {
		return err
	}
	h.become(i, actionStart)
	if err := h.watchDir(); err != nil {
		i.end(h.cfg.Timing.Grace)
		return err
	}
	return nil
}

func (h *Host) setClocks() {
	h.backoff = backoff{first: h.cfg.Timing.RestartFirst, max: h.cfg.Timing.RestartMax}
	h.retry, h.trial = stoppedTimer(), stoppedTimer()
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// run is the owner goroutine.
func (h *Host) run() {
	defer close(h.done)
	defer h.runDir.remove()
	defer h.awaitBurials()
	for {
		select {
		case <-h.stopping:
			_ = h.retire() // which has logged what went wrong
			return
		case request := <-h.requests:
			if request(); h.handedOver {
				return
			}
		case <-h.current.exited():
			h.crashed("")
		case why := <-h.current.unwell():
			h.crashed(why)
		case <-h.dying.resting():
			h.buried()
		case <-h.retry.C:
			h.restart()
		case <-h.starting.over():
			h.started()
		case <-h.reloading.over():
			h.launched()
		case <-h.trial.C:
			h.trust()
		}
	}
}

// launching is a launch under way, in a goroutine of its own.
type launching struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over; what follows is valid then
	// instance is nil without an error where there was nothing to launch.
	instance *instance
	err      error
}

// inBackground begins a launch.
func (h *Host) inBackground(f func(context.Context) (*instance, error)) *launching {
	ctx, cancel := context.WithCancel(h.ctx)
	l := &launching{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cancel()
		l.instance, l.err = f(ctx)
	}()
	return l
}

// over is closed when the launch is; without one it is nil.
func (l *launching) over() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.done
}

// abandon ends a launch and whatever it has launched.
func (l *launching) abandon() {
	if l == nil {
		return
	}
	l.cancel()
	<-l.done
	if l.instance != nil {
		l.instance.end(0)
	}
}

// startNew launches p and sets it to work from a state, with no other process at work.
func (h *Host) startNew(ctx context.Context, p program, state []byte, crashed bool) (*instance, error) {
	i, err := h.launch(ctx, p)
	if err != nil {
		return nil, err
	}
	return h.startAlone(ctx, i, state, crashed)
}

func (h *Host) launch(ctx context.Context, p program) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timing.Launch)
	defer cancel()
	return launch(ctx, &h.cfg, p, h.runDir.path)
}

// startAlone sets i to work where there is no other process, and so no hurry. If that
// fails, it ends it.
func (h *Host) startAlone(ctx context.Context, i *instance, state []byte, crashed bool) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timing.Launch)
	defer cancel()
	if err := i.start(ctx, state, crashed); err != nil {
		i.end(0)
		return nil, i.explain(ctx, err)
	}
	return i, nil
}

// become makes i, which is at work, the current instance.
func (h *Host) become(i *instance, action string, attrs ...slog.Attr) {
	h.proven = h.proven && i.program.checksum == h.program.checksum
	h.current, h.program, h.snapshot = i, i.program, i.state()
	i.began = time.Now()
	h.removeUnused()
	i.attend(h.cfg.Timing)
	h.retry.Stop()
	h.trial.Reset(h.cfg.Timing.Stable)
	h.log(slog.LevelInfo, action, append([]slog.Attr{
		slog.String(eventlog.KeyVersion, i.program.version),
		slog.String(eventlog.KeyChecksum, i.program.hex()), slog.Int(eventlog.KeyPID, i.process.pid),
	}, attrs...)...)
	h.publish(Running)
}

// publish shows the host's state to Info.
func (h *Host) publish(state State) {
	info := &Info{
		Name: h.cfg.Kind.Name, Version: h.program.version, Checksum: h.program.hex(),
		Since: time.Now(), Restarts: h.restarts, LastExit: h.lastExit, State: state,
	}
	if i := h.current; i != nil {
		info.APIVersion, info.PID, info.Since = i.apiVersion, i.process.pid, i.since
	}
	h.info.Store(info)
}

// crashed ends the current instance, which has ended, or of which why says what is wrong
// with it.
func (h *Host) crashed(why string) {
	i := h.current
	if isClosed(i.process.exited) { // how it ended says more
		why = i.process.exit
	}
	h.current, h.dying = nil, i
	h.snapshot, h.lastExit = i.state(), why
	i.died = time.Now()
	i.fate.Store(&why)
	h.trial.Stop()
	i.process.kill()
	i.release()
	i.service.Lost()
	h.bury(i, 0)
	h.burials.Go(func() {
		i.awaitGone(deathTimeout)
		close(i.still)
	})
	h.publish(Restarting)
}

// bury ends an instance in a goroutine.
func (h *Host) bury(i *instance, grace time.Duration) {
	h.burials.Go(func() {
		i.end(grace)
		close(i.gone)
	})
}

// awaitBurials waits until all that was buried is gone, or until it is only the system that
// keeps it.
func (h *Host) awaitBurials() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.burials.Wait()
	}()
	select {
	case <-done:
	case <-time.After(h.cfg.Timing.Grace + deathTimeout):
	}
}

// buried decides what comes in place of an instance that crashed.
func (h *Host) buried() {
	i := h.dying
	h.dying = nil
	wait := h.waitAfter(i)
	h.log(slog.LevelWarn, actionExit, slog.Int(eventlog.KeyPID, i.process.pid),
		slog.String(eventlog.KeyDetail, h.lastExit), slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()),
		slog.String(eventlog.KeyStderr, i.stderr.String()))
	if h.lastGood != nil {
		h.rollBack(i)
	}
	h.publish(Restarting)
	h.next(wait)
}

// waitAfter is how long to wait before a restart after a crash.
func (h *Host) waitAfter(i *instance) time.Duration {
	if i.died.Sub(i.began) >= h.cfg.Timing.Steady || h.lastGood != nil {
		h.backoff.reset()
	}
	return h.backoff.next()
}

// next goes on where nothing is at work: with what a reload has launched, or in a while.
func (h *Host) next(wait time.Duration) {
	if i := h.ready; i != nil {
		h.ready = nil
		h.startReady(i)
		return
	}
	h.retry.Reset(wait)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// restart begins to start the program that worked last, from the last snapshot.
func (h *Host) restart() {
	h.restarts++
	if h.backoff.attempts > freshAfter {
		h.snapshot = nil
	}
	p, state := h.program, h.snapshot
	h.starting = h.inBackground(func(ctx context.Context) (*instance, error) {
		return h.startNew(ctx, p, state, true)
	})
}

// started takes in the end of a launch that was to be at work.
func (h *Host) started() {
	l := h.starting
	h.starting = nil
	switch {
	case h.readying:
		h.readyStarted(l)
	case l.err == nil:
		h.restarted(l.instance)
	case h.ready != nil: // for which this launch was broken off
		h.next(0)
	case h.ctx.Err() != nil: // Stop was called meanwhile, and will be next
	default:
		wait := h.backoff.next()
		h.log(slog.LevelWarn, actionRestart, append(failure(l.err),
			slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()))...)
		h.next(wait)
	}
}

func (h *Host) restarted(i *instance) {
	if r := h.rolledBack; r != nil {
		h.rolledBack = nil
		h.become(i, actionRollback, r.attrs()...)
	} else {
		h.become(i, actionRestart)
	}
	if next := h.ready; next != nil {
		h.ready = nil
		h.swap(next)
	}
}

// failure says in an event what went wrong, with all of the plugin's last lines.
func failure(err error) []slog.Attr {
	attrs := []slog.Attr{slog.String(eventlog.KeyError, err.Error())}
	if stderr := stderrOf(err); stderr != "" {
		attrs = append(attrs, slog.String(eventlog.KeyStderr, stderr))
	}
	return attrs
}

// settle ends all that is under way: launches, and the end of a process. A restart that
// has just come through counts. Nothing but the current instance is left then. Reloads that
// wait are answered with why.
func (h *Host) settle(why error) {
	if h.starting != nil && isClosed(h.starting.done) {
		h.started()
	}
	h.starting.abandon()
	h.reloading.abandon()
	if h.ready != nil {
		h.ready.end(0)
	}
	h.starting, h.reloading, h.ready, h.readying = nil, nil, nil, false
	if h.dying != nil {
		<-h.dying.still
		h.buried()
	}
	h.retry.Stop()
	h.waiting = append(h.asked, h.waiting...)
	h.asked = nil
	h.dismiss(why)
}

// retire tells the current instance, if any, that it is over, and ends it.
func (h *Host) retire() error {
	h.settle(ErrEnded)
	h.trial.Stop()
	var err error
	if i := h.current; i != nil {
		ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Retire)
		err = i.service.Retire(ctx)
		cancel()
		i.release()
		h.bury(i, h.cfg.Timing.Grace)
		i.awaitGone(h.cfg.Timing.Grace + deathTimeout)
		i.service.Lost()
		h.current = nil
		if isClosed(i.process.exited) {
			h.lastExit = i.process.exit
		}
		level, attrs := slog.LevelInfo, []slog.Attr{slog.Int(eventlog.KeyPID, i.process.pid)}
		if err != nil {
			level, attrs = slog.LevelWarn, append(attrs, slog.String(eventlog.KeyError, err.Error()))
		}
		h.log(level, actionStop, attrs...)
	}
	h.snapshot, h.lastGood, h.rolledBack = nil, nil, nil
	h.backoff.reset()
	h.removeUnused()
	h.publish(Stopped)
	return err
}
