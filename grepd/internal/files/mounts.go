package files

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync/atomic"
)

// Mounts are the directories that may be searched, each under a name: with logs=/var/log/grepd, the
// path logs/a.log is the file /var/log/grepd/a.log. No path leads outside them, neither by ".." nor
// by a symbolic link. A directory that was replaced is opened again, see mountPoint.
type Mounts struct {
	mounts  []*mountPoint // sorted by name
	changed atomic.Pointer[func(MountChange)]
}

// OpenMounts opens the directories of name=dir pairs. The error names the pair that is wrong.
func OpenMounts(pairs []string) (*Mounts, error) {
	m := &Mounts{}
	for _, pair := range pairs {
		if err := m.open(pair); err != nil {
			m.Close()
			return nil, fmt.Errorf("mount %q: %w", pair, err)
		}
	}
	// Sorted, so that a glob for the mount comes to them in the same order each time.
	sort.Slice(m.mounts, func(i, j int) bool { return m.mounts[i].name < m.mounts[j].name })
	return m, nil
}

func (m *Mounts) open(pair string) error {
	name, dir, ok := strings.Cut(pair, "=")
	switch {
	case !ok || name == "" || dir == "":
		return errors.New("want name=directory")
	case name == "." || name == ".." || strings.ContainsAny(name, `/\*?[]{}`):
		return fmt.Errorf(`the name %q may not be "." or "..", nor hold any of / \ * ? [ ] { }`, name)
	case m.find(name) != nil:
		return fmt.Errorf("the name %q is given twice", name)
	}
	p, err := openMountPoint(name, dir, &m.changed)
	if err != nil {
		return err
	}
	m.mounts = append(m.mounts, p)
	return nil
}

// find gives the mount of a name, or nil. There are a few, so a list does.
func (m *Mounts) find(name string) *mountPoint {
	for _, p := range m.mounts {
		if p.name == name {
			return p
		}
	}
	return nil
}

// OnChange has changed called whenever something new is found out about a mount. It is called from
// many goroutines, one at a time for each mount, and must not block.
func (m *Mounts) OnChange(changed func(MountChange)) { m.changed.Store(&changed) }

// Check looks what is mounted now, as each search does. It may take as long as a disk that hangs.
func (m *Mounts) Check() {
	for _, p := range m.mounts {
		_, _ = p.current() // of which OnChange tells
	}
}

// Troubles says why mounts cannot be searched, as it was found last.
func (m *Mounts) Troubles() (troubles []string) {
	for _, p := range m.mounts {
		if trouble := p.troubled(); trouble != "" {
			troubles = append(troubles, fmt.Sprintf("mount %q: %s", p.name, trouble))
		}
	}
	return troubles
}

// Pairs are the mounts as name=dir, sorted by name, as OpenMounts takes them.
func (m *Mounts) Pairs() []string {
	pairs := make([]string, len(m.mounts))
	for i, mt := range m.mounts {
		pairs[i] = mt.name + "=" + mt.dir
	}
	return pairs
}

// Close closes the directories. No walk may be under way.
func (m *Mounts) Close() error {
	var errs []error
	for _, p := range m.mounts {
		errs = append(errs, p.now.Load().root.Close())
	}
	return errors.Join(errs...)
}
