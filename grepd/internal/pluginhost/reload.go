package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// reloadsMax bounds the reloads that wait for the one under way.
const reloadsMax = 1000

var (
	errTooMany = errors.New("too many reloads wait already")
	errBanned  = errors.New("this program was refused or rolled back before; grepd plugin reload tries it again")
)

// reload is the one under way. Its launch goes on beside the owner goroutine.
type reload struct {
	stage reloadStage
	calls []*reloadCall // that it answers
	// program is the one in the plugin directory. It is there from when launching is over.
	program *executable
	launch  *launch   // while launching or starting
	next    *instance // while launched
}

// reloadCall is one call that waits for a reload.
type reloadCall struct {
	ifChanged bool // it is content where the program is the one at work
	result    chan error
}

func newReloadCall(ifChanged bool) *reloadCall {
	return &reloadCall{ifChanged, make(chan error, 1)}
}

func answer(calls []*reloadCall, err error) {
	for _, c := range calls {
		c.result <- err
	}
}

// ask begins a reload, or queues the call while one is under way.
func (h *Host) ask(call *reloadCall) {
	if len(h.queued) == reloadsMax {
		call.result <- errTooMany
		return
	}
	h.queued = append(h.queued, call)
	if h.reload.stage == noReload {
		h.beginReload()
	}
}

// answerQueued answers the calls for the next reload in its place.
func (h *Host) answerQueued(err error) {
	answer(h.queued, err)
	h.queued = nil
}

// beginReload copies and launches what is in the plugin directory, for all calls queued.
func (h *Host) beginReload() {
	ifChanged := !slices.ContainsFunc(h.queued, func(c *reloadCall) bool { return !c.ifChanged })
	if ifChanged && h.stage == stopped { // and what was retired is left alone
		h.answerQueued(nil)
		return
	}
	found := new(executable)
	h.reload = reload{stage: launching, calls: h.queued, program: found}
	h.queued = nil
	current, banned := h.program.checksum, h.trial.banned.checksum
	h.reload.launch = h.inBackground(func(ctx context.Context) (*instance, error) {
		p, err := copyExecutable(ctx, h.path, h.runDir.path)
		*found = p
		switch {
		case err != nil:
			return nil, err
		case ifChanged && p.checksum == current:
			return nil, nil
		case ifChanged && p.checksum == banned:
			return nil, errBanned
		}
		return h.launch(ctx, p)
	})
}

// onReload takes in the end of what goes on beside the owner goroutine.
func (h *Host) onReload() {
	l := h.reload.launch
	h.reload.launch = nil
	if h.reload.stage == starting {
		h.onReloadStarted(l)
	} else {
		h.onReloadLaunched(l)
	}
}

func (h *Host) onReloadLaunched(l *launch) {
	if h.reload.program.checksum != h.trial.banned.checksum {
		h.trial.banned = ban{}
	}
	if l.instance == nil {
		h.endReload(l.err, nil)
		return
	}
	h.reload.stage, h.reload.next = launched, l.instance
	switch h.stage {
	case working:
		h.swap()
	case ending: // onHalt is next
	case restarting:
		h.restart.cancel() // it would only be replaced at once; onRestarted is next
	default:
		h.startLaunched()
	}
}

// endReload answers those who asked for the reload, when the instance that it replaced, if
// any, is gone; where the new one is by then, too, that is the answer. It begins the next one.
func (h *Host) endReload(err error, replaced *instance) {
	if err != nil && h.ctx.Err() == nil {
		h.refuse(h.reload.program, err)
	}
	calls := h.reload.calls
	h.reload = reload{}
	if next := h.current; replaced != nil {
		h.endInBackground(replaced, h.cfg.Timing.Grace)
		h.ends.Go(func() {
			replaced.awaitEnd(h.cfg.Timing.Grace + deathTimeout)
			answer(calls, next.lasted())
		})
	} else {
		answer(calls, err)
	}
	h.removeUnused()
	if len(h.queued) > 0 {
		h.beginReload()
	}
}

// refuse bans p, with which a reload has failed, and logs that. Of one that was banned before
// the first reason stays, and the log tells once for each file.
func (h *Host) refuse(p *executable, err error) {
	banned := &h.trial.banned
	again := errors.Is(err, errBanned)
	if !again || !banned.told(p.source) {
		h.log(slog.LevelWarn, actionRefuse, failure(err)...)
	}
	if !again {
		*banned = ban{checksum: p.checksum, reason: err.Error()} // zero where it did not come to that
	}
	banned.source = p.source
}

// abandonReload ends the reload under way, if any, and queues its calls again.
func (h *Host) abandonReload() {
	h.reload.launch.abandon()
	if h.reload.stage == launched {
		h.reload.next.end(0)
	}
	h.queued = append(h.reload.calls, h.queued...)
	h.reload = reload{}
}

// startLaunched begins to set to work what the reload has launched, with nothing to replace:
// the plugin crashed, or was retired, which leaves no state.
func (h *Host) startLaunched() {
	h.retry.Stop()
	next, state := h.reload.next, h.snapshot
	h.reload.stage, h.reload.next = starting, nil
	h.reload.launch = h.inBackground(func(ctx context.Context) (*instance, error) {
		return h.startAlone(ctx, next, state, true)
	})
}

func (h *Host) onReloadStarted(l *launch) {
	if l.err != nil {
		if h.stage == waiting {
			h.retry.Reset(h.backoff.next())
		}
		h.endReload(l.err, nil)
		return
	}
	h.putOnTrial(l.instance.program)
	h.backoff.reset()
	h.trial.rolledBack = nil
	h.become(l.instance, actionReload)
	h.endReload(nil, nil)
}

// swap ends a reload: it puts what was launched in place of the current instance.
func (h *Host) swap() {
	old, next := h.current, h.reload.next
	h.reload.next = nil
	frozenAt := time.Now()
	state, frozen := h.freeze(old)
	if err := h.startInTime(next, state, !frozen); err != nil {
		next.kill() // it may yet begin to work
		h.endInBackground(next, 0)
		err = next.explain(context.Background(), err)
		if resumed := h.resume(old, state, frozen); resumed != nil {
			err = fmt.Errorf("%w; %w", err, resumed)
		}
		h.endReload(err, nil)
		return
	}
	h.putOnTrial(next.program)
	gap := slog.Int64(eventlog.KeyGapUS, time.Since(frozenAt).Microseconds())
	h.become(next, actionReload, gap)
	h.endReload(nil, old)
}

// startInTime sets an instance to work where another one can go on if it does not answer soon.
func (h *Host) startInTime(i *instance, state []byte, crashed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Call)
	defer cancel()
	return i.start(ctx, state, crashed)
}

// freeze takes the state of the instance at work. One that does not give it is killed,
// so that there are never two at work, and its last snapshot has to do.
func (h *Host) freeze(i *instance) (state []byte, frozen bool) {
	i.release()
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timing.Call)
	defer cancel()
	state, err := i.service.Freeze(ctx)
	if err == nil {
		h.snapshot = state
		return state, true
	}
	h.snapshot = i.state()
	i.kill()
	h.lastExit = fmt.Sprintf("it did not give its state for a reload: %v", err)
	h.log(slog.LevelWarn, actionExit, slog.Int(eventlog.KeyPID, i.process.pid),
		slog.String(eventlog.KeyDetail, h.lastExit), slog.String(eventlog.KeyStderr, i.stderr.String()))
	return h.snapshot, false
}

// resume sets the old instance to work again after a reload that went wrong late.
func (h *Host) resume(old *instance, state []byte, frozen bool) error {
	if !frozen {
		h.onCrash(h.lastExit)
		return nil
	}
	if err := h.startInTime(old, state, false); err != nil {
		h.onCrash(fmt.Sprintf("it did not resume after a reload: %v", err))
		return fmt.Errorf("and the old one does not resume: %w", err)
	}
	old.attend(h.cfg.Timing)
	return nil
}
