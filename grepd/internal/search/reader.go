package search

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// Reader searches r, whose name is label, to its end. Lines are handed out as they arrive. When ctx
// ends Reader returns at once, although a Read that hangs goes on until it returns. A large file
// from which nothing has been read yet is searched as by Run. A file of which MaxCount lines are
// selected is left after the last of them.
func Reader(ctx context.Context, r io.Reader, label string, o Options, sink Sink) (Stats, error) {
	s, err := NewSearcher(ctx, o, false)
	if err != nil || o.selectsNothing() {
		return Stats{}, err
	}
	in, feed := positioned(r, &o), s.feed(sink)
	e := &feed.e
	if f, size, ok := inBlocks(r); ok {
		err = searchInput(ctx, f, label, size, e)
	} else if err = e.begin(label, sizeOf(r)); err == nil {
		err = readAll(ctx, in.reader(r), feed)
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	if err == nil {
		err = in.leave(e)
	}
	return e.stats, err
}

// sizeOf gives the size of a file, and -1 for what is none.
func sizeOf(r io.Reader) int64 {
	if file, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}

// readAll searches r as one file, whose lines it takes as they arrive.
func readAll(ctx context.Context, r io.Reader, f *Feed) error {
	reads := startReads(ctx, r)
	defer reads.stop()
	c := NewCutter(&f.s.o, false)
	defer c.Release()
	c.eager = true
	c.Reset(reads)
	for !f.Ended() {
		text, err := c.Next(BlockBytes)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed := f.Lines(text)
		switch {
		case errors.Is(failed, errContextTooLong):
			err = failed
		case failed != nil:
			return failed
		case err == nil:
			continue
		}
		if !errors.Is(err, io.EOF) && !f.Ended() {
			if err := f.fail(err); err != nil {
				return err
			}
		}
		return f.End()
	}
	return nil
}

// reads reads in a goroutine of its own, so that a Read that hangs does not keep a search from
// ending.
type reads struct {
	ctx    context.Context
	cancel context.CancelFunc
	full   chan readResult
	empty  chan []byte
	last   readResult
	rest   []byte // of last
}

var _ io.Reader = (*reads)(nil)

type readResult struct {
	p   []byte
	err error
}

func startReads(ctx context.Context, r io.Reader) *reads {
	rs := &reads{full: make(chan readResult), empty: make(chan []byte, 2)}
	rs.ctx, rs.cancel = context.WithCancel(ctx)
	rs.empty <- make([]byte, BlockBytes)
	rs.empty <- make([]byte, BlockBytes)
	go func() {
		for {
			var p []byte
			select {
			case p = <-rs.empty:
			case <-rs.ctx.Done():
				return
			}
			n, err := r.Read(p)
			select {
			case rs.full <- readResult{p[:n], err}:
			case <-rs.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return rs
}

// Read gives what has been read, and waits if there is nothing.
func (rs *reads) Read(p []byte) (int, error) {
	if len(rs.rest) == 0 {
		if rs.last.err != nil {
			return 0, rs.last.err
		}
		if err := rs.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, rs.rest)
	rs.rest = rs.rest[n:]
	return n, nil
}

// next takes what was read next.
func (rs *reads) next() error {
	if rs.last.p != nil {
		rs.empty <- rs.last.p[:cap(rs.last.p)]
		rs.last.p = nil
	}
	select {
	case rs.last = <-rs.full:
		rs.rest = rs.last.p
		return nil
	case <-rs.ctx.Done():
		return rs.ctx.Err()
	}
}

func (rs *reads) stop() { rs.cancel() }
