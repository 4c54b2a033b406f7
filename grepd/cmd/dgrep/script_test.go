package main

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // the zone of the nodes
	testscript.Main(checked{m}, map[string]func(){"dgrep": main})
}

// checked runs the tests and looks for goroutines that they left behind.
type checked struct{ m *testing.M }

func (c checked) Run() int {
	status := c.m.Run()
	if err := goleak.Find(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

var update = flag.Bool("update", false, "rewrite what the scripts expect, and the help in README.md")

// TestScripts runs testdata/*.txt. Each script has a cluster: a node for each of the
// directories n1, n2, ... among its files, mounted as logs there. $N1, $N2, ... are their
// addresses, DGREP_VIA is the first one's. $DEAD is the address of a node where nobody
// listens, $FROZEN of one that accepts connections and says nothing; they are in
// the static list if the script has files named dead and frozen.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: startCluster, UpdateScripts: *update, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"cmpsorted": cmpSorted, "chtimes": chTimes},
	})
}

func startCluster(env *testscript.Env) error {
	// A program with the race detector sleeps for a second before it exits, each dgrep too.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	var dirs []string
	for {
		dir := filepath.Join(env.WorkDir, fmt.Sprint("n", len(dirs)+1))
		if _, err := os.Stat(dir); err != nil {
			break
		}
		dirs = append(dirs, dir)
	}
	listeners, err := servertest.Listen(len(dirs) + 2)
	if err != nil {
		return err
	}
	dead, frozen := listeners[len(dirs)], listeners[len(dirs)+1]
	dead.Close()
	env.Defer(func() { frozen.Close() })
	var others []string
	for name, listener := range map[string]net.Listener{"dead": dead, "frozen": frozen} {
		if _, err := os.Stat(filepath.Join(env.WorkDir, name)); err == nil {
			others = append(others, listener.Addr().String())
		}
	}
	slices.Sort(others)
	cluster, err := servertest.Start(listeners[:len(dirs)], dirs, others...)
	if err != nil {
		return err
	}
	env.Defer(func() {
		if err := cluster.Close(); err != nil {
			env.T().Log(err)
		}
	})
	for i, node := range cluster.Nodes {
		env.Setenv(fmt.Sprint("N", i+1), node.Addr)
	}
	if len(cluster.Nodes) > 0 {
		env.Setenv("DGREP_VIA", cluster.Nodes[0].Addr)
	}
	env.Setenv("DEAD", dead.Addr().String())
	env.Setenv("FROZEN", frozen.Addr().String())
	return nil
}

// cmpSorted compares two files, or stdout or stderr, whose lines may stand in any order.
// Variables in the second one are expanded.
func cmpSorted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cmpsorted file1 file2")
	}
	got, want := ts.ReadFile(args[0]), os.Expand(ts.ReadFile(args[1]), ts.Getenv)
	if got, want := sortLines([]byte(got)), sortLines([]byte(want)); !bytes.Equal(got, want) {
		ts.Fatalf("%s holds, sorted,\n%s\nwant\n%s", args[0], got, want)
	}
}

// chTimes makes files as old as the time that is its first argument.
func chTimes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: chtimes time file...")
	}
	at, err := time.Parse(time.RFC3339, args[0])
	ts.Check(err)
	for _, name := range args[1:] {
		ts.Check(os.Chtimes(ts.MkAbs(name), at, at))
	}
}

// sortLines returns the text with its lines sorted.
func sortLines(text []byte) []byte {
	lines := slices.Collect(bytes.Lines(text))
	slices.SortFunc(lines, bytes.Compare)
	return bytes.Join(lines, nil)
}
