package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// keptMax is how many rotated files of a log are kept, as logrotate's "rotate 5" does.
	keptMax = 5
	// reopenMax is the longest that a writer goes on in a file that was renamed.
	reopenMax = time.Second
	// stallMax is the longest that compressing pauses in the middle.
	stallMax = 2 * time.Second
)

// rotations are what was done to logs.
type rotations struct{ renamed, copied, compressed, slowly int }

func (r *rotations) add(o rotations) {
	r.renamed += o.renamed
	r.copied += o.copied
	r.compressed += o.compressed
	r.slowly += o.slowly
}

// writer writes lines to a log and rotates it. It stops for neither kills nor upgrades of the
// daemon.
type writer struct {
	index   int // in the sequence numbers
	path    string
	random  *rand.Rand
	copies  bool // rotation by copytruncate; otherwise by renaming
	delays  bool // a rotated file is compressed when the next rotation comes
	file    *os.File
	written int
	done    rotations

	// A rotation goes on while lines are written.
	rotating bool
	group    sync.WaitGroup
	mu       sync.Mutex // guards what compressing changes
	err      error
}

// newWriters makes the writers of all logs, which take turns at the four ways to rotate.
func newWriters(g *group, p plan, random *rand.Rand) []*writer {
	var writers []*writer
	for _, n := range g.nodes {
		for i := range p.logs {
			index := len(writers)
			writers = append(writers, &writer{
				index: index, path: filepath.Join(n.appDir(), fmt.Sprintf("app%d.log", i+1)),
				random: rand.New(rand.NewPCG(random.Uint64(), uint64(index))),
				copies: index%2 == 1, delays: index/2%2 == 1,
			})
		}
	}
	return writers
}

// startWriting has all write, until the function that it returns is called.
func startWriting(writers []*writer, p plan) (stop func() error) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	errs := make([]error, len(writers))
	for i, w := range writers {
		all.Go(func() { errs[i] = w.write(p, ended) })
	}
	return func() error {
		close(ended)
		all.Wait()
		return errors.Join(errs...)
	}
}

// write writes lines at a steady pace, and begins a rotation from time to time.
func (w *writer) write(p plan, ended <-chan struct{}) error {
	if err := w.open(); err != nil {
		return err
	}
	defer func() { w.file.Close() }()
	tick := time.NewTicker(time.Second / time.Duration(p.perSecond))
	defer tick.Stop()
	next := time.Now().Add(w.between(p.rotate))
	var reopen <-chan time.Time // when the writer notices that its file was renamed
	for {
		select {
		case <-ended:
			w.group.Wait()
			return w.err
		case <-tick.C:
			if err := w.line(); err != nil {
				return err
			}
		case <-reopen:
			reopen = nil
			if err := w.reopen(); err != nil {
				return err
			}
		}
		if reopen == nil && time.Now().After(next) && w.idle() {
			next = time.Now().Add(w.between(p.rotate))
			if err := w.rotate(); err != nil {
				return err
			}
			if !w.copies {
				reopen = time.After(time.Duration(w.random.Int64N(int64(reopenMax))))
			}
		}
	}
}

// between draws the time to the next rotation.
func (w *writer) between(mean time.Duration) time.Duration {
	return mean/2 + time.Duration(w.random.Int64N(int64(mean)))
}

func (w *writer) open() (err error) {
	w.file, err = os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	return err
}

func (w *writer) line() error {
	w.written++
	_, err := fmt.Fprintf(w.file, "%s INFO request from 10.0.%d.%d took %d ms SEQ %d.%d\n",
		time.Now().UTC().Format(time.RFC3339Nano), w.random.IntN(256), w.random.IntN(256), w.random.IntN(1000),
		w.index, w.written)
	return err
}

// idle reports whether no rotated file is being compressed: logrotate does not begin again before
// it is through.
func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.rotating
}

func (w *writer) rotated(i int) string { return fmt.Sprintf("%s.%d", w.path, i) }

// rotate moves the rotated files on by one, and makes the log the first of them. With copytruncate
// no line is written between the copy and the truncation: it would be lost to everybody.
func (w *writer) rotate() error {
	if w.delays {
		// The last rotation's file has been left as it was until now.
		if err := w.compress(w.rotated(1), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := w.shift(); err != nil {
		return err
	}
	if w.copies {
		w.done.copied++
		if err := w.copyTruncate(); err != nil || w.delays {
			return err
		}
		w.compressLater()
		return nil
	}
	w.done.renamed++
	return os.Rename(w.path, w.rotated(1))
}

// shift renames log.1.gz to log.2.gz and so on, and removes the last.
func (w *writer) shift() error {
	for i := keptMax; i > 0; i-- {
		for _, suffix := range []string{"", ".gz"} {
			move := func(from string) error { return os.Rename(from, w.rotated(i+1)+suffix) }
			if i == keptMax {
				move = os.Remove
			}
			err := move(w.rotated(i) + suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (w *writer) copyTruncate() error {
	from, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(w.rotated(1), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close(), w.file.Truncate(0))
}

// reopen goes on in a new file, as after logrotate's postrotate script. The old one is compressed
// then.
func (w *writer) reopen() error {
	if err := errors.Join(w.file.Close(), w.open()); err != nil || w.delays {
		return err
	}
	w.compressLater()
	return nil
}

// compressLater compresses the newest rotated file while lines are written.
func (w *writer) compressLater() {
	w.mu.Lock()
	w.rotating = true
	w.mu.Unlock()
	stall := time.Duration(0)
	if w.random.IntN(3) == 0 {
		stall = time.Duration(w.random.Int64N(int64(stallMax)))
	}
	w.group.Go(func() {
		err := w.compress(w.rotated(1), stall)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.rotating = false
		w.err = errors.Join(w.err, err)
	})
}

// compress does what gzip does: the compressed file grows beside the other one, gets its time, and
// then that one is removed. It may stop for a moment in the middle, as on a busy machine.
func (w *writer) compress(path string, stall time.Duration) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(content)
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	to, err := os.OpenFile(path+".gz", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	half := packed.Len() / 2
	_, err = to.Write(packed.Next(half))
	if stall > 0 {
		time.Sleep(stall)
		w.count(func(r *rotations) { r.slowly++ })
	}
	_, restErr := to.Write(packed.Bytes())
	w.count(func(r *rotations) { r.compressed++ })
	timeErr := os.Chtimes(path+".gz", time.Time{}, info.ModTime())
	return errors.Join(err, restErr, to.Close(), timeErr, os.Remove(path))
}

func (w *writer) count(what func(*rotations)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what(&w.done)
}
