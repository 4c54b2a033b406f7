package printer

import (
	"errors"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// errMalformed says that a node's lengths and counts contradict each other.
var errMalformed = errors.New("malformed answer")

// lines walks over a chunk. A node is not trusted: next reports malformed chunks instead
// of reading beyond them.
type lines struct {
	chunk *greppb.Chunk
	i     int
	data  []byte   // what has not been read
	spans []uint32 // what has not been read
	err   error

	// The current line.
	text       []byte // its newline included
	kind       byte
	number     uint64   // 0 if the chunk has no line numbers
	offset     uint64   // 0 if the chunk has no offsets
	matchSpans []uint32 // start and length of each matched part
}

func newLines(chunk *greppb.Chunk) lines {
	return lines{chunk: chunk, data: chunk.Data, spans: chunk.Spans}
}

// next goes to the next line, and reports whether there is one.
func (l *lines) next() bool {
	c, i := l.chunk, l.i
	if i == len(c.Lengths) {
		if len(l.data) > 0 {
			l.err = errMalformed
		}
		return false
	}
	length := int(c.Lengths[i])
	if length == 0 || length > len(l.data) || !l.annotate(i, length) {
		l.err = errMalformed
		return false
	}
	l.text, l.data = l.data[:length:length], l.data[length:]
	l.i++
	return true
}

// annotate reads what the chunk says about line i.
func (l *lines) annotate(i, length int) bool {
	c := l.chunk
	l.kind, l.number, l.offset, l.matchSpans = 0, 0, 0, nil
	if len(c.Kinds) > 0 {
		if i >= len(c.Kinds) {
			return false
		}
		l.kind = c.Kinds[i]
	}
	if len(c.LineNumbers) > 0 {
		if i >= len(c.LineNumbers) {
			return false
		}
		l.number = c.LineNumbers[i]
	}
	if len(c.ByteOffsets) > 0 {
		if i >= len(c.ByteOffsets) {
			return false
		}
		l.offset = c.ByteOffsets[i]
	}
	if len(c.Spans) == 0 || l.kind&kindContext != 0 {
		return true
	}
	return l.takeSpans(length)
}

// takeSpans reads the spans of one selected line: how many, then start and length of
// each, in order and apart.
func (l *lines) takeSpans(length int) bool {
	if len(l.spans) == 0 || uint64(l.spans[0])*2 > uint64(len(l.spans)-1) {
		return false
	}
	n := 1 + 2*int(l.spans[0])
	l.matchSpans, l.spans = l.spans[1:n], l.spans[n:]
	at := uint64(0)
	for i := 0; i < len(l.matchSpans); i += 2 {
		start, size := uint64(l.matchSpans[i]), uint64(l.matchSpans[i+1])
		if start < at || start+size > uint64(length) {
			return false
		}
		at = start + size
	}
	return true
}
