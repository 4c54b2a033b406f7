package files

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A rotator replaces x by x.gz between the moments at which x is listed and opened.
func TestALogThatIsCompressedMeanwhileIsFound(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b.gz", "c.zst"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := OpenMounts([]string{"logs=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var opened, failed []string
	f := &finder{mounts: m, progress: &Progress{}, Visitor: Visitor{
		File: func(f *os.File, path string, _ int64) error {
			opened = append(opened, path)
			return f.Close()
		},
		Fail: func(e FileError) error {
			failed = append(failed, e.Path)
			return nil
		},
	}}
	for _, names := range [][]string{{"a", "b", "c", "d"}, {"b", "b.gz"}} {
		found := origin{given: true, listed: newListing(names)}
		for _, name := range names {
			if err := f.visit(context.Background(), m.mounts[0].now.Load(), name, found, []fs.FileInfo(nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// b.gz was not listed at first, and would be searched twice if it took b's place although it
	// was.
	if want := []string{"logs/a", "logs/b.gz", "logs/c.zst", "logs/b.gz"}; !slices.Equal(opened, want) {
		t.Errorf("searched %q, want %q", opened, want)
	}
	if want := []string{"logs/d"}; !slices.Equal(failed, want) {
		t.Errorf("missed %q, want %q", failed, want)
	}
}
