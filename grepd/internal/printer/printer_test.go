package printer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Replies of a query to nodes n1, n2, ...

func begin(nodes ...string) *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: nodes, Live: true}}}
}

func step(node uint32, reply greppb.SearchReply) *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Node: node, Reply: reply}}}
}

func file(node uint32, path string) *greppb.QueryReply {
	return step(node, greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: path}}})
}

func chunk(node uint32, c greppb.Chunk) *greppb.QueryReply {
	return step(node, greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &c}})
}

func fileEnd(node uint32, matches uint64, binary bool) *greppb.QueryReply {
	return step(node, greppb.SearchReply{Step: &greppb.SearchReply_FileEnd{FileEnd: &greppb.FileEnd{Matches: matches, Binary: binary, Bytes: 9}}})
}

func fileError(node uint32, path, message string, missing bool) *greppb.QueryReply {
	return step(node, greppb.SearchReply{Step: &greppb.SearchReply_FileError{
		FileError: &greppb.FileError{Path: path, Message: message, Missing: missing},
	}})
}

func nodeEnd(node uint32, outcome greppb.NodeEnd_Outcome, message string) *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{Node: node, Outcome: outcome, Message: message}}}
}

func end() *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{}}}
}

// lines makes a chunk of the lines 5, 6, ... at the offsets 50, 60, ...
func lines(texts ...string) greppb.Chunk {
	var c greppb.Chunk
	for i, text := range texts {
		c.Data = append(c.Data, text+"\n"...)
		c.Lengths = append(c.Lengths, uint32(len(text)+1))
		c.LineNumbers = append(c.LineNumbers, uint64(5+i))
		c.ByteOffsets = append(c.ByteOffsets, uint64(50+10*i))
	}
	return c
}

// printText prints replies and returns both outputs.
func printText(t *testing.T, o printer.TextOptions, replies ...*greppb.QueryReply) (string, *printer.Outcome) {
	t.Helper()
	var both bytes.Buffer
	o.Program = "dgrep"
	p := printer.NewText(&both, &both, o)
	for _, reply := range replies {
		if err := p.Print(reply); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return both.String(), p.Outcome()
}

func TestText(t *testing.T) {
	one := []*greppb.QueryReply{begin("n1"), file(0, "logs/a"), chunk(0, lines("x", "y")), fileEnd(0, 2, false)}
	two := []*greppb.QueryReply{
		begin("n1", "n2"), file(0, "logs/a"), file(1, "logs/b"), chunk(0, lines("x")), chunk(1, lines("y")),
		fileEnd(1, 1, false), fileEnd(0, 0, false),
	}
	grouped := lines("before", "hit", "after", "hit")
	grouped.Kinds = []byte{1 | 2, 0, 1, 2}
	groups := []*greppb.QueryReply{
		begin("n1", "n2"), file(0, "logs/a"), file(1, "logs/b"), chunk(0, grouped), chunk(1, lines("y")), fileEnd(0, 2, false),
	}
	numbered := lines("x", "y", "z")
	numbered.LineNumbers = []uint64{1, 2, 4}
	for _, test := range []struct {
		name    string
		options printer.TextOptions
		replies []*greppb.QueryReply
		want    string
	}{
		{"one node and one file", printer.TextOptions{OneFile: true}, one, "x\ny\n"},
		{"one node and a glob", printer.TextOptions{}, one, "n1:logs/a:x\nn1:logs/a:y\n"},
		{"-h", printer.TextOptions{Names: printer.NamesNever}, one, "x\ny\n"},
		{"-H", printer.TextOptions{OneFile: true, Names: printer.NamesAlways}, one, "n1:logs/a:x\nn1:logs/a:y\n"},
		{"-nb", printer.TextOptions{OneFile: true, LineNumbers: true, ByteOffsets: true}, one, "5:50:x\n6:60:y\n"},
		{"-HnZ", printer.TextOptions{Null: true, LineNumbers: true}, one, "n1:logs/a\x005:x\nn1:logs/a\x006:y\n"},
		{"two nodes and one file", printer.TextOptions{OneFile: true}, two, "n1:logs/a:x\nn2:logs/b:y\n"},
		{"-c", printer.TextOptions{OneFile: true, Report: greppb.Report_COUNT},
			[]*greppb.QueryReply{begin("n1"), file(0, "logs/a"), fileEnd(0, 7, false)}, "7\n"},
		{"-cZ", printer.TextOptions{Null: true, Report: greppb.Report_COUNT},
			[]*greppb.QueryReply{begin("n1"), file(0, "logs/a"), fileEnd(0, 7, false)}, "n1:logs/a\x007\n"},
		{"-l", printer.TextOptions{Report: greppb.Report_FILES_WITH_MATCHES},
			[]*greppb.QueryReply{begin("n1", "n2"), file(0, "logs/a"), fileEnd(0, 0, false), file(1, "logs/a"), fileEnd(1, 1, false)}, "n2:logs/a\n"},
		{"-lh", printer.TextOptions{Names: printer.NamesNever, Report: greppb.Report_FILES_WITH_MATCHES},
			[]*greppb.QueryReply{begin("n1", "n2"), file(1, "logs/a"), fileEnd(1, 1, false)}, "logs/a\n"},
		{"-LZ", printer.TextOptions{Null: true, Report: greppb.Report_FILES_WITHOUT_MATCH},
			[]*greppb.QueryReply{begin("n1", "n2"), file(0, "logs/a"), fileEnd(0, 0, false), file(1, "logs/a"), fileEnd(1, 1, false)}, "n1:logs/a\x00"},
		{"groups", printer.TextOptions{Groups: true}, groups,
			"n1:logs/a-before\nn1:logs/a:hit\nn1:logs/a-after\n--\nn1:logs/a:hit\n--\nn2:logs/b:y\n"},
		{"-A0", printer.TextOptions{Groups: true, Adjacent: true, OneFile: true},
			[]*greppb.QueryReply{begin("n1"), file(0, "logs/a"), chunk(0, numbered)}, "x\ny\n--\nz\n"},
		{"binary", printer.TextOptions{OneFile: true},
			[]*greppb.QueryReply{begin("n1"), file(0, "logs/a"), chunk(0, lines("x")), fileEnd(0, 2, true)}, "x\ndgrep: n1:logs/a: binary file matches\n"},
		{"binary -s", printer.TextOptions{OneFile: true, NoMessages: true},
			[]*greppb.QueryReply{begin("n1"), file(0, "logs/a"), fileEnd(0, 2, true)}, "dgrep: n1:logs/a: binary file matches\n"},
		{"errors", printer.TextOptions{}, []*greppb.QueryReply{begin("n1", "n2"), fileError(1, "logs/a", "Permission denied", false)},
			"dgrep: n2:logs/a: Permission denied\n"},
	} {
		if got, _ := printText(t, test.options, test.replies...); got != test.want {
			t.Errorf("%s:\n%q, want\n%q", test.name, got, test.want)
		}
	}
}

// The sequences are those that GNU grep 3.8 prints for the same lines.
// TestNumbersAreAsWideAsTheFilesSizeMayNeed has a file of 9 bytes, for whose line numbers grep -T leaves two places.
func TestNumbersAreAsWideAsTheFilesSizeMayNeed(t *testing.T) {
	for want, o := range map[string]printer.TextOptions{
		" 5:\taaa\n": {InitialTab: true, OneFile: true, LineNumbers: true},
		"50:\taaa\n": {InitialTab: true, OneFile: true, ByteOffsets: true},
	} {
		begun := file(0, "m/f")
		begun.GetNodeStep().Reply.GetFileBegin().Size_ = 9
		if got, _ := printText(t, o, begin("n1"), begun, chunk(0, lines("aaa"))); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestColors(t *testing.T) {
	c := greppb.Chunk{
		Data: []byte("xabcy\nab\n\n"), Lengths: []uint32{6, 3, 1}, LineNumbers: []uint64{1, 2, 3},
		Kinds: []byte{0, 0, 1}, Spans: []uint32{1, 2, 1, 1, 1, 1},
	}
	for _, test := range []struct{ colors, want string }{
		{"", "^[[32m^[[K1^[[m^[[K^[[36m^[[K:^[[m^[[Kxa^[[01;31m^[[Kb^[[m^[[Kcy\n" +
			"^[[32m^[[K2^[[m^[[K^[[36m^[[K:^[[m^[[Ka^[[01;31m^[[Kb^[[m^[[K\n" +
			"^[[32m^[[K3^[[m^[[K^[[36m^[[K-^[[m^[[K\n"},
		{"sl=1:cx=2", "^[[32m^[[K1^[[m^[[K^[[36m^[[K:^[[m^[[K^[[1m^[[Kxa^[[01;31m^[[Kb^[[m^[[K^[[1m^[[Kcy^[[m^[[K\n" +
			"^[[32m^[[K2^[[m^[[K^[[36m^[[K:^[[m^[[K^[[1m^[[Ka^[[01;31m^[[Kb^[[m^[[K\n" +
			"^[[32m^[[K3^[[m^[[K^[[36m^[[K-^[[m^[[K\n"},
		{"mt=4:ne:se=33", "^[[32m1^[[m^[[33m:^[[mxa^[[4mb^[[mcy\n^[[32m2^[[m^[[33m:^[[ma^[[4mb^[[m\n^[[32m3^[[m^[[33m-^[[m\n"},
		{"no such setting::x=1:ne:se=33", "^[[32m1^[[m^[[33m:^[[mxa^[[01;31mb^[[mcy\n^[[32m2^[[m^[[33m:^[[ma^[[01;31mb^[[m\n^[[32m3^[[m^[[33m-^[[m\n"},
		{"se=3x:ne", "^[[32m^[[K1^[[m^[[K^[[36m^[[K:^[[m^[[Kxa^[[01;31m^[[Kb^[[m^[[Kcy\n" +
			"^[[32m^[[K2^[[m^[[K^[[36m^[[K:^[[m^[[Ka^[[01;31m^[[Kb^[[m^[[K\n" +
			"^[[32m^[[K3^[[m^[[K^[[36m^[[K-^[[m^[[K\n"},
		{"=33:ne", "^[[32m^[[K1^[[m^[[K^[[36m^[[K:^[[m^[[Kxa^[[01;31m^[[Kb^[[m^[[Kcy\n" +
			"^[[32m^[[K2^[[m^[[K^[[36m^[[K:^[[m^[[Ka^[[01;31m^[[Kb^[[m^[[K\n" +
			"^[[32m^[[K3^[[m^[[K^[[36m^[[K-^[[m^[[K\n"},
		{"mt=4=5:ne", "^[[32m^[[K1^[[m^[[K^[[36m^[[K:^[[m^[[Kxa^[[01;31m^[[Kb^[[m^[[Kcy\n" +
			"^[[32m^[[K2^[[m^[[K^[[36m^[[K:^[[m^[[Ka^[[01;31m^[[Kb^[[m^[[K\n" +
			"^[[32m^[[K3^[[m^[[K^[[36m^[[K-^[[m^[[K\n"},
	} {
		o := printer.TextOptions{OneFile: true, LineNumbers: true, Colors: printer.ParseColors(test.colors)}
		got, _ := printText(t, o, begin("n1"), file(0, "logs/a"), chunk(0, c))
		if want := strings.ReplaceAll(test.want, "^[", "\x1b"); got != want {
			t.Errorf("GREP_COLORS=%s:\n%q, want\n%q", test.colors, got, want)
		}
	}
	o := printer.TextOptions{Report: greppb.Report_PARTS, Colors: printer.ParseColors("")}
	got, _ := printText(t, o, begin("n1"), file(0, "f"), chunk(0, lines("b")))
	if want := "\x1b[35m\x1b[Kn1:f\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K\x1b[01;31m\x1b[Kb\x1b[m\x1b[K\n"; got != want {
		t.Errorf("-o: %q, want %q", got, want)
	}
}

func TestExitStatusAndCoverage(t *testing.T) {
	const (
		answered = greppb.NodeEnd_ANSWERED
		failed   = greppb.NodeEnd_FAILED
	)
	match := []*greppb.QueryReply{file(0, "logs/a"), chunk(0, lines("x")), fileEnd(0, 1, false)}
	complete := []*greppb.QueryReply{nodeEnd(0, answered, ""), nodeEnd(1, answered, ""), end()}
	incomplete := []*greppb.QueryReply{nodeEnd(0, answered, ""), nodeEnd(1, failed, ""), end()}
	unreadable := fileError(0, "logs/b", "Permission denied", false)
	missing := func(node uint32) *greppb.QueryReply {
		return fileError(node, "logs/c", "No such file or directory", true)
	}
	stale := func(d time.Duration) *greppb.QueryReply {
		reply := begin("n1", "n2")
		reply.GetBegin().Stale, reply.GetBegin().StaleNanos = true, int64(d)
		return reply
	}
	outside := func(phase greppb.Phase) *greppb.QueryReply {
		reply := begin("n1", "n2")
		reply.GetBegin().Phase = phase
		return reply
	}
	joined := &greppb.QueryReply{Step: &greppb.QueryReply_Phase{Phase: &greppb.QueryPhase{Phase: greppb.Phase_MEMBER}}}
	first := begin("n1", "n2")
	all := func(parts ...any) (replies []*greppb.QueryReply) {
		for _, part := range parts {
			switch part := part.(type) {
			case *greppb.QueryReply:
				replies = append(replies, part)
			case []*greppb.QueryReply:
				replies = append(replies, part...)
			}
		}
		return replies
	}
	for _, test := range []struct {
		name          string
		replies       []*greppb.QueryReply
		status, quiet int
		coverage      string
	}{
		{"a match", all(first, match, complete), 0, 0, "2 of 2 members answered"},
		{"no match", all(first, complete), 1, 1, "2 of 2 members answered"},
		{"a match, incomplete", all(first, match, incomplete), 2, 0, "1 of 2 members answered; n2 failed during the query"},
		{"no match, incomplete", all(first, incomplete), 2, 2, "1 of 2 members answered; n2 failed during the query"},
		{"a match and an error", all(first, match, unreadable, complete), 2, 0, "2 of 2 members answered"},
		{"an error", all(first, unreadable, complete), 2, 2, "2 of 2 members answered"},
		{"missing here, not there", all(first, missing(0), complete), 1, 1, "2 of 2 members answered"},
		{"missing everywhere", all(first, missing(0), missing(1), complete), 2, 2, "2 of 2 members answered"},
		{"missing where one answered", all(first, missing(0), incomplete), 2, 2, "1 of 2 members answered; n2 failed during the query"},
		{"broken off", all(first, match, nodeEnd(0, answered, "")), 2, 0, "1 of 2 members answered; n2 was not heard to the end"},
		{"stale for a moment", all(stale(time.Second), complete), 1, 1, "2 of 2 members answered"},
		{"stale", all(stale(12300*time.Millisecond), complete), 2, 2,
			"2 of 2 members answered; the member list is stale: no membership service for 12s"},
		{"joining", all(outside(greppb.Phase_JOINING), complete), 2, 2,
			"2 of 2 members answered; the grepd that was asked is still joining: there may be members that it does not know"},
		{"a match, joining", all(outside(greppb.Phase_JOINING), match, complete), 2, 0,
			"2 of 2 members answered; the grepd that was asked is still joining: there may be members that it does not know"},
		{"not a member any more", all(outside(greppb.Phase_LEFT), complete), 2, 2,
			"2 of 2 members answered; the grepd that was asked has left the group: there may be members that it does not know"},
		{"joined meanwhile", all(outside(greppb.Phase_JOINING), joined, complete), 1, 1, "2 of 2 members answered"},
		{"others", all(first, nodeEnd(0, greppb.NodeEnd_UNREACHABLE, "connection refused"), nodeEnd(1, greppb.NodeEnd_TIMED_OUT, "silent for 10s"), end()),
			2, 2, "0 of 2 members answered; n1 is unreachable: connection refused; n2 timed out: silent for 10s"},
		{"more", all(first, nodeEnd(0, greppb.NodeEnd_REFUSED, "busy"), nodeEnd(1, greppb.NodeEnd_NOT_MEMBER, ""), end()),
			2, 2, "0 of 2 members answered; n1 refused: busy; n2 is not in the list of members"},
		{"left", all(begin("n1"), nodeEnd(0, greppb.NodeEnd_LEFT, "before the query"), end()), 2, 2, "0 of 1 member answered; n1 left before the query"},
		{"nothing at all", nil, 2, 2, "0 of 0 nodes answered"},
	} {
		_, outcome := printText(t, printer.TextOptions{}, test.replies...)
		if got := outcome.ExitStatus(false); got != test.status {
			t.Errorf("%s: exit status %d, want %d", test.name, got, test.status)
		}
		if got := outcome.ExitStatus(true); got != test.quiet {
			t.Errorf("%s: exit status with -q %d, want %d", test.name, got, test.quiet)
		}
		if got := outcome.Coverage(); got != test.coverage {
			t.Errorf("%s: coverage %q, want %q", test.name, got, test.coverage)
		}
	}
}

// Of a group that a node does not know the half is not known either; but any one node is one.
func TestAJoiningNodeIsNoQuorum(t *testing.T) {
	first := begin("n1")
	first.GetBegin().Phase = greppb.Phase_JOINING
	for require, want := range map[printer.Require]int{printer.RequireAll: 2, printer.RequireQuorum: 2, printer.RequireAny: 1} {
		var out bytes.Buffer
		p := printer.NewJSON(&out, false)
		p.Outcome().Require = require
		for _, reply := range []*greppb.QueryReply{first, nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), end()} {
			if err := p.Print(reply); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := p.Outcome().ExitStatus(false); got != want {
			t.Errorf("require %v: exit status %d, want %d", require, got, want)
		}
		if text := out.String(); !strings.Contains(text, `"phase":"joining"`) || !strings.Contains(text, `"complete":false`) {
			t.Errorf("require %v: the summary is %s", require, text)
		}
	}
}

func TestCoverageLineStaysReadable(t *testing.T) {
	var nodes []string
	for i := range 500 {
		nodes = append(nodes, fmt.Sprint("n", i))
	}
	_, outcome := printText(t, printer.TextOptions{}, begin(nodes...), end())
	if got := outcome.Coverage(); len(got) > 500 || !strings.HasSuffix(got, "; and 490 more did not") {
		t.Errorf("coverage of 500 silent nodes: %q", got)
	}
}

func TestPathThatExistsNowhereIsSaidOnce(t *testing.T) {
	got, _ := printText(t, printer.TextOptions{}, begin("n1", "n2"),
		fileError(0, "logs/c", "", true), fileError(1, "logs/c", "", true), fileError(1, "logs/d", "", true),
		nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_ANSWERED, ""), end())
	if want := "dgrep: logs/c: No such file or directory on any machine that answered\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPathThatIsNamedTwiceIsLackedOnceByANode(t *testing.T) {
	got, outcome := printText(t, printer.TextOptions{}, begin("n1", "n2"),
		fileError(0, "logs/c", "", true), fileError(0, "logs/c", "", true),
		nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_ANSWERED, ""), end())
	if got != "" || outcome.Failed {
		t.Errorf("%q although n2 has it", got)
	}
}

// What a node says of a path that it lacks is told unless it is that there is no such file. That is a
// matter of its reason, and not of its words.
func TestMountThatIsNowhereIsNamed(t *testing.T) {
	const nowhere = "dgrep: nginx/a: No such file or directory on any machine that answered\n"
	words := `there is no mount "nginx", and the mounts are logs`
	noMount := greppb.FileError{Path: "nginx/a", Missing: true, Reason: greppb.FileError_NO_MOUNT, Message: words}
	elsewhere := noMount
	elsewhere.Message += ", tmp"
	noFile := greppb.NewFileError("nginx/a", greppb.FileError_NOT_FOUND)
	sameWords := noMount
	sameWords.Message = noFile.Message
	reworded := noFile
	reworded.Message = words
	for _, test := range []struct {
		first, second greppb.FileError
		want          string
	}{
		{noMount, noMount, "dgrep: nginx/a: " + words + "\n"},
		{noMount, elsewhere, nowhere},
		{noMount, noFile, nowhere},
		{noFile, noFile, nowhere},
		{reworded, reworded, nowhere},
		{sameWords, sameWords, "dgrep: nginx/a: No such file or directory\n"},
	} {
		got, _ := printText(t, printer.TextOptions{}, begin("n1", "n2"),
			step(0, greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &test.first}}),
			step(1, greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &test.second}}),
			nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_ANSWERED, ""), end())
		if got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestErrorThatManyNodesSayIsToldOnce(t *testing.T) {
	const denied = "Permission denied"
	say := func(nodes ...uint32) (replies []*greppb.QueryReply) {
		for _, node := range nodes {
			replies = append(replies, fileError(node, "logs/a", denied, false))
		}
		return replies
	}
	answer := func(nodes ...uint32) (replies []*greppb.QueryReply) {
		for _, node := range nodes {
			replies = append(replies, nodeEnd(node, greppb.NodeEnd_ANSWERED, ""))
		}
		return replies
	}
	failed, over := []*greppb.QueryReply{nodeEnd(2, greppb.NodeEnd_FAILED, "")}, []*greppb.QueryReply{end()}
	for _, test := range []struct {
		name string
		said [][]*greppb.QueryReply
		want string
	}{
		{"all", [][]*greppb.QueryReply{say(2, 0, 1), answer(0, 1, 2), over}, "dgrep: logs/a: " + denied + "\n"},
		{"all that answered", [][]*greppb.QueryReply{say(0, 1), answer(0, 1), failed, over}, "dgrep: logs/a: " + denied + "\n"},
		{"some", [][]*greppb.QueryReply{say(2, 0), answer(0, 1, 2), over}, "dgrep: logs/a: " + denied + " (on n1, n3)\n"},
		{"one", [][]*greppb.QueryReply{say(1), answer(0, 1, 2), over}, "dgrep: n2:logs/a: " + denied + "\n"},
		{"the only one that answered", [][]*greppb.QueryReply{say(0), answer(0), over}, "dgrep: n1:logs/a: " + denied + "\n"},
		{"one of them twice", [][]*greppb.QueryReply{say(0, 1, 0), answer(0, 1, 2), over}, "dgrep: logs/a: " + denied + " (on n1, n2)\n"},
		{"broken off", [][]*greppb.QueryReply{say(0, 1), answer(0, 1)}, "dgrep: logs/a: " + denied + " (on n1, n2)\n"},
		{"different ones", [][]*greppb.QueryReply{
			say(0), {fileError(1, "logs/a", "Is a directory", false), fileError(1, "logs/b", denied, false)}, answer(0, 1, 2), over,
		}, "dgrep: n1:logs/a: " + denied + "\ndgrep: n2:logs/a: Is a directory\ndgrep: n2:logs/b: " + denied + "\n"},
	} {
		replies := append([]*greppb.QueryReply{begin("n1", "n2", "n3")}, slices.Concat(test.said...)...)
		got, outcome := printText(t, printer.TextOptions{}, replies...)
		if got != test.want {
			t.Errorf("%s:\n%swant\n%s", test.name, got, test.want)
		}
		if got := outcome.ExitStatus(false); got != printer.ExitTrouble {
			t.Errorf("%s: exit status %d, want %d", test.name, got, printer.ExitTrouble)
		}
		if got, _ := printText(t, printer.TextOptions{NoMessages: true}, replies...); got != "" {
			t.Errorf("%s: with -s %q", test.name, got)
		}
	}
}

func TestErrorsOfManyNodesStayReadable(t *testing.T) {
	const nodes = 1000
	var names []string
	var errors, ends []*greppb.QueryReply
	for i := range uint32(nodes) {
		names = append(names, fmt.Sprint("n", i))
		errors = append(errors, fileError(i, "etc/a", "outside the mounts", false))
		ends = append(ends, nodeEnd(i, greppb.NodeEnd_ANSWERED, ""))
	}
	got, _ := printText(t, printer.TextOptions{}, slices.Concat([]*greppb.QueryReply{begin(names...)}, errors, ends, []*greppb.QueryReply{end()})...)
	if want := "dgrep: etc/a: outside the mounts\n"; got != want {
		t.Errorf("printed %d bytes: %.200q, want %q", len(got), got, want)
	}
	got, _ = printText(t, printer.TextOptions{}, slices.Concat([]*greppb.QueryReply{begin(names...)}, errors[1:], ends, []*greppb.QueryReply{end()})...)
	want := "dgrep: etc/a: outside the mounts (on n1, n2, n3, n4, n5, n6, n7, n8, n9, n10 and 989 more)\n"
	if got != want {
		t.Errorf("printed %d bytes: %.200q, want %q", len(got), got, want)
	}
}

// Errors that differ are not kept without a bound until the answer is over.
func TestManyDifferentErrorsAreToldMeanwhile(t *testing.T) {
	const errors = 20_000
	var out bytes.Buffer
	p := printer.NewText(&out, &out, printer.TextOptions{Program: "dgrep"})
	print := func(reply *greppb.QueryReply) {
		if err := p.Print(reply); err != nil {
			t.Fatal(err)
		}
	}
	print(begin("n1", "n2"))
	for i := range errors {
		print(fileError(uint32(i%2), fmt.Sprint("logs/", i), "Permission denied", false))
	}
	told := strings.Count(out.String(), "\n")
	if told == 0 || told == errors {
		t.Errorf("%d of %d errors are told before the end, want some", told, errors)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if told := strings.Count(out.String(), "\n"); told != errors {
		t.Errorf("%d of %d errors are told", told, errors)
	}
}

func TestJSON(t *testing.T) {
	c := lines("xay", "\xff")
	c.Kinds, c.Spans = []byte{0, 1}, []uint32{1, 1, 1}
	var out bytes.Buffer
	p := printer.NewJSON(&out, false)
	for _, reply := range []*greppb.QueryReply{
		begin("n1", "n2"), file(0, "logs/<a>"), chunk(0, c), fileEnd(0, 1, false), file(0, "logs/b"), fileEnd(0, 0, false),
		fileError(0, "logs/c", "Permission denied", false), fileError(1, "logs/c", "Permission denied", false), nodeEnd(0, greppb.NodeEnd_ANSWERED, ""),
		nodeEnd(1, greppb.NodeEnd_TIMED_OUT, "silent for 10s"), end(),
	} {
		if err := p.Print(reply); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"begin","data":{"node":"n1","path":{"text":"logs/<a>"}}}
{"type":"match","data":{"node":"n1","path":{"text":"logs/<a>"},"lines":{"text":"xay\n"},"line_number":5,"absolute_offset":50,"submatches":[{"match":{"text":"a"},"start":1,"end":2}]}}
{"type":"context","data":{"node":"n1","path":{"text":"logs/<a>"},"lines":{"bytes":"/wo="},"line_number":6,"absolute_offset":60,"submatches":[]}}
{"type":"end","data":{"node":"n1","path":{"text":"logs/<a>"},"binary":false,"stats":{"matched_lines":1,"bytes_searched":9}}}
{"type":"error","data":{"node":"n1","path":{"text":"logs/c"},"message":"Permission denied"}}
{"type":"error","data":{"node":"n2","path":{"text":"logs/c"},"message":"Permission denied"}}
{"type":"summary","data":{"stats":{"matched_lines":0,"bytes_searched":0},"coverage":{"live":true,"asked":2,"answered":1,"complete":false,"required":"all","sufficient":false,"nodes":[{"node":"n1","outcome":"answered"},{"node":"n2","outcome":"timed out","message":"silent for 10s"}]}}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if got := p.Outcome().ExitStatus(false); got != printer.ExitTrouble {
		t.Errorf("exit status %d, want %d", got, printer.ExitTrouble)
	}
}

func groups(other uint64, texts ...string) *greppb.QueryReply {
	g := &greppb.Groups{Other: other}
	for i, text := range texts {
		g.Groups = append(g.Groups, greppb.Group{Values: strings.Fields(text), Count: uint64(9 - i)})
	}
	return &greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: g}}
}

// Counts that may be too low are not taken for exact ones.
func TestCounts(t *testing.T) {
	replies := []*greppb.QueryReply{begin("n1"), nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), groups(0, "FAIL a", "JOIN b"), end()}
	got, outcome := printText(t, printer.TextOptions{}, replies...)
	if want := "9\tFAIL\ta\n8\tJOIN\tb\n"; got != want || outcome.ExitStatus(false) != printer.ExitMatch {
		t.Errorf("%q and exit status %d, want %q", got, outcome.ExitStatus(false), want)
	}
	replies[2] = groups(7, "FAIL a")
	got, outcome = printText(t, printer.TextOptions{}, replies...)
	want := "9\tFAIL\ta\n7\ndgrep: more different values than are counted apart: the counts may be too low, and lines with other values are the last count\n"
	if got != want || outcome.ExitStatus(false) != printer.ExitTrouble {
		t.Errorf("%q and exit status %d, want %q and %d", got, outcome.ExitStatus(false), want, printer.ExitTrouble)
	}
}

// Lines of files that alternate stand behind the name of their own file, and those of a file
// that was ended or never begun are malformed.
func TestFilesThatAlternate(t *testing.T) {
	numbered := func(number uint32, path string) *greppb.QueryReply {
		r := file(0, path)
		r.GetNodeStep().Reply.GetFileBegin().File = number
		return r
	}
	line := func(number uint32, text string) *greppb.QueryReply {
		c := lines(text)
		c.File = number
		return chunk(0, c)
	}
	ended := fileEnd(0, 1, false)
	ended.GetNodeStep().Reply.GetFileEnd().File = 1
	got, outcome := printText(t, printer.TextOptions{}, begin("n1"), numbered(1, "logs/a"), line(1, "x"), numbered(2, "logs/b"),
		line(2, "y"), line(1, "z"), ended, line(2, "y"), line(1, "gone"), line(3, "never"))
	want := "n1:logs/a:x\nn1:logs/b:y\nn1:logs/a:z\nn1:logs/b:y\ndgrep: n1: malformed answer\ndgrep: n1: malformed answer\n"
	if got != want || !outcome.Failed {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of many machines the slowest are told.
func TestStatsNameTheSlowest(t *testing.T) {
	var nodes []string
	for i := range 30 {
		nodes = append(nodes, fmt.Sprint("n", i))
	}
	replies := []*greppb.QueryReply{begin(nodes...)}
	for i := range nodes {
		replies = append(replies, &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{
			Node: uint32(i), Reply: greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{
				Matches: 1, Files: 2, Bytes: 3, ElapsedNanos: int64(i) * 1e6,
			}}},
		}}})
	}
	_, outcome := printText(t, printer.TextOptions{}, replies...)
	got := strings.Split(outcome.Stats(), "\n")
	want := []string{"30 matched lines", "60 files searched", "90 bytes searched", "0.029000 seconds on the slowest machine, n29",
		"MACHINE  SECONDS   FILES  BYTES  MATCHED LINES  CLOCK", "n29      0.029000  2      3      1              -"}
	if !slices.Equal(got[:len(want)], want) || got[len(got)-2] != "and 10 faster machines" {
		t.Errorf("%q", got)
	}
}

// A node's answer is not trusted: whatever its numbers say, nothing is read beyond it.
func FuzzMalformedChunk(f *testing.F) {
	f.Add([]byte("ab\n"), []byte{3}, []byte{0}, []byte{1, 0, 2})
	f.Add([]byte("ab\n"), []byte{1, 9}, []byte{1, 0}, []byte{200, 1})
	f.Fuzz(func(t *testing.T, data, lengths, kinds, spans []byte) {
		c := greppb.Chunk{Data: data, Kinds: kinds}
		sum := 0
		for _, n := range lengths {
			c.Lengths = append(c.Lengths, uint32(n))
			sum += int(n)
		}
		for _, n := range spans {
			c.Spans = append(c.Spans, uint32(n)<<(n%29))
		}
		o := printer.TextOptions{Colors: printer.ParseColors(""), LineNumbers: true, Groups: true}
		_, outcome := printText(t, o, begin("n1"), file(0, "logs/a"), chunk(0, c))
		if sum != len(data) && !outcome.Failed {
			t.Errorf("lengths of %d bytes for data of %d, and no error", sum, len(data))
		}
		p := printer.NewJSON(io.Discard, false)
		for _, reply := range []*greppb.QueryReply{begin("n1"), file(0, "logs/a"), chunk(0, c)} {
			if err := p.Print(reply); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestLinesOutsideOfFilesAreMalformed(t *testing.T) {
	got, outcome := printText(t, printer.TextOptions{}, begin("n1"), chunk(0, lines("x")))
	if got != "dgrep: n1: malformed answer\n" || !outcome.Failed {
		t.Errorf("printed %q, failed %t", got, outcome.Failed)
	}
}

// denseChunk is what a node sends when every line is selected.
func denseChunk() greppb.Chunk {
	var texts []string
	for i := range 2000 {
		texts = append(texts, fmt.Sprintf("2026-11-22T06:40:00.%09dZ INFO HEARTBEAT sent to 10.0.3.%d:7117 and so on", i, i%250))
	}
	return lines(texts...)
}

func TestDenseOutputAllocatesNothingPerLine(t *testing.T) {
	for name, o := range map[string]printer.TextOptions{
		"bare": {OneFile: true}, "named": {}, "numbered": {LineNumbers: true},
		"colored": {LineNumbers: true, Colors: printer.ParseColors("")},
	} {
		p := printer.NewText(io.Discard, io.Discard, o)
		c := denseChunk()
		replies := []*greppb.QueryReply{begin("n1", "n2"), file(0, "logs/a"), chunk(0, c)}
		for _, reply := range replies {
			if err := p.Print(reply); err != nil {
				t.Fatal(err)
			}
		}
		allocs := testing.AllocsPerRun(10, func() {
			if err := p.Print(replies[2]); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 10 {
			t.Errorf("%s: %.0f allocations for a chunk of %d lines, want none for a line", name, allocs, len(c.Lengths))
		}
	}
}

// BenchmarkDense is the cost of printing lines that are all selected.
func BenchmarkDense(b *testing.B) {
	for name, o := range map[string]printer.TextOptions{"bare": {OneFile: true}, "named": {}, "numbered": {LineNumbers: true}} {
		b.Run(name, func(b *testing.B) {
			p := printer.NewText(io.Discard, io.Discard, o)
			c := denseChunk()
			nodes := begin("n1", "n2")
			if name == "bare" {
				nodes = begin("n1")
			}
			reply := chunk(0, c)
			for _, reply := range []*greppb.QueryReply{nodes, file(0, "logs/a")} {
				if err := p.Print(reply); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(c.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Print(reply); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
