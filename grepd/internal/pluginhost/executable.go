package pluginhost

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// programBytesMax bounds what is copied and hashed for a plugin.
const programBytesMax = 512 << 20

// executable is the host's copy of a plugin's program, in a directory that only the host's
// user can enter and under the name of its content. The copy is what runs. So a restart takes
// the program that worked, whatever lies in the plugin directory by then, and a program that is
// replaced while it runs is not in its own way.
type executable struct {
	path     string
	checksum [sha256.Size]byte
	version  string
	source   fs.FileInfo // of the file that it was copied from, before that; nil: not known
}

func (e executable) hex() string { return hex.EncodeToString(e.checksum[:]) }

// checkFile says what is wrong with the plugin's file, in words that tell what to do.
func checkFile(path string) error {
	info, err := os.Stat(path) // follows a symbolic link
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: no such file; put the plugin there, or name its directory with --plugin-dir", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s: not executable; chmod +x it", path)
	case info.Size() == 0:
		return fmt.Errorf("%s: empty", path)
	case info.Size() > programBytesMax:
		return fmt.Errorf("%s: %d bytes, more than the %d that a plugin may have", path, info.Size(), programBytesMax)
	}
	return nil
}

// copyExecutable copies the program at path into dir. One goroutine at a time may do so.
func copyExecutable(ctx context.Context, path, dir string) (executable, error) {
	if err := checkFile(path); err != nil {
		return executable{}, err
	}
	src, err := os.Open(path)
	if err != nil {
		return executable{}, err
	}
	defer src.Close()
	source, err := src.Stat()
	if err != nil {
		return executable{}, err
	}
	tmp := filepath.Join(dir, "incoming")
	sum, err := copyFile(ctx, tmp, src)
	if err != nil {
		os.Remove(tmp)
		return executable{}, fmt.Errorf("copy %s: %w", path, err)
	}
	e := executable{checksum: sum, source: source}
	e.path = filepath.Join(dir, filepath.Base(path)+"-"+e.hex()[:16])
	if err := os.Rename(tmp, e.path); err != nil {
		return executable{}, err
	}
	// A program that is not Go's, or has been stripped of it, has no version; that is no
	// reason not to run it.
	if info, err := buildinfo.ReadFile(e.path); err == nil {
		e.version = info.Main.Version
	}
	return e, nil
}

// checksumOf is the checksum that the program at path would be copied with.
func checksumOf(ctx context.Context, path string) (sum [sha256.Size]byte, err error) {
	if err := checkFile(path); err != nil {
		return sum, err
	}
	src, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer src.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, &stoppable{ctx, io.LimitReader(src, programBytesMax)})
	return [sha256.Size]byte(hash.Sum(nil)), err
}

var errWritten = errors.New("it is being written; wait until it is complete, and reload again")

// copyFile writes src to a new executable file and returns its checksum. The file can
// be run at once: what was forked while it was open for writing holds it open, and the
// system does not run such a file (ETXTBSY), but copyFile waits until all that was
// forked has run its exec and let go.
func copyFile(ctx context.Context, path string, src *os.File) (sum [sha256.Size]byte, err error) {
	before, err := src.Stat()
	if err != nil {
		return sum, err
	}
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return sum, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, hash), io.LimitReader(&stoppable{ctx, src}, programBytesMax+1))
	if closeErr := dst.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return sum, err
	}
	after, err := src.Stat()
	if err == nil && (n != before.Size() || after.Size() != n || !after.ModTime().Equal(before.ModTime())) {
		err = errWritten
	}
	syscall.ForkLock.RLock() // held for writing by who forks, until the child's exec
	//lint:ignore SA2001 it is for those that are under way
	syscall.ForkLock.RUnlock()
	return [sha256.Size]byte(hash.Sum(nil)), err
}

// stoppable is a reader that stops when its context ends.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s *stoppable) Read(buf []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(buf)
}
