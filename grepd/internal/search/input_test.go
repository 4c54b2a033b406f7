package search_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// joined is a Sink that puts all lines together, however they are cut to chunks.
type joined struct {
	data    []byte
	numbers []uint64
	kinds   []byte
	end     search.FileStats
}

var _ search.Sink = (*joined)(nil)

func (*joined) Begin(string, int64) error { return nil }
func (j *joined) Chunk(c *search.Chunk) error {
	j.data, j.numbers = append(j.data, c.Data...), append(j.numbers, c.LineNumbers...)
	j.kinds = append(j.kinds, c.Kinds...)
	return nil
}
func (j *joined) End(s search.FileStats) error { j.end = s; return nil }
func (*joined) Error(e files.FileError) error  { return e }
func (j *joined) equals(o *joined) bool        { return reflect.DeepEqual(j, o) }
func (j *joined) search(r io.Reader, o search.Options) error {
	_, err := search.Reader(context.Background(), r, "input", o, j)
	return err
}

// streamOf hides that f is a file.
func streamOf(f *os.File) io.Reader { return struct{ io.Reader }{f} }

func openBig(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, []byte(bigFile()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestReaderOfAFileEqualsReaderOfAStream(t *testing.T) {
	f := openBig(t)
	for name, change := range map[string]func(*search.Options){
		"lines":   func(*search.Options) {},
		"counted": func(o *search.Options) { o.Report = search.Count },
		"first 3": func(o *search.Options) { o.MaxCount = 3 },
		"quiet":   func(o *search.Options) { o.Report = search.Quiet },
		"context": func(o *search.Options) { o.Before, o.After = 2, 1 },
		"parts":   func(o *search.Options) { o.Report = search.Parts },
		"inverse": func(o *search.Options) { o.Invert = true },
	} {
		o := options(t, "7")
		o.LineNumbers = true
		change(&o)
		var want, got joined
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := want.search(streamOf(f), o); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := got.search(f, o); err != nil {
			t.Fatal(err)
		}
		// What was read ahead of an early end is nobody's concern.
		want.end.Bytes, got.end.Bytes = 0, 0
		if want.end.Matches == 0 || !got.equals(&want) {
			t.Errorf("%s: of the file %d lines and %+v, of the stream %d and %+v", name, len(got.numbers), got.end, len(want.numbers), want.end)
		}
		if n, err := f.Read(make([]byte, 1)); o.MaxCount < 0 && (n != 0 || !errors.Is(err, io.EOF)) {
			t.Errorf("%s: the file was not left at its end", name)
		}
	}
}

// TestReaderOfAFileBeginsWhereItIs is what a shell's { read line; dgrep x; } <file needs.
func TestReaderOfAFileBeginsWhereItIs(t *testing.T) {
	f := openBig(t)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(-100, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	var got joined
	if err := got.search(f, options(t, "")); err != nil {
		t.Fatal(err)
	}
	if got.end.Bytes != 100 || len(got.data) != 100 {
		t.Errorf("searched %d bytes of the last 100 of %d", got.end.Bytes, info.Size())
	}
}

// TestAFileIsLeftAfterTheLastLineThatMaxCountAllows compares with lines that are cut and matched
// one by one.
func TestAFileIsLeftAfterTheLastLineThatMaxCountAllows(t *testing.T) {
	small, big := filepath.Join(t.TempDir(), "small"), openBig(t)
	if err := os.WriteFile(small, []byte("a\nb7\n7\x00c\n\nd\n7"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, f := range []*os.File{f, big} {
		all, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []int{0, 2, 7} {
			for _, most := range []int{1, 2, 3, 5, 1000, 1 << 30} {
				for name, change := range map[string]func(*search.Options){
					"lines":   func(*search.Options) {},
					"counted": func(o *search.Options) { o.Report = search.Count },
					"context": func(o *search.Options) { o.After = 2 },
					"inverse": func(o *search.Options) { o.Report, o.Invert = search.Count, true },
					"null":    func(o *search.Options) { o.NullData = true },
				} {
					o := options(t, "7")
					o.MaxCount, o.Binary = int64(most), search.BinaryText
					change(&o)
					if _, err := f.Seek(int64(start), io.SeekStart); err != nil {
						t.Fatal(err)
					}
					if err := new(joined).search(f, o); err != nil {
						t.Fatal(err)
					}
					got, err := f.Seek(0, io.SeekCurrent)
					if err != nil {
						t.Fatal(err)
					}
					if want := afterSelected(all, start, most, o); got != int64(want) {
						t.Errorf("%s, from %d, %d lines at the most: %s is left at %d, want %d", name, start, most, filepath.Base(f.Name()), got, want)
					}
				}
			}
		}
	}
}

// afterSelected gives where the last of most lines with a 7, or without one, ends in all, or the
// end of all.
func afterSelected(all []byte, start, most int, o search.Options) int {
	end := byte('\n')
	if o.NullData {
		end = 0
	}
	for at := start; at < len(all); {
		line := all[at:]
		if n := bytes.IndexByte(line, end); n >= 0 {
			line = line[:n+1]
		}
		at += len(line)
		if bytes.IndexByte(line, '7') >= 0 != o.Invert {
			if most--; most == 0 {
				return at
			}
		}
	}
	return len(all)
}
