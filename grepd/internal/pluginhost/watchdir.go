package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchDir starts the goroutine that reloads the plugin when a new program is put into
// the plugin directory. It watches the directory, since a file that is replaced takes
// its watch with it. The goroutine ends with the host.
func (h *Host) watchDir() error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch the plugin directory: %w", err)
	}
	if err := watcher.Add(filepath.Dir(h.path)); err != nil {
		watcher.Close()
		return fmt.Errorf("watch the plugin directory: %w", err)
	}
	h.watching.Go(func() {
		defer watcher.Close()
		h.followDir(watcher)
	})
	return nil
}

// watchAgain is how long to wait before a plugin directory that is gone is looked for.
const watchAgain = time.Second

// followDir waits after any event until the file has been the same for Settle: a move
// into place is one event, a slow copy are hundreds. Events of other names count too,
// since the program may be a symbolic link through one of them. A file that was looked at
// is not looked at again until it changes.
func (h *Host) followDir(watcher *fsnotify.Watcher) {
	settle := stoppedTimer()
	var before, done fileMark
	for {
		select {
		case <-h.ctx.Done():
			return
		case _, ok := <-watcher.Events:
			if !ok {
				return
			}
			settle.Reset(h.cfg.Timing.Settle)
		case err := <-watcher.Errors:
			if err != nil { // events may have been lost: look
				settle.Reset(h.cfg.Timing.Settle)
			}
		case <-settle.C:
			// The directory may be another one by now, and the watch gone with the old one.
			if watcher.Add(filepath.Dir(h.path)) != nil {
				settle.Reset(watchAgain)
				continue
			}
			now := markOf(h.path)
			if !now.same(before) {
				before = now
				settle.Reset(h.cfg.Timing.Settle)
				continue
			}
			if !now.same(done) {
				done = now
				h.reloadSettled(now)
			}
		}
	}
}

// reloadSettled hands a program that has settled to the owner. A file that is not there
// is no news: the program that works is a copy.
func (h *Host) reloadSettled(mark fileMark) {
	if mark.info == nil {
		return
	}
	// Nobody waits for the result; what goes wrong is logged.
	_ = h.do(h.ctx, func() error { h.ask(newReloadCall(true)); return nil })
}

// fileMark changes when a file does, as far as can be told without reading it. It is zero
// where there is no file.
type fileMark struct{ info os.FileInfo }

func markOf(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{info}
}

func (m fileMark) same(other fileMark) bool {
	a, b := m.info, other.info
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
