package search

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// heldBytesMax bounds the files that have no name any more and wait to be read: their disk space is free only when
// they are closed.
const heldBytesMax = 1 << 30

// patientSink calls a FollowSink from goroutines of its own, one at a time. A call may last for as long as a listener
// likes, who has stopped the terminal perhaps. Until it is over the follow looks for names, and holds the files that
// it finds: they could be rotated away, and removed, before it is their turn.
type patientSink struct {
	f  *follower
	to FollowSink
}

var _ FollowSink = (*patientSink)(nil)

func (s *patientSink) Begin(file uint32, path string, size int64) error {
	return s.f.await(func() error { return s.to.Begin(file, path, size) })
}

func (s *patientSink) Chunk(file uint32, c *Chunk) error {
	return s.f.await(func() error { return s.to.Chunk(file, c) })
}

func (s *patientSink) End(file uint32, stats FileStats) error {
	return s.f.await(func() error { return s.to.End(file, stats) })
}

func (s *patientSink) Error(e FileError) error {
	return s.f.await(func() error { return s.to.Error(e) })
}

func (s *patientSink) Places(places []Place, caughtUp bool) error {
	return s.f.await(func() error { return s.to.Places(places, caughtUp) })
}

// await waits for a call of the sink, and looks for names meanwhile.
func (f *follower) await(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	named := f.named
	timer := time.NewTimer(scanEvery)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-named:
			named = nil // changes that come together are looked at together
			timer.Reset(f.batch)
		case <-timer.C:
			began := f.now()
			f.look()
			named = f.named
			timer.Reset(max(scanEvery, scanShare*f.now().Sub(began)))
		}
	}
}

// glance looks for names if it is time to, in the middle of work that takes long.
func (f *follower) glance() {
	select {
	case <-f.named:
	default:
		if f.now().Before(f.glanceAt) {
			return
		}
	}
	began := f.now()
	f.look()
	f.glanceAt = f.now().Add(max(scanEvery, scanShare*f.now().Sub(began)))
}

// passing is a Writer for what is expanded only to be passed over, which may be 10 GiB.
type passing struct{ f *follower }

func (p passing) Write(data []byte) (int, error) {
	p.f.glance()
	return len(data), p.f.ctx.Err()
}

// look opens the files that have come since the last scan, and holds them for the next one. What is wrong with a path the
// scan tells.
func (f *follower) look() {
	if !f.holds || f.ctx.Err() != nil {
		return
	}
	ignore := func(FileError) error { return nil }
	names := finder{
		mounts: f.mounts, o: &f.o, file: f.hold, fail: ignore, unreadable: ignore,
		files: f.o.Files.scanner(), excludeDirs: f.o.ExcludeDirs.scanner(),
	}
	for _, path := range f.paths {
		if names.find(f.ctx, path) != nil {
			return // nobody waits any more
		}
	}
	f.shed()
	f.scanAt = time.Time{}
}

// hold keeps a file open, if it is new.
func (f *follower) hold(file *os.File, path string, _ int64) error {
	info, err := file.Stat()
	if err != nil || f.knows(idOf(info), path, info) {
		file.Close()
		return nil
	}
	if len(f.files)+len(f.found)+len(f.held) >= FollowedMax {
		file.Close()
		if !f.said[overfull] { // otherwise the scans do not take it either
			f.forgo(path, 0)
		}
		return nil
	}
	f.held = append(f.held, candidate{f: file, path: path, id: idOf(info), info: info, held: true})
	return nil
}

// knows tells whether a file is followed, found or held, or was dealt with.
func (f *follower) knows(id fileID, path string, info fs.FileInfo) bool {
	same := func(c candidate) bool { return c.id == id }
	if f.byID[id] != nil || slices.ContainsFunc(f.found, same) || slices.ContainsFunc(f.held, same) {
		return true
	}
	p := f.packed[id]
	return p != nil && isPacked(path) && p.done && p.size == info.Size() && p.modified.Equal(info.ModTime())
}

// shed gives up the files that were held first, where those without a name are too large together.
func (f *follower) shed() {
	sum := int64(0)
	for i := len(f.held) - 1; i >= 0; i-- {
		c := f.held[i]
		info, err := c.f.Stat()
		if err != nil || !nameless(info) {
			continue
		}
		if sum += info.Size(); sum > f.heldBytesMax {
			c.f.Close()
			f.held = slices.Delete(f.held, i, i+1)
			f.forgo(c.path, info.Size())
		}
	}
}

func nameless(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}

// forgone is a file, or several of the same name, that could not be held.
type forgone struct {
	path  string
	bytes int64 // 0: those of this name, and of any other, that were too many
}

// forgo takes note of it. Each name is noted once, and those that come after many as if they had the first one's.
func (f *follower) forgo(path string, bytes int64) {
	i := slices.IndexFunc(f.forgone, func(g forgone) bool { return bytes == 0 && g.bytes == 0 || bytes > 0 && g.bytes > 0 && g.path == path })
	if i < 0 && len(f.forgone) < saidMax {
		f.forgone = append(f.forgone, forgone{path, bytes})
		return
	}
	f.forgone[max(i, 0)].bytes += bytes
}

// tellForgone tells what could not be held. What has a name still may be found later all the same.
func (f *follower) tellForgone() error {
	told := f.forgone
	f.forgone = nil
	for _, g := range told {
		message := fmt.Sprintf("lines were taken too slowly: it was one too many beside %d open files, and is lost, and so are others, if it was removed meanwhile", FollowedMax)
		if g.bytes > 0 {
			message = fmt.Sprintf("lines were taken too slowly: it was removed before it was read, and more than %d MiB of such files are not kept", f.heldBytesMax>>20)
		}
		if err := f.gap(g.path, message, g.bytes); err != nil {
			return err
		}
	}
	return nil
}

// claim adds the files that were held to those that a scan has found by name.
func (f *follower) claim() error {
	if err := f.tellForgone(); err != nil {
		return err
	}
	held := f.held
	f.held = nil
	for _, c := range held {
		info, err := c.f.Stat()
		switch {
		case err != nil || f.knows(c.id, c.path, info):
			c.f.Close()
		case !f.packedBefore(c.f, c.id, c.path, info):
			c.info = info
			f.found = append(f.found, c)
		case nameless(info) && !f.packed[c.id].done: // it has to settle, and is found under no name then
			f.held = append(f.held, c)
		default:
			c.f.Close()
		}
	}
	return nil
}
