package search_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
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
	texts := make(map[string]string)
	for i := range 2 * depth { // more than are searched ahead of the sink
		texts[fmt.Sprint(strings.Repeat("d/", depth), i)] = "x\n"
	}
	m, _ := filestest.Tree(t, texts)
	o := options(t, "x")
	o.Directories, o.Workers = files.DirectoriesRecurse, 1
	sink := &openFiles{}
	stats, err := search.Run(context.Background(), m, []string{"logs"}, o, sink)
	if err != nil || stats.Matches != 2*depth {
		t.Fatalf("%+v, %v; want each file's match", stats, err)
	}
	if sink.most >= depth {
		t.Errorf("%d files are open at a depth of %d", sink.most, depth)
	}
}
