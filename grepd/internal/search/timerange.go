package search

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/linetime"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// TimeSlack is how far the lines of a file may be out of order for the file to count as
	// ordered. Writers that share a file swap neighbours by milliseconds; a server that logs a
	// request when it has ended, with the time of its beginning, does so by the length of the
	// request.
	TimeSlack = time.Minute

	// headBytes is how much of a file's head tells how its times are written.
	headBytes = 64 << 10
	// probeBytes is what is read at once to find a line with a time, probeBytesMax after how much
	// of a file without one the search for it is given up.
	probeBytes    = 16 << 10
	probeBytesMax = 1 << 20
	// samples are the evenly spaced lines that have to be in order.
	samples = 32
	// seekBlocksMin is how many blocks a file has at least before it is worth searching for the
	// part that is wanted.
	seekBlocksMin = 4
)

// ErrNoTimes is what is wrong with a file whose lines are to be of some time, and have none.
var ErrNoTimes = files.WithReason(greppb.FileError_NO_TIMES,
	errors.New("no line has a time that is understood, so it cannot be searched by time"))

// timeRange is what times are wanted: from since up to, not including, until, in Unix nanoseconds.
type timeRange struct{ since, until int64 }

// ranged reports whether only lines of some time are wanted.
func (o *Options) ranged() bool { return o.Since != 0 || o.Until != 0 }

func (o *Options) timeRange() timeRange {
	r := timeRange{o.Since, o.Until}
	if o.Since == 0 {
		r.since = math.MinInt64
	}
	if o.Until == 0 {
		r.until = math.MaxInt64
	}
	return r
}

func (r timeRange) contains(nanos int64) bool { return nanos >= r.since && nanos < r.until }

// later moves a time, but not beyond what there is.
func later(nanos int64, by time.Duration) int64 {
	switch moved := nanos + int64(by); {
	case by > 0 && moved < nanos:
		return math.MaxInt64
	case by < 0 && moved > nanos:
		return math.MinInt64
	default:
		return moved
	}
}

// fileTimes says how the times of a file are written.
type fileTimes struct {
	format  linetime.Format
	written time.Time
}

// detectTimes looks at the head of a file; nil if no line of it has a time.
func detectTimes(head []byte, written time.Time) *fileTimes {
	if format := linetime.Detect(head); format.Kind != linetime.None {
		return &fileTimes{format, written}
	}
	return nil
}

func (t *fileTimes) parser() *linetime.Parser {
	return linetime.NewParser(t.format, time.Local, t.written)
}

// window is the part of a file in which lines of a range of times can be.
type window struct {
	// All lines of the range start from start up to, not including, end.
	start, end int64
	// All lines that start from sureStart up to, not including, sureEnd are of the range.
	sureStart, sureEnd int64
}

// anywhere is the window of a file of which nothing is known.
func anywhere(size int64) window { return window{end: size, sureStart: size} }

// seekable finds times in a file by their place.
type seekable struct {
	f      io.ReaderAt
	size   int64
	parser *linetime.Parser
	buffer []byte
	probes []probe // all that were found
}

// probe is a line with a time.
type probe struct{ start, nanos int64 }

// locate finds the part of a file that can hold lines of the range.
func (r timeRange) locate(f io.ReaderAt, size int64, times *fileTimes, blockBytes int64) (window, error) {
	if times == nil || size < seekBlocksMin*blockBytes {
		return anywhere(size), nil
	}
	s := &seekable{f: f, size: size, parser: times.parser()}
	w, err := s.window(r, blockBytes)
	if err != nil || !s.ordered() {
		return anywhere(size), err
	}
	return w, nil
}

// window finds the window by four binary searches, which is right if the file is ordered. A line
// that is before the range by more than the slack has only such lines before it, and so on.
func (s *seekable) window(r timeRange, blockBytes int64) (window, error) {
	w := anywhere(s.size)
	for i := range int64(samples) {
		if _, _, err := s.find(s.size / samples * i); err != nil {
			return w, err
		}
	}
	if len(s.probes) == 0 {
		return w, nil
	}
	var errs [4]error
	w.start, _, errs[0] = s.bisect(later(r.since, -TimeSlack), blockBytes)
	_, w.sureStart, errs[1] = s.bisect(later(r.since, TimeSlack), blockBytes)
	w.sureEnd, _, errs[2] = s.bisect(later(r.until, -TimeSlack), blockBytes)
	_, w.end, errs[3] = s.bisect(later(r.until, TimeSlack), blockBytes)
	if r.until == math.MaxInt64 {
		w.sureEnd, w.end = s.size, s.size
	}
	return w, errors.Join(errs[:]...)
}

// bisect gives the start of a line that is earlier than limit, or 0, and that of one that is not,
// or the file's size; between them lies less than about a block.
func (s *seekable) bisect(limit, blockBytes int64) (before, from int64, err error) {
	from = s.size
	for low, high := int64(0), s.size; high-low > blockBytes/2; {
		middle := low + (high-low)/2
		p, ok, err := s.find(middle)
		switch {
		case err != nil:
			return 0, s.size, err
		case !ok || p.start >= high:
			high = middle
		case p.nanos < limit:
			before, low = p.start, p.start+1
		default:
			from, high = p.start, middle
		}
	}
	return before, from, nil
}

// find gives the first line with a time that starts at or after offset.
func (s *seekable) find(offset int64) (probe, bool, error) {
	from := max(offset-1, 0) // a line starts at offset if a newline is before it
	s.buffer = s.buffer[:0]
	first := offset > 0 // the line is not known to start here
	pos := 0
	for from+int64(len(s.buffer)) < s.size && len(s.buffer) < probeBytesMax {
		have := len(s.buffer)
		s.buffer = slices.Grow(s.buffer, probeBytes)[:have+probeBytes]
		n, err := s.f.ReadAt(s.buffer[have:], from+int64(have))
		s.buffer = s.buffer[:have+n]
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return probe{}, false, ignoreEOF(err)
		}
		for {
			end := bytes.IndexByte(s.buffer[pos:], '\n')
			if end < 0 {
				break
			}
			if !first {
				if nanos, ok := s.parser.Time(s.buffer[pos : pos+end]); ok {
					p := probe{from + int64(pos), nanos}
					s.probes = append(s.probes, p)
					return p, true, nil
				}
			}
			first = false
			pos += end + 1
		}
	}
	return probe{}, false, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ordered reports whether the lines that were looked at are in order, but for the slack.
func (s *seekable) ordered() bool {
	slices.SortFunc(s.probes, func(a, b probe) int { return cmp.Compare(a.start, b.start) })
	latest := int64(math.MinInt64)
	for _, p := range s.probes {
		if p.nanos < later(latest, -TimeSlack) {
			return false
		}
		latest = max(latest, p.nanos)
	}
	return len(s.probes) > 0
}

// blocks gives the blocks that hold lines of the window: from first up to last.
func (w window) blocks(blockBytes int64) (first, last int64) {
	return blockOf(w.start, blockBytes), blockOf(w.end-1, blockBytes)
}

// blockOf is the index of the block that has the line that starts at offset.
func blockOf(offset, blockBytes int64) int64 { return max(offset-1, 0) / blockBytes }

// sure reports whether all lines of a block of a file are of the range.
func (w window) sure(index, blockBytes, size int64) bool {
	begin := index * blockBytes
	end := min(begin+blockBytes, size)
	if begin > 0 {
		begin++ // the line that starts with a block's first byte is of the block before
	}
	return begin >= w.sureStart && (end < w.sureEnd || w.sureEnd == size)
}

// inRange says whether lines are of the range, as far as that is known.
type inRange uint8

const (
	unknown inRange = iota // as the line before
	inside
	outside
)

// run is lines of a block that follow each other and are all inside the range, or as the
// line before the block.
type run struct {
	block
	state  inRange
	before uint64 // lines of the block before the run
}

// searchRuns searches those lines of a block that may be of the range. Lines without a time
// are as the line before them, which for the block's first ones only the emitter knows.
func (w *worker) searchRuns(b *block) {
	b.runs = b.runs[:0]
	b.newlines, b.timed = 0, false
	w.detect(b)
	next := run{}
	start := 0
	for pos := 0; pos < len(b.data); b.newlines++ {
		end := lineEnd(b.data, pos)
		if state := w.inRange(b.times, b.data[pos:end], next.state); state != next.state {
			w.addRun(b, next, start, pos)
			next.state, next.before, start = state, b.newlines, pos
			b.timed = true
		}
		pos = end
	}
	w.addRun(b, next, start, len(b.data))
	b.state = next.state
}

// inRange reports whether a line is of the range: if it has no time, as the line before.
func (w *worker) inRange(times *fileTimes, line []byte, before inRange) inRange {
	if times == nil {
		return before
	}
	nanos, ok := w.parser(times).Time(line)
	switch {
	case !ok:
		return before
	case w.o.timeRange().contains(nanos):
		return inside
	}
	return outside
}

// parser reads the times of a file. It is kept for the file's next block.
func (w *worker) parser(times *fileTimes) *linetime.Parser {
	if w.parsed != times {
		w.parsed, w.times = times, times.parser()
	}
	return w.times
}

// addRun searches the lines of b from start to end, unless they are not wanted.
func (w *worker) addRun(b *block, next run, start, end int) {
	if start == end || next.state == outside {
		return
	}
	if n := len(b.runs); n < cap(b.runs) { // whose memory is used again
		b.runs = b.runs[:n+1]
	} else {
		b.runs = append(b.runs, run{})
	}
	r := &b.runs[len(b.runs)-1]
	r.state, r.before, r.times = next.state, next.before, b.times
	r.setData(b.data[start:end:end], b.offset+int64(start))
	w.searchLines(&r.block)
}

// addRuns takes the runs of the next block.
func (e *emitter) addRuns(b *block, flush bool) error {
	e.read, e.timed = e.read || len(b.data) > 0, e.timed || b.timed
	line := e.line
	for i := range b.runs {
		r := &b.runs[i]
		if r.state == unknown && e.state != inside || e.ended {
			continue
		}
		e.line = line + r.before
		if err := e.addLines(&r.block, flush); err != nil {
			return err
		}
	}
	e.line = line + b.newlines
	if b.state != unknown {
		e.state = b.state
	}
	return nil
}

// breakGroup ends a group of context where lines are left out.
func (e *emitter) breakGroup() error {
	g := &e.group
	g.pending = 0
	g.earlier, g.earlierLengths = g.earlier[:0], g.earlierLengths[:0]
	return g.out.send(e.sink, 0, false)
}

// allBefore reports whether a file that was written last at some time has only lines of earlier
// times than are wanted.
func (o *Options) allBefore(written time.Time) bool {
	return written.UnixNano() < later(o.timeRange().since, -TimeSlack)
}

// plan says which blocks of a file are wanted, and for what.
type plan struct {
	from, first, last int64 // blocks: those from first to last are searched, those before are counted
	empty             bool  // nothing is wanted
	ranged            bool
	window            window
	times             *fileTimes
	written           time.Time // for streams
}

// timed reports whether the times of lines matter.
func (o *Options) timed() bool { return o.ranged() || o.Times }

// streamPlan is the plan of a file that can only be read from start to end. Its times are not known
// yet.
func (p *pipeline) streamPlan(f *file) plan {
	info, err := f.f.Stat()
	if err != nil {
		return plan{}
	}
	return plan{ranged: p.o.ranged(), empty: p.o.allBefore(info.ModTime()), written: info.ModTime()}
}

// plan finds out which blocks of a file are wanted. What cannot be read here cannot be read by the
// workers either, and they say so.
func (p *pipeline) plan(f *file) plan {
	blockBytes := p.o.blockBytes
	all := plan{last: max(f.size-1, 0) / blockBytes}
	if !p.o.ranged() && !p.o.Times {
		return all
	}
	info, err := f.f.Stat()
	if err != nil {
		return all
	}
	if p.o.allBefore(info.ModTime()) {
		return plan{empty: true}
	}
	head := make([]byte, min(headBytes, f.size))
	n, _ := f.f.ReadAt(head, 0)
	all.times = detectTimes(head[:n], info.ModTime())
	if !p.o.ranged() {
		return all
	}
	found := plan{ranged: true, times: all.times}
	found.window, err = p.o.timeRange().locate(f.f, f.size, found.times, blockBytes)
	if err != nil {
		return all
	}
	if found.window.start >= found.window.end {
		return plan{empty: true}
	}
	found.first, found.last = found.window.blocks(blockBytes)
	if !p.o.LineNumbers {
		found.from = found.first
	}
	return found
}

// use is what a block is wanted for.
func (p *plan) use(index, blockBytes, size int64) use {
	switch {
	case p.empty:
		return nothing
	case !p.ranged:
		return searched
	case index < p.first:
		return counted
	case p.window.sure(index, blockBytes, size):
		return sure
	}
	return searched
}
