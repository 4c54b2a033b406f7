package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// rotatedLayout follows the file's name. It has no colons, which some tools take
	// for the end of a host name.
	rotatedLayout = "20060102T150405.000000000Z"

	// recheckEvery is how often a writer looks whether its file is still the one of
	// that name. Until then it goes on with a file that another process has renamed.
	recheckEvery = time.Second

	// openTries is how often another process may rename the file while it is being opened.
	openTries = 100

	// A file that seems to end within a line is looked at so many times, so long apart.
	tornLooks     = 20
	tornLookEvery = time.Millisecond

	dirMode  = 0o755
	fileMode = 0o644
)

var errClosed = errors.New("the log is closed")

// file is an append-only file that is renamed when it has grown to its limit. Several
// processes may have the same one open.
type file struct {
	path     string
	realDir  string // path's directory without its symbolic links, when it was opened first
	bytesMax int64
	now      func() time.Time
	archive  *archive

	mu        sync.Mutex  // guards what follows
	f         *os.File    // nil once closed
	dir       fs.FileInfo // of the directory that f was opened in
	size      int64       // what this process believes; true again at each recheck
	torn      bool        // the last write ended within a line
	recheckAt time.Time
	unsure    uint64 // lines written since it was known that the file has a name
	lost      uint64 // lines that were written to a file without a name, where nobody finds them
	astray    error  // why the file that has the name cannot be opened, while the open one has none
}

var _ io.WriteCloser = (*file)(nil)

func openFile(cfg Config) (*file, error) {
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, err
	}
	w := &file{path: filepath.Join(cfg.Dir, cfg.Name), bytesMax: cfg.BytesMax, now: cfg.Now}
	var err error
	if w.realDir, err = filepath.EvalSymlinks(cfg.Dir); err != nil {
		return nil, err
	}
	if err := w.reopen(); err != nil {
		return nil, err
	}
	w.archive = newArchive(w.path, cfg.RotatedMax)
	return w, nil
}

// Write appends line, which must be a whole one. Where rotating fails it goes on with
// the file it has: one that is too large is better than a line that is lost.
func (w *file) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return 0, errClosed
	}
	now := w.now()
	full := w.size+int64(len(line)) > w.bytesMax
	if full && w.size > 0 || !now.Before(w.recheckAt) {
		w.recheckAt = now.Add(recheckEvery)
		w.recheck(int64(len(line)))
	}
	if w.astray != nil {
		return 0, w.astray
	}
	if w.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := w.f.Write(line)
	w.size += int64(n)
	if err == nil {
		w.unsure++
	}
	if n > 0 {
		w.torn = n < len(line)
	}
	return n, err
}

// Close closes the file and ends the compression of older ones.
func (w *file) Close() error {
	w.mu.Lock()
	f := w.f
	w.f = nil
	w.mu.Unlock()
	if f == nil {
		return nil
	}
	w.archive.close()
	return f.Close()
}

// look rechecks the file although nothing is to be written.
func (w *file) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		w.recheck(0)
	}
}

// takeLost gives how many lines were lost since it was asked last.
func (w *file) takeLost() (lost uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost, w.lost = w.lost, 0
	return lost
}

// recheck follows another process's rotation, or rotates if next bytes would not fit. A file that
// was removed, perhaps with its directory, is made again.
func (w *file) recheck(next int64) {
	w.astray = nil
	if !w.isCurrent() {
		removed := w.isRemoved()
		if removed {
			w.lost += w.unsure
		}
		// A renamed file goes on taking the lines if it has to.
		if err := w.reopen(); err != nil && removed {
			w.astray = err
		}
	}
	w.unsure = 0
	if info, err := w.f.Stat(); err == nil {
		w.size = info.Size()
	}
	if w.size > 0 && w.size+next > w.bytesMax && w.rotate() == nil {
		w.archive.wake()
	}
}

// isCurrent reports whether the open file is the one that has the name.
func (w *file) isCurrent() bool { return isNamed(w.f, w.path) }

// isRemoved reports whether what is written to the open file is found nowhere: it has no name any
// more, or its directory is not the one that is at the path now.
func (w *file) isRemoved() bool {
	info, err := w.f.Stat()
	if err != nil {
		return true
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 0 {
		return true
	}
	dir, err := os.Stat(filepath.Dir(w.path))
	return err != nil || !os.SameFile(dir, w.dir)
}

func isNamed(f *os.File, path string) bool {
	named, err := os.Lstat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(named, open)
}

// rotate renames the file and opens a new one. The lock makes sure that of two processes
// only one renames it, and that none renames the other's new one. It is not waited for:
// who holds it may be stopped, and a later recheck will do.
func (w *file) rotate() error {
	dir, err := os.Open(filepath.Dir(w.path))
	if err != nil {
		return err
	}
	defer dir.Close() // which gives up the lock
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	if w.isCurrent() {
		if err := os.Rename(w.path, w.path+"."+w.now().UTC().Format(rotatedLayout)); err != nil {
			return err
		}
	}
	return w.reopen()
}

// reopen opens the file of that name, and closes the one that was open. A directory that is gone is
// made again, but not where a symbolic link leads that was not there at first.
func (w *file) reopen() error {
	dir := filepath.Dir(w.path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if real != w.realDir {
		return fmt.Errorf("%s leads to %s now, through a symbolic link that was not there before", dir, real)
	}
	dirInfo, err := os.Stat(dir)
	if err != nil {
		return err
	}
	f, err := openLocked(w.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	if w.f != nil {
		w.f.Close()
	}
	w.f, w.dir, w.size, w.torn = f, dirInfo, info.Size(), endsTorn(f, info.Size())
	return nil
}

// openLocked opens the file of that name with a shared lock, for as long as which it is
// not compressed. Another process may rename it between the two, and even compress it;
// then there is a new one of that name.
func openLocked(path string) (*os.File, error) {
	for range openTries {
		f, err := openRegular(path, os.O_RDWR|os.O_APPEND|os.O_CREATE)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if err == nil && isNamed(f, path) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("open %s: it is renamed all the time", path)
}

// openRegular opens a regular file, and nothing else. Others may write to the directory: neither a
// link that they have put in the file's place is followed, nor does one wait for the other end of a
// named pipe.
func openRegular(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, fileMode)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) { // the latter on FreeBSD
		return nil, fmt.Errorf("open %s: it is a symbolic link, and none is followed to a log: remove it", path)
	}
	if errors.Is(err, unix.ENXIO) { // a socket, or a named pipe that nobody reads
		return nil, notRegular(path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func notRegular(path string) error {
	return fmt.Errorf("open %s: it is not a regular file, and a log is nothing else: remove it", path)
}

// endsTorn reports whether the file's last line is not whole, as a full disk or a power
// cut leaves it. While another process writes, a reader may see the line without its end,
// since the system shows a write page by page. So a line is torn if it looks so at each of
// tornLooks looks.
func endsTorn(f *os.File, size int64) bool {
	for range tornLooks {
		var last [1]byte
		if size == 0 {
			return false
		}
		if _, err := f.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
			return false
		}
		time.Sleep(tornLookEvery)
		info, err := f.Stat()
		if err != nil {
			return true
		}
		size = info.Size()
	}
	return true
}
