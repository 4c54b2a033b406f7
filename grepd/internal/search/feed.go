package search

import (
	"context"
	"io"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// Searcher selects lines of texts that are fed to it, see Feed: what Run does with several
// goroutines for files that are there, it does with one for what comes later. It serves one
// goroutine, with as many Feeds as that likes.
type Searcher struct {
	ctx     context.Context
	o       Options
	w       *worker
	growing bool
	block   block // the text that is being searched
}

// NewSearcher prepares a search of which the results mean nothing once ctx has ended. growing says
// that nobody knows whether a text goes on: then no line waits for the rest of its group, and less
// than FeedContextBytes are kept as context for lines to come.
func NewSearcher(ctx context.Context, o Options, growing bool) (*Searcher, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Searcher{ctx: ctx, o: o, growing: growing}
	s.w = newWorker(ctx, &s.o)
	return s, nil
}

// FeedContextBytes bounds the lines that are kept of each growing text as context for lines to
// come. Of longer ones there are fewer.
const FeedContextBytes = 1 << 20

// Feed is one text. Its lines are fed to a Searcher in any number of pieces, in order, and what is
// found goes to a Sink. Between two pieces its state can be taken, and another Feed be given it, in
// another process too, that then finds in the rest what this one would.
type Feed struct {
	s       *Searcher
	e       emitter
	offset  int64 // of the line that comes next
	counted bool  // e.line is the number of lines before it
	times   *fileTimes
}

// State is how far a text was searched, and what of it matters to the lines that follow.
type State struct {
	Offset int64  // of the line that comes next
	Line   uint64 // its number, from 1; 0: it is not known
	Inside bool   // the line before is of the range of times, where one is wanted
	// Shown is the offset after the last line that was handed out with context, 0 where there is
	// none, and Pending how many lines of context are still to follow.
	Shown   uint64
	Pending int
}

// Begin begins a text, as the sink is told.
func (s *Searcher) Begin(path string, size int64, sink Sink) (*Feed, error) {
	f := s.feed(sink)
	return f, f.e.begin(path, size)
}

// feed makes a Feed that has not begun.
func (s *Searcher) feed(sink Sink) *Feed {
	return &Feed{s: s, e: emitter{o: &s.o, w: s.w, sink: s.o.sink(sink), growing: s.growing}, counted: true}
}

// Lines searches the next whole lines, which it may change. An error is the sink's, or the
// context's.
func (f *Feed) Lines(text []byte) error {
	if len(text) == 0 || f.e.ended {
		return nil
	}
	b := &f.s.block
	b.setData(text, f.offset)
	b.times = f.times
	f.s.w.search(b)
	if err := f.s.ctx.Err(); err != nil {
		return err
	}
	if err := f.e.add(b, true); err != nil {
		return err
	}
	f.times = b.times
	f.offset += int64(len(text))
	return nil
}

// Use has another Searcher search the lines that come next: one that wants lines of other times
// perhaps. Both must hand out the same of a line.
func (f *Feed) Use(s *Searcher) {
	if f.s != s {
		f.s, f.e.o, f.e.w, f.e.read = s, &s.o, s.w, false
	}
}

// Offset is that of the line that comes next.
func (f *Feed) Offset() int64 { return f.offset }

// State gives how far the text was searched.
func (f *Feed) State() State {
	s := State{Offset: f.offset, Inside: f.e.state == inside, Pending: f.e.group.pending}
	if f.counted {
		s.Line = f.e.line + 1
	}
	if f.e.group.any {
		s.Shown = f.e.group.shown
	}
	return s
}

// Restore goes on where another Feed of the same text was.
func (f *Feed) Restore(s State) {
	f.offset, f.counted = s.Offset, s.Line > 0
	e := &f.e
	e.next, e.line, e.state = s.Offset, max(s.Line, 1)-1, unknown
	if s.Inside {
		e.state = inside
	}
	e.group.any, e.group.shown, e.group.pending = s.Shown > 0, s.Shown, min(s.Pending, e.o.After)
}

// Number says which number the line has that comes next, from 1.
func (f *Feed) Number(line uint64) { f.e.line, f.counted = line-1, true }

// Recall gives the Feed whole lines that come directly before the next one, as context for lines to
// come. The text must be growing.
func (f *Feed) Recall(text []byte) {
	b := &f.s.block
	b.setData(text, f.offset-int64(len(text)))
	_ = f.e.keep(b) // of which a growing text keeps only what fits
}

// Locate finds where in the text, which r has up to an offset, the lines can begin that are of the
// range of times. ErrNoTimes says that no line has one.
func (f *Feed) Locate(r io.ReaderAt, end int64, written time.Time) (int64, error) {
	head := make([]byte, min(headBytes, end))
	if _, err := r.ReadAt(head, 0); err != nil {
		return 0, err
	}
	if f.times = detectTimes(head, written); f.times == nil {
		return end, ErrNoTimes
	}
	w, err := f.s.o.timeRange().locate(r, end, f.times, BlockBytes)
	return min(w.start, end), err
}

// Before reports whether a file that was written last at some time has no line that is wanted,
// going by the range of times.
func (s *Searcher) Before(written time.Time) bool { return s.o.allBefore(written) }

// Ended reports whether no more lines are wanted.
func (f *Feed) Ended() bool { return f.e.ended }

// Stats say what was found.
func (f *Feed) Stats() FileStats { return f.e.file }

// End ends the text, once, as the sink is told.
func (f *Feed) End() error { return f.e.end() }

// fail tells what is wrong with the text.
func (f *Feed) fail(err error) error { return f.e.fail(files.NewError(f.e.path, err)) }
