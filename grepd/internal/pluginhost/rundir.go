package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runDir is a host's private directory, for copies of programs and for sockets. It holds a file
// that is locked for as long as the host lives, so that later hosts can tell those of
// hosts that were killed, and remove them.
type runDir struct {
	path string
	lock *os.File
}

const (
	// runDirPattern is short: the path of a socket may have no more than 104 bytes on
	// some systems.
	runDirPattern = "grepd-*"
	lockName      = "lock"
)

func makeRunDir() (*runDir, error) {
	if err := os.MkdirAll(os.TempDir(), 0o700); err != nil { // a bare container has none
		return nil, err
	}
	removeAbandoned()
	path, err := os.MkdirTemp("", runDirPattern)
	if err != nil {
		return nil, err
	}
	lock, err := makeLock(path)
	if err != nil {
		os.RemoveAll(path)
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &runDir{path: path, lock: lock}, nil
}

// makeLock gives the file its name when it is locked, so that under this name it is never
// seen unlocked while its host lives.
func makeLock(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, lockName)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, lockName)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (d *runDir) remove() {
	os.RemoveAll(d.path)
	d.lock.Close()
}

// removeAbandoned removes this user's directories whose hosts were killed.
func removeAbandoned() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), runDirPattern, lockName))
	for _, path := range locks {
		if ownedByUs(filepath.Dir(path)) && unlocked(path) {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}

// ownedByUs keeps away from what another user, or a symbolic link, puts in the way.
func ownedByUs(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

func unlocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
