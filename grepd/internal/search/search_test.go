package search_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // for lines without a zone
	goleak.VerifyTestMain(m)
}

// recorder is a Sink that keeps what it gets, as text.
type recorder struct {
	steps   []string
	reasons []greppb.FileError_Reason // of the errors
	onAny   func() error
}

var _ search.Sink = (*recorder)(nil)

func (r *recorder) add(format string, args ...any) error {
	r.steps = append(r.steps, fmt.Sprintf(format, args...))
	if r.onAny != nil {
		return r.onAny()
	}
	return nil
}

func (r *recorder) Begin(path string, _ int64) error { return r.add("begin %s", path) }
func (r *recorder) Chunk(c *search.Chunk) error {
	return r.add("chunk %q %v spans %v more %v", c.Data, c.Kinds, c.Spans, c.More)
}
func (r *recorder) End(s search.FileStats) error {
	return r.add("end %d %v %d", s.Matches, s.Binary, s.Bytes)
}
func (r *recorder) Error(e files.FileError) error {
	r.reasons = append(r.reasons, e.Reason)
	return r.add("error %v %v", e, e.Missing)
}

// A directory that took the place of a mount's is searched; one that is gone, or behind a new link,
// is named.
func TestMountsThatAreReplacedAreNoticed(t *testing.T) {
	base := t.TempDir()
	dir, old, other := filepath.Join(base, "m"), filepath.Join(base, "old"), filepath.Join(base, "other")
	fill := func(dir, text string) {
		t.Helper()
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "a"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	fill(dir, "first\n")
	fill(other, "secret\n")
	m, err := files.OpenMounts([]string{"logs=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var changes []files.MountChange
	m.OnChange(func(c files.MountChange) { changes = append(changes, c) })
	for _, step := range []struct {
		what    string
		do      func() error
		line    string // that is found
		trouble string // that is said instead, and remembered
		news    int
	}{
		{"at first", func() error { return nil }, "first\n", "", 0},
		{"removed", func() error { return os.Rename(dir, old) }, "", "the directory is gone", 1},
		{"replaced", func() error { fill(dir, "second\n"); return nil }, "second\n", "", 1},
		{"replaced by a link", func() error { return errors.Join(os.RemoveAll(dir), os.Symlink(other, dir)) }, "",
			"leads to " + other + " now, through a symbolic link", 1},
		{"still a link", func() error { return nil }, "", "leads to " + other, 0},
		{"a link to what was open", func() error {
			return errors.Join(os.Remove(dir), os.Rename(other, dir), os.Symlink(dir, other))
		}, "secret\n", "", 1}, // it is the path's own directory now
		{"no directory", func() error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }, "", "not a directory", 1},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		changes = nil
		got := &recorder{}
		if _, err := search.Run(t.Context(), m, []string{"logs/a"}, options(t, "."), got); err != nil {
			t.Fatal(err)
		}
		steps, troubles := strings.Join(got.steps, "; "), strings.Join(m.Troubles(), "; ")
		if want := fmt.Sprintf("chunk %q", step.line); (step.line != "") != strings.Contains(steps, "chunk") || step.line != "" && !strings.Contains(steps, want) {
			t.Errorf("%s: %s, want a line %q", step.what, steps, step.line)
		}
		if (step.trouble == "") != (troubles == "") || !strings.Contains(steps, step.trouble) || !strings.Contains(troubles, step.trouble) {
			t.Errorf("%s: %s, troubles %q, want %q", step.what, steps, troubles, step.trouble)
		}
		if len(changes) != step.news {
			t.Errorf("%s: told %v", step.what, changes)
		}
	}
}

func options(t testing.TB, pattern string) search.Options {
	t.Helper()
	m, err := match.Compile([]string{pattern}, match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return search.Options{Matcher: m, MaxCount: -1}
}

// begun searches and gives the paths that were begun, and the errors.
func begun(t *testing.T, m *files.Mounts, o search.Options, paths ...string) (files, errs []string) {
	t.Helper()
	r := &recorder{}
	if _, err := search.Run(context.Background(), m, paths, o, r); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.steps {
		if path, ok := strings.CutPrefix(s, "begin "); ok {
			files = append(files, path)
		}
		if e, ok := strings.CutPrefix(s, "error "); ok {
			errs = append(errs, e)
		}
	}
	return files, errs
}

func TestPathsAreFoundInsideTheMountsOnly(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a.log": "x", "b.log": "x", ".hidden": "x", "sub/c.log": "x", "sub/deep/d.log": "x", "odd[1].log": "x"})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"escape": outside + "/secret", "up": "../../../../../../etc/passwd", "inside": "sub/c.log"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, files, err string }{
		{"logs/a.log", "logs/a.log", ""},
		{"logs/*.log", "logs/a.log logs/b.log logs/odd[1].log", ""},
		{"logs/{b,a}.log", "logs/a.log logs/b.log", ""},
		{"logs/**/*.log", "logs/a.log logs/b.log logs/odd[1].log logs/sub/c.log logs/sub/deep/d.log", ""},
		{"*/a.log", "logs/a.log", ""},
		{"logs/odd[1].log", "logs/odd[1].log", ""},
		{"logs/inside", "logs/inside", ""},
		{"logs/none", "", "logs/none: No such file or directory true"},
		{"logs/none*", "", "logs/none*: No such file or directory true"},
		{"logs/a.log/x", "", "logs/a.log/x: No such file or directory true"},
		{"logs/a.log/", "", "logs/a.log/: Not a directory false"},
		{"logs/*.log/", "", "logs/*.log/: No such file or directory true"},
		{"logs/*/", "logs/sub", "logs/sub: Is a directory false"},
		{"logs/sub", "logs/sub", "logs/sub: Is a directory false"},
		{"logs/pipe", "", "logs/pipe: not a regular file false"},
		{"logs/escape", "", "logs/escape: leads outside its mount false"},
		{"logs/up", "", "logs/up: leads outside its mount false"},
		{"logs//a.log", "logs/a.log", ""},
		{"./logs/./sub//", "logs/sub", "logs/sub: Is a directory false"},
		{".//logs/*.log", "logs/a.log logs/b.log logs/odd[1].log", ""},
		{"//logs/a.log", "", "//logs/a.log: outside the mounts: a path is mount/name, and the mounts are logs false"},
		{"logs/./../a.log", "", "logs/./../a.log: outside the mounts: a path is mount/name, and the mounts are logs false"},
		{"", "", ": outside the mounts: a path is mount/name, and the mounts are logs false"},
		{"logs/../a.log", "", "logs/../a.log: outside the mounts: a path is mount/name, and the mounts are logs false"},
		{"/etc/passwd", "", "/etc/passwd: outside the mounts: a path is mount/name, and the mounts are logs false"},
		{"other/a.log", "", `other/a.log: there is no mount "other", and the mounts are logs true`},
	} {
		files, errs := begun(t, m, options(t, "x"), c.path)
		if got := strings.Join(files, " "); got != c.files {
			t.Errorf("%s: searched %q, want %q", c.path, got, c.files)
		}
		if got := strings.Join(errs, " "); got != c.err {
			t.Errorf("%s: errors %q, want %q", c.path, got, c.err)
		}
	}
}

// Programs go by the reason of an error, so each kind has its own.
func TestErrorsOfFilesHaveReasons(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{
		"a.log": "x", "sub/c.log": "x", "no times": "x\n", "long": strings.Repeat("x", search.LineBytesMax+1),
		"cut.gz": filestest.Gzipped("x\n")[:20],
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "escape")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, timed := options(t, "x"), options(t, "x")
	timed.Since = 1
	for _, c := range []struct {
		path string
		o    search.Options
		want greppb.FileError_Reason
	}{
		{"logs/none", plain, greppb.FileError_NOT_FOUND},
		{"logs/none*", plain, greppb.FileError_NOT_FOUND},
		{"logs/a.log/x", plain, greppb.FileError_NOT_FOUND},
		{"logs/a.log/", plain, greppb.FileError_NOT_DIRECTORY},
		{"logs/sub", plain, greppb.FileError_IS_DIRECTORY},
		{"logs/pipe", plain, greppb.FileError_NOT_REGULAR},
		{"logs/escape", plain, greppb.FileError_OUTSIDE_MOUNTS},
		{"/etc/passwd", plain, greppb.FileError_OUTSIDE_MOUNTS},
		{"other/a.log", plain, greppb.FileError_NO_MOUNT},
		{"logs/[", plain, greppb.FileError_BAD_PATH},
		{"logs/" + strings.Repeat("{a,b}", 100), plain, greppb.FileError_BAD_PATH},
		{strings.Repeat("a", 1<<16), plain, greppb.FileError_BAD_PATH},
		{"logs/long", plain, greppb.FileError_TOO_LONG},
		{"logs/cut.gz", plain, greppb.FileError_DAMAGED},
		{"logs/no times", timed, greppb.FileError_NO_TIMES},
	} {
		r := &recorder{}
		if _, err := search.Run(t.Context(), m, []string{c.path}, c.o, r); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.reasons, []greppb.FileError_Reason{c.want}) {
			t.Errorf("%.40s: reasons %v, want %v", c.path, r.reasons, c.want)
		}
	}
}

func TestRecursionAppliesGlobsToNames(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a.log": "", "b.txt": "", "sub/c.log": "", "old/d.log": "", "sub/old/e.log": ""})
	if err := os.Symlink("a.log", filepath.Join(dir, "link.log")); err != nil {
		t.Fatal(err)
	}
	o := options(t, "x")
	o.Directories = files.DirectoriesRecurse
	include := func(pattern string) files.Glob { return files.Glob{Pattern: pattern, Include: true} }
	exclude := func(pattern string) files.Glob { return files.Glob{Pattern: pattern} }
	list := func(globs ...files.Glob) []files.Glob { return globs }
	for _, c := range []struct {
		globs, excludeDirs []files.Glob
		path, files        string
	}{
		{nil, nil, "logs", "a.log b.txt old/d.log sub/c.log sub/old/e.log"},
		{list(include("*.log")), nil, "logs", "a.log old/d.log sub/c.log sub/old/e.log"},
		{list(exclude("*.log")), nil, "logs", "b.txt"},
		{list(exclude("*.log"), include("a*")), nil, "logs", "a.log b.txt"},
		{list(include("a*"), exclude("*.log")), nil, "logs", ""},
		{list(include("[!a]*"), include(`\a.tx[[:alpha:]]`)), nil, "logs", "b.txt old/d.log sub/c.log sub/old/e.log"},
		{list(include("{a,b}*"), include("[a")), nil, "logs", ""},
		{nil, list(exclude("old")), "logs/", "a.log b.txt sub/c.log"},
		{nil, list(exclude("old")), "logs/old", ""},
		{list(exclude("sub/*")), nil, "logs/sub/c.log", ""},
		{list(exclude("s*g")), nil, "logs/sub/c.log", ""},
	} {
		var err error
		if o.Files, err = files.NewGlobList(c.globs); err != nil {
			t.Fatal(err)
		}
		if o.ExcludeDirs, err = files.NewGlobList(c.excludeDirs); err != nil {
			t.Fatal(err)
		}
		files, errs := begun(t, m, o, c.path)
		if got := strings.ReplaceAll(strings.Join(files, " "), "logs/", ""); got != c.files || len(errs) > 0 {
			t.Errorf("%+v: searched %q, errors %q", c, got, errs)
		}
	}
}

func TestStepsOfASearch(t *testing.T) {
	m, _ := filestest.Tree(t, map[string]string{"a": "one x\ntwo\nx x\nend", "b": "x\x00\n", "c": "no\n"})
	o := options(t, "x")
	o.Spans, o.After = true, 1
	r := &recorder{}
	stats, err := search.Run(context.Background(), m, []string{"logs/a", "logs/gone", "logs/b", "logs/c"}, o, r)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"begin logs/a", `chunk "one x\ntwo\nx x\nend\n" [2 1 0 1] spans [1 4 1 2 0 1 2 1] more false`, "end 2 false 17",
		"error logs/gone: No such file or directory true",
		"begin logs/b", "end 1 true 3", "begin logs/c", "end 0 false 3",
	}
	if !slices.Equal(r.steps, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.steps, "\n"), strings.Join(want, "\n"))
	}
	stats.Marks = nil
	if want := (search.Stats{Matches: 3, Files: 3, Bytes: 23, Errors: 1}); !reflect.DeepEqual(stats, want) {
		t.Errorf("got %+v, want %+v", stats, want)
	}
}

func TestQuietEndsAtTheFirstMatch(t *testing.T) {
	m, _ := filestest.Tree(t, map[string]string{"a": "no", "b": "x", "c": "x"})
	o := options(t, "x")
	o.Report = search.Quiet
	if files, _ := begun(t, m, o, "logs/*"); !slices.Equal(files, []string{"logs/a", "logs/b"}) {
		t.Errorf("searched %q", files)
	}
}

// bigFile gives a text of many blocks.
func bigFile() string {
	var b strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&b, "%d a line like any other, with word%d in it\n", i, i%1000)
	}
	return b.String()
}

func TestChunksOfABigFileAreBoundedAndComplete(t *testing.T) {
	text := bigFile()
	m, _ := filestest.Tree(t, map[string]string{"a": text})
	for _, around := range []int{0, 2} {
		o := options(t, "line")
		o.LineNumbers, o.ByteOffsets, o.Before = true, true, around
		c := &checker{t: t, text: text}
		if _, err := search.Run(context.Background(), m, []string{"logs/a"}, o, c); err != nil {
			t.Fatal(err)
		}
		if c.lines != 60000 {
			t.Errorf("got %d lines", c.lines)
		}
	}
}

// checker is a Sink that expects every line of text.
type checker struct {
	recorder
	t     *testing.T
	text  string
	lines uint64
}

func (c *checker) Chunk(k *search.Chunk) error {
	if len(k.Data) > search.ChunkBytes {
		c.t.Errorf("a chunk of %d bytes", len(k.Data))
	}
	pos := 0
	for i, n := range k.Lengths {
		c.lines++
		if k.LineNumbers[i] != c.lines {
			c.t.Fatalf("line %d has number %d", c.lines, k.LineNumbers[i])
		}
		if line := string(k.Data[pos : pos+int(n)]); !strings.HasPrefix(c.text[k.ByteOffsets[i]:], line) {
			c.t.Fatalf("line %d is %q, and not that at %d", c.lines, line, k.ByteOffsets[i])
		}
		pos += int(n)
	}
	return nil
}

func TestSinkErrorAndCancellationEndTheSearch(t *testing.T) {
	m, _ := filestest.Tree(t, map[string]string{"a": bigFile(), "b": bigFile()})
	broken := errors.New("broken pipe")
	for _, step := range []int{1, 2, 5} {
		r := &recorder{}
		r.onAny = func() error {
			if len(r.steps) == step {
				return broken
			}
			return nil
		}
		if _, err := search.Run(context.Background(), m, []string{"logs/*"}, options(t, "line"), r); !errors.Is(err, broken) || len(r.steps) != step {
			t.Errorf("got %v after %d steps, want the sink's error after %d", err, len(r.steps), step)
		}
		ctx, cancel := context.WithCancel(context.Background())
		r = &recorder{}
		r.onAny = func() error {
			if len(r.steps) == step {
				cancel()
			}
			return nil
		}
		if _, err := search.Run(ctx, m, []string{"logs/*"}, options(t, "line"), r); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		cancel()
	}
}

func TestFileCutShortMeanwhileEndsThere(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a": strings.Repeat("a line\n", 2_000_000)})
	r := &recorder{}
	r.onAny = func() error {
		if len(r.steps) == 1 {
			return os.Truncate(filepath.Join(dir, "a"), 10)
		}
		return nil
	}
	o := options(t, "line")
	o.Report = search.Count
	stats, err := search.Run(context.Background(), m, []string{"logs/a"}, o, r)
	if err != nil || stats.Errors != 0 || stats.Matches == 0 || stats.Matches == 2_000_000 {
		t.Errorf("got %+v, %v", stats, err)
	}
}

// The limit of a line is the same to the byte wherever a text comes from, and the lines before one
// that is too long count.
func TestTooLongALineIsAnError(t *testing.T) {
	for _, extra := range []int{0, 1} {
		text := "x1\nx2\n" + strings.Repeat("y", search.LineBytesMax-2+extra) + "x\nx3\n"
		m, _ := filestest.Tree(t, map[string]string{"a": text, "b.gz": filestest.Gzipped(text), "c": "x\n"})
		o := options(t, "x")
		o.Report = search.Count
		for _, name := range []string{"logs/a", "logs/b.gz", "-"} {
			r := &recorder{}
			var err error
			if name == "-" {
				_, err = search.Reader(t.Context(), strings.NewReader(text), name, o, r)
			} else {
				_, err = search.Run(t.Context(), m, []string{name, "logs/c"}, o, r)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(r.steps[1:min(3, len(r.steps))], "; ")
			want := fmt.Sprintf("end 4 false %d", len(text))
			if extra > 0 {
				want = fmt.Sprintf("error %s: A line is longer than 67108864 bytes false; end 2 false 6", name)
			}
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s with %d bytes too many: %s, want %s", name, extra, got, want)
			}
			if name != "-" && !slices.Contains(r.steps, "begin logs/c") {
				t.Errorf("%s: the next file is not searched: %q", name, r.steps)
			}
		}
	}
}

func TestReaderHandsOutLinesAsTheyArrive(t *testing.T) {
	in, out := io.Pipe()
	arrived := make(chan string, 10)
	r := &recorder{}
	r.onAny = func() error {
		arrived <- r.steps[len(r.steps)-1]
		return nil
	}
	done := make(chan error)
	go func() {
		_, err := search.Reader(context.Background(), in, "(standard input)", options(t, "x"), r)
		done <- err
	}()
	expect := func(want string) {
		t.Helper()
		if got := <-arrived; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	expect("begin (standard input)")
	io.WriteString(out, "x one\nx t")
	expect(`chunk "x one\n" [] spans [] more false`)
	io.WriteString(out, "wo\nnot\nx end")
	expect(`chunk "x two\n" [] spans [] more false`)
	out.Close()
	expect(`chunk "x end\n" [] spans [] more false`)
	expect("end 3 false 21")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReaderReturnsWhenCancelledThoughAReadHangs(t *testing.T) {
	in, out := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	r := &recorder{onAny: func() error { cancel(); return nil }}
	if _, err := search.Reader(ctx, in, "-", options(t, "x"), r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	out.Close() // lets the read end
}

// TestReaderEqualsRun searches the same texts as a stream and as a file.
func TestReaderEqualsRun(t *testing.T) {
	text := bigFile()
	m, _ := filestest.Tree(t, map[string]string{"a": text})
	for _, around := range []int{0, 3} {
		o := options(t, "word99")
		o.LineNumbers, o.ByteOffsets, o.Before, o.After = true, true, around, around
		file, stream := &printer{o: o}, &printer{o: o}
		if _, err := search.Run(context.Background(), m, []string{"logs/a"}, o, file); err != nil {
			t.Fatal(err)
		}
		if _, err := search.Reader(context.Background(), strings.NewReader(text), "a", o, stream); err != nil {
			t.Fatal(err)
		}
		if file.out.Len() == 0 || !bytes.Equal(file.out.Bytes(), stream.out.Bytes()) {
			t.Errorf("context %d: %d bytes from the file, %d from the stream, or they differ", around, file.out.Len(), stream.out.Len())
		}
	}
}
