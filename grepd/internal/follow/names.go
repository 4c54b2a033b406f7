package follow

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// scanEvery is how often names are looked for although nothing says that they have changed, and
	// scanShare how many times longer than a look takes it is to the next one.
	scanEvery = 2 * time.Second
	scanShare = 10
	// heldBytesMax bounds the files that have no name any more and wait to be read: their disk
	// space is free only when they are closed.
	heldBytesMax = 1 << 30
)

// candidate is a file that was found and is not followed.
type candidate struct {
	f    *os.File
	path string
	id   fileID
	info fs.FileInfo
	// kept says that it was found earlier, and may have no name any more under which it would be
	// found.
	kept bool
}

func closeAll(found []candidate) {
	for _, c := range found {
		c.f.Close()
	}
}

// names knows which files are there, and under which names. It is asked for them by scan. While the
// follow waits for its sink, or is busy with one file for long, keepNew opens those that come,
// since they could be rotated away and removed before the next scan. It then touches nothing but
// the fields of names: whoever called the sink finds everything else as it was.
type names struct {
	ctx       context.Context
	mounts    *files.Mounts
	paths     []string
	selection files.Selection
	progress  *files.Progress
	now       func() time.Time
	// known reports whether a file needs no look, since it is followed or was dealt with.
	known func(id fileID, path string, info fs.FileInfo) bool
	// room is how many more files may be open.
	room func() int

	scans   int
	scanAt  time.Time // when the next one is due
	keepAt  time.Time // when names are looked for next in the middle of other work
	begun   bool      // what was there at the beginning is known, so that others are new
	dirs    map[files.Dir]bool
	changed <-chan struct{} // that names may have changed
	batch   time.Duration   // how long such changes may gather before they are looked at

	pending      []candidate // that the last scan has found, and the loop has not come to
	kept         []candidate // that were opened since the last scan
	dropped      []dropped   // that could not be
	keptBytesMax int64
	overfull     bool // it was said that there are too many files
}

func newNames(ctx context.Context, m *files.Mounts, paths []string, o *search.Options, now func() time.Time) *names {
	return &names{
		ctx: ctx, mounts: m, paths: paths, selection: o.Selection, progress: o.Progress, now: now,
		batch: batchTime, keptBytesMax: heldBytesMax,
	}
}

func (n *names) close() {
	closeAll(n.pending)
	closeAll(n.kept)
}

// walk goes through the paths.
func (n *names) walk(
	found func(*os.File, string, int64) error, fail func(files.FileError) error, looked func(files.Dir),
) error {
	visitor := files.Visitor{File: found, Fail: fail, Looked: looked}
	return n.mounts.Walk(n.ctx, n.paths, n.selection, n.progress, visitor)
}

// scan opens the files that wanted accepts, which are pending then, those that were written first
// coming first: so the rest of a file comes before the file that has taken its place. It gives what
// is wrong with paths, at most saidMax errors.
func (n *names) scan(wanted func(*os.File, string, fs.FileInfo) bool) ([]files.FileError, error) {
	n.scans++
	n.keepAt = n.now().Add(scanEvery)
	n.dirs = make(map[files.Dir]bool)
	var errs []files.FileError
	fail := func(e files.FileError) error {
		if len(errs) < saidMax {
			errs = append(errs, e)
		}
		return nil
	}
	take := func(file *os.File, path string, _ int64) error {
		info, err := file.Stat()
		switch {
		case err != nil:
			file.Close()
			return fail(files.NewError(path, err))
		case !wanted(file, path, info) || n.isPending(idOf(info)):
			file.Close()
		case n.room() <= len(n.pending):
			file.Close()
			return n.sayOverfull(path, fail)
		default:
			n.pending = append(n.pending, candidate{f: file, path: path, id: idOf(info), info: info})
		}
		return nil
	}
	if err := n.walk(take, fail, func(dir files.Dir) { n.dirs[dir] = true }); err != nil {
		return nil, err
	}
	return errs, nil
}

// sayOverfull says, once, that there are too many files.
func (n *names) sayOverfull(path string, fail func(files.FileError) error) error {
	if n.overfull {
		return nil
	}
	n.overfull = true
	return fail(files.FileError{Path: path, Reason: greppb.FileError_TOO_MANY, Message: fmt.Sprintf(
		"not followed, and neither are others: more than %d files are to be; name fewer", FollowedMax)})
}

// sortPending puts the pending files in the order in which they were written.
func (n *names) sortPending() {
	slices.SortFunc(n.pending, func(a, b candidate) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), cmp.Compare(b.path, a.path)) // x.1 is older than x
	})
}

// next gives the next pending file.
func (n *names) next() (c candidate, ok bool) {
	if len(n.pending) == 0 {
		return candidate{}, false
	}
	c, n.pending = n.pending[0], n.pending[1:]
	return c, true
}

func (n *names) isPending(id fileID) bool {
	return slices.ContainsFunc(n.pending, func(c candidate) bool { return c.id == id })
}

func (n *names) isKept(id fileID) bool {
	return slices.ContainsFunc(n.kept, func(c candidate) bool { return c.id == id })
}

// keepNewIfDue looks for names if it is time to, in the middle of work that takes long.
func (n *names) keepNewIfDue() {
	select {
	case <-n.changed:
	default:
		if n.now().Before(n.keepAt) {
			return
		}
	}
	began := n.now()
	n.keepNew()
	n.keepAt = n.now().Add(max(scanEvery, scanShare*n.now().Sub(began)))
}

// keepNew opens the files that have come since the last scan, and keeps them for the next one. What
// is wrong with a path the scan tells.
func (n *names) keepNew() {
	if !n.begun || n.ctx.Err() != nil {
		return
	}
	ignore := func(files.FileError) error { return nil }
	if n.walk(n.keep, ignore, nil) != nil {
		return // nobody waits any more
	}
	n.dropTooLarge()
	n.scanAt = time.Time{}
}

// keep keeps a file open, if it is new.
func (n *names) keep(file *os.File, path string, _ int64) error {
	info, err := file.Stat()
	if err != nil || n.known(idOf(info), path, info) || n.isPending(idOf(info)) || n.isKept(idOf(info)) {
		file.Close()
		return nil
	}
	if n.room() <= len(n.pending)+len(n.kept) {
		file.Close()
		if !n.overfull { // otherwise the scans do not take it either
			n.drop(path, 0)
		}
		return nil
	}
	n.kept = append(n.kept, candidate{f: file, path: path, id: idOf(info), info: info, kept: true})
	return nil
}

// dropTooLarge closes the files that were kept first, where those without a name are too large
// together.
func (n *names) dropTooLarge() {
	sum := int64(0)
	for i := len(n.kept) - 1; i >= 0; i-- {
		c := n.kept[i]
		info, err := c.f.Stat()
		if err != nil || !nameless(info) {
			continue
		}
		if sum += info.Size(); sum > n.keptBytesMax {
			c.f.Close()
			n.kept = slices.Delete(n.kept, i, i+1)
			n.drop(c.path, info.Size())
		}
	}
}

func nameless(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// dropped is a file, or several of the same name, that could not be kept.
type dropped struct {
	path  string
	bytes int64 // 0: those of this name, and of any other, that were too many
}

// drop takes note of a file that is not kept. Each name is noted once, and those that come after
// many as if they had the first one's.
func (n *names) drop(path string, bytes int64) {
	i := slices.IndexFunc(n.dropped, func(d dropped) bool {
		return bytes == 0 && d.bytes == 0 || bytes > 0 && d.bytes > 0 && d.path == path
	})
	if i < 0 && len(n.dropped) < saidMax {
		n.dropped = append(n.dropped, dropped{path, bytes})
		return
	}
	n.dropped[max(i, 0)].bytes += bytes
}

// takeDropped gives what could not be kept, as gaps. What has a name still may be found later all
// the same.
func (n *names) takeDropped() []files.FileError {
	var gaps []files.FileError
	for _, d := range n.dropped {
		message := fmt.Sprintf("lines were taken too slowly: it was one too many beside %d open files, and is lost, "+
			"and so are others, if it was removed meanwhile", FollowedMax)
		if d.bytes > 0 {
			message = fmt.Sprintf("lines were taken too slowly: it was removed before it was read, "+
				"and more than %d MiB of such files are not kept", n.keptBytesMax>>20)
		}
		gaps = append(gaps, gapError(d.path, message, d.bytes))
	}
	n.dropped = nil
	return gaps
}

// takeKept makes the kept files pending that wanted accepts. Those without a name that wait says
// are not ready stay kept: they are found under no name.
func (n *names) takeKept(wanted func(*os.File, string, fs.FileInfo) bool, wait func(fileID) bool) {
	kept := n.kept
	n.kept = nil
	for _, c := range kept {
		info, err := c.f.Stat()
		switch {
		case err != nil || n.known(c.id, c.path, info) || n.isPending(c.id):
			c.f.Close()
		case wanted(c.f, c.path, info):
			c.info = info
			n.pending = append(n.pending, c)
		case nameless(info) && wait(c.id):
			n.kept = append(n.kept, c)
		default:
			c.f.Close()
		}
	}
}

// waitingSink calls a Sink from goroutines of its own, one at a time. A call may last for as
// long as a listener likes, who has stopped the terminal perhaps. Until it is over, names keeps
// what is new.
type waitingSink struct {
	names *names
	to    Sink
}

var _ Sink = (*waitingSink)(nil)

func (s *waitingSink) Begin(file uint32, path string, size int64) error {
	return s.names.keepDuring(func() error { return s.to.Begin(file, path, size) })
}

func (s *waitingSink) Chunk(file uint32, c *search.Chunk) error {
	return s.names.keepDuring(func() error { return s.to.Chunk(file, c) })
}

func (s *waitingSink) End(file uint32, stats search.FileStats) error {
	return s.names.keepDuring(func() error { return s.to.End(file, stats) })
}

func (s *waitingSink) Error(e files.FileError) error {
	return s.names.keepDuring(func() error { return s.to.Error(e) })
}

func (s *waitingSink) Places(places []Place, caughtUp bool) error {
	return s.names.keepDuring(func() error { return s.to.Places(places, caughtUp) })
}

// keepDuring waits for a call of the sink, and keeps what is new meanwhile.
func (n *names) keepDuring(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	changed := n.changed
	timer := time.NewTimer(scanEvery)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-changed:
			changed = nil // changes that come together are looked at together
			timer.Reset(n.batch)
		case <-timer.C:
			began := n.now()
			n.keepNew()
			changed = n.changed
			timer.Reset(max(scanEvery, scanShare*n.now().Sub(began)))
		}
	}
}
