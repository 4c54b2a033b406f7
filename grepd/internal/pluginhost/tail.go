package pluginhost

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailLinesMax     = 16
	tailLineBytesMax = 400
)

// tail keeps the last lines that a plugin wrote to its standard error. Of a panic it
// keeps the beginning, which says why, and not the end of the stack traces.
//
// go-plugin writes to it from one goroutine while the host reads, hence the lock.
type tail struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	panicky bool // lines begins with a panic's first line
}

// Write takes the plugin's output in pieces of any size.
func (t *tail) Write(data []byte) (int, error) {
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

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if !t.panicky && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")) {
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

// String returns the lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
