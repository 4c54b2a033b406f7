package subprocess

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

func TestTailTellsTheLineThatTellsMost(t *testing.T) {
	for _, test := range []struct{ written, want string }{
		{"", ""},
		{"one\ntwo\nthree", "two"}, // the third may have more to it
		{"one\npanic: no mood\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: no mood"},
		{"SIGABRT: abort\nPC=0x4719e1 m=0 sigcode=0\ngs 0x0\n", "SIGABRT: abort"},
		{"\x1b[2Jgone\n", "?[2Jgone"},
	} {
		var tl Tail
		tl.Write([]byte(test.written))
		if got := tl.Line(); got != test.want {
			t.Errorf("of %q: %q, want %q", test.written, got, test.want)
		}
	}
}
