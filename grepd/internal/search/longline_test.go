package search_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// lineCounter counts lines, and looks at the memory in use now and then.
type lineCounter struct {
	lines, spans, chunkMax, heapMax uint64
	onChunk                         func() error
}

func (l *lineCounter) Begin(string, int64) error   { return nil }
func (l *lineCounter) End(search.FileStats) error  { return nil }
func (l *lineCounter) Error(files.FileError) error { return errors.New("no file should fail") }
func (l *lineCounter) Chunk(c *search.Chunk) error {
	if l.lines == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		l.heapMax = m.HeapAlloc
	}
	l.lines += uint64(len(c.Lengths))
	l.chunkMax = max(l.chunkMax, uint64(len(c.Lengths)))
	l.spans += uint64(len(c.Spans))
	if l.onChunk != nil {
		return l.onChunk()
	}
	return nil
}

// longLine is a file with a single line of so many megabytes, each byte of which matches x.
func longLine(t *testing.T, mib int) *files.Mounts {
	m, _ := filestest.Tree(t, map[string]string{"long": string(bytes.Repeat([]byte("x"), mib<<20)) + "\n"})
	return m
}

func TestPartsOfALongLineTakeFlatMemory(t *testing.T) {
	const mib = 6
	m := longLine(t, mib)
	o := options(t, "x")
	o.Report, o.LineNumbers, o.ByteOffsets = search.Parts, true, true
	for _, context := range []int{0, 1} {
		o.After = context
		got := &lineCounter{}
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if _, err := search.Run(t.Context(), m, []string{"logs/long"}, o, got); err != nil {
			t.Fatal(err)
		}
		if got.lines != mib<<20 || got.chunkMax > 1<<16 {
			t.Errorf("%d parts in chunks of up to %d, want %d", got.lines, got.chunkMax, mib<<20)
		}
		// The line, as it is read, and twice that while its buffer grows; all its parts would be 38
		// times as much.
		if grown := int64(got.heapMax) - int64(before.HeapAlloc); grown > 8*mib<<20 {
			t.Errorf("%d MiB in use for a line of %d MiB", grown>>20, mib)
		}
	}
}

func TestSpansOfALongLineAreLimited(t *testing.T) {
	m := longLine(t, 1)
	o := options(t, "x")
	o.Spans = true
	got := &lineCounter{}
	if _, err := search.Run(t.Context(), m, []string{"logs/long"}, o, got); err != nil {
		t.Fatal(err)
	}
	if want := uint64(1 + 2*search.SpansMax); got.lines != 1 || got.spans != want {
		t.Errorf("%d lines with %d numbers of spans, want 1 with %d", got.lines, got.spans, want)
	}
}

func TestALongLineCanBeCancelled(t *testing.T) {
	m := longLine(t, 8)
	o := options(t, "x")
	o.Report = search.Parts
	ctx, cancel := context.WithCancel(t.Context())
	got := &lineCounter{onChunk: func() error { cancel(); return nil }}
	if _, err := search.Run(ctx, m, []string{"logs/long"}, o, got); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
	if got.lines > 2<<20 {
		t.Errorf("%d parts were handed out after the first chunk", got.lines)
	}
}
