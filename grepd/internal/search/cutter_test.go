package search

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// dumbLines cuts a text as a Cutter is to cut it, all at once.
func dumbLines(text string, ends terminators, lineMax int, growing bool) (lines []string, err error) {
	for text != "" {
		n := ends.index([]byte(text)) + 1
		switch {
		case n > lineMax || n == 0 && len(text) > lineMax:
			return lines, ErrLineTooLong
		case n == 0 && growing:
			return lines, io.EOF
		case n == 0:
			n = len(text)
		}
		lines, text = append(lines, text[:n]), text[n:]
	}
	return lines, io.EOF
}

// textCut is what a Cutter has made of a text.
type textCut struct {
	text string
	err  error
}

func (c textCut) equals(lines []string, err error) bool {
	return c.text == strings.Join(lines, "") && errors.Is(c.err, err)
}

// cutAll takes all pieces.
func cutAll(t *testing.T, c *Cutter, size int) (got textCut) {
	for got.err == nil {
		var piece []byte
		piece, got.err = c.Next(size)
		if len(piece) == 0 && got.err == nil {
			t.Fatal("a piece without lines, and no error")
		}
		got.text += string(piece)
		clear(piece) // what is changed in a piece must not show in the next one
	}
	return got
}

// cutBlocks takes all blocks of a text, each of which a worker may have read.
func cutBlocks(c *Cutter, text string, size int) (got textCut) {
	for begin := 0; begin < max(len(text), 1); begin += size {
		c.ResetAt(strings.NewReader(text), int64(begin), int64(len(text)), 0)
		piece, start, err := c.block(size, begin == 0)
		if len(piece) > 0 && text[begin+start:begin+start+len(piece)] != string(piece) {
			return textCut{"a piece is not where it is said to be", nil}
		}
		got.text += string(piece)
		if got.err = err; err != nil && !errors.Is(err, io.EOF) {
			return got
		}
	}
	got.err = io.EOF
	return got
}

func randomLines(r *rand.Rand) string {
	text := make([]byte, r.IntN(120))
	for i := range text {
		text[i] = "abcdefgh\n\x00"[r.IntN(10-r.IntN(2))%(10-r.IntN(3))]
		if r.IntN(8) > 0 && text[i] < 'a' {
			text[i] = 'x'
		}
	}
	return string(text)
}

// Whatever a text comes from, in pieces of whatever size, it is cut alike.
func TestEveryWayOfReadingCutsAlike(t *testing.T) {
	for i := range 20_000 {
		r := rand.New(rand.NewPCG(7, uint64(i)))
		text, size, growing := randomLines(r), 1+r.IntN(40), r.IntN(2) == 0
		c := NewCutter(&Options{Progress: &files.Progress{}}, growing)
		// A line that fits into a piece is never too long.
		c.ends, c.lineMax, c.eager = terminators(r.IntN(3)), size+r.IntN(40), r.IntN(2) == 0
		want, wantErr := dumbLines(text, c.ends, c.lineMax, growing)
		for name, reader := range map[string]io.Reader{
			"whole":     strings.NewReader(text),
			"bytes":     iotest.OneByteReader(strings.NewReader(text)),
			"halves":    iotest.HalfReader(strings.NewReader(text)),
			"early end": iotest.DataErrReader(strings.NewReader(text)),
		} {
			c.Reset(reader)
			if got := cutAll(t, c, size); !got.equals(want, wantErr) {
				t.Fatalf("trial %d, %s, %q in pieces of %d, lines up to %d: got %q %v, want %q %v",
					i, name, text, size, c.lineMax, got.text, got.err, want, wantErr)
			}
		}
		before := r.IntN(10)
		c.ResetAt(strings.NewReader(strings.Repeat("b", before)+text), int64(before), int64(before+len(text)), before)
		piece, err := c.Next(size)
		if string(c.Before()) != strings.Repeat("b", before) || !strings.HasPrefix(strings.Join(want, ""), string(piece)) {
			t.Fatalf("trial %d: %q before, then %q, %v", i, c.Before(), piece, err)
		}
		if growing {
			continue // such files are not cut to blocks
		}
		if got := cutBlocks(c, text, size); !got.equals(want, wantErr) {
			t.Fatalf("trial %d, %q in blocks of %d, lines up to %d: got %q %v, want %q %v",
				i, text, size, c.lineMax, got.text, got.err, want, wantErr)
		}
	}
}

func TestLinesBeforeAFailureCount(t *testing.T) {
	broken := errors.New("broken")
	c := NewCutter(&Options{Progress: &files.Progress{}}, false)
	c.Reset(io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(broken)))
	if text, err := c.Next(100); string(text) != "a\nb\n" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", text, err)
	}
}

// A file that was cut short has less before the place, too.
func TestBytesBeforeThatAreGoneAreMissed(t *testing.T) {
	c := NewCutter(&Options{Progress: &files.Progress{}}, true)
	c.ResetAt(strings.NewReader("abc"), 10, 20, 8)
	if text, err := c.Next(100); len(text) > 0 || !errors.Is(err, io.EOF) || string(c.Before()) != "c" {
		t.Errorf("%q after %q, %v", text, c.Before(), err)
	}
}

func TestLineEndsAndStartsAreFound(t *testing.T) {
	text := bytes.Repeat([]byte("x"), 3*BlockBytes)
	text[5], text[2*BlockBytes] = '\n', '\n'
	c := NewCutter(&Options{Progress: &files.Progress{}}, true)
	r := bytes.NewReader(text)
	for _, test := range []struct {
		from, to int64
		ends     bool
	}{{0, 6, true}, {0, 5, false}, {6, 2 * BlockBytes, false}, {6, 3 * BlockBytes, true}, {3 * BlockBytes, 4 * BlockBytes, true}} {
		at, ends, err := c.EndsIn(r, test.from, test.to)
		if ends != test.ends || err != nil || !ends && at != test.to {
			t.Errorf("from %d to %d: %v up to %d, %v", test.from, test.to, ends, at, err)
		}
	}
	for offset, want := range map[int64]int64{0: 0, 3: 0, 6: 6, 2 * BlockBytes: 6, 3 * BlockBytes: 2*BlockBytes + 1} {
		if got, err := c.LineStart(r, offset); got != want || err != nil {
			t.Errorf("the line of %d starts at %d, %v; want %d", offset, got, err, want)
		}
	}
}
