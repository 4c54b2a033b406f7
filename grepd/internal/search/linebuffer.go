package search

import (
	"unicode/utf8"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// lineBuffer collects lines until they are handed out in chunks.
type lineBuffer struct {
	chunk Chunk
	// withheld says that lines were left out because they are not UTF-8.
	withheld bool
	// valid says that no line needs to be looked at for that.
	valid bool
	// lent says that the chunk's data is part of a block, and own is the buffer's own memory for it
	// meanwhile.
	lent bool
	own  []byte
}

func (l *lineBuffer) reset() {
	c := &l.chunk
	if l.lent {
		c.Data, l.own, l.lent = l.own, nil, false
	}
	*c = Chunk{Data: c.Data[:0], Lengths: c.Lengths[:0], LineNumbers: c.LineNumbers[:0],
		ByteOffsets: c.ByteOffsets[:0], Kinds: c.Kinds[:0], Spans: c.Spans[:0], Times: c.Times[:0]}
	l.withheld, l.valid = false, false
}

// addRuns adds lines of data of which only the text is wanted, to an empty buffer. Neighbours are
// copied together, and where all are neighbours nothing is copied: then the data must stay as it is
// until the buffer is reset.
func (l *lineBuffer) addRuns(data []byte, lines []match.Range) {
	c := &l.chunk
	for i := 0; i < len(lines); {
		from, to, first := lines[i].Start, lines[i].Start, i
		for ; i < len(lines) && lines[i].Start == to; i++ {
			to = lines[i].End
			c.Lengths = append(c.Lengths, uint32(to-lines[i].Start))
		}
		if first == 0 && i == len(lines) && data[to-1] == '\n' {
			l.own, l.lent = c.Data, true
			c.Data = data[from:to]
			return
		}
		c.Data = append(c.Data, data[from:to]...)
	}
	if n := len(c.Data); n > 0 && c.Data[n-1] != '\n' {
		c.Data = append(c.Data, '\n')
		c.Lengths[len(c.Lengths)-1]++
	}
}

// lineData is what a chunk says of a line.
type lineData struct {
	kind           byte
	number, offset uint64
	nanos          int64 // its time, or noTime
}

// add adds a line, given without its newline, and reports whether it did so.
func (l *lineBuffer) add(o *Options, body []byte, d lineData, parts []match.Range) bool {
	if !l.valid && o.Binary != BinaryText && !utf8.Valid(body) {
		l.withheld = true
		return false
	}
	c := &l.chunk
	c.Data = append(append(c.Data, body...), '\n')
	c.Lengths = append(c.Lengths, uint32(len(body)+1))
	if o.LineNumbers {
		c.LineNumbers = append(c.LineNumbers, d.number)
	}
	if o.ByteOffsets {
		c.ByteOffsets = append(c.ByteOffsets, d.offset)
	}
	if o.context() {
		c.Kinds = append(c.Kinds, d.kind)
	}
	if o.Times {
		c.Times = append(c.Times, d.nanos)
	}
	if o.Spans && o.Report == Lines && d.kind&greppb.KindContext == 0 {
		c.Spans = append(c.Spans, uint32(len(parts)))
		for _, p := range parts {
			c.Spans = append(c.Spans, uint32(p.Start), uint32(p.End-p.Start))
		}
	}
	return true
}

// full reports whether a line of size bytes would make the chunk too large.
func (l *lineBuffer) full(size int) bool {
	return len(l.chunk.Lengths) > 0 && len(l.chunk.Data)+size+1 > ChunkBytes
}

// send hands out the collected lines in as many chunks as their size asks for, and empties the
// buffer. Line numbers are raised by numbers.
func (l *lineBuffer) send(sink Sink, numbers uint64, more bool) error {
	all := l.chunk
	for i := range all.LineNumbers {
		all.LineNumbers[i] += numbers
	}
	defer l.reset()
	if all.More = more; len(all.Kinds) == 0 {
		all.More = false // there are no groups
	}
	for rest := all.Cutter(); rest.Line() < len(all.Lengths); {
		c := rest.Take(chunkEnd(all.Lengths, rest.Line()))
		if err := sink.Chunk(&c); err != nil {
			return err
		}
	}
	return nil
}

// chunkEnd gives the index after the lines from first on that fit into one chunk: one at the least.
func chunkEnd(lengths []uint32, first int) int {
	end, size := first+1, int(lengths[first])
	for end < len(lengths) && size+int(lengths[end]) <= ChunkBytes {
		size += int(lengths[end])
		end++
	}
	return end
}
