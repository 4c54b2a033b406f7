package pluginhost

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// trial is what the owner goroutine knows of programs that are good, no good, or not known to
// be either.
type trial struct {
	timer *time.Timer // runs while a program is at work that has not proved itself
	// proven says that the program has worked for Timing.Stable.
	proven bool
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

// told reports whether the log tells already of the file that a program is from: a file is
// noticed more than once.
func (b *ban) told(source fs.FileInfo) bool {
	return b.source != nil && source != nil &&
		os.SameFile(b.source, source) && b.source.ModTime().Equal(source.ModTime())
}

// fallback is a program that worked well, and the last state that was handed over in good
// order.
type fallback struct {
	program executable
	proven  bool
	state   []byte
}

// rollback is what became of a program on trial.
type rollback struct {
	program executable
	detail  string
	stderr  string
}

func (r *rollback) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String(eventlog.KeyBadChecksum, r.program.hex()),
		slog.String(eventlog.KeyDetail, r.detail), slog.String(eventlog.KeyStderr, r.stderr),
	}
}

// putOnTrial makes ready for the case that next, which takes the program's place, is no
// good. A program that crashes again and again is nothing to go back to, unless it has
// proved itself.
func (h *Host) putOnTrial(next executable) {
	t := &h.trial
	switch {
	case t.lastGood != nil && next.checksum == t.lastGood.program.checksum: // gone back to by hand
		t.proven, t.lastGood = t.lastGood.proven, nil
	case t.lastGood != nil: // the program is on trial itself
		t.lastGood.state = h.snapshot
	case next.checksum != h.program.checksum &&
		(h.stage == working || t.proven || h.backoff.attempts == 1):
		t.lastGood = &fallback{program: h.program, proven: t.proven, state: h.snapshot}
	}
}

// onTrialEnd trusts the program at work.
func (h *Host) onTrialEnd() {
	h.trial.proven, h.trial.lastGood = true, nil
	h.removeUnused()
}

// rollBack has the next restart take the last good program in place of that of i, which
// crashed on trial.
func (h *Host) rollBack(i *instance) {
	bad, good := i.program, h.trial.lastGood
	h.lastExit = fmt.Sprintf("%s, after %v at work; rolled back from checksum %.12s",
		h.lastExit, i.died.Sub(i.began).Round(time.Millisecond), bad.hex())
	h.trial.rolledBack = &rollback{program: bad, detail: h.lastExit, stderr: i.stderr.Line()}
	h.trial.banned = ban{bad.checksum, h.lastExit, bad.source}
	h.program, h.trial.proven, h.snapshot = good.program, good.proven, good.state
	h.trial.lastGood = nil
}

// removeUnused removes the copies of programs that nobody will run. During a reload that is
// left to its end.
func (h *Host) removeUnused() {
	if h.reload.stage != noReload {
		return
	}
	inUse := []executable{h.program}
	if h.trial.lastGood != nil {
		inUse = append(inUse, h.trial.lastGood.program)
	}
	removeOthers(h.runDir.path, h.cfg.Kind.Name, inUse...)
}
