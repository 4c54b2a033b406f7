package search

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// Reader searches r, whose name is label, to its end. Lines are handed out as they arrive. When ctx
// ends Reader returns at once, although a Read that hangs goes on until it returns. A large file from which
// nothing has been read yet is searched as by Run. A file of which MaxCount lines are selected is left after the last of them.
func Reader(ctx context.Context, r io.Reader, label string, o Options, sink Sink) (Stats, error) {
	e, err := newEmitter(ctx, &o, sink)
	if err != nil || o.selectsNothing() {
		return Stats{}, err
	}
	in := positioned(r, &o)
	if f, size, ok := inBlocks(r); ok {
		err = searchInput(ctx, f, label, size, e)
	} else {
		err = e.begin(label, sizeOf(r))
		if err == nil {
			err = readAll(ctx, in.reader(r), label, e)
		}
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

// readAll searches r as one file. What was read is searched up to its last whole line, and the rest is
// moved to the front of the buffer.
func readAll(ctx context.Context, r io.Reader, label string, e *emitter) error {
	reads := startReads(ctx, r)
	defer reads.stop()
	b := &block{buffer: make([]byte, 0, 2*BlockBytes)}
	for !e.ended {
		p, err := reads.next()
		if err != nil && !errors.Is(err, io.EOF) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := e.fail(files.NewError(label, err)); err != nil {
				return err
			}
		}
		rest := len(b.buffer)
		b.buffer = append(b.buffer, p...)
		stop := len(b.buffer)
		if err == nil {
			stop = rest + e.o.terminators().lastIndex(b.buffer[rest:]) + 1
			if stop == rest {
				stop = 0
			}
		}
		if failed := searchPart(ctx, e, b, stop); failed != nil {
			if errors.Is(failed, errContextTooLong) || errors.Is(failed, errLineTooLong) {
				if failed = e.fail(files.NewError(label, failed)); failed == nil {
					failed = e.end()
				}
			}
			return failed
		}
		if err != nil {
			return e.end()
		}
	}
	return nil
}

// searchPart searches the first bytes of b.buffer, and drops them.
func searchPart(ctx context.Context, e *emitter, b *block, size int) error {
	b.setData(b.buffer[:size], b.offset)
	if size > 0 {
		e.w.search(b)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.add(b, true); err != nil {
			return err
		}
	}
	b.offset += int64(size)
	b.buffer = append(b.buffer[:0], b.buffer[size:]...)
	if len(b.buffer) > LineBytesMax {
		return errLineTooLong
	}
	return nil
}

// reads reads in a goroutine of its own, so that a Read that hangs does not keep a search from ending.
type reads struct {
	ctx    context.Context
	cancel context.CancelFunc
	full   chan readResult
	empty  chan []byte
	last   []byte
}

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

// next gives what was read next; it is valid until the next call.
func (rs *reads) next() ([]byte, error) {
	if rs.last != nil {
		rs.empty <- rs.last[:cap(rs.last)]
		rs.last = nil
	}
	select {
	case r := <-rs.full:
		rs.last = r.p
		return r.p, r.err
	case <-rs.ctx.Done():
		return nil, rs.ctx.Err()
	}
}

func (rs *reads) stop() { rs.cancel() }
