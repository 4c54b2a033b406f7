package search

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
)

// inputBytesMin is the size from which on an input that is a file is searched in blocks. Those
// whose size the system does not know, as in /proc, have none.
const inputBytesMin = 2 * BlockBytes

// inBlocks reports whether r is an unread file that is worth searching as Run searches files: by
// several workers.
func inBlocks(r io.Reader) (f *os.File, size int64, ok bool) {
	f, ok = r.(*os.File)
	if !ok {
		return nil, 0, false
	}
	if size = sizeOf(f); size < inputBytesMin {
		return nil, 0, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return f, size, err == nil && at == 0
}

// searchInput searches f as Reader does, and leaves it as if it had been read to its end.
func searchInput(ctx context.Context, f *os.File, label string, size int64, e *emitter) error {
	p := startPipeline(ctx, func(p *pipeline) {
		// An error is the end of the search, of which drain knows.
		_ = p.cutBlocks(&file{path: label, f: f, size: size, progress: e.o.Progress, borrowed: true})
	}, e.o)
	err := p.drain(e)
	if ctx.Err() != nil {
		go p.stop() // a read that hangs keeps its worker, but nobody who waits
		return err
	}
	p.stop()
	if _, seekErr := f.Seek(size, io.SeekStart); err == nil || errors.Is(err, errStop) {
		err = errors.Join(err, seekErr)
	}
	return err
}

// position is a file whose position matters after the search, since its end may not be reached: a
// shell's while dgrep -m1 x; do ...; done <file goes on where the search ended. nil: there is no
// such file.
type position struct {
	f     *os.File
	start int64 // of the search
}

// positioned looks whether r is a file, of which only some lines may be selected. With -l, -L and
// -q grep does not care either.
func positioned(r io.Reader, o *Options) *position {
	f, ok := r.(*os.File)
	if !ok || o.MaxCount < 0 || !o.listsLines() && o.Report != Count || sizeOf(f) < 0 {
		return nil
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	return &position{f, at}
}

// reader reads r, and leaves the position of a file as it is: what reads ahead cannot change it
// later.
func (p *position) reader(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return io.NewSectionReader(p.f, p.start, math.MaxInt64-p.start)
}

// leave sets the position after the last of MaxCount selected lines, or at the end if there were
// fewer.
func (p *position) leave(e *emitter) error {
	if p == nil {
		return nil
	}
	offset, whence := int64(0), io.SeekEnd
	if e.left() == 0 {
		after, err := e.afterLast(io.NewSectionReader(p.f, p.start, math.MaxInt64-p.start))
		if err != nil {
			return err
		}
		offset, whence = p.start+after, io.SeekStart
	}
	_, err := p.f.Seek(offset, whence)
	return err
}

// afterLast reads the block with the last selected line again, of which it may not have been kept
// where that line is.
func (e *emitter) afterLast(r io.ReaderAt) (int64, error) {
	b := &block{use: sure}
	data := make([]byte, e.full.size)
	n, err := r.ReadAt(data, e.full.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	b.setData(data[:n], e.full.offset)
	e.w.search(b)
	lines := e.w.selectLines(b.data, nil)
	if len(lines) < e.full.count { // the file has changed
		return b.offset + int64(b.size), nil
	}
	return b.offset + int64(lines[e.full.count-1].End), nil
}
