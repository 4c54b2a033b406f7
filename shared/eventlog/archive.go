package eventlog

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	gzipSuffix = ".gz"
	// compressChunk is how much is compressed between two looks at the context.
	compressChunk = 256 << 10
)

// archive compresses the rotated files of one log, and removes the oldest.
type archive struct {
	path string // of the log
	max  int

	wakes  chan struct{} // capacity 1
	cancel context.CancelFunc
	done   chan struct{}
}

// newArchive starts the archive's goroutine, which at once looks after what an earlier
// process may have left.
func newArchive(path string, rotatedMax int) *archive {
	ctx, cancel := context.WithCancel(context.Background())
	a := &archive{
		path: path, max: rotatedMax,
		wakes: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
	}
	a.wake()
	go a.run(ctx)
	return a
}

// wake asks for a look at the rotated files. It does not block.
func (a *archive) wake() {
	select {
	case a.wakes <- struct{}{}:
	default:
	}
}

func (a *archive) close() {
	a.cancel()
	<-a.done
}

func (a *archive) run(ctx context.Context) {
	defer close(a.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wakes:
			a.tidy(ctx)
		}
	}
}

// tidy compresses all rotated files but the newest that nobody writes to, and keeps no more than
// the limit. What fails is tried again after the next rotation.
func (a *archive) tidy(ctx context.Context) {
	rotated := a.rotated()
	for len(rotated) > a.max {
		_ = os.Remove(rotated[0])
		rotated = rotated[1:]
	}
	for i, path := range rotated {
		if i < len(rotated)-1 && !strings.HasSuffix(path, gzipSuffix) {
			_ = compress(ctx, path)
		}
	}
}

// rotated lists the rotated files, the oldest first.
func (a *archive) rotated() []string {
	entries, err := os.ReadDir(filepath.Dir(a.path))
	if err != nil {
		return nil
	}
	var out []string
	prefix := filepath.Base(a.path) + "."
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), prefix)
		stamp = strings.TrimSuffix(stamp, gzipSuffix)
		if _, err := time.Parse(rotatedLayout, stamp); ok && err == nil && e.Type().IsRegular() {
			out = append(out, filepath.Join(filepath.Dir(a.path), e.Name()))
		}
	}
	slices.Sort(out)
	return out
}

// compress replaces path by path.gz, which has its time. Whenever it is interrupted, path or
// path.gz is there and whole: the latter is on the disk before the former goes. For an instant both
// are; a search takes the two for one because path.gz says of what size path was.
func compress(ctx context.Context, path string) (err error) {
	src, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := unix.Flock(int(src.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err // a writer has not noticed yet that it was renamed
	}
	info, err := src.Stat()
	if err != nil {
		return err
	}
	// The leading dot keeps the unfinished file out of "*".
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+gzipSuffix)
	if err := writeGzip(ctx, tmp, src); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := setTime(tmp, info.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path+gzipSuffix); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return os.Remove(path)
}

// setTime sets when a file was written last, and follows no link.
func setTime(path string, t time.Time) error {
	written, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{written, written}, unix.AT_SYMLINK_NOFOLLOW)
}

// syncDir makes sure that the names in a directory outlive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func writeGzip(ctx context.Context, path string, src io.Reader) error {
	// What was left of an earlier try goes, and so does whatever others may have put there: nothing
	// is opened that exists.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer dst.Close()
	zip := gzip.NewWriter(dst)
	for {
		_, err := io.CopyN(zip, src, compressChunk)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := zip.Close(); err != nil {
		return err
	}
	if err := dst.Sync(); err != nil {
		return err
	}
	return dst.Close()
}
