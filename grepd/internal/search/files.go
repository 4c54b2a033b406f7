package search

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/linetime"
)

// FilesMax bounds what Files opens.
const FilesMax = 1_000

// File is an open file that is to be searched.
type File struct {
	Path string // mount/name
	// Begins is the time of the first line that has one, in Unix nanoseconds, as far as the file's
	// head tells; else math.MinInt64.
	Begins int64

	f    *os.File
	size int64
}

// Files opens the files that paths name, in that order. What is wrong with a path goes to fail,
// whose errors end it. All must be closed.
func Files(ctx context.Context, m *files.Mounts, paths []string, o Options, fail func(files.FileError) error) ([]*File, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	var opened []*File
	open := func(f *os.File, path string, size int64) error {
		if len(opened) == FilesMax {
			f.Close()
			return fmt.Errorf("more than %d files to be searched together: name fewer", FilesMax)
		}
		opened = append(opened, &File{Path: path, Begins: begins(ctx, o.Progress, f, path, size), f: f, size: size})
		return nil
	}
	err := m.Walk(ctx, paths, o.Selection, o.Progress, files.Visitor{File: open, Fail: fail})
	return opened, err
}

// begins gives the time of the first line that has one.
func begins(ctx context.Context, progress *files.Progress, f *os.File, path string, size int64) int64 {
	info, err := f.Stat()
	if err != nil {
		return noTime
	}
	var r io.Reader = io.NewSectionReader(f, 0, size)
	if c := files.CompressionOf(f, path); c != files.Uncompressed {
		x := files.NewExpander(ctx, progress, headBytes)
		defer x.Close()
		if r, err = x.Open(f, size, c); err != nil {
			return noTime // which the search says
		}
	}
	head := make([]byte, headBytes)
	n, _ := io.ReadFull(r, head) // so does it of other errors
	times := detectTimes(head[:n], info.ModTime())
	if times == nil {
		return noTime
	}
	parser := linetime.NewParser(times.format, time.Local, times.written)
	for line := range bytes.Lines(head[:n]) {
		if nanos, ok := parser.Time(line); ok {
			return nanos
		}
	}
	return noTime
}

// Close closes the file, unless a search has.
func (f *File) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}

// Run searches the file as [Run] does, and closes it.
func (f *File) Run(ctx context.Context, o Options, sink Sink) (Stats, error) {
	e, err := newEmitter(ctx, &o, sink)
	if err != nil || o.selectsNothing() {
		return Stats{}, err
	}
	file := f.f
	f.f = nil
	err = e.run(ctx, func(p *pipeline) {
		// An error is the end of the search, of which drain knows.
		_ = p.cut(file, f.Path, f.size)
	})
	return e.stats, err
}
