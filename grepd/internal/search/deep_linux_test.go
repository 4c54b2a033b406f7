package search_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// openFiles counts the files that are open when a file is begun.
type openFiles struct {
	recorder
	most int
}

func (o *openFiles) Begin(path string, size int64) error {
	entries, err := os.ReadDir("/proc/self/fd")
	o.most = max(o.most, len(entries))
	if err != nil {
		return err
	}
	return o.recorder.Begin(path, size)
}

// Whoever may make directories must not take all files that grepd may have open.
func TestDeepDirectoriesAreNotKeptOpen(t *testing.T) {
	const depth = 300
	m, _ := tree(t, map[string]string{"a": "x\n", strings.Repeat("d/", depth) + "b": "x\n"})
	o := options(t, "x")
	o.Directories = search.DirectoriesRecurse
	sink := &openFiles{}
	stats, err := search.Run(context.Background(), m, []string{"logs"}, o, sink)
	if err != nil || stats.Matches != 2 {
		t.Fatalf("%+v, %v; want 2 matches", stats, err)
	}
	if sink.most >= depth {
		t.Errorf("%d files are open at a depth of %d", sink.most, depth)
	}
}
