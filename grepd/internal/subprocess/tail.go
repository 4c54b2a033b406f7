package subprocess

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
)

const (
	tailLinesMax     = 16
	tailLineBytesMax = 400
)

// Tail keeps the last lines that a process wrote to its standard error. Of a panic it
// keeps the beginning, which says why, and not the end of the stack traces.
//
// It is written to from one goroutine while others read, hence the lock.
type Tail struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	panicky bool // lines begins with a panic's first line
}

// Write takes the process's output in pieces of any size.
func (t *Tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := data
	for {
		line, after, found := bytes.Cut(rest, []byte{'\n'})
		if room := tailLineBytesMax - len(t.partial); room > 0 {
			t.partial = append(t.partial, line[:min(room, len(line))]...)
		}
		if !found {
			return len(data), nil
		}
		t.add(string(t.partial))
		t.partial, rest = t.partial[:0], after
	}
}

func (t *Tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if !t.panicky && isPanic(line) {
		t.lines, t.panicky = nil, true
	}
	if len(t.lines) == tailLinesMax {
		if t.panicky {
			return
		}
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
}

// isPanic recognises the line with which Go's runtime begins to tell why it ends.
func isPanic(line string) bool {
	for _, beginning := range []string{"panic: ", "fatal error: ", "SIGABRT: ", "SIGQUIT: ", "SIGSEGV: ", "SIGBUS: "} {
		if strings.HasPrefix(line, beginning) {
			return true
		}
	}
	return false
}

// String returns the lines.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// Line returns the line that tells most: the first of a panic, or else the last.
func (t *Tail) Line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.lines) == 0:
		return ""
	case t.panicky:
		return Printable(t.lines[0])
	default:
		return Printable(t.lines[len(t.lines)-1])
	}
}

// Printable leaves nothing in a line that a terminal could take for a command.
func Printable(line string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, line)
}
