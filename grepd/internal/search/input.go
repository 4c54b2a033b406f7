package search

import (
	"context"
	"errors"
	"io"
	"os"
)

// inputBytesMin is the size from which on an input that is a file is searched in blocks. Those whose size the
// system does not know, as in /proc, have none.
const inputBytesMin = 2 * BlockBytes

// inBlocks tells whether r is an unread file that is worth searching as Run searches files: by several workers.
func inBlocks(r io.Reader) (f *os.File, size int64, ok bool) {
	f, ok = r.(*os.File)
	if !ok {
		return nil, 0, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() < inputBytesMin {
		return nil, 0, false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return f, info.Size(), err == nil && at == 0
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
