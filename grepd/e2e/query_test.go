package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon that is stopped in the middle of its answer costs a query the timeout, and what it had said by then is kept,
// whole lines in their order, and marked.
func TestDaemonThatIsStoppedMeanwhile(t *testing.T) {
	c := newCluster(t, 3, 0)
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr)
	}
	for _, n := range c.nodes {
		n.args = []string{"--listen", n.addr, "--log-dir", n.logDir(), "--nodes", strings.Join(addrs, ",")}
		n.writeLoad()
		n.start()
	}
	via, victim := c.nodes[0], c.nodes[2]
	await(t, joinLimit, "all answer", func() error {
		r := command(t, "dgrep", "--via", via.addr, "-c", "line", "logs/"+loadFile)
		if r.status != 0 {
			return fmt.Errorf("dgrep: %v", r)
		}
		return nil
	})

	cmd := exec.Command(filepath.Join(bin, "dgrep"), "--via", via.addr, "--timeout", "5s", "line", "logs/"+longFile)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() }) // the only error is that it has ended
	defer hung.Stop()
	t.Cleanup(func() { _ = syscall.Kill(victim.process.pid(), syscall.SIGCONT) })

	next := map[string]int{} // the number of each node's next line
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		addr := strings.SplitN(lines.Text(), ":logs/", 2)[0]
		want := fmt.Sprintf("%s:logs/%s:%s has line %06d of a file that takes long to read to its very end", addr, longFile, addr, next[addr])
		if lines.Text() != want {
			t.Fatalf("line %q, want %q", lines.Text(), want)
		}
		if next[addr]++; addr == victim.addr && next[addr] == 1 {
			if err := syscall.Kill(victim.process.pid(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the status stays in ProcessState
	coverage := fmt.Sprintf("dgrep: 2 of 3 nodes answered; %s timed out: silent for 5s (its output is partial)\n", victim.addr)
	if status := cmd.ProcessState.ExitCode(); status != 2 || stderr.String() != coverage {
		t.Errorf("exit status %d, %q, want 2, %q", status, stderr.String(), coverage)
	}
	for _, n := range c.nodes {
		if got := next[n.addr]; (got == longLines) != (n != victim) || got == 0 {
			t.Errorf("%s has %d lines of %d", n.addr, got, longLines)
		}
	}
	// The others' answers are all that --require=quorum wants.
	if r := command(t, "dgrep", "--via", via.addr, "--timeout", "3s", "--require=quorum", "-c", "odd", "logs/"+loadFile); r.status != 0 || strings.Count(r.stdout, "\n") != 2 {
		t.Errorf("with --require=quorum: %v", r)
	}
}
