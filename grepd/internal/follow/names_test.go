package follow_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/follow"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// hold lets something happen while the listener takes a line slowly, and passes then.
func (f *following) hold(happens func()) {
	f.t.Helper()
	f.listener.held = happens
	f.add("a", "x slow\n")
	f.pass()
	if f.listener.held != nil {
		f.t.Fatal("no line came to be taken slowly")
	}
	f.pass()
}

// rotate renames a log and removes the one before, as logrotate does that keeps one.
func (f *following) rotate(name string) {
	f.t.Helper()
	f.rename(name, name+".1")
	f.add(name, "")
}

func TestFilesThatAreRotatedAwayWhileTheListenerIsSlowAreRead(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": "", "b": "", "c": ""}, nil, "logs/*")
	f.hold(func() {
		for i := range 5 {
			f.add("b", fmt.Sprintf("x%d\n", i))
			f.rotate("b")
			f.Look()
			f.add("b", fmt.Sprintf("x%d+\n", i))
			f.rotate("b") // ... and the one before is gone
			f.Look()
		}
		f.add("c", "x of c\n")
		f.pack("c") // which is open already
		f.Look()
		f.must(os.Remove(f.path("c.gz")))
		f.add("d", "x of d\n")
		f.pack("d")
		f.Look()
		f.must(os.Remove(f.path("d.gz")))
	})
	f.Wait(2 * time.Second)
	f.pass()
	var got []string
	for _, line := range f.lines {
		_, text, _ := strings.Cut(line, ":")
		got = append(got, text)
	}
	slices.Sort(got)
	if want := strings.Split("x of c,x of d,x slow,x0,x0+,x1,x1+,x2,x2+,x3,x3+,x4,x4+", ","); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	f.noErrors()
	if n := f.Held(); n > 0 {
		t.Errorf("%d files are held still", n)
	}
}

// Files without a name that wait take disk space, so the first ones are given up, which is told.
func TestWhatCannotBeHeldIsAGap(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/*")
	f.SetHeldBytesMax(10)
	f.hold(func() {
		for i := range 4 {
			f.add("b", fmt.Sprintf("x%d.\n", i)) // 4 bytes
			f.Look()
			f.must(os.Remove(f.path("b")))
			f.Look()
		}
	})
	if got, want := f.take(), "logs/a:x slow logs/b:x2. logs/b:x3."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := "logs/b: lines were taken too slowly: it was removed before it was read, and more than 0 MiB of such files are not kept"
	if f.gaps != 1 || !slices.Equal(f.errs, []string{want}) {
		t.Errorf("%d gaps, %q, want one", f.gaps, f.errs)
	}
}

func TestTooManyFilesToHoldAreAGap(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, nil, "logs/*")
	f.hold(func() {
		for i := range follow.FollowedMax + 1 {
			f.add(fmt.Sprint("b", i), "x\n")
		}
		f.Look()
		for i := range follow.FollowedMax + 1 {
			f.must(os.Remove(f.path(fmt.Sprint("b", i))))
		}
	})
	if got := len(strings.Fields(f.take())); got != follow.FollowedMax+1 { // "x slow" is two
		t.Errorf("%d fields, want %d", got, follow.FollowedMax+1)
	}
	if f.gaps != 1 || len(f.errs) != 1 || !strings.Contains(f.errs[0], "one too many beside 1000 open files") {
		t.Errorf("%d gaps, %q, want one", f.gaps, f.errs)
	}
}

// Follow is told of new names by the system while its sink keeps it waiting.
func TestFollowLooksForNamesWhileItsSinkIsSlow(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a": ""})
	ctx, cancel := context.WithCancel(t.Context())
	l := &awaited{listener: newListener(), caughtUp: make(chan struct{}), chunk: make(chan string)} // nobody takes chunks at first
	ended := make(chan error, 1)
	go func() { ended <- follow.Run(ctx, m, []string{"logs/*"}, options(t, "x"), follow.Options{}, l) }()
	<-l.caughtUp
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a", "x slow\n")
	for i := range 2 {
		path := write("b", fmt.Sprintf("x%d\n", i))
		awaitOpen(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{<-l.chunk, <-l.chunk, <-l.chunk}
	if slices.Sort(got); !slices.Equal(got, []string{"x slow\n", "x0\n", "x1\n"}) {
		t.Errorf("got %q", got)
	}
	cancel()
	<-ended
}

// awaitOpen waits until this process has a file open.
func awaitOpen(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		descriptors, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("open files cannot be listed here:", err)
		}
		for _, d := range descriptors {
			if to, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil && to == path {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not opened while the sink is slow", path)
		}
	}
}

// A file that expands to very much is looked at as long as anybody waits, and other names are
// looked for meanwhile.
func TestNamesAreLookedForWhileAFileIsExpanded(t *testing.T) {
	f := newFollowing(t, map[string]string{"a": ""}, func(o *search.Options) { o.Since = 1 }, "logs/none", "logs/c*")
	f.add("a", "2020-01-01T00:00:00Z x\n"+strings.Repeat("no line of this kind is wanted\n", 500_000))
	f.pack("a")
	f.rename("a.gz", "c.gz")
	f.pass() // it has to settle
	f.Wait(2 * time.Second)
	f.listener.held = func() { // its first line
		f.Wait(time.Minute) // so that it is time to look
		f.add("c.new", "x new\n")
	}
	f.pass()
	if f.Held() != 1 {
		t.Errorf("%d files are held, want the one that came meanwhile", f.Held())
	}
	f.must(os.Remove(f.path("c.new")))
	f.pass()
	if got, want := f.take(), "logs/c.gz:2020-01-01T00:00:00Z x logs/c.new:x new"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
