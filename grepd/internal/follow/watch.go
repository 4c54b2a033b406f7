package follow

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// watchesMax bounds the directories of which one follow has the system tell the changes. Those
// beyond are looked at from time to time.
const watchesMax = 1_000

// watch wakes a follow when something changes in some directories. It only ever makes a follow
// quicker: what is not noticed here, on a network's file system or because the system has lost
// count, is found by looking.
type watch struct {
	watcher *fsnotify.Watcher // nil: the system has none to give
	err     error             // why
	dirs    map[string]bool
	names   atomic.Bool   // names may have changed
	named   chan struct{} // tells that too, while the sink keeps the follow waiting; capacity 1
	wakes   chan struct{} // capacity 1
	group   sync.WaitGroup
}

func startWatch() *watch {
	w := &watch{dirs: make(map[string]bool), named: make(chan struct{}, 1), wakes: make(chan struct{}, 1)}
	if w.watcher, w.err = fsnotify.NewWatcher(); w.err == nil {
		w.group.Go(w.listen)
	}
	return w
}

func (w *watch) stop() {
	if w.watcher != nil {
		w.watcher.Close()
	}
	w.group.Wait()
}

// listen takes the events as fast as they come, however slow the follow is: it is enough to know
// that there were any.
func (w *watch) listen() {
	for {
		select {
		case event, ok := <-w.watcher.Events:
			if !ok {
				return
			}
			w.wake(event.Has(fsnotify.Create) || event.Has(fsnotify.Rename) || event.Has(fsnotify.Remove))
		case _, ok := <-w.watcher.Errors: // too many events to keep
			if !ok {
				return
			}
			w.wake(true)
		}
	}
}

// wake wakes the follow, to look for names too if they may have changed.
func (w *watch) wake(names bool) {
	if names {
		w.names.Store(true)
		signal(w.named)
	}
	signal(w.wakes)
}

// signal leaves a signal, unless one is there already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits until it is worth looking again. Changes that come together are looked at together.
func (w *watch) await(ctx context.Context, poll <-chan time.Time, more bool) error {
	if more {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-poll:
		return nil
	case <-w.wakes:
	}
	batch := time.NewTimer(batchTime)
	defer batch.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-batch.C:
		return nil
	}
}

// watch watches the directories in which the last scan has looked for names, and no others. It says
// where that cannot be done, once: there files are found by looking.
func (f *follower) watch(w *watch) error {
	if w.watcher == nil {
		return f.sayUnwatched(f.names.paths[0], w.err)
	}
	wanted := make(map[string]bool)
	dirs := slices.SortedFunc(maps.Keys(f.names.dirs), func(a, b files.Dir) int { return cmp.Compare(a.Path(), b.Path()) })
	for _, dir := range dirs {
		real := dir.Real()
		if len(wanted) == watchesMax {
			if err := f.sayUnwatched(dir.Path(), fmt.Errorf("of more than %d directories", watchesMax)); err != nil {
				return err
			}
			break
		}
		wanted[real] = true
		if !dir.Exists() {
			continue
		}
		// One that is watched already may have been replaced since.
		if err := w.watcher.Add(real); err != nil {
			if err := f.sayUnwatched(dir.Path(), err); err != nil {
				return err
			}
			continue
		}
		if !w.dirs[real] {
			w.dirs[real] = true
			w.wake(true) // what has changed since the scan was not noticed
		}
	}
	for dir := range w.dirs {
		if !wanted[dir] {
			// It may be gone, and its watch with it; and one that stays only wakes the follow in
			// vain.
			_ = w.watcher.Remove(dir)
			delete(w.dirs, dir)
		}
	}
	return nil
}

// sayUnwatched says that changes are found by looking alone.
func (f *follower) sayUnwatched(name string, err error) error {
	return f.sayOnce("unwatched", files.FileError{Path: name, Warning: true, Reason: greppb.FileError_NOT_WATCHED,
		Message: fmt.Sprintf("the system does not tell of changes here (%v): they are found by looking, every %v", err, scanEvery)})
}
