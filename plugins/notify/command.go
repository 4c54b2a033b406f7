package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// commandTimeout is how long a command may run before it is killed.
	commandTimeout = 30 * time.Second
	// outputBytesMax bounds what of a failed command's output is logged.
	outputBytesMax = 2000
	// pipesTimeout is how long after a command's end what it has started may hold its output.
	pipesTimeout = 200 * time.Millisecond
)

// command runs a program for each notification. Events are data: they are its standard
// input and environment, and no shell ever reads them.
type command struct {
	argv        []string
	environment []string
	timeout     time.Duration
}

var _ destination = (*command)(nil)

func (*command) name() string { return "command" }

func (c *command) deliver(ctx context.Context, self string, events []event) outcome {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cmd := exec.CommandContext(limited, c.argv[0], c.argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(c.variables(self, events), c.environment...)
	cmd.Stdin = bytes.NewReader(payload(events))
	output := &head{max: outputBytesMax}
	cmd.Stdout, cmd.Stderr = output, output
	// What it has started ends with it where it runs for too long.
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipesTimeout
	// Where this process is killed, nobody is left to end the command, so the system does: at
	// the end of the thread that started it, which must not come earlier.
	runtime.LockOSThread()
	err := cmd.Run()
	runtime.UnlockOSThread()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it went well, and something goes on in the background
		return outcome{}
	case ctx.Err() == nil && limited.Err() != nil:
		err = fmt.Errorf("it did not end within %v", c.timeout)
	}
	return outcome{err: fmt.Errorf("%s: %w%s", c.argv[0], err, output.quoted())}
}

// variables are what a command knows without reading its input. With several events, a
// variable has the different values, with blanks between them.
func (c *command) variables(self string, events []event) []string {
	return []string{
		"GREPD_SELF=" + self,
		"GREPD_KEY=" + batchKey(events),
		"GREPD_COUNT=" + strconv.Itoa(len(events)),
		"GREPD_EVENT=" + distinct(events, func(e *event) string { return e.Event }),
		"GREPD_NODE=" + distinct(events, func(e *event) string { return e.Node }),
		"GREPD_PEER=" + distinct(events, func(e *event) string { return e.Peer }),
		"GREPD_TIME=" + events[0].Time,
	}
}

// head keeps the beginning of what is written to it.
type head struct {
	max  int
	text []byte
}

func (h *head) Write(data []byte) (int, error) {
	h.text = append(h.text, data[:min(len(data), h.max-len(h.text))]...)
	return len(data), nil
}

func (h *head) quoted() string {
	text := strings.TrimSpace(string(h.text))
	if text == "" {
		return ""
	}
	return "; it wrote: " + text
}
