package pluginhost

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
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

// followDir waits after any event until the file has been the same for Settle: a move
// into place is one event, a slow copy are hundreds. Events of other names count too,
// since the program may be a symbolic link through one of them.
func (h *Host) followDir(watcher *fsnotify.Watcher) {
	settle := stoppedTimer()
	var before fileMark
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
			now := markOf(h.path)
			if now != before {
				before = now
				settle.Reset(h.cfg.Timing.Settle)
				continue
			}
			h.reloadSettled(now)
		}
	}
}

// reloadSettled hands a program that has settled to the owner. A file that is not there
// is no news: the program that works is a copy.
func (h *Host) reloadSettled(mark fileMark) {
	if mark == (fileMark{}) {
		return
	}
	if err := checkBinary(h.path); err != nil {
		h.log(slog.LevelWarn, actionRefuse, slog.String(eventlog.KeyError, err.Error()))
		return
	}
	_ = h.do(h.ctx, h.reloadChanged) // which logs its errors
}

// fileMark changes when a file does, as far as can be told without reading it.
type fileMark struct {
	size     int64
	modified time.Time
	mode     os.FileMode
}

// markOf is zero where there is no such file.
func markOf(path string) fileMark {
	info, err := os.Stat(path)
	if err != nil {
		return fileMark{}
	}
	return fileMark{info.Size(), info.ModTime(), info.Mode()}
}
