// Package filestest makes files that tests search. It lies beside package files, not in its tests,
// since those of other packages use it too.
//
// # Concurrency
//
// Each function is for the goroutine of the test.
package filestest

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// Tree writes texts to files of these names below a new directory, which is mounted as "logs". Names
// may have slashes. The mounts are closed when the test ends.
func Tree(t testing.TB, texts map[string]string) (m *files.Mounts, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := files.OpenMounts([]string{"logs=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, dir
}

// Gzipped gives a gzip file with a member for each text.
func Gzipped(texts ...string) string {
	var b bytes.Buffer
	for _, text := range texts {
		w := gzip.NewWriter(&b)
		io.WriteString(w, text) // a Buffer takes everything
		w.Close()
	}
	return b.String()
}
