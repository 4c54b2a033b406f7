package search_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// timedLog makes up a log. Neighbours are out of order by less than the slack; a log that is
// not ordered goes back by more than that, everywhere or once, somewhere in its middle half.
func timedLog(random *rand.Rand, ordered bool) (text string, times []int64) {
	layouts := []string{time.RFC3339Nano, "{\"time\":\"2006-01-02T15:04:05.999Z07:00\"}", "2006-01-02 15:04:05,000", time.Stamp, "10.0.0.1 - - [02/Jan/2006:15:04:05 -0700]"}
	layout := layouts[random.IntN(len(layouts))]
	at := time.Now().Add(-72 * time.Hour).Truncate(time.Second) // lines without a year are of the last one
	n := random.IntN(150)
	turn := n/4 + random.IntN(n/2+1)
	shuffled := random.IntN(2) == 0
	var b strings.Builder
	last := int64(0)
	for i := range n {
		at = at.Add(time.Duration(random.Int64N(int64(20 * time.Second))))
		if i == turn && !ordered {
			at = at.Add(-time.Duration(i) * 10 * time.Second).Truncate(time.Second)
		}
		written := at.Add(-time.Duration(random.Int64N(int64(20 * time.Second))))
		if !ordered && shuffled {
			written = at.Add(-time.Duration(random.Int64N(int64(24 * time.Hour))))
		}
		line := "\tat main.go"
		if random.IntN(4) > 0 {
			line = written.Format(layout)
			precision := time.Second
			switch layout {
			case time.RFC3339Nano:
				precision = 1
			case layouts[1], layouts[2]:
				precision = time.Millisecond
			}
			last = written.Truncate(precision).UnixNano()
		}
		line += strings.Repeat(" x", random.IntN(3)) + strings.Repeat(" y", random.IntN(3)) + "\n"
		b.WriteString(line)
		times = append(times, last)
	}
	return b.String(), times
}

// rangedLines is what a search by time gives, slow and simple: kind, number and offset of each
// line.
func rangedLines(text string, times []int64, o search.Options, pattern string) (lines []string, matches int) {
	inside := func(t int64) bool {
		return t != 0 && (o.Since == 0 || t >= o.Since) && (o.Until == 0 || t < o.Until)
	}
	all := slices.Collect(strings.Lines(text))
	kinds := make([]int, len(all)) // 1: context, 2: selected
	for i, line := range all {
		if !inside(times[i]) || strings.Contains(line, pattern) == o.Invert || o.MaxCount >= 0 && int64(matches) == o.MaxCount {
			continue
		}
		matches++
		kinds[i] = 2
		for j := i - 1; j >= max(0, i-o.Before) && inside(times[j]); j-- {
			kinds[j] = max(kinds[j], 1)
		}
		for j := i + 1; j < min(len(all), i+1+o.After) && inside(times[j]); j++ {
			kinds[j] = max(kinds[j], 1)
		}
	}
	offset := 0
	for i, line := range all {
		if kinds[i] > 0 {
			lines = append(lines, fmt.Sprintf("%d %d %d %s", 2-kinds[i], i+1, offset, line))
		}
		offset += len(line)
	}
	return lines, matches
}

// lineSink writes down lines as rangedLines does.
type lineSink struct {
	t       *testing.T
	o       search.Options
	lines   []string
	matches uint64
	bytes   uint64
	errors  []string
}

func (s *lineSink) Begin(string, int64) error { return nil }

func (s *lineSink) Chunk(c *search.Chunk) error {
	pos := 0
	for i, length := range c.Lengths {
		kind, number, offset := byte(0), "", ""
		if len(c.Kinds) > 0 {
			kind = c.Kinds[i] & greppb.KindContext
		}
		if s.o.LineNumbers {
			number = fmt.Sprint(c.LineNumbers[i])
		}
		if s.o.ByteOffsets {
			offset = fmt.Sprint(c.ByteOffsets[i])
		}
		s.lines = append(s.lines, fmt.Sprintf("%d %s %s %s", kind, number, offset, c.Data[pos:pos+int(length)]))
		pos += int(length)
	}
	return nil
}

func (s *lineSink) End(f search.FileStats) error {
	s.matches, s.bytes = f.Matches, f.Bytes
	return nil
}

func (s *lineSink) Error(e files.FileError) error {
	s.errors = append(s.errors, e.Error())
	return nil
}

// TestSearchByTimeEqualsFullScan searches random logs by time, ordered ones and others, in blocks
// so small that most searches begin in the middle, and as a stream.
func TestSearchByTimeEqualsFullScan(t *testing.T) {
	random := rand.New(rand.NewPCG(seed(t), 1))
	found, skipped := 0, 0
	for trial := range 500 {
		text, times := timedLog(random, trial%3 > 0)
		m, _ := filestest.Tree(t, map[string]string{"log": text})
		o := options(t, "x")
		o.Invert = random.IntN(4) == 0
		if random.IntN(3) == 0 {
			o.Before, o.After = random.IntN(4), random.IntN(4)
		}
		if random.IntN(4) == 0 {
			o.MaxCount = 1 + random.Int64N(5)
		}
		o.LineNumbers, o.ByteOffsets = random.IntN(2) == 0, random.IntN(2) == 0
		bound := func() int64 {
			if len(times) == 0 || random.IntN(4) == 0 {
				return 0
			}
			return times[random.IntN(len(times))] + random.Int64N(3) - 1
		}
		o.Since, o.Until = bound(), bound()
		if o.Since <= 1 && o.Until <= 1 || !slices.ContainsFunc(times, func(t int64) bool { return t > 0 }) {
			continue
		}
		want, matches := rangedLines(text, times, o, "x")
		for i, line := range want {
			parts := strings.SplitN(line, " ", 4)
			if !o.LineNumbers {
				parts[1] = ""
			}
			if !o.ByteOffsets {
				parts[2] = ""
			}
			want[i] = strings.Join(parts, " ")
		}
		search.SetBlockBytes(&o, 16+random.Int64N(500))
		got := &lineSink{t: t, o: o}
		if _, err := search.Run(context.Background(), m, []string{"logs/log"}, o, got); err != nil {
			t.Fatal(err)
		}
		stream := &lineSink{t: t, o: o}
		if _, err := search.Reader(context.Background(), iotest.HalfReader(strings.NewReader(text)), "log", o, stream); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*lineSink{"file": got, "stream": stream} {
			if !slices.Equal(s.lines, want) || s.matches != uint64(matches) || len(s.errors) > 0 {
				t.Fatalf("trial %d, %s: since %v until %v, -B%d -A%d -m%d invert %t, of\n%s%d lines\n%swant %d\n%serrors %v", trial, name,
					time.Unix(0, o.Since), time.Unix(0, o.Until), o.Before, o.After, o.MaxCount, o.Invert, text, s.matches, strings.Join(s.lines, ""), matches, strings.Join(want, ""), s.errors)
			}
		}
		found += matches
		if got.bytes < uint64(len(text)) {
			skipped++
		}
	}
	if found < 500 || skipped < 100 {
		t.Errorf("%d lines found, %d files searched in part: the test says little", found, skipped)
	}
}

// writeLog makes a log with a line a second.
func writeLog(t *testing.T, path string, begin time.Time, lines int) {
	t.Helper()
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "{\"time\":%q,\"event\":\"HEARTBEAT\",\"seq\":%d}\n", begin.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano), i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Of an ordered file only about the part that is wanted is searched, and of one
// that was written before it nothing is.
func TestOnlyThePartOfTheTimeIsSearched(t *testing.T) {
	m, dir := filestest.Tree(t, nil)
	begin := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	writeLog(t, filepath.Join(dir, "a"), begin, 80_000)
	writeLog(t, filepath.Join(dir, "old"), begin, 80_000)
	if err := os.Chtimes(filepath.Join(dir, "old"), time.Time{}, begin.Add(9*time.Hour)); err != nil {
		t.Fatal(err)
	}
	o := options(t, "HEARTBEAT")
	o.Since, o.Until = begin.Add(10*time.Hour).UnixNano(), begin.Add(10*time.Hour+time.Minute).UnixNano()
	stats, err := search.Run(context.Background(), m, []string{"logs/*"}, o, &lineSink{t: t, o: o})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Matches != 60 || stats.Files != 2 || stats.Bytes > 60*100 {
		t.Errorf("%d lines of %d files selected in %d bytes, want 60 of 2 in no more bytes than these lines have", stats.Matches, stats.Files, stats.Bytes)
	}
}

func TestFilesWithoutTimesAreAnError(t *testing.T) {
	m, _ := filestest.Tree(t, map[string]string{"a": "x\ny\n", "empty": "", "b": "2026-11-22T06:40:00Z x\n"})
	o := options(t, "x")
	o.Since = 1
	s := &lineSink{t: t, o: o}
	stats, err := search.Run(context.Background(), m, []string{"logs/*"}, o, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"logs/a: No line has a time that is understood, so it cannot be searched by time"}
	if !slices.Equal(s.errors, want) || stats.Matches != 1 {
		t.Errorf("errors %q, want %q; %d lines, want 1", s.errors, want, stats.Matches)
	}
	s = &lineSink{t: t, o: o}
	if _, err := search.Reader(context.Background(), strings.NewReader("x\n"), "stdin", o, s); err != nil || len(s.errors) != 1 {
		t.Errorf("%v, errors %q, want one", err, s.errors)
	}
}

// BenchmarkLastMinute is --since 1m over 64 MiB: of a file that is in order, and of one that is
// not.
func BenchmarkLastMinute(b *testing.B) {
	dir := b.TempDir()
	begin := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	var ordered strings.Builder
	for i := 0; ordered.Len() < 64<<20; i++ {
		fmt.Fprintf(&ordered, "{\"time\":%q,\"level\":\"INFO\",\"event\":\"HEARTBEAT\",\"node\":\"10.0.0.3:7117@1763793600000000000\",\"dir\":\"sent\"}\n", begin.Add(time.Duration(i)*time.Second/10).Format(time.RFC3339Nano))
	}
	text := ordered.String()
	last := begin.Add(time.Duration(strings.Count(text, "\n")) * time.Second / 10)
	half := strings.LastIndexByte(text[:len(text)/2], '\n') + 1
	for name, content := range map[string]string{"ordered": text, "not": text[half:] + text[:half]} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	m, err := files.OpenMounts([]string{"logs=" + dir})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for _, name := range []string{"ordered", "not"} {
		b.Run(name, func(b *testing.B) {
			o := options(b, "HEARTBEAT")
			o.Since, o.Report = last.Add(-time.Minute).UnixNano(), search.Count
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				stats, err := search.Run(context.Background(), m, []string{"logs/" + name}, o, &recorder{})
				if err != nil || stats.Matches != 600 {
					b.Fatalf("%d lines, %v", stats.Matches, err)
				}
			}
		})
	}
}
