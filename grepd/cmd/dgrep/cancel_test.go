package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// endlessBytes is the size of a file with nothing in it, which takes hours to read and no room on a disk.
const endlessBytes = 1 << 42

// A query that nobody waits for any more ends the searches of all nodes, whose disks would be busy for hours: because it was
// interrupted, or because -q has seen enough.
func TestCancelledQueryEndsEverySearch(t *testing.T) {
	const nodes = 3
	listeners, err := servertest.Listen(nodes)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for i := range nodes {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		if err := os.WriteFile(filepath.Join(dir, "endless"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, "endless"), endlessBytes); err != nil {
			t.Skipf("no file of %d bytes can be had here: %v", int64(endlessBytes), err)
		}
		if i == nodes-1 {
			if err := os.WriteFile(filepath.Join(dir, "first"), []byte("x\x00"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cluster, err := servertest.Start(listeners, dirs)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ask := func(ctx context.Context, args ...string) int {
		args = append([]string{"--via=" + cluster.Nodes[0].Addr, "-z"}, args...)
		o, err := parse(args, strings.NewReader(""), &bytes.Buffer{}, noEnv)
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		return askAndPrint(ctx, o, strings.NewReader(""), &stdout, &stderr, newProgressLine(o, &stderr, noEnv))
	}

	ctx, cancel := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() { status <- ask(ctx, "x", "logs/endless") }()
	await(t, "all nodes search", func() bool { return searching(cluster) == nodes })
	cancel()
	if got := <-status; got != exitInterrupted {
		t.Errorf("interrupted it exits with %d, want %d", got, exitInterrupted)
	}
	await(t, "the searches of an interrupted query end", func() bool { return searching(cluster) == 0 })

	if got := ask(t.Context(), "-q", "x", "logs/first", "logs/endless"); got != printer.ExitMatch {
		t.Errorf("-q exits with %d", got)
	}
	await(t, "the searches end when -q has seen a line", func() bool { return searching(cluster) == 0 })
}

// searching counts the nodes that are at work.
func searching(c *servertest.Cluster) (n int) {
	for _, node := range c.Nodes {
		n += node.Searches()
	}
	return n
}

// await waits until the condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
