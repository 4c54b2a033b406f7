package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// mountPoint is the path of a mount. What is open there is looked at again before each search: the
// directory may have been removed or replaced meanwhile, or a volume mounted over it, and what is
// written now is not in what was open.
//
// A directory that has taken the place of the first one is opened in its stead, unless it is
// reached through other symbolic links than the first was: whoever may write beside a mount could
// otherwise have any directory searched.
type mountPoint struct {
	name, dir string                             // as they were given
	path      string                             // dir from the root
	real      string                             // ... without its links, when it was opened first
	now       atomic.Pointer[mount]              // what is open; never nil
	changed   *atomic.Pointer[func(MountChange)] // of the Mounts; is told what is new

	looking sync.Mutex             // held while somebody looks, and replaces what is open
	trouble atomic.Pointer[string] // why nothing is searched here; nil or "": all is well
}

// mount is a directory that is open. It does not change: a walk keeps the one that it began with,
// whatever is mounted meanwhile.
type mount struct {
	name, dir string
	root      *os.Root
	info      fs.FileInfo // of root
}

// MountChange says what was found out about a mount.
type MountChange struct {
	Name, Dir string
	// Trouble is why it cannot be searched; "": what is there now has been opened.
	Trouble string
}

func openMountPoint(name, dir string, changed *atomic.Pointer[func(MountChange)]) (*mountPoint, error) {
	p := &mountPoint{name: name, dir: dir, changed: changed}
	var err error
	if p.path, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if p.real, err = filepath.EvalSymlinks(p.path); err != nil {
		return nil, err
	}
	m, err := openMount(name, p.real)
	if err != nil {
		return nil, err
	}
	p.now.Store(m)
	return p, nil
}

func openMount(name, dir string) (*mount, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &mount{name: name, dir: dir, root: root, info: info}, nil
}

// current gives the directory that is at the path now. The error is for people. It may wait as long
// as a disk that hangs, and for whoever looks already.
func (p *mountPoint) current() (*mount, error) {
	p.looking.Lock()
	defer p.looking.Unlock()
	m := p.now.Load()
	info, err := os.Stat(p.path)
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %s", p.dir, reasonOf(err))
	case !os.SameFile(info, m.info):
		m, err = p.reopen()
	}
	p.note(err, m)
	return m, err
}

// reopen opens what has taken the directory's place. That it was reached through no other link is
// looked at when it is open, so that a link that comes and goes meanwhile is noticed.
func (p *mountPoint) reopen() (*mount, error) {
	m, err := openMount(p.name, p.real)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", p.dir, reasonOf(err))
	}
	real, err := filepath.EvalSymlinks(p.path)
	if err == nil && real != p.real {
		err = fmt.Errorf("%s leads to %s now, through a symbolic link that was not there when grepd began: start grepd anew if that is meant",
			p.dir, real)
	}
	if err == nil {
		var named fs.FileInfo
		if named, err = os.Lstat(p.real); err == nil && !os.SameFile(named, m.info) {
			err = fmt.Errorf("%s is being replaced", p.dir)
		}
	}
	if err != nil {
		m.root.Close()
		return nil, err
	}
	return m, nil
}

// note takes in what was found, and tells of it if it is news. The root that was open is not
// closed, since searches may be in the midst of it: it closes itself when the last of them is over
// and the collector comes by.
func (p *mountPoint) note(err error, m *mount) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	replaced := err == nil && !os.SameFile(p.now.Load().info, m.info)
	news := trouble != p.troubled() || replaced
	p.trouble.Store(&trouble)
	if replaced {
		p.now.Store(m)
	}
	if tell := p.changed.Load(); news && tell != nil {
		(*tell)(MountChange{Name: p.name, Dir: p.dir, Trouble: trouble})
	}
}

// troubled gives the trouble that was found last. It waits for nobody who looks at a disk that
// hangs.
func (p *mountPoint) troubled() string {
	if trouble := p.trouble.Load(); trouble != nil {
		return *trouble
	}
	return ""
}

// reasonOf is an error without the operation and the path.
func reasonOf(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "the directory is gone"
	}
	return err.Error()
}
