package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

const (
	// commandLimit is when a command counts as hung.
	commandLimit = 2 * time.Minute
	// stopLimit is when a test gives up on a daemon that is to leave and to end.
	stopLimit = time.Minute
	// pollInterval is the pause between two looks at a condition.
	pollInterval = 50 * time.Millisecond
	// tailBytes is how much of a daemon's output a failed test shows.
	tailBytes = 8 << 10
)

// result is what a command left behind.
type result struct {
	stdout, stderr string
	status         int
}

func (r result) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", r.status, r.stdout, r.stderr)
}

// command runs one of the binaries to its end.
func command(t *testing.T, name string, args ...string) result {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, name), args...)
	cmd.Dir = t.TempDir() // so that no default path reaches into the source tree
	return complete(t, cmd)
}

// complete runs a command to its end.
func complete(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(commandLimit, func() { _ = cmd.Process.Kill() }) // the only error is that it has ended
	_ = cmd.Wait()                                                          // the status stays in ProcessState
	if !hung.Stop() {
		t.Fatalf("%q did not end within %v\nstderr: %s", cmd.Args, commandLimit, stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// process is a daemon that was started.
type process struct {
	os     *os.Process
	output string           // file that it writes stdout and stderr to
	ended  chan struct{}    // closed when it has been waited for
	state  *os.ProcessState // how it ended, then; nil if it was none of ours
}

// startProcess starts a binary with its output in a file, which unlike a pipe cannot be
// held open by a child that outlives it.
func startProcess(t *testing.T, output, name string, args ...string) *process {
	t.Helper()
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(filepath.Join(bin, name), args...)
	if filepath.IsAbs(name) {
		cmd = exec.Command(name, args...)
	}
	cmd.Dir = filepath.Dir(output)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C on the test is not for it
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	return follow(cmd.Process, output)
}

// follow waits for the end of a process that is a child of this one.
func follow(child *os.Process, output string) *process {
	p := &process{os: child, output: output, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.state, _ = child.Wait() // the error is that it is nobody's child
	}()
	return p
}

func (p *process) pid() int { return p.os.Pid }

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// terminate asks the process to end, and returns its exit status.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	_ = p.os.Signal(syscall.SIGTERM) // it may have ended by itself
	return p.wait(t)
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		p.kill()
		t.Errorf("process %d did not end within %v", p.pid(), stopLimit)
	}
	return p.state.ExitCode()
}

// kill ends the process at once, and waits until it is gone.
func (p *process) kill() {
	_ = p.os.Kill() // it may have ended by itself
	<-p.ended
}

// alive reports whether a process runs; one that has ended and that nobody has waited
// for does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err) && !hasProc()
	}
	_, afterName, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(afterName, "Z")
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

// killLeftovers ends what still runs of our binaries, and says what that was. Where
// there is no /proc it finds nothing.
func killLeftovers() []string {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well-formed
	var left []string
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, bin+"/") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			continue // /proc/self and the like are not matched; nothing to do
		}
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			left = append(left, fmt.Sprintf("%s (%d)", filepath.Base(exe), pid))
		}
	}
	return left
}

// freeAddr finds a loopback address whose port is free for TCP and for UDP. Another
// process could take it before it is used; the ports come from the ephemeral range, in
// which that is rare.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		listener.Close()
		if err == nil {
			packets.Close()
			return listener.Addr().String()
		}
	}
	t.Fatal("found no port that is free for TCP and for UDP")
	return ""
}

// await polls a condition, which returns what is still missing, until it holds.
func await(t *testing.T, within time.Duration, what string, condition func() error) {
	t.Helper()
	if err := poll(within, condition); err != nil {
		t.Fatalf("not within %v: %s: %v", within, what, err)
	}
}

// awaitWatched is await for what happens only where no process is kept waiting for long, such
// as that members hear of each other.
func awaitWatched(t *testing.T, watch *timetest.Watch, within time.Duration, what string, condition func() error) {
	t.Helper()
	if err := poll(within, condition); err != nil {
		watch.Fatalf(t, "not within %v: %s: %v", within, what, err)
	}
}

// poll looks at the condition until it holds or it is too late, and returns why it does not.
func poll(within time.Duration, condition func() error) error {
	began := time.Now()
	for {
		err := condition()
		if err == nil || time.Since(began) > within {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// tail gives the end of a file for a failed test's output.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(content) > tailBytes {
		content = append([]byte("...\n"), content[len(content)-tailBytes:]...)
	}
	return string(content)
}
