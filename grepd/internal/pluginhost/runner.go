package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// process runs a plugin's program for go-plugin. It is used in place of go-plugin's own
// runner since that one lets the plugin read the host's standard input, notices an exit
// only when nobody holds the plugin's standard error any more, and does not say how the
// program ended.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File // our ends; the pipes' other ends are the program's alone
	exited         chan struct{}
	exit           string      // how it ended, once exited is closed
	drained        *time.Timer // closes our ends; once exited is closed

	mu     sync.Mutex // kill may come before Start is through
	pid    int        // 0: not started
	killed bool       // by the host
	ended  bool       // its id and its group's may be another's by now
}

var _ runner.Runner = (*process)(nil)

// newProcess prepares to run the program at path. The files become its descriptors from
// 3 on; it is the caller who closes them. The environment is to be set before Start.
func newProcess(path string, files []*os.File) *process {
	cmd := exec.Command(path)
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	// A group of its own: a terminal's Ctrl-C is for the host, which leaves the group of
	// members properly, and what the plugin may have started can be ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &process{cmd: cmd, exited: make(chan struct{})}
}

// Start starts the program, and the goroutine that waits for its end.
func (p *process) Start(context.Context) error {
	stdout, stdoutChild, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdoutChild.Close()
	stderr, stderrChild, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return err
	}
	defer stderrChild.Close()
	p.cmd.Stdout, p.cmd.Stderr = stdoutChild, stderrChild
	if err := p.cmd.Start(); err != nil {
		stdout.Close()
		stderr.Close()
		return explainStart(p.cmd.Path, err)
	}
	p.stdout, p.stderr = stdout, stderr
	p.mu.Lock()
	p.pid = p.cmd.Process.Pid
	late := p.killed
	p.mu.Unlock()
	if late {
		p.kill()
	}
	go p.wait()
	return nil
}

// explainStart says what the system's words for a program that cannot be started mean.
func explainStart(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: not a program for this machine", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: the file system may be mounted noexec; set TMPDIR to a directory on another", err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("start %s: its interpreter or loader is missing on this machine", path)
	}
	return err
}

func (p *process) wait() {
	err := p.cmd.Wait()
	p.exit = "exit status 0"
	if err != nil {
		p.exit = err.Error()
	}
	p.endGroup() // what it may have left behind
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	// What left the group may hold the pipes open for ever.
	p.drained = time.AfterFunc(drainTimeout, p.closePipes)
	close(p.exited)
}

// drainTimeout is how long the last words of a program that has ended are waited for.
const drainTimeout = 500 * time.Millisecond

func (p *process) closePipes() {
	p.stdout.Close()
	p.stderr.Close()
}

// kill ends the program and all in its group, or makes Start do so.
func (p *process) kill() {
	p.mu.Lock()
	p.killed = true
	p.mu.Unlock()
	p.endGroup()
}

func (p *process) endGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid != 0 && !p.ended {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

// exitAlone says how the program ended, if it has, and if that was not the host's doing.
func (p *process) exitAlone() string {
	if !isClosed(p.exited) {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && p.killed && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return ""
	}
	return p.exit
}

// Wait waits for the end of the program. go-plugin does its waiting here.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.drained.Stop()
	p.closePipes()
	return nil
}

// Kill ends the program at once.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

func (p *process) Stdout() io.ReadCloser { return p.stdout }
func (p *process) Stderr() io.ReadCloser { return p.stderr }
func (p *process) Name() string          { return p.cmd.Path }

// ID is the process id in decimal; go-plugin takes an empty one for "not started".
func (p *process) ID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pid == 0 {
		return ""
	}
	return strconv.Itoa(p.pid)
}

// Diagnose is what go-plugin adds to the error of a handshake that it cannot read.
func (p *process) Diagnose(context.Context) string {
	return "the program is not a grepd plugin, or ended before it could say so"
}

func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
