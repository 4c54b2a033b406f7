package files

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAlternativesOfAGlob(t *testing.T) {
	for glob, want := range map[string]int{
		"a*":            1,
		"{a,b}":         2,
		"{a,b}x{c,d,e}": 6,
		"a,b":           1,
		`\{a,b\}`:       1,
		"{,}{,}":        4,
		"{a,b":          1, // no glob at all, which is said elsewhere
		"}{":            1,
	} {
		if got := alternatives(glob); got != want {
			t.Errorf("%q: %d, want %d", glob, got, want)
		}
	}
	if err := CheckGlob(strings.Repeat("{,}", 2000)); err == nil {
		t.Error("2^2000 alternatives were accepted")
	}
	if err := CheckGlob("nginx/{a,b,c}-{01..}{02,03,04,05,06,07,08,09,10}*"); err != nil {
		t.Error(err)
	}
}

// deepFinder searches a mount of directories within each other.
func deepFinder(t *testing.T, depth int) (*finder, *mount) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", depth)), 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := OpenMounts([]string{"logs=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &finder{mounts: m, progress: &Progress{}}, m.mounts[0].now.Load()
}

func TestGlobEndsWhenNobodyWaitsForIt(t *testing.T) {
	f, m := deepFinder(t, 12)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	files := &globFS{root: m.root, ctx: ctx, steps: &atomic.Uint64{}, looked: func(string) {}}
	if _, err := files.ReadDir("."); !errors.Is(err, context.Canceled) {
		t.Errorf("ReadDir: %v", err)
	}
	// It would take years to walk all the ways to these.
	if _, err := f.glob(ctx, m, strings.Repeat("**/", 40)+"x"); !errors.Is(err, context.Canceled) {
		t.Errorf("glob: %v", err)
	}
}

func TestGlobThatLooksAtTooMuchIsRefused(t *testing.T) {
	_, m := deepFinder(t, 1)
	files := &globFS{root: m.root, ctx: context.Background(), reads: globReadsMax - 1, steps: &atomic.Uint64{}, looked: func(string) {}}
	if _, err := files.Stat("."); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Stat("."); err == nil || !strings.Contains(err.Error(), "looks at more than 1048576") {
		t.Errorf("%v", err)
	}
	if files.refusal == nil {
		t.Error("the refusal is forgotten")
	}
}
