package pluginhost

import (
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

// binaryBytesMax bounds what is copied and hashed for a plugin.
const binaryBytesMax = 512 << 20

// program is a plugin's binary: a staged copy of it, in a directory that only the host's
// user can enter and under the name of its content. It is what is run, so that a
// restart takes the program that worked, whatever lies in the plugin directory by then,
// and a program that is replaced while it runs is not in its own way.
type program struct {
	path     string
	checksum [sha256.Size]byte
	version  string
}

func (p program) hex() string { return hex.EncodeToString(p.checksum[:]) }

// checkBinary says what is wrong with the plugin's file, in words that tell what to do.
func checkBinary(path string) error {
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
	case info.Size() > binaryBytesMax:
		return fmt.Errorf("%s: %d bytes, more than the %d that a plugin may have", path, info.Size(), binaryBytesMax)
	}
	return nil
}

// stage copies the program at path into dir.
func stage(path, dir string) (program, error) {
	if err := checkBinary(path); err != nil {
		return program{}, err
	}
	src, err := os.Open(path)
	if err != nil {
		return program{}, err
	}
	defer src.Close()
	tmp := filepath.Join(dir, "incoming")
	sum, err := copyProgram(tmp, src)
	if err != nil {
		os.Remove(tmp)
		return program{}, fmt.Errorf("copy %s: %w", path, err)
	}
	p := program{checksum: sum}
	p.path = filepath.Join(dir, filepath.Base(path)+"-"+p.hex()[:16])
	if err := os.Rename(tmp, p.path); err != nil {
		return program{}, err
	}
	// A program that is not Go's, or has been stripped of it, has no version; that is no
	// reason not to run it.
	if info, err := buildinfo.ReadFile(p.path); err == nil {
		p.version = info.Main.Version
	}
	return p, nil
}

// copyProgram writes src to a new executable file and returns its checksum. No process
// may be forked meanwhile: until its exec it would hold the file open for writing, and
// the system does not run such a file (ETXTBSY).
func copyProgram(path string, src io.Reader) (sum [sha256.Size]byte, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return sum, err
	}
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, hash), io.LimitReader(src, binaryBytesMax+1))
	if err == nil && n > binaryBytesMax {
		err = errors.New("it grows while it is copied")
	}
	if closeErr := dst.Close(); err == nil {
		err = closeErr
	}
	return [sha256.Size]byte(hash.Sum(nil)), err
}
