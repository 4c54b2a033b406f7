package search

import (
	"os"
	"path"
	"syscall"
)

// findRests looks for the rests of files that are lost in the files beside them, which may have names that nobody asked
// for: a log that is followed under its exact name goes on in log.1 when it is rotated.
func (f *follower) findRests() error {
	looked := make(map[string]bool)
	for i := 0; i < len(f.lost); i++ {
		l := &f.lost[i]
		if looked[stem(l.Path)] || l.over {
			continue
		}
		looked[stem(l.Path)] = true
		before := len(f.lost)
		if err := f.findRest(l.Path); err != nil {
			return err
		}
		i -= before - len(f.lost)
	}
	return nil
}

// findRest looks at the files beside a lost one that may be what it was renamed, copied or compressed to.
func (f *follower) findRest(lost string) error {
	m, name := f.mounts.locate(lost)
	if m == nil {
		return nil
	}
	entries, err := readDir(m.root, path.Dir(name))
	if err != nil {
		return nil // so they cannot be looked for, and the gap says so
	}
	f.dirs[watched{m, path.Dir(name)}] = true
	for _, e := range entries {
		beside := path.Join(path.Dir(name), e.Name())
		shown := path.Join(m.name, beside)
		if !e.Type().IsRegular() || stem(shown) != stem(lost) {
			continue
		}
		file, err := m.root.OpenFile(beside, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if err := f.takeRest(file, shown); err != nil {
			return err
		}
	}
	return nil
}

// takeRest follows a file that nobody asked for if it has the rest of one that is lost, and else closes it.
func (f *follower) takeRest(file *os.File, shown string) error {
	info, err := file.Stat()
	if err != nil || f.byID[idOf(info)] != nil || len(f.files) >= FollowedMax {
		return file.Close()
	}
	c := candidate{f: file, path: shown, id: idOf(info), info: info, held: true}
	if isPacked(shown) {
		return f.takePackedRest(c)
	}
	x := f.newFollowed(c)
	if f.resumeRenamed(x) || f.goOn(x, x.size, func(p *Place) bool { return p.heldBy(x.f, x.size) }) {
		f.recall(x, x.f)
		f.add(x)
		return nil
	}
	return file.Close()
}

// resumeRenamed goes on with a file that was followed under another name, if it is one of those that are lost. A
// place in a compressed one is where it has come to in what that expands to, so the file is known by its number alone.
func (f *follower) resumeRenamed(x *followed) bool {
	for i := range f.lost {
		l := &f.lost[i]
		if (fileID{l.Device, l.Inode}) != x.id || !l.Unread || l.truncated {
			continue
		}
		if x.packed != uncompressed && isPacked(l.Path) || x.packed == uncompressed && l.heldBy(x.f, x.size) {
			f.resume(x, &l.Place)
			f.removeLost(i)
			return true
		}
	}
	return false
}

// takePackedRest is takeRest for a compressed file. Nobody is told of one that has no rest.
func (f *follower) takePackedRest(c candidate) error {
	p := f.packed[c.id]
	if p == nil {
		p = &packedFile{since: f.now(), beside: true}
		p.note(c.f, c.info)
		f.packed[c.id] = p
	}
	p.sees(c.f, c.info, f.now())
	p.path, p.scan = c.path, f.scans
	x := f.newFollowed(c)
	settled := f.now().Sub(p.since) >= settleTime && (!p.examined || p.losses != f.losses)
	if !p.beside || !settled || x.packed == uncompressed {
		return c.f.Close()
	}
	p.examined, p.losses = true, f.losses
	expands, _ := expandedSize(x.f, x.size, x.packed)
	if !f.resumeRenamed(x) && !f.goOn(x, expands, func(p *Place) bool { return f.expandsTo(x, c.info.Size(), p) }) {
		return c.f.Close()
	}
	f.add(x)
	return nil
}
