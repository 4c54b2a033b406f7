package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
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

// reload is one call that waits for a reload.
type reload struct {
	ifChanged bool // it is content where the program is the one at work
	result    chan error
}

func newReload(ifChanged bool) *reload { return &reload{ifChanged, make(chan error, 1)} }

// reloads is what the owner goroutine knows of reloads.
type reloads struct {
	asked   []*reload // that the reload under way answers; nil: none is under way
	waiting []*reload // for the next one
	// Where a reload stands: staging and launching; launched, and waiting until a crashed
	// process is buried or its restart broken off; being set to work with none to replace.
	reloading *launching
	staged    *program // by reloading, when that is over
	ready     *instance
	readying  bool

	// proven says that the program has worked for Timing.Stable, which trial measures.
	proven bool
	trial  *time.Timer
	// lastGood is what to go back to; nil unless the program is on trial.
	lastGood *fallback
	// rolledBack tells what was rolled back until the last good program is at work.
	rolledBack *rollback
	// banned is what was refused or rolled back last, for as long as no other program has
	// been in the plugin directory.
	banned ban
}

// ban is a program that is not taken up by itself, and why. The zero one bans none.
type ban struct {
	checksum [sha256.Size]byte
	reason   string      // one line
	source   fs.FileInfo // of the file that it was in, of which the log tells; nil: not known
}

// told reports whether the log tells already of the file that p is from: a file is noticed more than once.
func (b *ban) told(p *program) bool {
	return b.source != nil && p.source != nil && os.SameFile(b.source, p.source) && b.source.ModTime().Equal(p.source.ModTime())
}

// fallback is a program that worked well, and the last state that was handed over in good
// order.
type fallback struct {
	program program
	proven  bool
	state   []byte
}

// rollback is what became of a program on trial.
type rollback struct {
	program program
	detail  string
	stderr  string
}

func (r *rollback) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String(eventlog.KeyBadChecksum, r.program.hex()),
		slog.String(eventlog.KeyDetail, r.detail), slog.String(eventlog.KeyStderr, r.stderr),
	}
}

// ask begins a reload, or has r wait for the one under way to end.
func (h *Host) ask(r *reload) {
	if len(h.waiting) == reloadsMax {
		r.result <- errTooMany
		return
	}
	h.waiting = append(h.waiting, r)
	if h.asked == nil {
		h.beginReload()
	}
}

// dismiss answers the reloads that wait.
func (h *Host) dismiss(err error) {
	for _, r := range h.waiting {
		r.result <- err
	}
	h.waiting = nil
}

// beginReload stages and launches what is in the plugin directory, for all who wait.
func (h *Host) beginReload() {
	ifChanged := !slices.ContainsFunc(h.waiting, func(r *reload) bool { return !r.ifChanged })
	if ifChanged && h.Info().State == Stopped { // and what was retired is left alone
		h.dismiss(nil)
		return
	}
	h.asked, h.waiting = h.waiting, nil
	current, banned, staged := h.program.checksum, h.banned.checksum, new(program)
	h.staged = staged
	h.reloading = h.inBackground(func(ctx context.Context) (*instance, error) {
		p, err := stage(ctx, h.path, h.runDir.path)
		*staged = p
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

// launched takes in the end of a reload's launch.
func (h *Host) launched() {
	l := h.reloading
	h.reloading = nil
	if h.staged.checksum != h.banned.checksum {
		h.banned = ban{}
	}
	if l.instance == nil {
		h.endReload(l.err, nil)
		return
	}
	switch {
	case h.current != nil:
		h.swap(l.instance)
	case h.dying != nil:
		h.ready = l.instance
	case h.starting != nil:
		h.ready = l.instance
		h.starting.cancel() // it would only be replaced at once
	default:
		h.startReady(l.instance)
	}
}

// endReload answers those who asked for the reload, when the instance that it replaced, if
// any, is gone; where the new one is by then, too, that is the answer. It begins the next one.
func (h *Host) endReload(err error, replaced *instance) {
	if err != nil && h.ctx.Err() == nil {
		banned := errors.Is(err, errBanned) // whose reason is an older one
		if !banned || !h.banned.told(h.staged) {
			h.log(slog.LevelWarn, actionRefuse, failure(err)...)
		}
		if !banned {
			h.banned = ban{checksum: h.staged.checksum, reason: err.Error()} // zero where it did not come to that
		}
		h.banned.source = h.staged.source
	}
	asked := h.asked
	h.asked = nil
	answer := func(err error) {
		for _, r := range asked {
			r.result <- err
		}
	}
	if next := h.current; replaced != nil {
		h.bury(replaced, h.cfg.Timing.Grace)
		h.burials.Go(func() {
			replaced.awaitGone(h.cfg.Timing.Grace + deathTimeout)
			answer(next.lasted())
		})
	} else {
		answer(err)
	}
	h.removeUnused()
	if len(h.waiting) > 0 {
		h.beginReload()
	}
}

// startReady begins to set next to work, with nothing to replace: the plugin crashed, or
// was retired, which leaves no state.
func (h *Host) startReady(next *instance) {
	h.retry.Stop()
	h.readying = true
	state := h.snapshot
	h.starting = h.inBackground(func(ctx context.Context) (*instance, error) {
		return h.startAlone(ctx, next, state, true)
	})
}

func (h *Host) readyStarted(l *launching) {
	h.readying = false
	if l.err != nil {
		if h.Info().State == Restarting {
			h.retry.Reset(h.backoff.next())
		}
		h.endReload(l.err, nil)
		return
	}
	h.putOnTrial(l.instance.program)
	h.backoff.reset()
	h.rolledBack = nil
	h.become(l.instance, actionReload)
	h.endReload(nil, nil)
}

// swap ends a reload: it puts next in place of the current instance.
func (h *Host) swap(next *instance) {
	old := h.current
	frozenAt := time.Now()
	state, frozen := h.freeze(old)
	if err := h.call(next, state, !frozen); err != nil {
		next.kill() // it may yet begin to work
		h.bury(next, 0)
		err = next.explain(context.Background(), err)
		if resumed := h.resume(old, state, frozen); resumed != nil {
			err = fmt.Errorf("%w; %w", err, resumed)
		}
		h.endReload(err, nil)
		return
	}
	h.putOnTrial(next.program)
	h.become(next, actionReload, slog.Int64(eventlog.KeyGapUS, time.Since(frozenAt).Microseconds()))
	h.endReload(nil, old)
}

// call sets an instance to work where another one can go on if it does not answer soon.
func (h *Host) call(i *instance, state []byte, crashed bool) error {
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
		h.crashed(h.lastExit)
		return nil
	}
	if err := h.call(old, state, false); err != nil {
		h.crashed(fmt.Sprintf("it did not resume after a reload: %v", err))
		return fmt.Errorf("and the old one does not resume: %w", err)
	}
	old.attend(h.cfg.Timing)
	return nil
}

// putOnTrial makes ready for the case that next, which takes the program's place, is no
// good. A program that crashes again and again is nothing to go back to, unless it has
// proved itself.
func (h *Host) putOnTrial(next program) {
	switch {
	case h.lastGood != nil && next.checksum == h.lastGood.program.checksum: // gone back to by hand
		h.proven, h.lastGood = h.lastGood.proven, nil
	case h.lastGood != nil: // the program is on trial itself
		h.lastGood.state = h.snapshot
	case next.checksum != h.program.checksum && (h.current != nil || h.proven || h.backoff.attempts == 1):
		h.lastGood = &fallback{program: h.program, proven: h.proven, state: h.snapshot}
	}
}

// trust ends the trial of the program at work.
func (h *Host) trust() {
	h.proven, h.lastGood = true, nil
	h.removeUnused()
}

// rollBack has the next restart take the last good program in place of that of i, which
// crashed on trial.
func (h *Host) rollBack(i *instance) {
	bad := i.program
	h.lastExit = fmt.Sprintf("%s, after %v at work; rolled back from checksum %.12s",
		h.lastExit, i.died.Sub(i.began).Round(time.Millisecond), bad.hex())
	h.rolledBack = &rollback{program: bad, detail: h.lastExit, stderr: i.stderr.Line()}
	h.banned = ban{bad.checksum, h.lastExit, bad.source}
	h.program, h.proven, h.snapshot = h.lastGood.program, h.lastGood.proven, h.lastGood.state
	h.lastGood = nil
}

// removeUnused removes the staged programs that nobody will run. During a reload that is
// left to its end.
func (h *Host) removeUnused() {
	if h.asked != nil {
		return
	}
	inUse := []program{h.program}
	if h.lastGood != nil {
		inUse = append(inUse, h.lastGood.program)
	}
	removeOthers(h.runDir.path, h.cfg.Kind.Name, inUse...)
}
