package search

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// LineBytesMax bounds the length of a line, its newline included. A Chunk that is
	// larger than ChunkBytes holds a single line.
	LineBytesMax = 64 << 20
	// blockSlackBytes is read beyond a block at once, since its last line usually ends there.
	blockSlackBytes = 8 << 10
	// roomBytesMin is the least memory that is taken for text: that of a block.
	roomBytesMin = BlockBytes + blockSlackBytes + 1
)

// ErrLineTooLong is why a text is not read on at a line of more than LineBytesMax.
var ErrLineTooLong = files.WithReason(greppb.FileError_TOO_LONG, fmt.Errorf("a line is longer than %d bytes", LineBytesMax))

// terminators are the bytes that end a line. Unless binary files are taken as text, NUL does so
// beside the newline: a file that has one is binary, and there grep takes NUL for a newline.
type terminators uint8

const (
	newlineOrNull terminators = iota
	newline
	null
)

func (o *Options) terminators() terminators {
	switch {
	case o.NullData:
		return null
	case o.Binary == BinaryText:
		return newline
	}
	return newlineOrNull
}

// index gives the index of the first byte of b that ends a line, or -1.
func (t terminators) index(b []byte) int {
	if t == null {
		return bytes.IndexByte(b, 0)
	}
	n := bytes.IndexByte(b, '\n')
	if t == newline {
		return n
	}
	head := b
	if n >= 0 {
		head = b[:n]
	}
	if z := bytes.IndexByte(head, 0); z >= 0 {
		return z
	}
	return n
}

// lastIndex gives the index of the last byte of b that ends a line, or -1.
func (t terminators) lastIndex(b []byte) int {
	if t == null {
		return bytes.LastIndexByte(b, 0)
	}
	n := bytes.LastIndexByte(b, '\n')
	if t == newlineOrNull {
		if z := bytes.LastIndexByte(b[n+1:], 0); z >= 0 {
			n += 1 + z
		}
	}
	return n
}

// Cutter cuts text into pieces of whole lines: that of a file, of what one expands to, of standard
// input, and of a file that grows. So all of them have the same limits of long lines, and lines
// before one that is too long, or before a place that cannot be read, count. It serves one
// goroutine.
type Cutter struct {
	ends     terminators
	progress *files.Progress
	// growing says that the last line does not count while it has no end: the rest may still come.
	growing bool
	// eager says that a piece is handed out as soon as a read has brought the end of a line.
	eager bool
	// lineMax is LineBytesMax, except in tests.
	lineMax int

	r       io.Reader
	section io.SectionReader // r, where a part of a file is read

	left int64 // bytes that r may still give
	size int   // that pieces are to have, about
	err  error // why nothing more can be read

	room   *room  // where the piece is that was cut last
	own    room   // the cutter's, where nobody else has given it one
	before int    // so many bytes of the next piece's room come before its text
	head   []byte // those of the last piece
	rest   []byte // what was read after it
}

// NewCutter makes one that cuts lines where a search with these options does. growing says that the
// last line of a text does not count while it has no end.
func NewCutter(o *Options, growing bool) *Cutter {
	c := &Cutter{ends: o.terminators(), progress: o.Progress, growing: growing, lineMax: LineBytesMax}
	c.own.long = o.LongLines
	c.room = &c.own
	return c
}

// Reset begins with the text of r.
func (c *Cutter) Reset(r io.Reader) { c.reset(r, math.MaxInt64) }

// ResetAt begins with the text of r from an offset up to end. The bytes before it, as many as
// before says, are read together with it, see Before.
func (c *Cutter) ResetAt(r io.ReaderAt, offset, end int64, before int) {
	from := offset - int64(before)
	c.section = *io.NewSectionReader(r, from, end-from) // there is one for each block of a file
	c.reset(&c.section, end-from)
	c.before = before
}

func (c *Cutter) reset(r io.Reader, left int64) {
	c.r, c.left, c.err, c.before, c.head, c.rest = r, left, nil, 0, nil, c.rest[:0]
}

// Before gives the bytes that were read before the last piece, fewer if the text ends there. They
// are valid for as long as the piece.
func (c *Cutter) Before() []byte { return c.head }

// Next gives the next whole lines, about size bytes of them. The text is valid until the next call,
// and may be changed. An error says that nothing follows: io.EOF at the end, else why what follows
// cannot be read. A line that is too long is ErrLineTooLong.
func (c *Cutter) Next(size int) ([]byte, error) {
	c.size = size
	c.takeRest()
	line := c.before
	scanned := max(line, len(c.room.text))
	if c.err == nil && scanned < line+size {
		c.fill(line + size)
	}
	stop := line
	if len(c.room.text) < line {
		stop, line = 0, 0
	} else if c.readOn(line, scanned) || errors.Is(c.err, io.EOF) {
		stop = c.lastEnd(line)
	}
	text := c.room.text
	c.head, c.before = text[:min(c.before, len(text))], 0
	c.rest = append(c.rest[:0], text[stop:]...)
	return text[line:stop], c.err
}

// lastEnd gives where the last line ends that counts.
func (c *Cutter) lastEnd(line int) int {
	if errors.Is(c.err, io.EOF) && !c.growing {
		return len(c.room.text)
	}
	return line + c.ends.lastIndex(c.room.text[line:]) + 1
}

// takeRest puts what was read already into the room.
func (c *Cutter) takeRest() {
	c.room.text = c.room.text[:0]
	if err := c.room.grow(len(c.rest)); err != nil {
		c.err = err
		return
	}
	c.room.text = append(c.room.text, c.rest...)
}

// readOn reads until a line ends at or after an index, the line that starts at another one. It
// reports whether one does, within the limits; if not, c.err says why.
func (c *Cutter) readOn(line, scanned int) bool {
	for {
		text := c.room.text
		end := len(text)
		n := c.ends.index(text[scanned:])
		if n >= 0 {
			end = scanned + n + 1
		}
		switch {
		case end-line > c.lineMax:
			c.err = ErrLineTooLong
			return false
		case n >= 0 || c.err != nil:
			return n >= 0
		}
		scanned = len(text)
		c.fill(min(scanned+max(scanned, c.size), line+c.lineMax+1))
	}
}

// fill reads until the room has size bytes, or the text ends; an eager cutter, until a read has
// brought anything.
func (c *Cutter) fill(size int) {
	have := len(c.room.text)
	size = int(min(int64(max(size, have+1)), int64(have)+c.left))
	if err := c.room.grow(size); err != nil {
		c.err = err
		return
	}
	buffer, read := c.room.text[:max(size, have)], have
	for c.err == nil && read < size && (read == have || !c.eager) {
		var n int
		n, c.err = c.r.Read(buffer[read:])
		read += n
	}
	c.room.text = buffer[:read]
	c.progress.Bytes.Add(uint64(read - have))
	if c.left -= int64(read - have); c.left <= 0 && c.err == nil {
		c.err = io.EOF
	}
}

// block gives the lines of a block of size bytes: those that start after its first byte, up to the
// one that starts after its last, so that no byte before it is needed and reads stay aligned to
// pages, which are copied several times faster. The first block also has the line that starts with
// its first byte. start is where they start in it. Where the text has become shorter, there are
// fewer or none.
func (c *Cutter) block(size int, first bool) (text []byte, start int, err error) {
	c.size = size
	c.room.text = c.room.text[:0]
	c.fill(size + blockSlackBytes)
	size = min(size, len(c.room.text))
	if !first {
		n := c.ends.index(c.room.text[:size])
		if n < 0 {
			return nil, 0, c.err // one long line, or nothing left
		}
		start = n + 1
	}
	line := start + c.ends.lastIndex(c.room.text[start:size]) + 1
	stop := line
	switch {
	case c.readOn(line, size):
		stop = size + c.ends.index(c.room.text[size:]) + 1
	case errors.Is(c.err, io.EOF):
		stop = len(c.room.text)
	}
	return c.room.text[start:stop], start, c.err
}

// EndsIn reports whether a line ends in the text of r between two offsets, or that text ends
// earlier, of which Next will tell. It gives up to where there is no end.
func (c *Cutter) EndsIn(r io.ReaderAt, from, to int64) (at int64, ends bool, err error) {
	buffer := c.buffer()
	for at = from; at < to; {
		n, err := r.ReadAt(buffer[:min(int64(len(buffer)), to-at)], at)
		if c.ends.index(buffer[:n]) >= 0 || n == 0 {
			return at, true, nil
		}
		if at += int64(n); err != nil && !errors.Is(err, io.EOF) {
			return at, false, err
		}
	}
	return at, false, nil
}

// LineStart gives where the line starts that ends after an offset of r; 0 if it is too long.
func (c *Cutter) LineStart(r io.ReaderAt, offset int64) (int64, error) {
	buffer := c.buffer()
	for end := offset; end > 0 && offset-end <= int64(c.lineMax); {
		from := max(0, end-int64(len(buffer)))
		if _, err := r.ReadAt(buffer[:end-from], from); err != nil {
			return 0, err
		}
		if n := c.ends.lastIndex(buffer[:end-from]); n >= 0 {
			return from + int64(n) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// buffer gives memory for a block, that of the last piece.
func (c *Cutter) buffer() []byte {
	c.room.text, c.rest = c.room.text[:0], c.rest[:0]
	_ = c.room.grow(BlockBytes) // which is not so much that it could be refused
	return c.room.text[:BlockBytes]
}

// Release gives back what a long line has taken. What was cut last is not valid any more.
func (c *Cutter) Release() {
	if cap(c.rest) > bufferKeptMax {
		c.rest = nil
	}
	if cap(c.room.text) > bufferKeptMax {
		c.room.text, c.head = nil, nil
	}
	c.room.giveBack()
}

// room is memory for text. LongLines knows of it where a long line has enlarged it.
type room struct {
	text    []byte
	long    *LongLines
	claimed int64
}

// grow makes sure that the text may have size bytes.
func (r *room) grow(size int) (err error) {
	if cap(r.text) >= size {
		return nil
	}
	if r.claimed, err = r.long.claim(r.claimed, size); err != nil {
		return err
	}
	grown := make([]byte, len(r.text), max(size, roomBytesMin))
	copy(grown, r.text)
	r.text = grown
	return nil
}

// giveBack gives back what was claimed of LongLines.
func (r *room) giveBack() {
	r.long.give(r.claimed)
	r.claimed = 0
}
