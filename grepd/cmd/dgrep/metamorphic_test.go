package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

var (
	seedFlag   = flag.Uint64("seed", 1, "seed of random tests; 0: a new one, for long runs, which may come across new quirks of grep")
	trialsFlag = flag.Int("trials", 150, "trials of random tests")
)

// TestClusterEqualsGrep asks clusters of 1 to 4 nodes what GNU grep is asked over the same
// files: with random files, patterns and options. Each node's directory is named as
// the node's part of a file's name, so that both print the same names.
func TestClusterEqualsGrep(t *testing.T) {
	grep := gnuGrep(t)
	random := newRandom(t)
	for trial := 0; trial < *trialsFlag && !t.Failed(); {
		w := newWorld(t, random, 1+random.IntN(4))
		for range 15 {
			w.compare(t, grep)
			trial++
		}
		if err := w.cluster.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// gnuGrep gives the path of a grep to compare with, or skips the test.
func gnuGrep(t *testing.T) string {
	grep, err := exec.LookPath("grep")
	if err != nil {
		t.Skip("there is no grep to compare with")
	}
	if out, _ := exec.Command(grep, "--version").Output(); !bytes.Contains(out, []byte("GNU grep) 3.")) {
		t.Skip("grep is not GNU grep 3")
	}
	return grep
}

// newRandom makes the random numbers of a test, and prints the seed.
func newRandom(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// world is a cluster and its files.
type world struct {
	random  *rand.Rand
	dir     string // holds a directory named <node>:logs for each node
	cluster *servertest.Cluster
	paths   []string            // as dgrep names them
	onNode  map[string][]string // as grep names them, by path
	single  bool                // one node and one file
	binary  bool                // some file is
	env     []string            // of grep, besides its locale
}

func newWorld(t *testing.T, random *rand.Rand, nodes int) *world {
	w := &world{random: random, dir: t.TempDir(), onNode: make(map[string][]string)}
	listeners, err := servertest.Listen(nodes)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for range 1 + random.IntN(3) {
		w.paths = append(w.paths, fmt.Sprint("logs/", string(rune('a'+len(w.paths)))))
	}
	w.single = nodes == 1 && len(w.paths) == 1
	for i, listener := range listeners {
		prefix := listener.Addr().String() + ":"
		dirs = append(dirs, filepath.Join(w.dir, prefix+"logs"))
		if err := os.Mkdir(dirs[i], 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range w.paths {
			if i > 0 && random.IntN(5) == 0 {
				continue // some nodes lack some files
			}
			w.onNode[path] = append(w.onNode[path], prefix+path)
			if err := os.WriteFile(filepath.Join(w.dir, prefix+path), w.content(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if w.cluster, err = servertest.Start(listeners, dirs); err != nil {
		t.Fatal(err)
	}
	return w
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// content makes a file: short lines of few letters, so that patterns match often.
func (w *world) content() []byte {
	var b bytes.Buffer
	for range w.random.IntN(40) {
		for range w.random.IntN(8) {
			b.WriteString(pick(w.random, "a", "b", "a", "b", "A", "B", " ", "_", "é", "ab", "."))
		}
		b.WriteString("\n")
	}
	if w.random.IntN(8) == 0 {
		b.WriteString("a\x00b\n")
		w.binary = true
	}
	if w.random.IntN(4) == 0 {
		b.WriteString("ab without newline")
	}
	return b.Bytes()
}

// command makes up options and a pattern. It keeps away from the deviations that the package
// comments of dgrep and printer tell of.
func (w *world) command() []string {
	var args []string
	maybe := func(percent int, options ...string) bool {
		if w.random.IntN(100) >= percent {
			return false
		}
		args = append(args, strings.Fields(pick(w.random, options...))...)
		return true
	}
	pattern := pick(w.random, "a", "ab", "b", "", "é", "^a", "b$", "a.b", "[ab]b", "aa*", "bbbbbb", "a\nA", ".", "B", "__", "^$")
	matchesNothing := pattern == "" || pattern == "^$"
	inverted := maybe(15, "-v")
	if pattern == "" && inverted { // where grep does not even begin
		pattern = "b"
	}
	maybe(40, "-E", "-F", "-G")
	maybe(25, "-i")
	maybe(15, "-w", "-x")
	listed := maybe(10, "-l", "-L")
	maybe(15, "-c", "-q")
	parts := maybe(15, "-o")
	maybe(30, "-n")
	maybe(15, "-b")
	switch {
	case !listed:
		maybe(20, "-H", "-h")
	case w.single:
		args = append(args, "-H")
	}
	maybe(10, "-s")
	maybe(15, "-m1", "-m3", "-m 5", "-nm2")
	if !listed { // names that end in zero bytes are no lines to be sorted
		maybe(10, "-Z")
		maybe(5, "-m0")
	}
	maybe(10, "-a", "-I")
	maybe(10, "-T", "--initial-tab")
	maybe(10, "--no-group-separator", "--group-separator=//", "--line-buffered", "-U", "-y", "--no-ignore-case")
	context := !w.binary && !(parts && (inverted || matchesNothing)) && maybe(40, "-A1", "-B2", "-C1", "-2", "-A0", "-n1")
	if !(context && inverted) {
		maybe(15, "--color=always")
	}
	maybe(20, "-e", "--regexp")
	return append(args, pattern)
}

// compare asks both and compares all that they say.
func (w *world) compare(t *testing.T, grep string) {
	args := w.command()
	var files []string
	for _, path := range w.paths {
		files = append(files, w.onNode[path]...)
	}
	grepArgs := slices.Concat(args, files)
	if !w.single { // grep cannot know that there are nodes which lack the file
		grepArgs = slices.Insert(grepArgs, 0, "-H")
	}
	wantOut, wantErr, wantStatus := w.grep(t, grep, grepArgs)

	var stdout, stderr bytes.Buffer
	via := "--via=" + w.cluster.Nodes[0].Addr
	gotStatus := run(slices.Concat([]string{via}, args, w.paths), strings.NewReader(""), &stdout, &stderr, noEnv)
	got := answerText{sorted(stdout.Bytes()), sorted(withoutCoverage(stderr.Bytes())), gotStatus}
	want := answerText{sorted(wantOut), sorted(bytes.ReplaceAll(wantErr, []byte("grep: "), []byte("dgrep: "))), wantStatus}
	if got != want {
		t.Errorf("dgrep %q over %d nodes, files %q: exit status %d, want %d\n%s%s", args, len(w.cluster.Nodes), files,
			got.status, want.status, diff.Diff("dgrep", []byte(got.stdout), "grep", []byte(want.stdout)),
			diff.Diff("dgrep", []byte(got.stderr), "grep", []byte(want.stderr)))
	}
}

// answerText is all that a command says, its lines sorted.
type answerText struct {
	stdout, stderr string
	status         int
}

func sorted(text []byte) string { return string(sortLines(text)) }

func noEnv(string) string { return "" }

var coverageLine = regexp.MustCompile(`(?m)^dgrep: \d+ of \d+ nodes? answered\n`)

func withoutCoverage(stderr []byte) []byte { return coverageLine.ReplaceAll(stderr, nil) }

// grep runs GNU grep in the directory of the files.
func (w *world) grep(t *testing.T, grep string, args []string) (stdout, stderr []byte, status int) {
	return w.grepInput(t, grep, args, "")
}

// grepInput is grep with a standard input, a pipe.
func (w *world) grepInput(t *testing.T, grep string, args []string, input string) (stdout, stderr []byte, status int) {
	cmd := &exec.Cmd{Path: grep, Args: append([]string{"grep"}, args...)}
	cmd.Dir = w.dir
	cmd.Env = append([]string{"LC_ALL=C.UTF-8"}, w.env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("grep: %v", err)
	}
	return out.Bytes(), errs.Bytes(), cmd.ProcessState.ExitCode()
}
