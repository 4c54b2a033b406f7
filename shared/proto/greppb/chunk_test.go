package greppb

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of random chunks")

// madeLine is a line as a test makes it, of which a chunk is built and which a walk has to give.
type madeLine struct {
	Line
	time int64
}

// columns says which columns a chunk has.
type columns struct{ numbers, offsets, kinds, spans, times bool }

func randomLines(r *rand.Rand, has columns) (lines []madeLine) {
	for i := range r.IntN(12) {
		l := madeLine{Line: Line{Text: fmt.Appendf(nil, "line %d %s\n", i, make([]byte, r.IntN(9)))}}
		if has.numbers {
			l.Number = 1 + r.Uint64N(1e6)
		}
		if has.offsets {
			l.Offset = r.Uint64N(1e6)
		}
		if has.kinds {
			l.Kind = byte(r.IntN(4))
		}
		if has.times {
			l.time = r.Int64N(1e6)
		}
		for at := uint32(0); has.spans && !l.IsContext() && at < 6 && r.IntN(3) > 0; at += 2 {
			l.Spans = append(l.Spans, at, 1+r.Uint32N(2))
		}
		lines = append(lines, l)
	}
	return lines
}

// chunkOf builds the chunk that holds lines.
func chunkOf(lines []madeLine, has columns) *Chunk {
	c := &Chunk{File: 7}
	for _, l := range lines {
		c.Data = append(c.Data, l.Text...)
		c.Lengths = append(c.Lengths, uint32(len(l.Text)))
		if has.numbers {
			c.LineNumbers = append(c.LineNumbers, l.Number)
		}
		if has.offsets {
			c.ByteOffsets = append(c.ByteOffsets, l.Offset)
		}
		if has.kinds {
			c.Kinds = append(c.Kinds, l.Kind)
		}
		if has.times {
			c.Times = append(c.Times, l.time)
		}
		if has.spans && !l.IsContext() {
			c.Spans = append(append(c.Spans, uint32(len(l.Spans)/2)), l.Spans...)
		}
	}
	return c
}

// checkLines fails unless a chunk holds just these lines.
func checkLines(t *testing.T, c *Chunk, lines []madeLine) {
	t.Helper()
	walk, selected := c.Walk(), uint64(0)
	for i, l := range lines {
		if !walk.Next() {
			t.Fatalf("the walk ended at line %d of %d: %v", i, len(lines), walk.Err())
		}
		if len(walk.Spans) == 0 {
			walk.Spans = nil
		}
		if !reflect.DeepEqual(walk.Line, l.Line) {
			t.Fatalf("line %d is %+v, want %+v", i, walk.Line, l.Line)
		}
		if len(c.Times) > 0 && c.Times[i] != l.time {
			t.Fatalf("line %d has the time %d, want %d", i, c.Times[i], l.time)
		}
		if !l.IsContext() {
			selected++
		}
	}
	if walk.Next() || walk.Err() != nil || c.Validate() != nil {
		t.Fatalf("after %d lines there is %+v, %v", len(lines), walk.Line, walk.Err())
	}
	if got := c.Selected(); got != selected {
		t.Fatalf("%d lines are selected, want %d", got, selected)
	}
}

func TestPiecesOfAChunkAreItsLinesInOrder(t *testing.T) {
	t.Logf("-seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	flip := func() bool { return r.IntN(2) == 0 }
	for range 3000 {
		has := columns{flip(), flip(), flip(), flip(), flip()}
		lines := randomLines(r, has)
		c := chunkOf(lines, has)
		c.More = has.kinds && flip()
		checkLines(t, c, lines)
		for cutter := c.Cutter(); cutter.Line() < len(lines); {
			from := cutter.Line()
			end := from + 1 + r.IntN(len(lines)-from)
			piece := cutter.Take(end)
			checkLines(t, &piece, lines[from:end])
			if cut := c.Cut(from, end); !reflect.DeepEqual(cut, piece) {
				t.Fatalf("Cut(%d, %d) gives %v, the cutter %v", from, end, cut, piece)
			}
			goesOn := c.More
			if end < len(lines) {
				goesOn = has.kinds && lines[end].Kind&KindGap == 0
			}
			if piece.More != goesOn || piece.File != c.File {
				t.Fatalf("a piece has More %t and File %d, want %t and %d", piece.More, piece.File, goesOn, c.File)
			}
		}
	}
}

func TestColumnsThatContradictEachOtherAreMalformed(t *testing.T) {
	has := columns{numbers: true, offsets: true, kinds: true, spans: true, times: true}
	for name, spoil := range map[string]func(*Chunk){
		"no length":             func(c *Chunk) { c.Lengths[1] = 0 },
		"a length too large":    func(c *Chunk) { c.Lengths[1] = 1 << 31 },
		"more data than lines":  func(c *Chunk) { c.Data = append(c.Data, 'x') },
		"more lines than data":  func(c *Chunk) { c.Lengths = append(c.Lengths, 1) },
		"a number too few":      func(c *Chunk) { c.LineNumbers = c.LineNumbers[1:] },
		"an offset too many":    func(c *Chunk) { c.ByteOffsets = append(c.ByteOffsets, 1) },
		"a kind too few":        func(c *Chunk) { c.Kinds = c.Kinds[1:] },
		"a time too few":        func(c *Chunk) { c.Times = c.Times[1:] },
		"spans of no line":      func(c *Chunk) { c.Spans = append(c.Spans, 0) },
		"more spans than given": func(c *Chunk) { c.Spans[0] = 1 << 31 },
		"a span beyond a line":  func(c *Chunk) { c.Spans[2] = 100 },
		"spans out of order":    func(c *Chunk) { c.Spans[1] = 5 },
	} {
		line := madeLine{Line: Line{Text: []byte("a line\n"), Number: 1, Offset: 1, Spans: []uint32{1, 1, 3, 1}}}
		c := chunkOf([]madeLine{line, line}, has)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(c)
		if err := c.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
