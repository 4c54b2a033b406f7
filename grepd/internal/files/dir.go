package files

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Dir is a directory in a mount, as that was when the Dir was made: one that has taken the mount's
// place since is another Dir. The zero value is none.
type Dir struct {
	mount *mount
	name  string // in the mount
}

// Beside gives the directory of a path mount/name, and the name of the path's last element there.
// ok reports whether the mount can be searched.
func (m *Mounts) Beside(shown string) (dir Dir, base string, ok bool) {
	first, name, _ := strings.Cut(shown, "/")
	point := m.find(first)
	if point == nil {
		return Dir{}, "", false
	}
	current, err := point.current()
	if err != nil {
		return Dir{}, "", false
	}
	return Dir{current, path.Dir(name)}, path.Base(name), true
}

// Path is the directory as it is shown: mount/name.
func (d Dir) Path() string { return path.Join(d.mount.name, d.name) }

// Real is the directory's path on this machine.
func (d Dir) Real() string { return filepath.Join(d.mount.dir, filepath.FromSlash(d.name)) }

// Exists reports whether the directory is there, inside its mount. It may have been removed since
// the Dir was made.
func (d Dir) Exists() bool {
	info, err := d.mount.root.Stat(d.name)
	return err == nil && info.IsDir()
}

// Entries gives what is in the directory, sorted by name. On an error it gives what was read.
func (d Dir) Entries() ([]fs.DirEntry, error) { return readDir(d.mount.root, d.name) }

// Has reports whether a name is in the directory.
func (d Dir) Has(name string) bool {
	_, err := d.mount.root.Lstat(path.Join(d.name, name))
	return err == nil
}

// Open opens a file of the directory for reading. A named pipe does not wait for its writer.
func (d Dir) Open(name string) (*os.File, error) {
	return openFile(d.mount.root, path.Join(d.name, name))
}

// openFile opens whatever has a name; os.Root keeps it inside the mount. Without O_NONBLOCK,
// opening a named pipe would wait for its writer.
func openFile(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// openDir opens a directory, and nothing else: to open a named pipe would wait for its writer.
func openDir(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
}

// readDir gives what is in a directory, sorted by name: a walk is to come to files in the same
// order on every node, and each time.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	dir, err := openDir(root, name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}
