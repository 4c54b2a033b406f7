package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// TestTreesAreSearchedAsGrepDoes searches random directories with the options that choose among files.
func TestTreesAreSearchedAsGrepDoes(t *testing.T) {
	grep := gnuGrep(t)
	random := newRandom(t)
	for trial := 0; trial < *trialsFlag && !t.Failed(); {
		w := newTree(t, random)
		for range 15 {
			args, paths := w.command(), w.operands()
			w.compare(t, grep, args, paths)
			trial++
		}
		if err := w.cluster.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// treeWorld is one node whose directory is named as its part of files' names.
type treeWorld struct {
	random  *rand.Rand
	dir     string
	prefix  string // of names in answers
	cluster *servertest.Cluster
	names   []string // of files, directories, links and pipes, beginning with logs/
}

func newTree(t *testing.T, random *rand.Rand) *treeWorld {
	listeners, err := servertest.Listen(1)
	if err != nil {
		t.Fatal(err)
	}
	w := &treeWorld{random: random, dir: t.TempDir(), prefix: listeners[0].Addr().String() + ":"}
	root := filepath.Join(w.dir, w.prefix+"logs")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	dirs := []string{"logs"}
	for range 3 + random.IntN(10) {
		dir := pick(random, dirs...)
		name := dir + "/" + pick(random, "a", "b", "c.log", "d.log", "e.txt", "old", "[x]", "a*b")
		if slices.Contains(w.names, name) {
			continue
		}
		w.names = append(w.names, name)
		path := filepath.Join(w.dir, w.prefix+name)
		switch random.IntN(8) {
		case 0, 1:
			dirs = append(dirs, name)
			err = os.Mkdir(path, 0o700)
		case 2:
			err = os.Symlink(pick(random, "a", "b", "c.log", "../a", ".", "..", "old", "nowhere"), path)
			if target, _ := filepath.EvalSymlinks(path); target != root && !strings.HasPrefix(target, root+"/") {
				os.Remove(path) // which leads nowhere, or out of the mount: that is where dgrep differs
				w.names = w.names[:len(w.names)-1]
			}
		case 3:
			err = syscall.Mkfifo(path, 0o600)
		default:
			err = os.WriteFile(path, []byte(pick(random, "x\n", "a\nx\n", "y", "", "x x\nx", "a\x00x\x00\n")), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if w.cluster, err = servertest.Start(listeners, []string{root}); err != nil {
		t.Fatal(err)
	}
	return w
}

// command makes up options. -D skip is among them always: grep waits for whoever writes to a pipe.
func (w *treeWorld) command() []string {
	args := []string{"-H", "-Dskip"}
	maybe := func(percent int, options ...string) {
		if w.random.IntN(100) < percent {
			args = append(args, strings.Fields(pick(w.random, options...))...)
		}
	}
	maybe(70, "-r", "-R", "-d recurse", "--directories=sk", "-d read", "-r -d skip", "-R -d recurse", "-Rr", "-rR", "--dereference-recursive")
	maybe(40, "-c", "-l", "-L", "-lc", "-Lc", "-o", "-n")
	maybe(10, "-m0", "-m1", "-v", "-s")
	maybe(10, "--binary-files=text", "--binary-files=without-match", "-U", "-z")
	for range w.random.IntN(3) {
		option := pick(w.random, "--include=", "--exclude=")
		args = append(args, option+pick(w.random, "*.log", "a*", "*", "[ab]", "[!a]*", "*.t[[:alpha:]]t", "c.log", "?", `\a`, "[x]", `\[x\]`, "a.log/", "{a,b}", "[^a-c]*"))
	}
	maybe(20, "--exclude-dir=old", "--exclude-dir=a", "--exclude-dir=*/", "--exclude-dir=o*", "--exclude-dir=b --exclude-dir=old/")
	return append(args, pick(w.random, "x", "x", "x", "a", "nothing", ""))
}

func (w *treeWorld) operands() []string {
	paths := []string{"logs"}
	for range w.random.IntN(3) {
		name := strings.NewReplacer("[", `\[`, "*", `\*`).Replace(pick(w.random, w.names...))
		paths = append(paths, name)
	}
	return paths[w.random.IntN(min(2, len(paths))):]
}

// compare asks both and compares what they say, lines in any order: grep takes a directory as it comes.
func (w *treeWorld) compare(t *testing.T, grep string, args, paths []string) {
	grepArgs := slices.Clone(args)
	for _, path := range paths {
		grepArgs = append(grepArgs, w.prefix+strings.ReplaceAll(path, `\`, ""))
	}
	wantOut, wantErr, wantStatus := (&world{dir: w.dir}).grep(t, grep, grepArgs)
	var stdout, stderr bytes.Buffer
	gotStatus := run(slices.Concat([]string{"--via=" + w.cluster.Nodes[0].Addr}, args, paths), strings.NewReader(""), &stdout, &stderr, noEnv)
	lines := func(text []byte) string { return sorted(bytes.ReplaceAll(text, []byte{0}, []byte{'\n'})) }
	got := answerText{lines(stdout.Bytes()), sorted(asGrepSays(stderr.Bytes())), gotStatus}
	want := answerText{lines(wantOut), sorted(asGrepSays(wantErr)), wantStatus}
	if got != want {
		t.Errorf("dgrep %q %q among %q: exit status %d, want %d\n%s%s", args, paths, w.names, got.status, want.status,
			diff.Diff("dgrep", []byte(got.stdout), "grep", []byte(want.stdout)),
			diff.Diff("dgrep", []byte(got.stderr), "grep", []byte(want.stderr)))
	}
}

// asGrepSays leaves only grep's messages, without its name.
func asGrepSays(stderr []byte) []byte {
	return programName.ReplaceAll(withoutCoverage(stderr), nil)
}

var programName = regexp.MustCompile("(?m)^d?grep: ")

// TestInputIsSearchedAsGrepDoes compares what the options make of standard input.
func TestInputIsSearchedAsGrepDoes(t *testing.T) {
	grep := gnuGrep(t)
	random := newRandom(t)
	for range *trialsFlag {
		var args []string
		for range 1 + random.IntN(4) {
			args = append(args, strings.Fields(pick(random, "-z", "-z", "-T", "-nT", "-b", "-H", "--label=in", "-h", "-U", "-u", "--unix-byte-offsets",
				"-y", "-i", "--no-ignore-case", "-o", "-c", "-l", "-L", "-m0", "-m1", "-m2", "-A0", "-A1", "-C1", "--group-separator=//", "--group-separator=",
				"--no-group-separator", "--color=always", "--colou=always", "-Z", "--line-buffered", "-a", "--binary-files=without-match", "-d skip", "-D skip",
				"-E", "-F", "-P", "--fixed-regexp", "-x", "-w", "-q", "-s", "-v"))...)
		}
		if inverted := slices.Contains(args, "-v"); inverted && (slices.Contains(args, "--color=always") || slices.Contains(args, "--colou=always") || slices.Contains(args, "-o")) {
			continue // where dgrep differs
		}
		if slices.Contains(args, "-o") && (slices.Contains(args, "-w") || slices.Contains(args, "-A0") || slices.Contains(args, "-A1") || slices.Contains(args, "-C1")) {
			continue
		}
		args = append(args, pick(random, "x", "X", "a", "^x", "x$", "a.x", "", "x x"))
		var text bytes.Buffer
		for range random.IntN(8) {
			text.WriteString(pick(random, "x", "a", "X", "a x", "x x", "", "é") + pick(random, "\n", "\n", "\x00", "\n", "\r\n"))
		}
		if !slices.Contains(args, "-z") { // else it matters which block has the zero byte
			text = *bytes.NewBuffer(bytes.ReplaceAll(text.Bytes(), []byte{0}, []byte{'\n'}))
		}
		input := text.String()
		colors := pick(random, "", "", "mt=01;32", "sl=1:cx=2", "rv:sl=1:cx=2", "ne:fn=34:ln=33:bn=31:se=35", "mt=", "x:y=1:ms=2", "mt=a:ms=2", "ms=2:mt", "rv=1:cx=2:sl=1", "=1:mt=2", "se=:mt=1=2:ne")
		w := &world{dir: t.TempDir(), env: []string{"GREP_COLORS=" + colors}}
		wantOut, wantErr, wantStatus := w.grepInput(t, grep, args, input)
		if wantStatus == 2 && bytes.Contains(wantErr, []byte("warning")) {
			continue // which dgrep keeps to itself when the command line is wrong
		}
		var stdout, stderr bytes.Buffer
		getenv := func(name string) string { return map[string]string{"GREP_COLORS": colors}[name] }
		status := run(args, strings.NewReader(input), &stdout, &stderr, getenv)
		wantErr, gotErr := asGrepSays(wantErr), asGrepSays(stderr.Bytes())
		if got, want := fmt.Sprintf("%q %q %d", stdout.String(), gotErr, status), fmt.Sprintf("%q %q %d", wantOut, wantErr, wantStatus); got != want {
			t.Errorf("GREP_COLORS=%s dgrep %q of %q:\ngot  %s\nwant %s", colors, args, input, got, want)
		}
	}
}
