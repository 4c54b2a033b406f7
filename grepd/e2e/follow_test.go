package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// followLimit is when a test gives up on a line that is to be printed.
const followLimit = time.Minute

// following is a dgrep that follows a cluster's logs.
type following struct {
	t       *testing.T
	dir     string
	process *process
}

// startFollowing starts a dgrep, and waits until it follows.
func startFollowing(t *testing.T, via *node, args ...string) *following {
	t.Helper()
	f := &following{t: t, dir: t.TempDir()}
	script := fmt.Sprintf(`exec "%s" --via %s --follow "$@" 2>"%s"`, filepath.Join(bin, "dgrep"), via.addr, f.path("messages"))
	f.process = startProcess(t, f.path("lines"), "/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	t.Cleanup(func() {
		if f.process.running() {
			f.process.kill()
		}
	})
	f.awaitMessage("following ")
	return f
}

func (f *following) path(name string) string { return filepath.Join(f.dir, name) }

// read gives what was printed so far.
func (f *following) read(name string) string {
	f.t.Helper()
	content, err := os.ReadFile(f.path(name))
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return string(content)
}

func (f *following) awaitMessage(text string) {
	f.t.Helper()
	await(f.t, followLimit, "dgrep says "+text, func() error {
		messages := f.read("messages")
		if !strings.Contains(messages, text) && !strings.Contains(f.read("lines"), `{"type":"notice","data":{"message":"`+text) {
			return fmt.Errorf("it says %q", messages)
		}
		return nil
	})
}

// rotatedName is under what name lines come of a file that was not yet known when it was rotated.
var rotatedName = regexp.MustCompile(`app\.log\.[0-9]+:`)

// awaitLines waits until all lines are printed, and wants each once.
func (f *following) awaitLines(want []string) {
	f.t.Helper()
	slices.Sort(want)
	await(f.t, followLimit, "all lines are printed", func() error {
		lines := rotatedName.ReplaceAllString(f.read("lines"), "app.log:")
		got := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
		slices.Sort(got)
		if len(got) > len(want) {
			f.t.Fatalf("%d lines, want %d: %q", len(got), len(want), difference(got, want))
		}
		if missing := difference(want, got); len(missing) > 0 || len(got) != len(want) {
			return fmt.Errorf("%d of %d lines, without %d as %q; it says %q", len(got), len(want), len(missing), missing[:min(len(missing), 3)], f.read("messages"))
		}
		return nil
	})
}

// difference gives what is in a, as often as it is there more often than in b.
func difference(a, b []string) (more []string) {
	count := map[string]int{}
	for _, line := range b {
		count[line]++
	}
	for _, line := range a {
		if count[line]--; count[line] < 0 {
			more = append(more, line)
		}
	}
	return more
}

// writer writes lines to a node's log, which it rotates, whether the node runs or not.
type writer struct {
	node  *node
	stop  chan struct{}
	group sync.WaitGroup
	lines []string // as dgrep prints them
}

func (n *node) startWriting(rotateEvery int) *writer {
	w := &writer{node: n, stop: make(chan struct{})}
	w.group.Go(func() {
		path := filepath.Join(n.logDir(), "app.log")
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-w.stop:
				return
			case <-tick.C:
			}
			line := fmt.Sprintf("%s torture %d", time.Now().UTC().Format(time.RFC3339Nano), i)
			if err := appendTo(path, line+"\n"); err != nil {
				n.t.Error(err)
			}
			w.lines = append(w.lines, n.addr+":logs/app.log:"+line)
			if i%rotateEvery == 0 {
				if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i/rotateEvery)); err != nil {
					n.t.Error(err)
				}
			}
		}
	})
	return w
}

func appendTo(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(text)
	return err
}

func (w *writer) end() []string {
	close(w.stop)
	w.group.Wait()
	return w.lines
}

// TestFollowAcrossAllThatHappens follows the logs of a cluster, which are written to and rotated all the time, while a member
// is killed and comes back, another joins, another leaves, and daemons are upgraded, the one that was asked included.
func TestFollowAcrossAllThatHappens(t *testing.T) {
	c := newCluster(t, 5, 2)
	asked, upgraded, killed, leaving, newcomer := c.nodes[0], c.nodes[1], c.nodes[2], c.nodes[3], c.nodes[4]
	asked.upgradable()
	upgraded.upgradable()
	c.start(c.nodes[:4]...)
	if err := appendTo(filepath.Join(killed.logDir(), "app.log"), "torture before\n"); err != nil {
		t.Fatal(err)
	}
	f := startFollowing(t, asked, "torture", "logs/*")
	var writers []*writer
	for _, n := range c.nodes[:4] {
		writers = append(writers, n.startWriting(100))
	}

	c.kill(killed)
	f.awaitMessage(killed.addr + " failed while it was followed")
	c.start(newcomer)
	writers = append(writers, newcomer.startWriting(100))
	f.awaitMessage(newcomer.addr + " is followed now")
	upgraded.newProgram(1)
	upgraded.upgrade()
	c.start(killed)
	f.awaitMessage(killed.addr + " is followed now")
	asked.newProgram(1)
	asked.upgrade()
	f.awaitMessage("connected to grepd at " + asked.addr + " again")

	var want []string
	for _, w := range writers {
		want = append(want, w.end()...)
	}
	f.awaitLines(want)
	leaving.process.terminate(t)
	f.awaitMessage(leaving.addr + " left while it was followed")
	if err := f.process.os.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := f.process.wait(t); status != 2 {
		t.Errorf("status %d, want 2: a member is not followed any more", status)
	}
	messages := f.read("messages")
	for _, want := range []string{"following 4 of 4 members", "4 of 5 members followed to the end; " + leaving.addr + " left while it was followed"} {
		if !strings.Contains(messages, want) {
			t.Errorf("messages %q, want %q among them", messages, want)
		}
	}
	if strings.Contains(messages, "gap") || strings.Contains(messages, upgraded.addr) {
		t.Errorf("messages %q: want no gap, and nothing of the upgrade of another node", messages)
	}
}

// TestFollowOfItsOwnLogs follows the members' own logs, in which nothing of the follow may turn up.
func TestFollowOfItsOwnLogs(t *testing.T) {
	c := newCluster(t, 2, 1)
	c.start(c.nodes...)
	f := startFollowing(t, c.nodes[0], "--json", "", "logs/*")
	victim := c.nodes[1]
	c.kill(victim)
	await(t, followLimit, "the failure is printed", func() error {
		if lines := f.read("lines"); !strings.Contains(lines, `\"event\":\"FAIL\"`) || !strings.Contains(lines, `"event":"lost","outcome":"failed"`) {
			return fmt.Errorf("it is not among %d bytes", len(lines))
		}
		return nil
	})
	f.process.terminate(t)
	if lines := f.read("lines"); strings.Contains(lines, "follow\\") || len(lines) > 1<<20 {
		t.Errorf("%d bytes, want only what the members have done", len(lines))
	}
}
