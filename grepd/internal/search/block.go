package search

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/linetime"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// file is an open file whose blocks are being searched.
type file struct {
	path string
	f    *os.File
	size int64
	// progress counts what is read.
	progress *files.Progress
	// borrowed says that f is not to be closed.
	borrowed bool
	// users are the blocks that refer to f, and whoever makes them; the last one closes it.
	users atomic.Int32
	// finished says that no more blocks are wanted.
	finished atomic.Bool
}

func (f *file) release() {
	if f.users.Add(-1) == 0 && !f.borrowed {
		f.f.Close()
	}
}

// use is what a block is wanted for.
type use uint8

const (
	searched use = iota
	sure         // searched, and all its lines are of the range of times
	counted      // only for the numbers of the lines after it
	nothing      // not even read: no line of the file is of the range
)

// block is a run of whole lines of a file, and what was found in them.
type block struct {
	file  *file
	index int64
	use   use
	first bool // no block of the file comes before
	last  bool // no block of the file follows

	filled bool  // data is there already; otherwise a worker reads it
	damage error // why what comes after data cannot be read

	room   room   // data is part of its text
	data   []byte // whole lines; only the file's last may lack its newline. nil once nobody needs it
	size   int    // of data
	offset int64  // of data in the file

	lines    []match.Range // selected, unless they were only counted
	count    uint64        // of selected lines
	newlines uint64        // in data, where line numbers are wanted
	binary   bool          // data has NUL bytes, which have become newlines
	out      lineBuffer    // the selected lines as they are handed out, unless context is wanted

	// Where a range of times is wanted and not all lines are known to be of it:
	times *fileTimes // nil: not known yet
	runs  []run      // the lines that may be; what is said above is of each of them
	state inRange    // of the last line
	timed bool       // some line has a time
	// Where the times of lines are wanted, those lines of data that have one.
	stamps []stamp

	err error

	done chan struct{} // receives when the block was searched
}

// read cuts the block's lines out of its file.
func (b *block) read(c *Cutter, size int64) {
	begin := b.index * size
	c.room = &b.room
	c.ResetAt(b.file.f, begin, b.file.size, 0)
	text, start, err := c.block(int(size), begin == 0)
	b.setData(text, begin+int64(start))
	if !errors.Is(err, io.EOF) {
		b.damage = err
	}
}

func (b *block) setData(data []byte, offset int64) {
	b.data, b.size, b.offset = data, len(data), offset
}

// worker searches blocks. It serves one goroutine.
type worker struct {
	o       *Options
	scanner *match.Scanner
	parts   []match.Range
	where   *fields.Scanner   // nil: nothing is asked of the fields
	columns *fields.Extractor // nil: whole lines are wanted
	column  []byte
	parsed  *fileTimes // what times reads
	times   *linetime.Parser
}

// newWorker makes a worker of which the results mean nothing once ctx has ended.
func newWorker(ctx context.Context, o *Options) *worker {
	w := &worker{o: o, scanner: o.Matcher.NewScanner(ctx.Done())}
	w.scanner.CountWork(&o.Progress.Steps)
	if o.Where != nil {
		w.where = o.Where.NewScanner(ctx.Done())
		w.where.CountWork(&o.Progress.Steps)
	}
	if len(o.Columns) > 0 {
		w.columns = fields.NewExtractor(o.Columns)
	}
	return w
}

// search finds the selected lines of b.data that are of the range of times.
func (w *worker) search(b *block) {
	if w.o.NullData { // until the lines are handed out
		match.Exchange(b.data)
	}
	switch {
	case b.use == counted:
		b.newlines = uint64(bytes.Count(b.data, []byte{'\n'}))
	case w.o.ranged() && b.use != sure:
		w.searchRuns(b)
	default:
		w.searchLines(b)
	}
}

// searchLines finds the selected lines of b.data.
func (w *worker) searchLines(b *block) {
	if w.o.Times {
		w.stamp(b)
	}
	b.lines, b.count, b.newlines, b.binary = b.lines[:0], 0, 0, false
	b.out.reset()
	null, ascii := false, true
	if w.o.Binary != BinaryText {
		null, ascii = match.Survey(b.data)
	}
	if null && !w.o.NullData {
		b.binary = true
		for i := range b.data {
			if b.data[i] == 0 {
				b.data[i] = '\n'
			}
		}
	}
	if w.o.LineNumbers {
		b.newlines = uint64(bytes.Count(b.data, []byte{'\n'}))
	}
	if !w.o.listsLines() {
		b.count = uint64(w.countLines(b.data))
		return
	}
	b.lines = w.selectLines(b.data, b.lines)
	b.count = uint64(len(b.lines))
	if !w.o.context() && !b.binary && !w.o.copiedLate(b) {
		b.out.valid = ascii
		_ = w.copyLines(b, b.lines, nil) // which cannot fail
	}
}

// limit is how many selected lines of a block can matter, below 0: all.
func (o *Options) limit() int {
	switch {
	case o.Report == Quiet || o.Report == FilesWithMatches || o.Report == FilesWithoutMatch:
		return 1
	case o.MaxCount >= 0:
		return int(min(o.MaxCount, math.MaxInt32))
	}
	return -1
}

// listsLines reports whether lines are handed out, not only counted.
func (o *Options) listsLines() bool { return o.Report == Lines || o.Report == Parts }

// context reports whether lines come in groups.
func (o *Options) context() bool { return o.listsLines() && (o.Before > 0 || o.After > 0) }

func (w *worker) countLines(data []byte) int {
	if w.where != nil {
		return len(w.selectLines(data, nil))
	}
	if !w.o.Invert {
		return w.scanner.Count(data, w.o.limit())
	}
	all := bytes.Count(data, []byte{'\n'})
	if len(data) > 0 && data[len(data)-1] != '\n' {
		all++
	}
	n := all - w.scanner.Count(data, -1)
	if limit := w.o.limit(); limit >= 0 {
		n = min(n, limit)
	}
	return n
}

// selectLines appends the ranges of the selected lines.
func (w *worker) selectLines(data []byte, lines []match.Range) []match.Range {
	switch {
	case w.where == nil:
		return w.matchLines(data, lines, w.o.limit())
	case w.o.All:
		lines = w.where.Lines(data, lines)
	default:
		lines = slices.DeleteFunc(w.matchLines(data, lines, -1), func(l match.Range) bool {
			return !w.where.Match(data[l.Start:l.End])
		})
	}
	if limit := w.o.limit(); limit >= 0 {
		lines = lines[:min(len(lines), limit)]
	}
	return lines
}

// matchLines appends the ranges of the lines that the matcher and Invert select, up to a limit if
// that is not below 0.
func (w *worker) matchLines(data []byte, lines []match.Range, limit int) []match.Range {
	if !w.o.Invert {
		return w.scanner.Lines(data, lines, limit)
	}
	matched := w.scanner.Lines(data, nil, -1)
	matched = append(matched, match.Range{Start: len(data), End: len(data)})
	pos := 0
	for _, m := range matched {
		for ; pos < m.Start; pos = lines[len(lines)-1].End {
			if limit >= 0 && len(lines) >= limit {
				return lines
			}
			lines = append(lines, match.Range{Start: pos, End: lineEnd(data, pos)})
		}
		pos = m.End
	}
	return lines
}

// lineEnd gives the end of the line that starts at pos, its newline included.
func lineEnd(data []byte, pos int) int {
	if n := bytes.IndexByte(data[pos:], '\n'); n >= 0 {
		return pos + n + 1
	}
	return len(data)
}

// validateMin is the number of lines from which on it is better to look once whether the whole
// block is UTF-8.
const validateMin = 32

// lateBytes is the size from which on a block, which then has a long line, is copied only when it
// is handed out, piece by piece: what is said of each part of a line can take many times its size.
const lateBytes = 1 << 20

// copiedLate reports whether the lines of b are for the emitter to copy.
func (o *Options) copiedLate(b *block) bool { return len(b.data) > lateBytes && o.Report == Parts }

// copyLines puts lines of b into b.out as they are to be handed out, their numbers counted from b's
// start. It calls full, unless that is nil, whenever there is enough for a chunk, to have b.out
// emptied.
func (w *worker) copyLines(b *block, lines []match.Range, full func() error) error {
	b.out.valid = b.out.valid || w.o.Binary == BinaryText || len(lines) >= validateMin && utf8.Valid(b.data)
	if b.out.valid && w.o.plain() {
		b.out.addRuns(b.data, lines)
		return nil
	}
	number, counted := uint64(1), 0
	for _, l := range lines {
		if w.o.LineNumbers {
			number += uint64(bytes.Count(b.data[counted:l.Start], []byte{'\n'}))
			counted = l.Start
		}
		d := lineData{greppb.KindSelected, number, uint64(b.offset) + uint64(l.Start), b.timeAt(l.Start)}
		if _, err := w.add(&b.out, b.data[l.Start:l.End], d, full); err != nil {
			return err
		}
	}
	return nil
}

// plain reports whether nothing is wanted but the lines themselves.
func (o *Options) plain() bool {
	return o.Report == Lines && !o.LineNumbers && !o.ByteOffsets && !o.Spans && !o.context() && len(o.Columns) == 0 && !o.Times
}

// partsAtOnce is how many parts of a line are looked for before they are copied.
const partsAtOnce = 1024

// add adds a line, or its parts, to out, and reports whether it added anything. Parts are those of
// the lines that match, which with Invert are those of the context. full is as in copyLines.
func (w *worker) add(out *lineBuffer, line []byte, d lineData, full func() error) (added bool, err error) {
	body := bytes.TrimSuffix(line, []byte{'\n'})
	if w.columns != nil {
		w.columns.Extract(body)
		w.column = w.columns.AppendColumns(w.column[:0])
		return out.add(w.o, w.column, d, nil), nil
	}
	matches := d.kind&greppb.KindContext == 0 != w.o.Invert
	if w.o.Report == Lines {
		w.parts = w.parts[:0]
		if matches && w.o.Spans && d.kind&greppb.KindContext == 0 {
			w.parts, _ = w.scanner.PartsFrom(body, 0, w.parts, SpansMax)
		}
		return out.add(w.o, body, d, w.parts), nil
	}
	lineOffset := d.offset
	for pos := 0; matches && pos < len(body); {
		w.parts, pos = w.scanner.PartsFrom(body, pos, w.parts[:0], partsAtOnce)
		for _, p := range w.parts {
			d.offset = lineOffset + uint64(p.Start)
			if out.add(w.o, body[p.Start:p.End], d, nil) {
				added, d.kind = true, d.kind&^greppb.KindGap
			}
		}
		if full != nil && (len(out.chunk.Data) >= ChunkBytes || len(out.chunk.Lengths) >= chunkLines) {
			if err := full(); err != nil {
				return added, err
			}
		}
	}
	return added, nil
}
