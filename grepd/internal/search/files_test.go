package search_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// What a file begins with is known before it is searched, also of a compressed one; and lines come
// with their times.
func TestFilesKnowWhenTheyBegin(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{
		"log":   "# no time\n2026-11-22T06:40:02Z x\n\tat x\n2026-11-22T06:40:01Z x\n",
		"plain": "x\n", "empty": "",
	})
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte("2026-11-22T06:40:00Z x\nx\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.1.gz"), packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(t, "x")
	o.Times = true
	files, err := search.Files(context.Background(), m, []string{"logs/*"}, o, func(e files.FileError) error { return e })
	if err != nil {
		t.Fatal(err)
	}
	at := func(second int) int64 { return time.Date(2026, 11, 22, 6, 40, second, 0, time.UTC).UnixNano() }
	begins := map[string]int64{"logs/log": at(2), "logs/log.1.gz": at(0), "logs/plain": math.MinInt64, "logs/empty": math.MinInt64}
	times := map[string][]int64{"logs/log": {at(2), at(2), at(1)}, "logs/log.1.gz": {at(0), at(0)}, "logs/plain": {math.MinInt64}}
	for _, f := range files {
		if f.Begins != begins[f.Path] {
			t.Errorf("%s begins at %d, want %d", f.Path, f.Begins, begins[f.Path])
		}
		sink := &timesSink{}
		if _, err := f.Run(context.Background(), o, sink); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(sink.times, times[f.Path]) {
			t.Errorf("%s: times %d, want %d", f.Path, sink.times, times[f.Path])
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(files) != len(begins) {
		t.Errorf("%d files, want %d", len(files), len(begins))
	}
}

// timesSink keeps the times of lines.
type timesSink struct {
	recorder
	times []int64
}

func (s *timesSink) Chunk(c *search.Chunk) error {
	s.times = append(s.times, c.Times...)
	return nil
}

// Wherever blocks end, each line has its own time or that of the line before it.
func TestTimesDoNotDependOnBlocks(t *testing.T) {
	text := "# no time\n2026-11-22T06:40:01Z x\n\tat x\n\tat x\n2026-11-22T06:40:02Z\n\tat x\n2026-11-22T06:40:03Z x\n"
	m, _ := filestest.Tree(t, map[string]string{"log": text})
	at := func(second int) int64 { return time.Date(2026, 11, 22, 6, 40, second, 0, time.UTC).UnixNano() }
	for size := int64(1); size < int64(len(text)); size++ {
		for _, context := range []int{0, 1} {
			o := options(t, "x")
			o.Times, o.Before = true, context
			search.SetBlockBytes(&o, size)
			sink := &timesSink{}
			if _, err := search.Run(t.Context(), m, []string{"logs/log"}, o, sink); err != nil {
				t.Fatal(err)
			}
			want := []int64{at(1), at(1), at(1), at(2), at(3)}
			if context > 0 {
				want = []int64{math.MinInt64, at(1), at(1), at(1), at(2), at(2), at(3)}
			}
			if !slices.Equal(sink.times, want) {
				t.Fatalf("blocks of %d, context %d: times %d, want %d", size, context, sink.times, want)
			}
		}
	}
}
