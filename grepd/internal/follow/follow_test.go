package follow_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/follow"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

var roundsFlag = flag.Int("follow-rounds", 60, "seeds that TestFollowTorture tries")

// listener is a FollowSink that keeps the lines, and the places, as whoever wants to go on later
// has to.
type listener struct {
	lines  []string // path:line
	errs   []string
	gaps   int
	places map[uint32]follow.Place
	paths  map[uint32]string
	ended  []string
	heard  bool // any place was told
	caught bool
	// failAfter is how many more lines are taken before a chunk is refused; below 0: any number.
	failAfter int
	// held is what happens while the next chunk is taken slowly; nil: it is taken at once.
	held func()
}

var (
	_           follow.Sink = (*listener)(nil)
	errHungUp               = errors.New("the listener is gone")
	kindsOfLine             = map[byte]string{0: ":", 1: "-", 2: "|:", 3: "|-"}
)

func newListener() *listener {
	return &listener{places: map[uint32]follow.Place{}, paths: map[uint32]string{}, failAfter: -1}
}

func (l *listener) Begin(file uint32, path string, _ int64) error {
	l.paths[file] = path
	return nil
}

func (l *listener) Chunk(file uint32, c *search.Chunk) error {
	if l.failAfter == 0 {
		return errHungUp
	}
	l.failAfter--
	if held := l.held; held != nil {
		l.held = nil
		held()
	}
	if c.More {
		return errors.New("a chunk says that more is to follow")
	}
	i := 0
	for line := range bytes.Lines(c.Data) {
		kind, number := ":", ""
		if len(c.Kinds) > 0 {
			kind = kindsOfLine[c.Kinds[i]]
		}
		if len(c.LineNumbers) > 0 {
			number = fmt.Sprint(c.LineNumbers[i], ":")
		}
		l.lines = append(l.lines, l.paths[file]+kind+number+strings.TrimSuffix(string(line), "\n"))
		i++
	}
	p := l.places[file]
	p.Skip += uint64(i)
	l.places[file] = p
	return nil
}

func (l *listener) End(file uint32, _ search.FileStats) error {
	l.ended = append(l.ended, l.paths[file])
	return nil
}

func (l *listener) Error(e files.FileError) error {
	l.errs = append(l.errs, e.Error())
	if e.Gap {
		l.gaps++
	}
	return nil
}

func (l *listener) Places(places []follow.Place, caughtUp bool) error {
	l.heard, l.caught = true, caughtUp
	for _, p := range places {
		if p.Ended {
			delete(l.places, p.File)
		} else {
			l.places[p.File] = p
		}
	}
	return nil
}

// take gives what has come since the last call.
func (l *listener) take() string {
	all := strings.Join(l.lines, " ")
	l.lines = nil
	return all
}

// following is a follow that a test steps, in a directory that the test changes.
type following struct {
	*follow.Stepper
	*listener
	t      *testing.T
	dir    string
	mounts *files.Mounts
	paths  []string
	o      search.Options
	from   []follow.Place
	passed time.Time // when it has looked last
}

func newFollowing(t *testing.T, files map[string]string, change func(*search.Options), paths ...string) *following {
	t.Helper()
	f := &following{t: t, paths: paths, o: options(t, "x")}
	f.mounts, f.dir = filestest.Tree(t, files)
	if change != nil {
		change(&f.o)
	}
	f.open(follow.Options{}, time.Now())
	t.Cleanup(func() { f.Stepper.Close() })
	f.pass()
	return f
}

func (f *following) open(fo follow.Options, at time.Time) {
	f.t.Helper()
	before := f.listener
	f.listener = newListener()
	if before != nil {
		f.gaps, f.errs = before.gaps, before.errs
	}
	var err error
	f.Stepper, err = follow.NewStepper(context.Background(), f.mounts, f.paths, f.o, fo, f.listener, at)
	if err != nil {
		f.t.Fatal(err)
	}
}

// again breaks the follow off, and lets another one go on where the listener has come to.
func (f *following) again() {
	f.t.Helper()
	if f.heard { // otherwise the places are still those of the follow before
		f.from = slices.Collect(maps.Values(f.places))
	}
	clock := f.Clock()
	f.Stepper.Close()
	f.open(follow.Options{Resume: true, From: f.from, Away: clock.Sub(f.passed)}, clock)
}

func (f *following) pass() {
	f.t.Helper()
	if err := f.Pass(true); err != nil {
		f.t.Fatal(err)
	}
	f.passed = f.Clock()
}

// want passes, and compares what has come. Those of different files come in any order.
func (f *following) want(lines string) {
	f.t.Helper()
	f.pass()
	slices.SortStableFunc(f.lines, func(a, b string) int { return cmp.Compare(a[:len("logs/a")], b[:len("logs/a")]) })
	if got := f.take(); got != lines {
		f.t.Errorf("got %q, want %q", got, lines)
	}
}

func (f *following) path(name string) string { return filepath.Join(f.dir, name) }

func (f *following) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *following) add(name, text string) {
	f.t.Helper()
	file, err := os.OpenFile(f.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	f.must(err)
	_, err = file.WriteString(text)
	f.must(errors.Join(err, file.Close(), os.Chtimes(f.path(name), time.Time{}, f.Clock())))
}

func (f *following) rename(from, to string) {
	f.t.Helper()
	f.must(os.Rename(f.path(from), f.path(to)))
}

func (f *following) copy(from, to string) {
	f.t.Helper()
	content, err := os.ReadFile(f.path(from))
	f.must(err)
	f.must(os.WriteFile(f.path(to), content, 0o600))
	f.must(os.Chtimes(f.path(to), time.Time{}, f.Clock()))
}

// packed gives what a file is compressed to.
func (f *following) packed(name string) []byte {
	f.t.Helper()
	content, err := os.ReadFile(f.path(name))
	f.must(err)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(content)
	f.must(errors.Join(err, w.Close()))
	return packed.Bytes()
}

// packHalf begins to compress a file, and gives what ends it.
func (f *following) packHalf(name string) (end func()) {
	f.t.Helper()
	packed := f.packed(name)
	half := len(packed) / 2
	f.add(name+".gz", string(packed[:half]))
	return func() {
		f.t.Helper()
		info, err := os.Stat(f.path(name))
		f.must(err)
		f.add(name+".gz", string(packed[half:]))
		f.must(errors.Join(os.Chtimes(f.path(name+".gz"), time.Time{}, info.ModTime()), os.Remove(f.path(name))))
	}
}

// pack replaces a file by what it is compressed to.
func (f *following) pack(name string) {
	f.t.Helper()
	packed := f.packed(name)
	info, err := os.Stat(f.path(name))
	f.must(err)
	f.must(os.WriteFile(f.path("."+name), packed, 0o600))
	f.must(os.Chtimes(f.path("."+name), time.Time{}, info.ModTime()))
	f.rename("."+name, name+".gz")
	f.must(os.Remove(f.path(name)))
}

// noErrors fails where anything was complained of.
func (f *following) noErrors() {
	f.t.Helper()
	if len(f.errs) > 0 {
		f.t.Errorf("complaints: %q", f.errs)
	}
}

func TestOnlyNewLinesAreFollowed(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x1\nx2", "b": ""}, nil, "logs/*")
	f.want("")
	f.add("a", "+\nno\nx3\nx4")
	f.add("b", "x5\n")
	f.want("logs/a:x2+ logs/a:x3 logs/b:x5")
	f.add("a", "+")
	f.want("") // its line has no end yet
	f.add("a", "\n")
	f.add("c", "x6\n") // a new file
	f.want("logs/a:x4+ logs/c:x6")
	if !f.caught {
		t.Error("the follow does not say that it has caught up")
	}
	f.noErrors()
}

func TestHistoryAndNewLinesJoin(t *testing.T) {
	now := time.Now().UTC()
	at := func(ago time.Duration, text string) string {
		return now.Add(-ago).Format("2006-01-02T15:04:05Z") + " " + text + "\n"
	}
	old := at(time.Hour, "x-old") + at(time.Minute, "x1")
	f := newFollowing(t, map[string]string{"a": old + "x2 of the same time\n", "b": "x without a time\n"}, func(o *search.Options) {
		o.Since = now.Add(-10 * time.Minute).UnixNano()
	}, "logs/*")
	f.want("logs/a:" + strings.TrimSuffix(at(time.Minute, "x1"), "\n") + " logs/a:x2 of the same time")
	if want := "logs/b: No line has a time that is understood, so it cannot be searched by time"; !slices.Equal(f.errs, []string{want}) {
		t.Errorf("complaints %q, want %q", f.errs, want)
	}
	f.add("a", at(time.Hour, "x late"))
	f.add("b", "x still without\n")
	f.want("logs/a:" + strings.TrimSuffix(at(time.Hour, "x late"), "\n") + " logs/b:x still without") // new is new, whatever its time
}

func TestCompressedFilesAreHistory(t *testing.T) {
	now := time.Now().UTC()
	stamp := now.Add(-time.Minute).Format(time.RFC3339)
	f := newFollowing(t, map[string]string{"a": "no\n"}, func(o *search.Options) { o.Since = now.Add(-time.Hour).UnixNano() }, "logs/none")
	f.add("a.1", "2020-01-01T00:00:00Z x0\n"+stamp+" x1\n")
	f.pack("a.1")
	f.Stepper.Close()
	f.paths = []string{"logs/a*"}
	f.open(follow.Options{}, time.Now())
	f.want("logs/a.1.gz:" + stamp + " x1")
	f.want("")
}

func TestRotationByRenaming(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
	f.add("a", "x1\n")
	f.rename("a", "a.1")
	f.add("a.1", "x2\n") // by a writer that has not noticed
	f.add("a", "x3\n")
	f.want("logs/a:x1 logs/a:x2 logs/a:x3")
	f.add("a.1", "x4\n")
	f.add("a", "x5\n")
	f.want("logs/a:x4 logs/a:x5")
	f.rename("a.1", "a.2")
	f.rename("a", "a.1")
	f.add("a", "x6\n")
	f.want("logs/a:x6")
	f.pack("a.2")
	f.pass()
	f.Wait(time.Minute)
	f.pass()
	f.Wait(time.Minute)
	f.want("")
	f.noErrors()
}

func TestARemovedFileIsReadToItsEnd(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/a")
	file, err := os.OpenFile(f.path("a"), os.O_WRONLY|os.O_APPEND, 0)
	f.must(err)
	defer file.Close()
	f.pass()
	io.WriteString(file, "x1\n")
	f.must(os.Remove(f.path("a")))
	f.want("logs/a:x1")
	io.WriteString(file, "x2\nx with no end")
	f.want("logs/a:x2")
	f.add("a", "x3\n")
	f.want("logs/a:x3")
	f.noErrors()
	f.Wait(time.Minute)
	f.pass()
	if f.gaps != 1 || len(f.ended) != 1 || len(f.places) != 1 {
		t.Errorf("gaps %d, ended %q, places %v: want one of each", f.gaps, f.ended, f.places)
	}
}

func TestCopyTruncate(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\nno\n"}, nil, "logs/*")
	f.add("a", "x1\n")
	f.want("logs/a:x1")
	f.add("a", "x2 which nobody has read yet\n")
	f.copy("a", "a.1")
	f.must(os.Truncate(f.path("a"), 0))
	f.add("a", "x3\n")
	f.want("logs/a:x2 which nobody has read yet logs/a:x3")

	// The copy is seen before the file is truncated, half of it first.
	f.add("a", strings.Repeat("x4\n", 3))
	f.want("logs/a:x4 logs/a:x4 logs/a:x4")
	f.rename("a.1", "a.2")
	f.add("a.1", "x3\nx4")
	f.want("")
	f.add("a.1", "\nx4\nx4\n")
	f.want("")
	f.add("a", "x5\n")
	f.add("a.1", "x5\n")
	f.want("logs/a:x5")
	f.must(os.Truncate(f.path("a"), 0))
	f.want("")
	f.add("a", "x6\n")
	f.Wait(time.Minute)
	f.want("logs/a:x6")
	if f.gaps > 0 || len(f.errs) != 2 || !strings.Contains(f.errs[0], "was truncated") {
		t.Errorf("complaints %q, want two of truncations", f.errs)
	}
}

// A file that has grown beyond what it was has been truncated all the same.
func TestATruncationIsSeenInWhatStandsBefore(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
	f.must(os.WriteFile(f.path("a"), []byte("x1 and more than before\n"), 0o600))
	f.want("logs/a:x1 and more than before")
	if len(f.errs) != 1 {
		t.Errorf("complaints %q, want one", f.errs)
	}
	// ... or is as long as it was.
	f.must(os.WriteFile(f.path("a"), []byte("x2 and as much as before\n")[:24], 0o600))
	f.must(os.Chtimes(f.path("a"), time.Time{}, time.Unix(1, 0)))
	f.pass()
	if len(f.errs) != 2 {
		t.Errorf("complaints %q, want two", f.errs)
	}
}

func TestALineThatIsTruncatedAwayIsAGap(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
	f.add("a", "x without an end")
	f.want("")
	f.must(os.Truncate(f.path("a"), 0))
	f.want("")
	f.Wait(time.Minute)
	f.want("")
	if f.gaps != 1 {
		t.Errorf("complaints %q, want a gap", f.errs)
	}
}

// Files that begin in the same way are no copies of each other for long.
func TestEqualFilesAreNoCopies(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/*")
	f.add("a", "x start\n")
	f.want("logs/a:x start")
	f.add("a.2", "x start\n")
	f.want("")
	f.add("a.2", "x of b\n")
	f.want("logs/a.2:x start logs/a.2:x of b")
	f.add("a.3", "x start\n")
	f.want("")
	f.Wait(time.Minute)
	f.want("logs/a.3:x start")
}

// A backup of a large log is not told again, whatever happens to the log later.
func TestABackupIsNotTold(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": strings.Repeat("x0\n", 10_000)}, nil, "logs/*")
	f.copy("a", "a.bak")
	f.want("")
	f.Wait(time.Minute)
	f.want("")
	f.add("a", "x1\n")
	f.copy("a", "a.1")
	f.must(os.Truncate(f.path("a"), 0))
	f.add("a", "x2\n")
	f.want("logs/a:x1 logs/a:x2")
	f.Wait(time.Minute)
	f.want("")
}

func TestASymbolicLinkThatLeadsElsewhere(t *testing.T) {
	f := newFollowing(t, map[string]string{"d/1": "x0\n", "d/2": ""}, nil, "logs/current")
	f.must(os.Symlink("d/1", f.path("current")))
	f.want("logs/current:x0") // the name is new, so what it names is
	f.add("d/1", "x1\n")
	f.want("logs/current:x1")
	f.must(os.Remove(f.path("current")))
	f.must(os.Symlink("d/2", f.path("current")))
	f.add("d/1", "x2\n")
	f.add("d/2", "x3\n")
	f.want("logs/current:x2 logs/current:x3")
}

func TestContextGoesOnAcrossWaits(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "1\n2\n3\n"}, func(o *search.Options) { o.Before, o.After, o.LineNumbers = 1, 2, true }, "logs/a")
	f.add("a", "x4\n")
	f.want("logs/a|-3:3 logs/a:4:x4")
	f.add("a", "5\n")
	f.want("logs/a-5:5")
	f.add("a", "6\n7\n8\n")
	f.want("logs/a-6:6")
	f.add("a", "x9\n")
	f.want("logs/a|-8:8 logs/a:9:x9")
	f.again()
	f.add("a", "10\n11\n")
	f.want("logs/a-10:10 logs/a-11:11")
	f.again()
	f.add("a", "x12\n")
	f.want("logs/a:12:x12")
}

func TestAFollowGoesOnWhereAnotherEnded(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n", "b": "x0\n", "c": "x0\n", "e": "x0\n"}, nil, "logs/*")
	f.add("a", "x1\n")
	f.add("b", "x2\n")
	f.want("logs/a:x1 logs/b:x2")
	f.add("a", "x3\n")
	f.rename("a", "a.1")
	f.add("a", "x4\n")
	f.pack("b")                              // which had nothing new
	f.add("c", strings.Repeat("x5\n", 2000)) // which had
	f.pack("c")
	f.add("d", "x6\n")
	f.copy("e", "e.1")
	f.add("e.1", "x7\n")
	f.must(os.Truncate(f.path("e"), 0))
	f.again()
	f.want("logs/a:x3 logs/a:x4 logs/d:x6 logs/e:x7")
	f.Wait(2 * time.Second)
	f.want(strings.TrimSpace(strings.Repeat("logs/c.gz:x5 ", 2000)))
	f.Wait(time.Minute)
	f.want("")
	f.noErrors()
}

func TestWhatWasLostMeanwhileIsAGap(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
	f.must(os.Remove(f.path("a")))
	f.add("a", "x1 in another file, of the same number perhaps\n")
	f.again()
	f.want("logs/a:x1 in another file, of the same number perhaps")
	f.Wait(time.Minute)
	f.pass()
	if f.gaps != 1 {
		t.Errorf("complaints %q, want a gap", f.errs)
	}
}

// A binary file has no more lines, which is said: its writer goes on, perhaps in a file that is
// truncated.
func TestABinaryFileIsFollowedNoFurtherUntilItIsTruncated(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/*")
	f.add("a", "x1\n")
	f.want("logs/a:x1")
	f.add("a", "x\x00\nx2\n")
	f.want("")
	f.add("a", "x3\n")
	f.want("")
	if want := "logs/a: is followed no further, since it is binary: -a prints its lines all the same"; !slices.Equal(f.errs, []string{want}) {
		t.Errorf("complaints %q, want %q", f.errs, want)
	}
	f.must(os.Truncate(f.path("a"), 0))
	f.want("")
	f.add("a", "x4\n")
	f.want("logs/a:x4")
	f.add("a", "x5\n")
	f.want("logs/a:x5")
	if len(f.errs) != 2 || f.gaps > 0 || len(f.ended) != 1 {
		t.Errorf("complaints %q, %d files ended, want one more", f.errs, len(f.ended))
	}
}

// What cannot be expanded is not searched, which is said once for each kind.
func TestAFileThatCannotBeExpandedIsMentioned(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "x0\n", "old.xz": "old"}, nil, "logs/*")
	for _, name := range []string{"a.1.xz", "a.2.xz", "a.1.Z", "a.gz", "a.bz2", "a.zip", "a.lz4"} {
		f.add(name, "x packed\n")
	}
	f.add("empty.zip", "")
	for range 3 {
		f.want("")
		f.Wait(2 * time.Second)
	}
	var said []string
	for _, e := range f.errs {
		path, message, _ := strings.Cut(e, ": ")
		said = append(said, path)
		if want := "is passed over, as are others of its kind: its name says that it is compressed, and it cannot be expanded here"; message != want {
			t.Errorf("got %q", e)
		}
	}
	slices.Sort(said)
	if want := []string{"logs/a.1.Z", "logs/a.2.xz", "logs/a.bz2", "logs/a.gz", "logs/a.lz4", "logs/a.zip"}; !slices.Equal(said, want) || f.gaps > 0 {
		t.Errorf("said of %q, want of %q; %d gaps", said, want, f.gaps)
	}
}

func TestAFileThatCannotBeExpandedIsMentionedWhereHistoryIsAsked(t *testing.T) {
	f := newFollowing(t, map[string]string{"a.1.xz": "packed", "a.2.xz": "packed"}, func(o *search.Options) { o.Since = 1 }, "logs/*")
	f.want("")
	if len(f.errs) != 1 || !strings.Contains(f.errs[0], "is passed over") {
		t.Errorf("complaints %q, want one", f.errs)
	}
}

// The rest of a log may be in a compressed file that cannot be searched: then it is lost.
func TestTheRestThatCannotBeExpandedIsAGap(t *testing.T) {
	pack := func(f *following) {
		f.add("a.1.xz", "x packed\n")
		for range 20 {
			f.pass()
			f.Wait(2 * time.Second)
		}
		want := "logs/a: what was written to it last may be lost: logs/a.1.xz may have it, which cannot be expanded here"
		if f.gaps != 1 || !slices.Contains(f.errs, want) {
			t.Errorf("%d gaps, %q, want %q", f.gaps, f.errs, want)
		}
	}
	t.Run("truncated", func(t *testing.T) {
		f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
		f.add("a", "x1\n")
		f.must(os.Truncate(f.path("a"), 0))
		pack(f)
	})
	t.Run("truncated after a copy that was seen", func(t *testing.T) {
		f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
		f.copy("a", "a.1")
		f.pass()
		f.must(os.Truncate(f.path("a"), 0))
		f.pass()
		f.must(os.Remove(f.path("a.1")))
		f.add("a.1.xz", "x packed\n")
		for range 20 {
			f.pass()
			f.Wait(2 * time.Second)
		}
		if f.gaps > 0 || len(f.errs) != 2 {
			t.Errorf("%d gaps, %q, want none", f.gaps, f.errs)
		}
	})
	t.Run("removed while nobody followed", func(t *testing.T) {
		f := newFollowing(t, map[string]string{"a": "x0\n"}, nil, "logs/*")
		f.add("a", "x1\n")
		f.must(os.Remove(f.path("a")))
		f.add("a.1.xz", "x packed\n")
		f.again()
		pack(f)
	})
}

// A listener that leaves in the middle of a block gets the rest of it later, and nothing twice.
func TestAFollowGoesOnWithinABlock(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, func(o *search.Options) { o.Report = search.Parts; o.ByteOffsets = true }, "logs/*")
	f.add("a", strings.Repeat("x", 600_000)+"\n")
	f.failAfter = 1
	if err := f.Pass(true); !errors.Is(err, errHungUp) {
		t.Fatalf("got %v, want %v", err, errHungUp)
	}
	first := len(f.lines)
	f.again()
	f.pass()
	if rest := len(f.lines); first == 0 || first+rest != 600_000 {
		t.Errorf("%d parts and %d later, want 600000 together", first, rest)
	}
}

func TestTooManyFilesToFollowAreNamed(t *testing.T) {
	files := map[string]string{}
	for i := range follow.FollowedMax + 2 {
		files[fmt.Sprint(i)] = ""
	}
	f := newFollowing(t, files, nil, "logs/*")
	f.pass()
	if len(f.errs) != 1 || !strings.Contains(f.errs[0], "more than 1000 files") {
		t.Errorf("complaints %q, want one", f.errs)
	}
}

func TestALongLineIsReadOnceItEnds(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/*")
	for range 20 {
		f.add("a", strings.Repeat("y", 100_000))
		f.want("")
	}
	f.add("a", "x\n")
	f.pass()
	if len(f.lines) != 1 || len(f.lines[0]) != len("logs/a:x")+2_000_000 {
		t.Errorf("%d lines", len(f.lines))
	}
}

// Where long lines take all the memory that they may, a follow waits until there is some again.
func TestALongLineWaitsForMemory(t *testing.T) {
	line := strings.Repeat("y", 3<<20) + "x"
	f := newFollowing(t, map[string]string{"a": "", "old": line + "\n"}, func(o *search.Options) {
		o.LongLines = search.NewLongLines(6 << 20)
	}, "logs/a*")
	holder := newListener()
	holder.held = func() { // by another search, which has its line not handed out yet
		f.add("a", line+"\nx next\n")
		f.want("")
	}
	if _, err := search.Run(t.Context(), f.mounts, []string{"logs/old"}, f.o, &holding{listener: holder}); err != nil {
		t.Fatal(err)
	}
	f.want("logs/a:" + line + " logs/a:x next")
	f.noErrors()
}

// holding is a listener to a search that is no follow.
type holding struct{ *listener }

func (h *holding) Begin(path string, size int64) error { return h.listener.Begin(0, path, size) }
func (h *holding) Chunk(c *search.Chunk) error         { return h.listener.Chunk(0, c) }
func (h *holding) End(s search.FileStats) error        { return h.listener.End(0, s) }

// Lines of history that are of another time than is wanted are not beside those that come later.
func TestContextIsBesideItsLine(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "2026-01-03T00:00:00Z x1\n2026-01-03T00:00:00Z y\n2026-01-01T00:00:00Z x2\n"}, func(o *search.Options) {
		o.Since = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC).UnixNano()
		o.Before = 1
	}, "logs/a")
	f.want("logs/a|:2026-01-03T00:00:00Z x1")
	f.add("a", "x3\ny\nz\nx4\n")
	f.want("logs/a|:x3 logs/a|-z logs/a:x4")
}

// Follow is woken by the system, and by its poll where that is not there.
func TestFollowWakesUp(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a": ""})
	ctx, cancel := context.WithCancel(t.Context())
	l := &awaited{listener: newListener(), caughtUp: make(chan struct{}), chunk: make(chan string, 10)}
	ended := make(chan error, 1)
	go func() {
		ended <- follow.Run(ctx, m, []string{"logs/*", "logs/later/*"}, options(t, "x"), follow.Options{}, l)
	}()
	<-l.caughtUp
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x1\n"), 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "later"), 0o700); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "later", "b"), []byte("x2\n"), 0o600); err != nil {
		t.Error(err)
	}
	got := []string{<-l.chunk, <-l.chunk}
	if slices.Sort(got); !slices.Equal(got, []string{"x1\n", "x2\n"}) {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

type awaited struct {
	*listener
	caughtUp chan struct{}
	chunk    chan string
}

func (a *awaited) Places(places []follow.Place, caughtUp bool) error {
	if caughtUp && !a.caught {
		close(a.caughtUp)
	}
	return a.listener.Places(places, caughtUp)
}

func (a *awaited) Chunk(_ uint32, c *search.Chunk) error {
	a.chunk <- string(c.Data)
	return nil
}

// TestFollowTorture has files written to and rotated in all ways, and the follow broken off, at
// random. Each line must come once, and those of a log in their order.
func TestFollowTorture(t *testing.T) {
	first := seed(t)
	for i := range uint64(*roundsFlag) {
		if !t.Run(fmt.Sprintf("seed=%d", first+i), func(t *testing.T) { torture(t, first+i) }) {
			return
		}
	}
}

func torture(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	f := newFollowing(t, map[string]string{"a": "x before\n", "b": "x before\n"}, nil, "logs/*")
	f.Wait(time.Minute)
	written := map[string][]string{}
	rotated := map[string]int{} // how many
	partial := map[string]string{}
	number := 0
	add := func(log string) {
		text := partial[log]
		delete(partial, log)
		for range random.IntN(20) {
			number++
			line := fmt.Sprintf("x %s %d %s", log, number, strings.Repeat("y", random.IntN(300)))
			written[log] = append(written[log], line)
			text += line + "\n"
		}
		if cut := len(text) - 1; cut > 1 && random.IntN(3) == 0 {
			cut = random.IntN(cut)
			partial[log], text = text[cut:], text[:cut]
		}
		f.add(log, text)
	}
	packing := map[string]func(){} // what ends the compressing that is under way
	endPacking := func(log string) {
		if end := packing[log]; end != nil {
			end()
			delete(packing, log)
		}
	}
	shift := func(log string) {
		endPacking(log)
		for i := rotated[log]; i > 0; i-- {
			name := fmt.Sprintf("%s.%d", log, i)
			if _, err := os.Stat(f.path(name)); err == nil {
				f.rename(name, fmt.Sprintf("%s.%d", log, i+1))
			} else if _, err := os.Stat(f.path(name + ".gz")); err == nil {
				f.rename(name+".gz", fmt.Sprintf("%s.%d.gz", log, i+1))
			}
		}
		rotated[log]++
	}
	away, removed := false, false
	pass := func() {
		if !away {
			f.pass()
		}
	}
	var got, trace []string
	for range 150 {
		log := []string{"a", "b"}[random.IntN(2)]
		what := random.IntN(14)
		trace = append(trace, fmt.Sprint(what, log))
		switch what {
		case 0, 1, 2, 3:
			add(log)
		case 4: // as logrotate does
			if partial[log] == "" {
				shift(log)
				f.rename(log, log+".1")
				f.add(log, "")
			}
		case 5: // ... with copytruncate
			if partial[log] == "" {
				shift(log)
				f.copy(log, log+".1")
				if random.IntN(2) == 0 {
					pass()
				}
				f.must(os.Truncate(f.path(log), 0))
			}
		case 6, 13: // at once, or slowly
			endPacking(log)
			name := fmt.Sprintf("%s.%d", log, 1+random.IntN(rotated[log]+1))
			if _, err := os.Stat(f.path(name)); err != nil {
				break
			}
			if what == 6 {
				f.pack(name)
			} else {
				packing[log] = f.packHalf(name)
			}
		case 7:
			if away = !away; !away { // nobody follows until then
				f.again()
				pass()
			}
		case 8:
			for range random.IntN(20) {
				f.Wait(2 * time.Second)
				pass()
			}
		case 9: // the listener is slow for once, while rotated logs are removed
			f.listener.held = func() {
				for range 1 + random.IntN(3) {
					add(log)
					if partial[log] == "" {
						shift(log)
						f.rename(log, log+".1")
						f.add(log, "")
					}
					f.Look()
					endPacking(log)
					// It may be compressed, or gone.
					removed = os.Remove(f.path(fmt.Sprintf("%s.%d", log, rotated[log]))) == nil || removed
				}
			}
			pass()
			f.listener.held = nil
		default:
			pass()
		}
		for _, line := range f.lines {
			_, text, _ := strings.Cut(line, ":")
			if slices.Contains(got, text) {
				t.Fatalf("after steps %q: %.40q came twice; complaints %q", trace, line, f.errs)
			}
			got = append(got, text)
		}
		f.lines = nil
	}
	for log, rest := range partial {
		f.add(log, rest)
	}
	endPacking("a")
	endPacking("b")
	if away {
		f.again()
	}
	for range 4 { // what has arrived compressed has to settle
		f.pass()
		f.Wait(5 * time.Second)
	}
	for _, line := range f.lines {
		_, text, _ := strings.Cut(line, ":")
		got = append(got, text)
	}
	compareLines(t, got, written, f.gaps, f.errs, trace)
	if f.gaps > 0 && !removed {
		t.Errorf("%d gaps were told, and all that was written is somewhere: %q; steps %q", f.gaps, f.errs, trace)
	}
}

// compareLines wants each written line once, or gaps said.
func compareLines(t *testing.T, got []string, written map[string][]string, gaps int, errs, trace []string) {
	t.Helper()
	count := map[string]int{}
	for _, text := range got {
		count[text]++
	}
	for _, log := range []string{"a", "b"} {
		for _, line := range written[log] {
			if count[line] != 1 && (count[line] > 1 || gaps == 0) {
				t.Errorf("%.20q came %d times", line, count[line])
			}
			delete(count, line)
		}
	}
	for line := range count {
		t.Errorf("%.20q came, and was not written", line)
	}
	if t.Failed() {
		t.Logf("steps %q, complaints %q", trace, errs)
	}
}
