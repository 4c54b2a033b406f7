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

// A directory can be named so that what is in it looks like a line of another node.
func TestNamesLookLikeNothingElse(t *testing.T) {
	const evil = "logs/x\n10.0.0.9:7117:logs/a\x1b[2J"
	for _, test := range []struct {
		options printer.TextOptions
		want    string
	}{
		{printer.TextOptions{}, `n1:logs/x\n10.0.0.9:7117:logs/a\x1b[2J:x` + "\n"},
		{printer.TextOptions{Visible: true}, `n1:logs/x\n10.0.0.9:7117:logs/a\x1b[2J:x` + "\n"},
		{printer.TextOptions{Null: true}, "n1:" + evil + "\x00x\n"},
		{printer.TextOptions{Report: greppb.Report_COUNT}, `n1:logs/x\n10.0.0.9:7117:logs/a\x1b[2J:1` + "\n"},
		{printer.TextOptions{Report: greppb.Report_FILES_WITH_MATCHES}, `n1:logs/x\n10.0.0.9:7117:logs/a\x1b[2J` + "\n"},
		{printer.TextOptions{Report: greppb.Report_FILES_WITH_MATCHES, Null: true}, "n1:" + evil + "\x00"},
	} {
		replies := []*greppb.QueryReply{begin("n1", "n2"), file(0, evil)}
		if test.options.Report == greppb.Report_LINES {
			replies = append(replies, chunk(0, lines("x")))
		}
		got, _ := printText(t, test.options, append(replies, fileEnd(0, 1, false))...)
		if got != test.want {
			t.Errorf("%+v: printed %q, want %q", test.options, got, test.want)
		}
	}
	groups := &greppb.Groups{Groups: []greppb.Group{{Values: []string{evil, "y"}, Count: 1}}}
	got, _ := printText(t, printer.TextOptions{}, begin("n1"), &greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: groups}})
	if want := "1\t" + `logs/x\n10.0.0.9:7117:logs/a\x1b[2J` + "\ty\n"; got != want {
		t.Errorf("counts are printed as %q, want %q", got, want)
	}
}

func TestATerminalIsShownControlCharacters(t *testing.T) {
	for line, want := range map[string]string{
		"a\tb é 日 \u00a0":      "a\tb é 日 \u00a0",
		"\x1b[31mred\x1b[m":    "^[[31mred^[[m",
		"over\rwritten":        "over^Mwritten",
		"dos\r":                "dos\r",
		"\x00\x01\x1f\x7f":     "^@^A^_^?",
		"\u009b2J":             "M-^[2J",
		"\x9b2J \xe9 \xff\xc3": "M-^[2J M-i M-^?M-C",
		"cut \xe6\x97":         "cut M-fM-^W",
	} {
		got, _ := printText(t, printer.TextOptions{Names: printer.NamesNever, Visible: true}, begin("n1"), file(0, "m/f"), chunk(0, lines(line)))
		if got != want+"\n" {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
		colored, _ := printText(t, printer.TextOptions{Names: printer.NamesNever, Visible: true, Colors: printer.ParseColors("sl=1:ne")},
			begin("n1"), file(0, "m/f"), chunk(0, lines(line)))
		body := strings.TrimSuffix(want, "\r")
		if colored != "\x1b[1m"+body+"\x1b[m"+want[len(body):]+"\n" {
			t.Errorf("%q is shown in colour as %q", line, colored)
		}
		if raw, _ := printText(t, printer.TextOptions{Names: printer.NamesNever}, begin("n1"), file(0, "m/f"), chunk(0, lines(line))); raw != line+"\n" {
			t.Errorf("%q is printed as %q elsewhere", line, raw)
		}
	}
	zero := greppb.Chunk{Data: []byte("a\nb\x00"), Lengths: []uint32{4}, Spans: []uint32{1, 0, 3}}
	if got, _ := printText(t, printer.TextOptions{Names: printer.NamesNever, Visible: true, NullData: true}, begin("n1"), file(0, "m/f"), chunk(0, zero)); got != "a^Jb\x00" {
		t.Errorf("a line of -z is shown as %q", got)
	}
	part := greppb.Chunk{Data: []byte("\x1bc\n"), Lengths: []uint32{3}}
	options := printer.TextOptions{Names: printer.NamesNever, Visible: true, Report: greppb.Report_PARTS, Colors: printer.ParseColors("ne")}
	if got, _ := printText(t, options, begin("n1"), file(0, "m/f"), chunk(0, part)); got != "\x1b[01;31m^[c\x1b[m\n" {
		t.Errorf("a part is shown as %q", got)
	}
}
