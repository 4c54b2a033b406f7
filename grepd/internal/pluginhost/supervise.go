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
	stage stage
	// Each is there in the stage that it is named with, and only then.
	current *instance // working
	dying   *instance // ending
	restart *launch   // restarting
	// retry is the time of the next restart. It runs while waiting, but not for a reload.
	retry *time.Timer

	program executable // at work, or what a restart runs
	// snapshot is the last state that the host got hold of; nil: begin afresh. The current
	// instance may have a newer one.
	snapshot []byte
	restarts int
	lastExit string
	backoff  backoff

	reload reload
	// queued are the calls for the reload after the one under way.
	queued []*reloadCall
	trial  trial
}

// begin starts the first process, in New's goroutine before there is an owner.
func (h *Host) begin() error {
	h.setClocks()
	p, err := copyExecutable(h.ctx, h.path, h.runDir.path)
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
	h.retry, h.trial.timer = stoppedTimer(), stoppedTimer()
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
	defer h.awaitEnds()
	for {
		select {
		case <-h.stopping:
			_ = h.retire() // which has logged what went wrong
			return
		case request := <-h.requests:
			if request(); h.stage == handedOver {
				return
			}
		case <-h.current.exited():
			h.onCrash("")
		case why := <-h.current.unwell():
			h.onCrash(why)
		case <-h.dying.halt():
			h.onHalt()
		case <-h.retry.C:
			h.onRetry()
		case <-h.restart.over():
			h.onRestarted()
		case <-h.reload.launch.over():
			h.onReload()
		case <-h.trial.timer.C:
			h.onTrialEnd()
		}
	}
}

// launch is one under way, in a goroutine of its own.
type launch struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over; what follows is valid then
	// instance is nil without an error where there was nothing to launch.
	instance *instance
	err      error
}

// inBackground begins a launch.
func (h *Host) inBackground(f func(context.Context) (*instance, error)) *launch {
	ctx, cancel := context.WithCancel(h.ctx)
	l := &launch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer cancel()
		l.instance, l.err = f(ctx)
	}()
	return l
}

// over is closed when the launch is; without one it is nil.
func (l *launch) over() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.done
}

// abandon ends a launch and whatever it has launched.
func (l *launch) abandon() {
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
func (h *Host) startNew(ctx context.Context, p executable, state []byte, crashed bool) (*instance, error) {
	i, err := h.launch(ctx, p)
	if err != nil {
		return nil, err
	}
	return h.startAlone(ctx, i, state, crashed)
}

func (h *Host) launch(ctx context.Context, p executable) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timing.Launch)
	defer cancel()
	return newInstance(ctx, &h.cfg, p, h.runDir.path)
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
	h.trial.proven = h.trial.proven && i.program.checksum == h.program.checksum
	h.stage, h.current = working, i
	h.program, h.snapshot = i.program, i.state()
	i.began = time.Now()
	h.removeUnused()
	i.attend(h.cfg.Timing)
	h.retry.Stop()
	h.trial.timer.Reset(h.cfg.Timing.Stable)
	h.log(slog.LevelInfo, action, append([]slog.Attr{
		slog.String(eventlog.KeyVersion, i.program.version),
		slog.String(eventlog.KeyChecksum, i.program.hex()), slog.Int(eventlog.KeyPID, i.process.pid),
	}, attrs...)...)
	h.publish()
}

// publish shows the host's state to Info.
func (h *Host) publish() {
	info := &Info{
		Name: h.cfg.Kind.Name, Version: h.program.version, Checksum: h.program.hex(),
		Since: time.Now(), Restarts: h.restarts, LastExit: h.lastExit, State: h.stage.state(),
	}
	if i := h.current; i != nil {
		info.APIVersion, info.PID, info.Since = i.apiVersion, i.process.pid, i.since
	}
	h.info.Store(info)
}

// onCrash ends the current instance. It has ended itself, or why says what is wrong with it.
func (h *Host) onCrash(why string) {
	i := h.current
	if isClosed(i.process.exited) { // how it ended says more
		why = i.process.exit
	}
	h.stage, h.current, h.dying = ending, nil, i
	h.snapshot, h.lastExit = i.state(), why
	i.died = time.Now()
	i.fate.Store(&why)
	h.trial.timer.Stop()
	i.process.kill()
	i.release()
	i.service.Lost()
	h.endInBackground(i, 0)
	h.ends.Go(func() {
		i.awaitEnd(deathTimeout)
		close(i.halted)
	})
	h.publish()
}

// endInBackground ends an instance in a goroutine.
func (h *Host) endInBackground(i *instance, grace time.Duration) {
	h.ends.Go(func() {
		i.end(grace)
		close(i.ended)
	})
}

// awaitEnds waits until all instances have ended, or until it is only the system that keeps
// one.
func (h *Host) awaitEnds() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ends.Wait()
	}()
	select {
	case <-done:
	case <-time.After(h.cfg.Timing.Grace + deathTimeout):
	}
}

// onHalt decides what comes in place of an instance that crashed.
func (h *Host) onHalt() {
	i := h.dying
	h.stage, h.dying = waiting, nil
	wait := h.waitAfter(i)
	h.log(slog.LevelWarn, actionExit, slog.Int(eventlog.KeyPID, i.process.pid),
		slog.String(eventlog.KeyDetail, h.lastExit), slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()),
		slog.String(eventlog.KeyStderr, i.stderr.String()))
	if h.trial.lastGood != nil {
		h.rollBack(i)
	}
	h.publish()
	h.startNext(wait)
}

// waitAfter is how long to wait before a restart after a crash.
func (h *Host) waitAfter(i *instance) time.Duration {
	if i.died.Sub(i.began) >= h.cfg.Timing.Steady || h.trial.lastGood != nil {
		h.backoff.reset()
	}
	return h.backoff.next()
}

// startNext goes on while waiting: with what a reload has launched, or else with a restart
// after that time.
func (h *Host) startNext(wait time.Duration) {
	if h.reload.stage == launched {
		h.startLaunched()
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

// onRetry begins to start the program that worked last, from the last snapshot.
func (h *Host) onRetry() {
	h.restarts++
	if h.backoff.attempts > freshAfter {
		h.snapshot = nil
	}
	p, state := h.program, h.snapshot
	h.stage = restarting
	h.restart = h.inBackground(func(ctx context.Context) (*instance, error) {
		return h.startNew(ctx, p, state, true)
	})
}

// onRestarted takes in the end of a restart's launch.
func (h *Host) onRestarted() {
	l := h.restart
	h.stage, h.restart = waiting, nil
	switch {
	case l.err == nil:
		h.resumeWork(l.instance)
	case h.reload.stage == launched: // for which this launch was broken off
		h.startNext(0)
	case h.ctx.Err() != nil: // Stop was called meanwhile, and will be next
	default:
		wait := h.backoff.next()
		h.log(slog.LevelWarn, actionRestart, append(failure(l.err),
			slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()))...)
		h.startNext(wait)
	}
}

// resumeWork makes i, which a restart has set to work, the current instance.
func (h *Host) resumeWork(i *instance) {
	if r := h.trial.rolledBack; r != nil {
		h.trial.rolledBack = nil
		h.become(i, actionRollback, r.attrs()...)
	} else {
		h.become(i, actionRestart)
	}
	if h.reload.stage == launched {
		h.swap()
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

// settle ends all that is under way: launches, and the end of a process. One that has just
// come through counts. The stage is then working, waiting without a time, or stopped. Reloads
// that wait are answered with why.
func (h *Host) settle(why error) {
	switch {
	case h.stage == restarting && isClosed(h.restart.done):
		h.onRestarted()
	case h.reload.stage == starting && isClosed(h.reload.launch.done):
		h.onReload()
	}
	h.restart.abandon()
	if h.stage == restarting {
		h.stage, h.restart = waiting, nil
	}
	h.abandonReload()
	if h.stage == ending {
		<-h.dying.halted
		h.onHalt()
	}
	h.retry.Stop()
	h.answerQueued(why)
}

// retire tells the current instance, if any, that it is over, and ends it.
func (h *Host) retire() (err error) {
	h.settle(ErrEnded)
	h.trial.timer.Stop()
	if h.stage == working {
		err = h.retireCurrent()
	}
	h.stage, h.current = stopped, nil
	h.snapshot, h.trial.lastGood, h.trial.rolledBack = nil, nil, nil
	h.backoff.reset()
	h.removeUnused()
	h.publish()
	return err
}

func (h *Host) retireCurrent() error {
	i := h.current
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Retire)
	err := i.service.Retire(ctx)
	cancel()
	i.release()
	h.endInBackground(i, h.cfg.Timing.Grace)
	i.awaitEnd(h.cfg.Timing.Grace + deathTimeout)
	i.service.Lost()
	if isClosed(i.process.exited) {
		h.lastExit = i.process.exit
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.Int(eventlog.KeyPID, i.process.pid)}
	if err != nil {
		level, attrs = slog.LevelWarn, append(attrs, slog.String(eventlog.KeyError, err.Error()))
	}
	h.log(level, actionStop, attrs...)
	return err
}
