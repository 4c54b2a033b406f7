package search_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

func zstandard(t testing.TB, texts ...string) string {
	var b bytes.Buffer
	for _, text := range texts {
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
		w.Close()
	}
	return b.String()
}

// zstandardFile is as of a compressor that knows the size before.
func zstandardFile(t testing.TB, text string) string {
	w, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

func TestCompressedFilesAreSearchedAsWhatTheyExpandTo(t *testing.T) {
	skippable := "\x52\x2a\x4d\x18\x03\x00\x00\x00abc"
	m, _ := filestest.Tree(t, map[string]string{
		"a.gz": filestest.Gzipped("x1\nno\n", "x2\n"), "b.zst": zstandard(t, "x1\nno\n", "x2"), "c.zst": skippable + zstandard(t, "x\n"),
		"plain.gz": "x is no gzip\n", "short.gz": "x", "empty.gz": filestest.Gzipped(""), "d.GZ": "x upper\n", "e.gz": filestest.Gzipped("a\x00x\n"),
	})
	o := options(t, "x")
	o.LineNumbers, o.ByteOffsets = true, true
	got := &numbered{}
	if _, err := search.Run(t.Context(), m, []string{"logs/*"}, o, got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"logs/a.gz 1 0 x1", "logs/a.gz 3 6 x2", "logs/b.zst 1 0 x1", "logs/b.zst 3 6 x2", "logs/c.zst 1 0 x",
		"logs/d.GZ 1 0 x upper", "logs/e.gz binary", "logs/plain.gz 1 0 x is no gzip", "logs/short.gz 1 0 x",
	}
	if !slices.Equal(got.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got.lines, "\n"), strings.Join(want, "\n"))
	}
}

// numbered is a Sink that keeps each line with its place.
type numbered struct {
	path  string
	lines []string
}

func (n *numbered) Begin(path string, _ int64) error { n.path = path; return nil }
func (n *numbered) Chunk(c *search.Chunk) error {
	for i, line := range strings.SplitAfter(string(c.Data), "\n")[:len(c.Lengths)] {
		n.lines = append(n.lines, fmt.Sprint(n.path, " ", c.LineNumbers[i], " ", c.ByteOffsets[i], " ", strings.TrimSuffix(line, "\n")))
	}
	return nil
}
func (n *numbered) End(s search.FileStats) error {
	if s.Binary {
		n.lines = append(n.lines, n.path+" binary")
	}
	return nil
}
func (n *numbered) Error(e files.FileError) error {
	n.lines = append(n.lines, "error "+e.Error())
	return nil
}

// Whole lines that come before what is wrong are found.
func TestDamagedCompressedFilesAreSearchedUpToTheDamage(t *testing.T) {
	var text strings.Builder
	random := rand.New(rand.NewPCG(seed(t), 0))
	for i := range 20_000 {
		fmt.Fprintln(&text, "x", i, random.Uint64())
	}
	zipped, zst := filestest.Gzipped(text.String()), zstandard(t, text.String())
	flipped := []byte(zipped)
	flipped[len(flipped)-6] ^= 1 // of the checksum
	for _, c := range []struct{ name, data, want string }{
		{"a.gz", zipped[:len(zipped)/2], "the compressed file is cut short"},
		{"a.zst", zst[:len(zst)/2], "the compressed file is cut short"},
		{"a.gz", string(flipped), "the compressed file is damaged: gzip: invalid checksum"},
		{"a.gz", zipped[:5], "the compressed file is cut short"},
		{"a.gz", zipped + "junk after it", "the compressed file is damaged: gzip: invalid header"},
		{"a.zst", zst + "junk after it", "the compressed file is damaged: invalid input: magic number mismatch"},
		{"a.gz", filestest.Gzipped(strings.Repeat("x\n", 1<<20)), "expands to more than 1048576 bytes, "},
		{"a.zst", zstandard(t, strings.Repeat("x\n", 1<<20)), "expands to more than 1048576 bytes, "},
		{"a.zst", "\x28\xb5\x2f\xfd\x00\x88\x00", "to expand it takes more than 32 MiB of memory, as files of zstd --ultra or --long do"},
	} {
		m, _ := filestest.Tree(t, map[string]string{c.name: c.data, "b": "x\n"})
		o := options(t, "x")
		o.ExpandBytesMax = 100 << 20
		if strings.HasPrefix(c.want, "expands") {
			o.ExpandBytesMax = 1 << 20
		}
		o.LineNumbers, o.ByteOffsets = true, true
		got := &numbered{}
		stats, err := search.Run(t.Context(), m, []string{"logs/*"}, o, got)
		if err != nil || stats.Errors != 1 || stats.Files != 2 || got.lines[len(got.lines)-1] != "logs/b 1 0 x" {
			t.Fatalf("%s: %+v, %v, ends with %q", c.name, stats, err, got.lines[len(got.lines)-1])
		}
		failure := got.lines[len(got.lines)-2]
		if !strings.HasPrefix(strings.ToLower(failure), strings.ToLower("error logs/"+c.name+": "+c.want)) {
			t.Errorf("%s: %q, want %q", c.name, failure, c.want)
		}
		for i, line := range got.lines[:len(got.lines)-2] {
			if want := fmt.Sprint("logs/", c.name, " ", i+1, " "); !strings.HasPrefix(line, want) {
				t.Fatalf("line %q, want one that begins with %q", line, want)
			}
		}
		if lines := len(got.lines) - 2; strings.Contains(c.want, "expands") && lines != 1<<19 || c.name == "a.gz" && len(c.data) > len(zipped)/3 && lines < 2_000 {
			t.Errorf("%s with %d bytes: %d lines before the damage", c.name, len(c.data), lines)
		}
	}
}

// A random text gives the same lines compressed and plain, in blocks of whatever size.
func TestCompressedSearchesEqualPlainOnes(t *testing.T) {
	s := seed(t)
	for i := range 100 {
		r := rand.New(rand.NewPCG(s, uint64(i)))
		c := randomTrial(r)
		m, err := match.Compile(c.patterns, c.match)
		if err != nil {
			continue
		}
		c.search.Matcher = m
		if bytes.IndexByte(c.text, 0) >= 0 && !c.search.NullData {
			continue // then it matters which block has it
		}
		search.SetBlockBytes(&c.search, c.blockBytes)
		half := len(c.text) / 2
		mounts, _ := filestest.Tree(t, map[string]string{"a": string(c.text), "a.gz": filestest.Gzipped(string(c.text[:half]), string(c.text[half:])),
			"a.zst": zstandard(t, string(c.text[:half]), string(c.text[half:]))})
		want := &printer{o: c.search}
		if _, err := search.Run(t.Context(), mounts, []string{"logs/a"}, c.search, want); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"logs/a.gz", "logs/a.zst"} {
			got := &printer{o: c.search}
			if _, err := search.Run(t.Context(), mounts, []string{name}, c.search, got); err != nil {
				t.Fatal(err)
			}
			if got, want := got.result(""), want.result(""); got != want {
				t.Errorf("trial %d: %v, %s:\ngot  %v\nwant %v", i, c, name, got, want)
			}
		}
	}
}

// While a rotator replaces x by x.gz, and when it died between the two, each line is found once.
func TestALogAndItsCompressedSelfAreOneFile(t *testing.T) {
	text := "x1\nx2\n"
	for _, c := range []struct {
		files map[string]string
		paths string
		want  string
	}{
		{map[string]string{"a": text, "a.gz": filestest.Gzipped(text)}, "logs/*", "logs/a"},
		{map[string]string{"a": text, "a.zst": zstandardFile(t, text)}, "logs/a*", "logs/a"},
		{map[string]string{"d/a": text, "d/a.gz": filestest.Gzipped(text)}, "logs/d", "logs/d/a"},
		{map[string]string{"a": text, "a.gz": filestest.Gzipped("others\n")}, "logs/*", "logs/a logs/a.gz"},
		{map[string]string{"a": text, "a.gz": text}, "logs/*", "logs/a logs/a.gz"},
		{map[string]string{"a": text, "a.gz": filestest.Gzipped(text)}, "logs/a.gz", "logs/a.gz"},
		{map[string]string{"a.gz": filestest.Gzipped(text)}, "logs/*", "logs/a.gz"},
	} {
		m, _ := filestest.Tree(t, c.files)
		o := options(t, "x")
		o.Directories = files.DirectoriesRecurse
		files, errs := begun(t, m, o, c.paths)
		if got := strings.Join(files, " "); got != c.want || len(errs) > 0 {
			t.Errorf("%q of %q: searched %q, want %q; errors %q", c.paths, c.files, got, c.want, errs)
		}
	}
}

// Searches that run while the event log compresses its rotated files find each line once.
func TestSearchesWhileLogsAreCompressed(t *testing.T) {
	const files, lines = 12, 5000
	m, dir := filestest.Tree(t, nil)
	for i := range files {
		var text strings.Builder
		for n := range lines {
			fmt.Fprintln(&text, "x", i, n, strings.Repeat("filler ", 5))
		}
		stamp := time.Unix(int64(i), 0).UTC().Format("20060102T150405.000000000Z")
		if err := os.WriteFile(filepath.Join(dir, eventlog.GrepdLog+"."+stamp), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := eventlog.Open(eventlog.Config{Dir: dir, Name: eventlog.GrepdLog})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	o := options(t, "^x ")
	for compressed, searches := 0, 0; compressed < files-1; searches++ {
		got := &counter{lines: make(map[string]int)}
		stats, err := search.Run(t.Context(), m, []string{"logs/" + eventlog.GrepdLog + "*"}, o, got)
		if err != nil || stats.Errors > 0 {
			t.Fatalf("search %d: %+v, %v, %q", searches, stats, err, got.errs)
		}
		for line, times := range got.lines {
			if times != 1 {
				t.Fatalf("search %d: %q was found %d times in %q", searches, line, times, got.paths)
			}
		}
		if len(got.lines) != files*lines {
			t.Fatalf("search %d: %d lines in %q, want %d", searches, len(got.lines), got.paths, files*lines)
		}
		zipped, _ := filepath.Glob(filepath.Join(dir, "*.gz"))
		compressed = len(zipped)
	}
}

// counter is a Sink that counts how often it gets each line.
type counter struct {
	lines map[string]int
	paths []string
	errs  []error
}

func (c *counter) Begin(path string, _ int64) error { c.paths = append(c.paths, path); return nil }
func (c *counter) End(search.FileStats) error       { return nil }
func (c *counter) Error(e files.FileError) error    { c.errs = append(c.errs, e); return nil }
func (c *counter) Chunk(chunk *search.Chunk) error {
	for line := range strings.Lines(string(chunk.Data)) {
		c.lines[line]++
	}
	return nil
}

// Memory does not grow with what a file expands to.
func TestCompressedFilesTakeFlatMemory(t *testing.T) {
	const mib = 256
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	line := []byte(strings.Repeat("a line of a log ", 15) + "\n")
	for n := 0; n < mib<<20; n += len(line) {
		w.Write(line)
	}
	w.Close()
	m, _ := filestest.Tree(t, map[string]string{"big.gz": zipped.String()})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o := options(t, "nothing")
	stats, err := search.Run(context.Background(), m, []string{"logs/big.gz"}, o, &recorder{})
	if err != nil || stats.Bytes < mib<<20 {
		t.Fatalf("%+v, %v", stats, err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 32<<20 {
		t.Errorf("%d MiB were allocated to search %d MiB", allocated>>20, mib)
	}
}

// What is read of a compressed file shows that the search gets on, although nothing comes out.
func TestCompressedFilesThatExpandToNothingGetOn(t *testing.T) {
	skippable := "\x52\x2a\x4d\x18\x00\x00\x80\x00" + strings.Repeat("x", 8<<20)
	for name, text := range map[string]string{"a.gz": strings.Repeat(filestest.Gzipped(""), 1<<18), "a.zst": skippable + zstandard(t, "")} {
		m, _ := filestest.Tree(t, map[string]string{name: text})
		o := options(t, "x")
		o.Progress = &files.Progress{}
		if _, err := search.Run(t.Context(), m, []string{"logs/" + name}, o, &recorder{}); err != nil {
			t.Fatal(err)
		}
		if n := o.Progress.Work(); n < 32 {
			t.Errorf("%s: it gets on %d times with %d bytes", name, n, len(text))
		}
	}
}
