package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// The actions of PLUGIN events.
const (
	actionStart   = "start"   // the first process
	actionReload  = "reload"  // replaced by another one
	actionRefuse  = "refuse"  // a new program was no good; the old one works on
	actionExit    = "exit"    // ended on its own, or was ended because it hung
	actionRestart = "restart" // started again after that
	actionStop    = "stop"    // ended for good

	actionHandOver = "hand over" // ended, since another daemon's goes on
	actionTakeOver = "take over" // goes on with what another daemon's knew
)

// freshAfter is how many restarts in a row may fail before the plugin is started without
// a state: it may be the state that it cannot live with.
const freshAfter = 5

// exitTimeout is how much later than its connection's end a process's may be seen.
const exitTimeout = time.Second

// owned is what the owner goroutine has for itself. There is a current instance exactly
// while the state is Running.
type owned struct {
	current *instance
	program program // what a restart runs
	// snapshot is the last state that the host got hold of; nil: begin afresh.
	snapshot []byte
	restarts int
	lastExit string
	backoff  backoff
	// handedOver ends the goroutine.
	handedOver bool
	// check and retry are the two clocks; only one of them runs.
	check, retry *time.Timer
}

// begin starts the first process, in New's goroutine before there is an owner.
func (h *Host) begin() error {
	t := h.cfg.Timing
	h.setClocks()
	p, err := stage(h.path, h.runDir.path)
	if err != nil {
		return err
	}
	if err := h.startNew(p, actionStart, nil, false); err != nil {
		return err
	}
	if err := h.watchDir(); err != nil {
		h.current.end(t.Grace)
		return err
	}
	return nil
}

func (h *Host) setClocks() {
	h.backoff = backoff{first: h.cfg.Timing.RestartFirst, max: h.cfg.Timing.RestartMax}
	h.check, h.retry = stoppedTimer(), stoppedTimer()
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
	for {
		select {
		case <-h.stopping:
			_ = h.retire() // which has logged what went wrong
			return
		case request := <-h.requests:
			if request(); h.handedOver {
				return
			}
		case <-h.exited():
			h.crashed("")
		case <-h.check.C:
			h.checkUp()
		case <-h.retry.C:
			h.restart()
		}
	}
}

// exited is closed when the current process has ended; without one it is nil.
func (h *Host) exited() <-chan struct{} {
	if h.current == nil {
		return nil
	}
	return h.current.process.exited
}

// startNew launches p and sets it to work from a state, with no other process at work.
func (h *Host) startNew(p program, action string, state []byte, crashed bool) error {
	i, err := h.launch(p)
	if err != nil {
		return err
	}
	if err := h.setToWork(i, state, crashed); err != nil {
		i.end(0)
		return err
	}
	h.become(i, action)
	return nil
}

func (h *Host) launch(p program) (*instance, error) {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.Timing.Launch)
	defer cancel()
	return launch(ctx, &h.cfg, p, h.runDir.path)
}

func (h *Host) setToWork(i *instance, state []byte, crashed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Call)
	defer cancel()
	if err := i.service.Start(ctx, state, crashed); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	h.snapshot = state
	return nil
}

// become makes i, which is at work, the current instance.
func (h *Host) become(i *instance, action string, attrs ...slog.Attr) {
	h.current, h.program = i, i.program
	removeOthers(h.runDir.path, h.cfg.Kind.Name, h.program)
	i.attend()
	h.retry.Stop()
	h.check.Reset(h.cfg.Timing.CheckEvery)
	h.publish(Running)
	h.log(slog.LevelInfo, action, append([]slog.Attr{
		slog.String(eventlog.KeyVersion, i.program.version),
		slog.String(eventlog.KeyChecksum, i.program.hex()), slog.Int(eventlog.KeyPID, i.process.pid),
	}, attrs...)...)
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

// checkUp takes a snapshot, and ends a plugin that does not give one.
func (h *Host) checkUp() {
	ctx, cancel := context.WithTimeout(h.ctx, h.cfg.Timing.Check)
	defer cancel()
	snapshot, err := h.current.service.Snapshot(ctx)
	switch {
	case err == nil:
		h.snapshot = snapshot
		h.check.Reset(h.cfg.Timing.CheckEvery)
	case h.ctx.Err() != nil: // Stop was called meanwhile, and will be next
	default:
		if !errors.Is(err, context.DeadlineExceeded) {
			h.awaitExit()
		}
		h.crashed(fmt.Sprintf("no snapshot: %v", err))
	}
}

// awaitExit gives a process whose connection broke the time to be seen to have ended, so
// that how it ended is told, and not that the connection broke.
func (h *Host) awaitExit() {
	select {
	case <-h.exited():
	case <-time.After(exitTimeout):
	}
}

// crashed buries the current instance, which has ended or is not well, and sets the
// clock for a restart.
func (h *Host) crashed(why string) {
	i := h.current
	exitedAlone := why == "" || isClosed(i.process.exited)
	i.end(0)
	i.service.Lost()
	h.current = nil
	h.check.Stop()
	h.lastExit = i.process.exit
	if !exitedAlone {
		h.lastExit = why
	}
	if time.Since(i.since) >= h.cfg.Timing.Stable {
		h.backoff.reset()
	}
	wait := h.backoff.next()
	h.retry.Reset(wait)
	h.publish(Restarting)
	h.log(slog.LevelWarn, actionExit, slog.Int(eventlog.KeyPID, i.process.pid),
		slog.String(eventlog.KeyDetail, h.lastExit), slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()),
		slog.String(eventlog.KeyStderr, i.stderr.String()))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// restart starts the program that worked last, from the last snapshot.
func (h *Host) restart() {
	h.restarts++
	if h.backoff.attempts > freshAfter {
		h.snapshot = nil
	}
	err := h.startNew(h.program, actionRestart, h.snapshot, true)
	if err == nil || h.ctx.Err() != nil {
		return
	}
	wait := h.backoff.next()
	h.retry.Reset(wait)
	h.publish(Restarting)
	h.log(slog.LevelWarn, actionRestart, slog.String(eventlog.KeyError, err.Error()),
		slog.Int64(eventlog.KeyRestartInMS, wait.Milliseconds()))
}

// reload is described in the package's comment.
func (h *Host) reload() error { return h.reloadIf(func(program) bool { return true }) }

// reloadChanged reloads where the program is not the one at work, and leaves a plugin
// alone that was retired.
func (h *Host) reloadChanged() error {
	return h.reloadIf(func(p program) bool {
		return p.checksum != h.program.checksum && h.Info().State != Stopped
	})
}

func (h *Host) reloadIf(wanted func(program) bool) error {
	p, err := stage(h.path, h.runDir.path)
	if err == nil && wanted(p) {
		err = h.replaceBy(p)
	}
	removeOthers(h.runDir.path, h.cfg.Kind.Name, h.program)
	if err != nil {
		h.log(slog.LevelWarn, actionRefuse, slog.String(eventlog.KeyError, err.Error()))
	}
	return err
}

func (h *Host) replaceBy(p program) error {
	next, err := h.launch(p)
	if err != nil {
		return err
	}
	old := h.current
	if old == nil { // it crashed, or was retired, which leaves no snapshot
		if err := h.setToWork(next, h.snapshot, true); err != nil {
			next.end(0)
			return err
		}
		h.backoff.reset()
		h.become(next, actionReload)
		return nil
	}
	frozenAt := time.Now()
	state, frozen := h.freeze(old)
	if err := h.setToWork(next, state, !frozen); err != nil {
		next.end(0)
		return errors.Join(err, h.resume(old, state, frozen))
	}
	h.become(next, actionReload, slog.Int64(eventlog.KeyGapUS, time.Since(frozenAt).Microseconds()))
	old.end(h.cfg.Timing.Grace)
	return nil
}

// freeze takes the state of the instance at work. One that does not give it is killed,
// so that there are never two at work, and its last snapshot has to do.
func (h *Host) freeze(i *instance) (state []byte, frozen bool) {
	i.release()
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Call)
	defer cancel()
	state, err := i.service.Freeze(ctx)
	if err != nil {
		i.process.kill()
		<-i.process.exited
		h.lastExit = fmt.Sprintf("it did not give its state for a reload: %v", err)
		h.log(slog.LevelWarn, actionExit, slog.Int(eventlog.KeyPID, i.process.pid),
			slog.String(eventlog.KeyDetail, h.lastExit), slog.String(eventlog.KeyStderr, i.stderr.String()))
		return h.snapshot, false
	}
	return state, true
}

// resume sets the old instance to work again after a reload that went wrong late.
func (h *Host) resume(old *instance, state []byte, frozen bool) error {
	h.snapshot = state
	if !frozen {
		h.crashed("it did not give its state for a reload")
		return nil
	}
	if err := h.setToWork(old, state, false); err != nil {
		h.crashed(fmt.Sprintf("it did not resume after a reload: %v", err))
		return fmt.Errorf("and the old one does not resume: %w", err)
	}
	old.attend()
	return nil
}

// retire tells the current instance, if any, that it is over, and ends it.
func (h *Host) retire() error {
	h.check.Stop()
	h.retry.Stop()
	var err error
	if i := h.current; i != nil {
		ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Retire)
		err = i.service.Retire(ctx)
		cancel()
		i.end(h.cfg.Timing.Grace)
		i.service.Lost()
		h.current = nil
		h.lastExit = i.process.exit
		level, attrs := slog.LevelInfo, []slog.Attr{slog.Int(eventlog.KeyPID, i.process.pid)}
		if err != nil {
			level, attrs = slog.LevelWarn, append(attrs, slog.String(eventlog.KeyError, err.Error()))
		}
		h.log(level, actionStop, attrs...)
	}
	h.snapshot = nil
	h.backoff.reset()
	h.publish(Stopped)
	return err
}
