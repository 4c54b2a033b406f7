// Package greppb holds the messages of the grep service, and its client and server for gRPC. All
// of it is generated from grep.proto, except for what walks over a [Chunk] and cuts it.
//
// The columns of a Chunk belong together: Lengths has one entry a line, the other columns have one
// too or are empty, and Spans has one group for each selected line. [Chunk.Walk] is the one place
// that knows how, and [Chunk.Validate] is a walk to the end. Walk trusts nothing, since a chunk may
// come from another machine. [Chunk.Cutter] and [Chunk.Cut] trust a chunk, so that whoever cuts one
// that came from elsewhere validates it first.
//
// # Concurrency
//
// A message may be read by any number of goroutines, and changed by one. A Walk or a Cutter belongs
// to one goroutine.
package greppb

import "errors"

// What a line of a chunk is: the bits of Chunk.kinds.
const (
	KindSelected byte = 0
	KindContext  byte = 1
	// KindGap is added to the first line of each group of lines when context is asked for, the
	// first group of a file included. A printer puts "--" before it, unless it has printed nothing
	// yet.
	KindGap byte = 2
)

// ErrMalformed says that the columns of a chunk contradict each other.
var ErrMalformed = errors.New("malformed answer")

// Line is one line of a chunk, or with PARTS one matched part.
type Line struct {
	Text   []byte   // its newline included
	Kind   byte     // KindSelected or KindContext, and maybe KindGap
	Number uint64   // 0 if the chunk has no line numbers
	Offset uint64   // 0 if the chunk has no byte offsets
	Spans  []uint32 // start and length of each matched part, in order and apart
}

// IsContext reports whether the line is one of context, and not selected itself.
func (l *Line) IsContext() bool { return l.Kind&KindContext != 0 }

// Walk goes over the lines of a chunk, and stops before the first one that makes no sense. Where a
// column has too few or too many entries that is the first of all.
//
//	for w := chunk.Walk(); w.Next(); {
//		use(w.Text)
//	}
type Walk struct {
	Line // the current one

	chunk *Chunk
	i     int      // of the next line
	data  []byte   // what has not been read
	spans []uint32 // what has not been read
	err   error
}

// Walk begins before the first line. The lines share the chunk's memory.
func (m *Chunk) Walk() Walk {
	w := Walk{chunk: m, data: m.Data, spans: m.Spans}
	for _, entries := range [...]int{len(m.Kinds), len(m.LineNumbers), len(m.ByteOffsets), len(m.Times)} {
		if entries != 0 && entries != len(m.Lengths) {
			w.err = ErrMalformed
		}
	}
	return w
}

// Next goes to the next line, and reports whether there is one.
func (w *Walk) Next() bool {
	if w.err != nil {
		return false
	}
	if w.i == len(w.chunk.Lengths) {
		if len(w.data) > 0 || len(w.spans) > 0 {
			w.err = ErrMalformed
		}
		return false
	}
	length := w.chunk.Lengths[w.i]
	if length == 0 || uint64(length) > uint64(len(w.data)) || !w.annotate(int(length)) {
		w.err = ErrMalformed
		return false
	}
	w.Text, w.data = w.data[:length:length], w.data[length:]
	w.i++
	return true
}

// Err is ErrMalformed if a line made no sense, or the chunk holds more than its lines.
func (w *Walk) Err() error { return w.err }

// annotate reads what the chunk says about the next line, and reports whether it makes sense.
func (w *Walk) annotate(length int) (ok bool) {
	c := w.chunk
	w.Kind, w.Number, w.Offset, w.Spans = 0, 0, 0, nil
	if len(c.Kinds) > 0 {
		w.Kind = c.Kinds[w.i]
	}
	if len(c.LineNumbers) > 0 {
		w.Number = c.LineNumbers[w.i]
	}
	if len(c.ByteOffsets) > 0 {
		w.Offset = c.ByteOffsets[w.i]
	}
	return !c.hasSpans(w.i) || w.takeSpans(length)
}

// takeSpans reads the spans of one selected line: how many, then start and length of each.
func (w *Walk) takeSpans(length int) (ok bool) {
	if len(w.spans) == 0 || uint64(w.spans[0])*2 > uint64(len(w.spans)-1) {
		return false
	}
	n := 1 + 2*int(w.spans[0])
	w.Spans, w.spans = w.spans[1:n], w.spans[n:]
	end := uint64(0)
	for i := 0; i < len(w.Spans); i += 2 {
		start, size := uint64(w.Spans[i]), uint64(w.Spans[i+1])
		if start < end || start+size > uint64(length) {
			return false
		}
		end = start + size
	}
	return true
}

// Validate gives ErrMalformed unless the columns of the chunk agree with each other.
func (m *Chunk) Validate() error {
	w := m.Walk()
	for w.Next() {
	}
	return w.Err()
}

// Selected is how many lines, or parts of lines, are selected. It trusts the chunk.
func (m *Chunk) Selected() uint64 {
	n := len(m.Lengths)
	for _, kind := range m.Kinds {
		if kind&KindContext != 0 {
			n--
		}
	}
	return uint64(max(n, 0))
}

// StartsGroup reports whether a line does not belong to the one before it.
func (m *Chunk) StartsGroup(line int) bool {
	return len(m.Kinds) == 0 || m.Kinds[line]&KindGap != 0
}

// hasSpans reports whether Spans has a group for a line.
func (m *Chunk) hasSpans(line int) bool {
	return len(m.Spans) > 0 && (len(m.Kinds) == 0 || m.Kinds[line]&KindContext == 0)
}

// Cutter cuts a chunk into pieces, from the first line on. The chunk must be valid.
type Cutter struct {
	chunk              *Chunk
	line, bytes, spans int // what was taken
}

// Cutter begins at the first line.
func (m *Chunk) Cutter() Cutter { return Cutter{chunk: m} }

// Line is the index of the next line.
func (c *Cutter) Line() int { return c.line }

// Take gives the lines up to the index end, which the next piece begins with. It shares the chunk's
// memory. More is set where the piece ends within a group of lines.
func (c *Cutter) Take(end int) Chunk {
	all, from := c.chunk, *c
	for ; c.line < end; c.line++ {
		c.bytes += int(all.Lengths[c.line])
		if all.hasSpans(c.line) {
			c.spans += 1 + 2*int(all.Spans[c.spans])
		}
	}
	piece := Chunk{
		Data: all.Data[from.bytes:c.bytes], Lengths: all.Lengths[from.line:end],
		Spans:       all.Spans[from.spans:c.spans],
		LineNumbers: column(all.LineNumbers, from.line, end),
		ByteOffsets: column(all.ByteOffsets, from.line, end),
		Kinds:       column(all.Kinds, from.line, end),
		Times:       column(all.Times, from.line, end),
		More:        all.More, File: all.File,
	}
	if end < len(all.Lengths) {
		piece.More = !all.StartsGroup(end)
	}
	return piece
}

// column gives a part of a column, which may be empty.
func column[T any](entries []T, from, end int) []T {
	if len(entries) == 0 {
		return nil
	}
	return entries[from:end]
}

// Cut gives the lines from the index from up to the index end, as [Cutter.Take] does.
func (m *Chunk) Cut(from, end int) Chunk {
	c := m.Cutter()
	c.Take(from)
	return c.Take(end)
}
