package search_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// A named pipe cannot be opened before somebody writes to it, which may never be. Nobody could end
// that.
func TestNamedPipesHoldNothingUp(t *testing.T) {
	m, dir := filestest.Tree(t, map[string]string{"a": "x\n"})
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(o search.Options, paths ...string) func(context.Context) {
		return func(ctx context.Context) { _, _ = search.Run(ctx, m, paths, o, &recorder{}) }
	}
	recursive := options(t, "x")
	recursive.Directories = files.DirectoriesRecurse
	for name, work := range map[string]func(context.Context){
		"complete":       func(ctx context.Context) { _, _, _ = m.Complete(ctx, "logs/pipe/") },
		"complete below": func(ctx context.Context) { _, _, _ = m.Complete(ctx, "logs/pipe/a/") },
		"name":           run(options(t, "x"), "logs/pipe"),
		"name below":     run(options(t, "x"), "logs/pipe/a"),
		"glob":           run(options(t, "x"), "logs/p*"),
		"glob below":     run(options(t, "x"), "logs/pipe/*"),
		"glob deep":      run(options(t, "x"), "logs/**/a*"),
		"glob deep in":   run(options(t, "x"), "logs/pipe/**"),
		"glob of both":   run(options(t, "x"), "logs/{a,pipe}/*"),
		"glob of dirs":   run(options(t, "x"), "logs/p*/*"),
		"recursive":      run(recursive, "logs"),
		"recursive in":   run(recursive, "logs/pipe"),
	} {
		ended := make(chan struct{})
		go func() { work(t.Context()); close(ended) }()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Errorf("%s waits for somebody to write to a named pipe", name)
			fd, err := syscall.Open(pipe, syscall.O_RDWR|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			<-ended
			syscall.Close(fd)
		}
	}
}
