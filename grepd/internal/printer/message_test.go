package printer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMessage(t *testing.T) {
	for text, want := range map[string]string{
		"logs/a b: é 日 \\n": "logs/a b: é 日 \\n",
		"a\nb\tc\r":         `a\nb\tc\r`,
		"\x1b]0;title\a":    `\x1b]0;title\a`,
		"\u009b2J\x7f":      `\u009b2J\x7f`,
		"a\xff\x9bb":        `a\xff\x9bb`,
		"txt.\u202eexe":     `txt.\u202eexe`,
	} {
		if got := printer.Message(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
	if got := printer.Message(strings.Repeat("é\n", 1<<20)); len(got) > 100<<10 || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes are shown of a megabyte", len(got))
	}
}

// TestOtherMachinesCannotWriteToTheTerminal has strangers' words wherever a machine can put some.
func TestOtherMachinesCannotWriteToTheTerminal(t *testing.T) {
	const evil = "x\x1b[2J\ndgrep: 2 of 2 members answered"
	text, outcome := printText(t, printer.TextOptions{Report: greppb.Report_LINES}, begin("n1", "n2"),
		fileError(0, "m/"+evil, "no "+evil, false), fileError(0, "m/f", evil, false), file(0, evil), fileEnd(0, 1, true),
		nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_REFUSED, strings.Repeat(evil, 1000)), end())
	for line := range strings.Lines(text) {
		if strings.Contains(line, "\x1b") || !strings.Contains(line, `\x1b[2J`) {
			t.Errorf("printed %q", line)
		}
	}
	if got := outcome.Coverage(); strings.ContainsAny(got, "\x1b\n") || len(got) > 20<<10 {
		t.Errorf("a coverage of %d bytes: %.300q", len(got), got)
	}
}

func TestANodeCannotLackWithoutEnd(t *testing.T) {
	replies := []*greppb.QueryReply{begin("n1", "n2")}
	for i := range 3000 {
		replies = append(replies, fileError(0, fmt.Sprint("m/", i), "", true))
	}
	text, outcome := printText(t, printer.TextOptions{}, append(replies,
		nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_REFUSED, ""), end())...)
	if n := strings.Count(text, "\n"); n != 1000 || outcome.ExitStatus(false) != printer.ExitTrouble {
		t.Errorf("%d paths are kept, exit status %d", n, outcome.ExitStatus(false))
	}
}
