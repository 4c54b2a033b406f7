package search

import (
	"bytes"
	"context"
	"errors"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// errStop ends a search early, with success.
var errStop = errors.New("no more is wanted")

var errContextTooLong = files.WithReason(greppb.FileError_TOO_LONG,
	errors.New("the lines of context before a selected line are too long together"))

// emitter turns blocks, in order, into what a Sink is told. It serves one goroutine.
type emitter struct {
	o     *Options
	sink  Sink
	w     *worker // to add lines that the block's worker did not
	stats Stats

	// Of the file that was begun last:
	file   FileStats
	binary bool   // a NUL was seen
	line   uint64 // lines in the blocks before
	ended  bool
	full   fullBlock
	group  group
	next   int64   // the offset after the last line that was searched
	path   string  // of the file
	state  inRange // of the last line
	read   bool    // some line was looked at for its time
	timed  bool    // ... and had one
	// growing says that the file is not known to end. Then nobody waits for the rest of a group of
	// lines.
	growing bool
	last    int64 // the time of the last line that has one, or noTime, where times are wanted
}

// newEmitter begins a search, if its options are valid.
func newEmitter(ctx context.Context, o *Options, sink Sink) (*emitter, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &emitter{o: o, sink: o.sink(sink), w: newWorker(ctx, o)}, nil
}

// fullBlock is where the last of MaxCount selected lines is.
type fullBlock struct {
	offset int64
	size   int
	count  int // of selected lines up to that one
}

func (e *emitter) fail(err files.FileError) error {
	if !err.Warning {
		e.stats.Errors++
	}
	return e.sink.Error(err)
}

// unreadable is for what was opened and cannot be read.
func (e *emitter) unreadable(err files.FileError) error {
	if err := e.begin(err.Path, 0); err != nil {
		return err
	}
	if err := e.fail(err); err != nil {
		return err
	}
	return e.end()
}

func (e *emitter) begin(path string, size int64) error {
	e.stats.Files++
	e.file, e.binary, e.line, e.ended = FileStats{}, false, 0, false
	e.next, e.path, e.state, e.read, e.timed, e.last = 0, path, unknown, false, false, noTime
	e.group.reset()
	return e.sink.Begin(path, size)
}

// end finishes the file, once.
func (e *emitter) end() error {
	if e.ended {
		return nil
	}
	e.ended = true
	if e.o.context() {
		if err := e.group.out.send(e.sink, 0, false); err != nil {
			return err
		}
	}
	if e.read && !e.timed {
		if err := e.fail(files.NewError(e.path, ErrNoTimes)); err != nil {
			return err
		}
	}
	e.stats.Matches += e.file.Matches
	e.stats.Bytes += e.file.Bytes
	if err := e.sink.End(e.file); err != nil {
		return err
	}
	if e.o.Report == Quiet && e.file.Matches > 0 {
		return errStop
	}
	return nil
}

// wantsMore reports whether the rest of the file can matter.
func (e *emitter) wantsMore() bool {
	switch {
	case e.ended:
		return false
	case e.o.Report == Count:
		return e.left() != 0
	case !e.o.listsLines():
		return e.file.Matches == 0 && e.left() != 0
	case e.binary:
		return e.file.Matches == 0 || !e.file.Binary
	}
	return e.left() != 0 || e.group.pending > 0
}

// left is how many more lines may be selected in the file, below 0: any number.
func (e *emitter) left() int64 {
	if e.o.MaxCount < 0 {
		return -1
	}
	return max(0, e.o.MaxCount-int64(e.file.Matches))
}

// add takes the next block of the file. flush asks for all lines to be handed out at once, although
// their group may go on.
func (e *emitter) add(b *block, flush bool) error {
	switch {
	case b.use == nothing:
		return nil
	case b.use == counted:
		e.line += b.newlines
		return nil
	case e.o.ranged() && b.use != sure:
		return e.addRuns(b, flush)
	}
	e.state = inside
	return e.addLines(b, flush)
}

// addLines takes the next lines of the file.
func (e *emitter) addLines(b *block, flush bool) error {
	if b.size > 0 { // there is none where a line goes on
		if e.o.context() && b.offset != e.next { // lines of another time were left out
			if err := e.breakGroup(); err != nil {
				return err
			}
		}
		e.next = b.offset + int64(b.size)
	}
	if b.binary && !e.binary {
		e.binary = true
		if e.o.Binary == BinarySkip {
			e.file.Matches = 0
			return e.end()
		}
	}
	e.file.Bytes += uint64(b.size)
	before := e.file.Matches
	count := b.count
	if left := e.left(); left >= 0 {
		count = min(count, uint64(left))
	}
	e.file.Matches += count
	if count > 0 && e.left() == 0 {
		e.full = fullBlock{b.offset, b.size, int(count)}
	}
	e.o.Progress.Matches.Add(count)
	err := e.lines(b, int(count), before, flush)
	e.line += b.newlines
	e.last = b.lastTime(e.last)
	if err == nil && !e.wantsMore() {
		return e.end()
	}
	return err
}

// lines hands out the first count selected lines of b.
func (e *emitter) lines(b *block, count int, before uint64, flush bool) error {
	switch {
	case !e.o.listsLines():
		return nil
	case e.binary:
		e.file.Binary = e.file.Binary || e.file.Matches > before
		return nil
	case e.o.context():
		return e.addGroups(b, count, flush)
	case count < len(b.lines) || e.w.o.copiedLate(b):
		b.out.reset()
		if err := e.w.copyLines(b, b.lines[:count], func() error { return e.sendLines(b) }); err != nil {
			return err
		}
	}
	return e.sendLines(b)
}

// sendLines hands out those lines of b that were copied.
func (e *emitter) sendLines(b *block) error {
	e.withhold(&b.out)
	b.out.timesFrom(e.last)
	return b.out.send(e.sink, e.line, false)
}

func (e *emitter) withhold(l *lineBuffer) {
	if l.withheld && e.o.Binary == BinaryReport {
		e.file.Binary = true
	}
}

// group is where the lines of context stand in a file.
type group struct {
	out     lineBuffer
	pending int    // lines of context that are still to follow a selected line
	shown   uint64 // the offset after the last line that was handed out, or was to be
	any     bool   // shown is set
	gap     byte   // greppb.KindGap where one lies before the next line that is handed out
	// earlier are the last lines before the block, as many as may be wanted before a selected one.
	earlier        []byte
	earlierLengths []int
}

func (g *group) reset() {
	g.out.reset()
	g.pending, g.shown, g.any, g.gap = 0, 0, false, 0
	g.earlier, g.earlierLengths = g.earlier[:0], g.earlierLengths[:0]
}

// addGroups hands out the first count selected lines of b with their context.
func (e *emitter) addGroups(b *block, count int, flush bool) error {
	walk := contextWalk{e: e, b: b, number: e.line + 1}
	for _, l := range b.lines[:count] {
		if err := walk.after(l.Start); err != nil {
			return err
		}
		if err := walk.before(l.Start); err != nil {
			return err
		}
		if err := walk.line(l.Start, l.End, greppb.KindSelected); err != nil {
			return err
		}
		e.group.pending = e.o.After
	}
	if err := walk.after(len(b.data)); err != nil {
		return err
	}
	if err := e.keep(b); err != nil {
		return err
	}
	// A group that touches the block's end may go on in the next one; then More is not known yet.
	open := e.group.any && e.group.shown+uint64(len(e.group.earlier)) >= uint64(b.offset)+uint64(len(b.data))
	if open && !flush {
		return nil
	}
	return e.group.out.send(e.sink, 0, open && !e.growing)
}

// keep remembers the last lines of b for the context of lines after it.
func (e *emitter) keep(b *block) error {
	g := &e.group
	if e.o.Before == 0 || e.left() == 0 {
		return nil
	}
	// Lines that were handed out are not handed out again.
	from := 0
	if g.any && g.shown > uint64(b.offset) {
		from = int(g.shown - uint64(b.offset))
		g.earlier, g.earlierLengths = g.earlier[:0], g.earlierLengths[:0]
	}
	start := len(b.data)
	n := 0
	for ; n < e.o.Before && start > from; n++ {
		start = bytes.LastIndexByte(b.data[:start-1], '\n') + 1
	}
	g.drop(len(g.earlierLengths) + n - e.o.Before)
	for pos := start; pos < len(b.data); {
		end := lineEnd(b.data, pos)
		g.earlier = append(g.earlier, b.data[pos:end]...)
		g.earlierLengths = append(g.earlierLengths, end-pos)
		pos = end
	}
	for e.growing && len(g.earlier) > FeedContextBytes {
		g.drop(1)
	}
	if len(g.earlier) > LineBytesMax {
		return errContextTooLong
	}
	return nil
}

// drop forgets the first n of the earlier lines.
func (g *group) drop(n int) {
	if n <= 0 {
		return
	}
	size := 0
	for _, l := range g.earlierLengths[:n] {
		size += l
	}
	g.earlier = append(g.earlier[:0], g.earlier[size:]...)
	g.earlierLengths = append(g.earlierLengths[:0], g.earlierLengths[n:]...)
}

// contextWalk goes once through the lines of a block that are handed out with context.
type contextWalk struct {
	e       *emitter
	b       *block
	number  uint64 // of the line that starts at counted
	counted int
}

// after hands out the lines of context that are pending, up to the index end.
func (c *contextWalk) after(end int) error {
	g := &c.e.group
	for g.pending > 0 {
		pos := c.next()
		if pos >= end {
			break
		}
		if err := c.line(pos, lineEnd(c.b.data, pos), greppb.KindContext); err != nil {
			return err
		}
		g.pending--
	}
	return nil
}

// next is the index after the last line that was handed out, or 0.
func (c *contextWalk) next() int {
	if g := &c.e.group; g.any && g.shown > uint64(c.b.offset) {
		return int(g.shown - uint64(c.b.offset))
	}
	return 0
}

// before hands out the context before a selected line at start.
func (c *contextWalk) before(start int) error {
	pos, n := start, 0
	for ; n < c.e.o.Before && pos > c.next(); n++ {
		pos = bytes.LastIndexByte(c.b.data[:pos-1], '\n') + 1
	}
	if n < c.e.o.Before && c.next() == 0 {
		if err := c.earlier(c.e.o.Before - n); err != nil {
			return err
		}
	}
	for pos < start {
		end := lineEnd(c.b.data, pos)
		if err := c.line(pos, end, greppb.KindContext); err != nil {
			return err
		}
		pos = end
	}
	return nil
}

// earlier hands out the last n lines that were kept from the blocks before.
func (c *contextWalk) earlier(n int) error {
	g := &c.e.group
	g.drop(len(g.earlierLengths) - n)
	offset := uint64(c.b.offset) - uint64(len(g.earlier))
	number := c.e.line + 1 - uint64(len(g.earlierLengths))
	pos, nanos := 0, c.e.last
	for _, l := range g.earlierLengths {
		nanos = c.e.w.timeOf(c.b.times, g.earlier[pos:pos+l], nanos)
		if err := c.add(g.earlier[pos:pos+l], lineData{greppb.KindContext, number, offset, nanos}); err != nil {
			return err
		}
		pos, offset, number = pos+l, offset+uint64(l), number+1
	}
	g.earlier, g.earlierLengths = g.earlier[:0], g.earlierLengths[:0]
	return nil
}

// line hands out the line of the block from start to end.
func (c *contextWalk) line(start, end int, kind byte) error {
	if c.e.o.LineNumbers {
		c.number += uint64(bytes.Count(c.b.data[c.counted:start], []byte{'\n'}))
		c.counted = start
	}
	nanos := c.b.timeAt(start)
	if nanos == noTime {
		nanos = c.e.last
	}
	return c.add(c.b.data[start:end], lineData{kind, c.number, uint64(c.b.offset) + uint64(start), nanos})
}

func (c *contextWalk) add(line []byte, d lineData) error {
	g := &c.e.group
	if !g.any || g.shown != d.offset {
		g.gap = greppb.KindGap
	}
	if g.out.full(len(line)) {
		if err := g.out.send(c.e.sink, 0, g.gap == 0); err != nil {
			return err
		}
	}
	d.kind |= g.gap
	added, err := c.e.w.add(&g.out, line, d, func() error { return g.out.send(c.e.sink, 0, true) })
	if err != nil {
		return err
	}
	if added {
		g.gap = 0
	}
	if g.out.withheld {
		c.e.withhold(&g.out)
		g.out.withheld, g.gap = false, greppb.KindGap
	}
	g.shown, g.any = d.offset+uint64(len(line)), true
	return nil
}
