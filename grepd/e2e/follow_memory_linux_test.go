package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// followMemoryKiB bounds what each process of a follow takes whose reader is stopped.
	followMemoryKiB = 64 << 10
	// followBacklogBytes is what is written to each log meanwhile.
	followBacklogBytes = 100 << 20
	followLine         = "backlog of a reader that is stopped, in which each line is of this kind and length 0123456789\n"
)

// memoryKiB is the most memory that a process has had.
func (p *process) memoryKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, told := strings.Cut(string(status), "VmHWM:")
	if !told {
		t.Skip("the kernel does not tell how much memory a process has had (VmHWM)")
	}
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hasOpen tells whether a process has a file open that has, or had, some name.
func (p *process) hasOpen(path string) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid()))
	for _, d := range descriptors {
		if to, err := os.Readlink(d); err == nil && to == path {
			return true
		}
	}
	return false
}

// TestAFollowWhoseReaderIsStoppedIsHeldUpWithoutMemory stops dgrep while 100 MiB are written to each node's log, which are rotated
// away and removed then. Whoever asks, is asked and answers keeps none of that in memory, and all comes when dgrep goes on.
func TestAFollowWhoseReaderIsStoppedIsHeldUpWithoutMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	c := newCluster(t, 2, 1)
	c.start(c.nodes...)
	f := startFollowing(t, c.nodes[0], "-n", "backlog", "logs/app.log")
	if err := f.process.os.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	processes := map[string]*process{"dgrep": f.process, "the node that is asked": c.nodes[0].process, "the other node": c.nodes[1].process}
	check := func(when string) {
		t.Helper()
		for name, p := range processes {
			kib := p.memoryKiB(t)
			t.Logf("%s %s has had %d KiB", when, name, kib)
			if kib > followMemoryKiB {
				t.Errorf("%s %s has had %d KiB, want at most %d", when, name, kib, followMemoryKiB)
			}
		}
	}
	lines := followBacklogBytes / len(followLine)
	backlog := bytes.Repeat([]byte(followLine), lines)
	for _, n := range c.nodes {
		path := filepath.Join(n.logDir(), "app.log")
		for i := range 3 {
			text := fmt.Sprintf("backlog %d\n", i)
			if i == 1 {
				text = string(backlog)
			}
			if err := appendTo(path, text); err != nil {
				t.Fatal(err)
			}
			await(t, followLimit, "the log is opened", func() error {
				if !n.process.hasOpen(path) {
					return errors.New("it is not")
				}
				return nil
			})
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	check("while dgrep is stopped")
	if err := f.process.os.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await(t, 4*followLimit, "all lines are printed", func() error {
		if info, err := os.Stat(f.path("lines")); err != nil || info.Size() < 2*followBacklogBytes { // it is large to be read often
			return fmt.Errorf("they are not: %v", err)
		}
		if got, want := bytes.Count([]byte(f.read("lines")), []byte("\n")), 2*(lines+2); got != want {
			return fmt.Errorf("%d lines, want %d; it says %q", got, want, f.read("messages"))
		}
		return nil
	})
	check("at the end")
	if messages := f.read("messages"); strings.Contains(messages, "gap") {
		t.Errorf("messages %q: want no gap", messages)
	}
	f.process.terminate(t)
}
