package child

import (
	"fmt"
	"strings"
	"testing"
)

func TestTailKeepsTheLastLines(t *testing.T) {
	var tl Tail
	for i := range 3 * tailLinesMax {
		line := fmt.Sprintf("line %d\n\n", i)
		tl.Write([]byte(line[:3])) // lines come in pieces
		tl.Write([]byte(line[3:]))
	}
	lines := strings.Split(tl.String(), "\n")
	if len(lines) != tailLinesMax || lines[len(lines)-1] != fmt.Sprintf("line %d", 3*tailLinesMax-1) {
		t.Errorf("kept %q", lines)
	}
	tl.Write([]byte(strings.Repeat("x", 10*tailLineBytesMax) + "\n"))
	if kept := tl.String(); strings.Count(kept, "x") != tailLineBytesMax {
		t.Errorf("kept %d bytes of a long line, want %d", strings.Count(kept, "x"), tailLineBytesMax)
	}
}

func TestTailKeepsTheBeginningOfAPanic(t *testing.T) {
	var tl Tail
	tl.Write([]byte("all is well\npanic: no mood\n\ngoroutine 1 [running]:\n"))
	for i := range 100 {
		fmt.Fprintf(&tl, "main.f(%d)\n", i)
	}
	if kept := tl.String(); !strings.HasPrefix(kept, "panic: no mood\ngoroutine 1") || strings.Contains(kept, "f(99)") {
		t.Errorf("kept %q", kept)
	}
}
