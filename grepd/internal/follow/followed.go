package follow

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// followBlocks is how many blocks of a file are searched before the others have their turn.
const followBlocks = 16

// followed is a file of which the lines are handed out as they come.
type followed struct {
	f      *os.File
	id     fileID
	path   string // under which it was found
	number uint32
	packed files.Compression

	feed    *search.Feed
	sink    fileSink
	scanned int64 // no line ends between the feed's offset and here
	history int64 // lines that start before it are asked for their times
	head    Print
	tail    Print

	// What was seen when it was looked at last.
	size     int64
	modified time.Time
	looked   bool
	grew     time.Time

	name    naming
	gone    time.Time // when a scan missed it first; zero: it was found
	rotated time.Time // when it was first seen to be no log that is written to; zero: it may be one
	rests   bool      // it was rotated long ago, and no line has come since: nobody writes to it

	stage    stage
	original *followed // of a newcomer that may be a copy
	equal    int64     // so much of it is as in the original
	told     Place
}

// stage is how far the follow has come with a file.
type stage uint8

const (
	stageFollowed stage = iota // its lines are searched as they come
	stageNewcomer              // it may be a copy of another file, as copytruncate makes them
	stageFinished              // no more of it is wanted, although it is there
)

// naming is under which name the last scan has found a file.
type naming uint8

const (
	nameGone  naming = iota // under none
	nameOther               // under others than it is told under
	nameOwn                 // under the one that it is told under
)

// openFiles are the files that are followed, in the order in which they were found.
type openFiles struct {
	list []*followed
	byID map[fileID]*followed
}

func (o *openFiles) add(x *followed) {
	o.list = append(o.list, x)
	o.byID[x.id] = x
}

// fileSink hands on what is found in one followed file.
type fileSink struct {
	x     *followed
	to    Sink
	skip  uint64 // lines that were handed out before the follow went on here
	begun bool
	spoke bool // lines were handed out, or skipped, since the place was told
}

var _ search.Sink = (*fileSink)(nil)

// Begin does nothing: a file is named when it has lines.
func (s *fileSink) Begin(string, int64) error { return nil }

func (s *fileSink) begin() error {
	if s.begun {
		return nil
	}
	s.begun = true
	return s.to.Begin(s.x.number, s.x.path, s.x.size)
}

func (s *fileSink) Chunk(c *search.Chunk) error {
	s.spoke = true
	if s.skip > 0 {
		n := min(s.skip, uint64(len(c.Lengths)))
		s.skip -= n
		rest := c.Cut(int(n), len(c.Lengths))
		if c = &rest; len(c.Lengths) == 0 {
			return nil
		}
	}
	if err := s.begin(); err != nil {
		return err
	}
	return s.to.Chunk(s.x.number, c)
}

func (s *fileSink) End(stats search.FileStats) error {
	if stats.Binary {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if !s.begun {
		return nil
	}
	s.begun = false
	return s.to.End(s.x.number, stats)
}

func (s *fileSink) Error(e files.FileError) error { return s.to.Error(e) }

// offset is that of the first line that was not searched.
func (x *followed) offset() int64 { return x.feed.Offset() }

// place is how far the file was searched.
func (x *followed) place() Place {
	s := x.feed.State()
	return Place{
		File: x.number, Path: x.path, Device: x.id.device, Inode: x.id.inode,
		Offset: uint64(s.Offset), Line: s.Line, History: uint64(x.history), Inside: s.Inside,
		Shown: s.Shown, Pending: uint32(s.Pending), Head: x.head, Tail: x.tail, Skip: x.sink.skip,
		Lost: x.rests, // for the next follow, if it is not there any more: then nothing is missing
	}
}

// stateAt is that of a text of which nothing is known before an offset.
func stateAt(offset int64) search.State {
	s := search.State{Offset: offset}
	if offset == 0 {
		s.Line = 1
	}
	return s
}

// start makes the file one that is searched from an offset on.
func (f *follower) start(x *followed, offset int64) {
	x.feed, _ = f.added.Begin(x.path, 0, &x.sink) // which asks the fileSink, which does nothing
	x.feed.Restore(stateAt(offset))
	x.scanned, x.stage = offset, stageFollowed
	x.head, x.tail = Print{}, Print{}
	x.looked = false
	f.toldAt = time.Time{} // whoever listens is to know at once
}

// resume makes it one that is searched from a place on. A compressed file that goes on with another
// one keeps its name, by which it is known later.
func (f *follower) resume(x *followed, p *Place) {
	f.start(x, int64(p.Offset))
	if x.packed == files.Uncompressed || isPacked(p.Path) {
		x.path = p.Path
	}
	x.history, x.head, x.tail = int64(p.History), p.Head, p.Tail
	x.sink.skip = p.Skip
	x.original = nil
	s := stateAt(int64(p.Offset))
	s.Line = cmp.Or(p.Line, s.Line)
	s.Inside, s.Shown, s.Pending = p.Inside, p.Shown, int(p.Pending)
	x.feed.Restore(s)
}

// recall reads the lines before the offset that may be wanted as context. What cannot be read is no
// context.
func (f *follower) recall(x *followed, r io.ReaderAt) {
	if f.o.Before == 0 || x.offset() == 0 || x.packed != files.Uncompressed {
		return
	}
	from := max(0, x.offset()-search.FeedContextBytes)
	data := make([]byte, x.offset()-from)
	if _, err := r.ReadAt(data, from); err != nil {
		return
	}
	if from > 0 { // the first line may lack its beginning
		from += int64(bytes.IndexByte(data, '\n') + 1)
		data = data[len(data)-int(x.offset()-from):]
	}
	x.feed.Recall(data)
}

// grow searches what was added to a file, and reports whether there is more.
func (f *follower) grow(x *followed) (more bool, err error) {
	if x.packed != files.Uncompressed {
		return false, f.unpack(x)
	}
	info, err := x.f.Stat()
	switch {
	case err != nil:
		return false, f.stopUnreadable(x, err)
	case x.stage == stageFinished && info.Size() >= x.offset(): // what is truncated may be wanted again
		return false, nil
	case x.looked && info.Size() == x.size && info.ModTime().Equal(x.modified):
		return false, nil
	}
	if info.Size() != x.size {
		x.size, x.grew, x.rests = info.Size(), f.now(), false
	}
	if x.stage == stageNewcomer {
		d := f.rotation.newcomer(x, x.size)
		if d.verdict == verdictWait {
			return false, nil
		}
		f.apply(x, d)
	}
	x.size, x.modified, x.looked = info.Size(), info.ModTime(), true
	if x.size < x.offset() {
		return true, f.startAgain(x)
	}
	for range followBlocks {
		advanced, err := f.step(x)
		if !advanced || err != nil {
			return false, err
		}
	}
	x.looked = false // there may be more
	return true, nil
}

// end is up to where the file is to be searched next.
func (x *followed) end() int64 {
	if x.offset() < x.history {
		return min(x.history, x.size)
	}
	return x.size
}

// step searches the next whole lines of a file, if there are any.
func (f *follower) step(x *followed) (advanced bool, err error) {
	if x.stage == stageFinished || x.offset() == x.end() && x.tail.matches(x.f, x.offset()-int64(x.tail.Length)) {
		return false, nil
	}
	if found, err := f.lineEnds(x); !found || err != nil {
		return false, err
	}
	data, err := f.read(x)
	defer f.cutter.Release()
	switch {
	case errors.Is(err, errReplaced):
		return true, f.startAgain(x)
	case errors.Is(err, search.ErrLineTooLong):
		x.stage = stageFinished
		return false, f.sink.Error(gapError(x.path, err.Error()+": the file is not followed any more", 0))
	case isBusy(err):
		x.looked, x.grew = false, f.now() // it is tried again, and not given up meanwhile
		return false, nil
	case err != nil:
		return false, f.stopUnreadable(x, err)
	case len(data) == 0:
		x.scanned = x.end()
		return false, nil
	}
	return true, f.search(x, data)
}

// lineEnds reports whether a line ends in what was added. Of a line that is written piece by piece
// each is read once until it ends.
func (f *follower) lineEnds(x *followed) (bool, error) {
	if x.scanned <= x.offset() {
		return true, nil
	}
	at, ends, err := f.cutter.EndsIn(x.f, x.scanned, min(x.end(), x.offset()+search.LineBytesMax+1))
	if x.scanned = at; err != nil {
		return false, f.stopUnreadable(x, err)
	}
	return ends || at-x.offset() > search.LineBytesMax, nil
}

var errReplaced = errors.New("other content is where the file was searched")

// read reads about a block of whole lines, none if no line ends yet. In the same breath it reads
// what lies before them: if that is not what it was, the file has been truncated, however large it
// is now. A long line takes several reads, so that what lies before it is read once more after
// them.
func (f *follower) read(x *followed) ([]byte, error) {
	f.cutter.ResetAt(x.f, x.offset(), x.end(), int(x.tail.Length))
	text, err := f.cutter.Next(search.BlockBytes)
	replaced := printOf(f.cutter.Before()) != x.tail ||
		len(text) > search.BlockBytes && !x.tail.matches(x.f, x.offset()-int64(x.tail.Length))
	switch {
	case replaced:
		return nil, errReplaced
	case errors.Is(err, io.EOF) || len(text) > 0: // what comes after the lines is read in its turn
		return text, nil
	}
	return nil, err
}

// search searches whole lines, which begin at the file's offset, and tells the place after them if
// any were handed out.
func (f *follower) search(x *followed, data []byte) error {
	if err := f.count(x); err != nil {
		return err
	}
	end := x.offset() + int64(len(data))
	tail := printOf(data[max(0, len(data)-printBytes):])
	head, err := x.headAt(end)
	if err != nil {
		return f.stopUnreadable(x, err)
	}
	f.period(x)
	if err := x.feed.Lines(data); err != nil {
		return err
	}
	x.scanned, x.tail, x.head = end, tail, head
	f.period(x)
	if x.feed.Ended() {
		x.stage = stageFinished
	}
	if err := f.tellSpoken(x); err != nil || !x.feed.Ended() || !x.feed.Stats().Binary {
		return err
	}
	return f.sink.Error(files.FileError{Path: x.path, Warning: true, Reason: greppb.FileError_BINARY,
		Message: "is followed no further, since it is binary: -a prints its lines all the same"})
}

// tellSpoken tells the place of a file of which lines were handed out.
func (f *follower) tellSpoken(x *followed) error {
	if !x.sink.spoke {
		return nil
	}
	x.sink.spoke = false
	x.told = x.place()
	return f.sink.Places([]Place{x.told}, f.caughtUp)
}

// headAt gives the print of the file's head, which grows with it.
func (x *followed) headAt(end int64) (Print, error) {
	if x.packed != files.Uncompressed || x.head.Length == printBytes {
		return x.head, nil
	}
	return printAt(x.f, min(end, printBytes))
}

// count counts the lines before the offset, if that is wanted and has not been done.
func (f *follower) count(x *followed) error {
	if x.feed.State().Line > 0 || !f.o.LineNumbers {
		return nil
	}
	buffer := make([]byte, search.BlockBytes) // the other one has lines in it
	line := uint64(0)
	for at := int64(0); at < x.offset(); {
		n, err := x.f.ReadAt(buffer[:min(int64(len(buffer)), x.offset()-at)], at)
		line += uint64(bytes.Count(buffer[:n], []byte{'\n'}))
		if at += int64(n); err != nil && at < x.offset() {
			return f.stopUnreadable(x, err)
		}
		f.o.Progress.Bytes.Add(uint64(n))
		f.names.keepNewIfDue()
		if err := f.ctx.Err(); err != nil {
			return err
		}
	}
	x.feed.Number(line + 1)
	return nil
}

// period has the next lines asked for their times if they are of the file's history.
func (f *follower) period(x *followed) {
	if x.offset() < x.history && f.past != nil {
		x.feed.Use(f.past)
	} else {
		x.feed.Use(f.added)
	}
}

// unpack searches a compressed file to its end.
func (f *follower) unpack(x *followed) error {
	if x.stage == stageFinished {
		return nil
	}
	info, err := x.f.Stat()
	if err != nil {
		return f.stopUnreadable(x, err)
	}
	r, err := f.expander.Open(x.f, info.Size(), x.packed)
	if err == nil {
		_, err = io.CopyN(skipped{f.names}, r, x.offset())
	}
	lines := search.NewCutter(&f.o, false)
	defer lines.Release()
	lines.Reset(r)
	f.period(x)
	for err == nil && !x.feed.Ended() {
		var text []byte
		if text, err = lines.Next(search.BlockBytes); len(text) > 0 {
			if err := x.feed.Lines(text); err != nil {
				return err
			}
		}
		f.names.keepNewIfDue()
		if err := f.tellSpoken(x); err != nil {
			return err
		}
	}
	if isBusy(err) {
		return nil // it is tried again
	}
	x.stage = stageFinished
	if err != nil && !errors.Is(err, io.EOF) {
		if err := f.sink.Error(files.NewError(x.path, err)); err != nil {
			return err
		}
	}
	return x.feed.End()
}

// isBusy reports whether an error says that long lines take as much memory as they may.
func isBusy(err error) bool { return files.ReasonOf(err) == greppb.FileError_BUSY }
