package printer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// clock says how far a node's clock is ahead.
func clock(node int, ahead, bound time.Duration) *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_NodeClock{NodeClock: &greppb.NodeClock{
		Node: uint32(node), AheadNanos: int64(ahead), ErrorNanos: int64(bound),
	}}}
}

func searched(node int) *greppb.QueryReply {
	return step(uint32(node), greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{}}})
}

func TestStatsShowClocks(t *testing.T) {
	replies := []*greppb.QueryReply{begin("n0", "n1", "n2", "n3", "n4", "n5"), clock(0, 0, 0),
		clock(1, 3214*time.Microsecond, 180*time.Microsecond), clock(2, -100*time.Second, 2*time.Millisecond),
		clock(3, 12*time.Microsecond, 80*time.Microsecond), clock(4, -1500*time.Millisecond, 400*time.Microsecond)}
	for i := range 6 {
		replies = append(replies, searched(i))
	}
	_, outcome := printText(t, printer.TextOptions{}, replies...)
	for i, want := range []string{"reference", "+3.2 ms ±180 µs", "-1m40s ±2.0 ms", "+12 µs ±80 µs", "-1.5 s ±400 µs", "-"} {
		row := fmt.Sprintf("n%d       0.000000  0      0      0              %s\n", i, want)
		if !strings.Contains(outcome.Stats(), row) {
			t.Errorf("no %q in\n%s", row, outcome.Stats())
		}
	}
}

func TestStatsOfManyMachinesSayBetweenWhatTheirClocksLie(t *testing.T) {
	var nodes []string
	var replies []*greppb.QueryReply
	for i := range 30 {
		nodes = append(nodes, fmt.Sprint("n", i))
		replies = append(replies, clock(i, time.Duration(i-10)*time.Second, time.Millisecond), searched(i))
	}
	_, outcome := printText(t, printer.TextOptions{}, append([]*greppb.QueryReply{begin(nodes...)}, replies...)...)
	if want := "and 10 faster machines\nclocks from -10.0 s ±1.0 ms (n0) to +19.0 s ±1.0 ms (n29)\n"; !strings.HasSuffix(outcome.Stats(), want) {
		t.Errorf("%s\nwant at the end %s", outcome.Stats(), want)
	}
}

func TestTimelineWarnsOfWrongClocks(t *testing.T) {
	const warning = "dgrep: warning: the clock of "
	for _, test := range []struct {
		name  string
		ahead []time.Duration // of n0, which was asked, and others
		bound time.Duration
		want  string
	}{
		{"right", []time.Duration{0, 5 * time.Millisecond, -90 * time.Millisecond}, time.Millisecond, ""},
		{"of two", []time.Duration{0, 3200 * time.Millisecond}, 400 * time.Microsecond,
			warning + "n1 is 3.2 s ahead (±400 µs): its lines stand so much too late in this timeline\n"},
		{"behind", []time.Duration{0, time.Millisecond, -10 * time.Minute}, time.Millisecond,
			warning + "n2 is 10m0s behind (±1.0 ms): its lines stand so much too early in this timeline\n"},
		{"perhaps", []time.Duration{0, 3 * time.Second}, 3 * time.Second, ""},
		{"of the one that was asked", []time.Duration{0, -2 * time.Second, -2 * time.Second}, time.Millisecond,
			warning + "n0 is 2.0 s ahead (±1.0 ms): its lines stand so much too late in this timeline\n"},
		{"alone", []time.Duration{time.Hour}, time.Millisecond, ""},
	} {
		var nodes []string
		var replies []*greppb.QueryReply
		for i, ahead := range test.ahead {
			nodes = append(nodes, fmt.Sprint("n", i))
			bound := test.bound
			if ahead == 0 {
				bound = 0
			}
			replies = append(replies, clock(i, ahead, bound))
		}
		replies = append(append([]*greppb.QueryReply{begin(nodes...)}, replies...), end())
		if got, _ := printText(t, printer.TextOptions{ByTime: true}, replies...); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		if got, _ := printText(t, printer.TextOptions{}, replies...); got != "" {
			t.Errorf("%s, and lines in no order: %q", test.name, got)
		}
	}
}

func TestManyWrongClocksStayReadable(t *testing.T) {
	nodes := make([]string, 101)
	replies := []*greppb.QueryReply{begin(nodes...)}
	for i := range nodes {
		nodes[i] = fmt.Sprint("n", i)
		replies = append(replies, clock(i, time.Duration(i%2*(i+1))*time.Minute, 1))
	}
	got, _ := printText(t, printer.TextOptions{ByTime: true}, append(replies, end())...)
	if strings.Count(got, "\n") != 11 || !strings.HasSuffix(got, "dgrep: warning: so it is with the clocks of 40 more, which --json names\n") {
		t.Error(got)
	}
}

func TestJSONTellsClocks(t *testing.T) {
	var out bytes.Buffer
	p := printer.NewJSON(&out, false)
	for _, reply := range []*greppb.QueryReply{begin("n0", "n1"), clock(0, 0, 0), clock(1, -1500*time.Millisecond, 250*time.Microsecond),
		nodeEnd(0, greppb.NodeEnd_ANSWERED, ""), nodeEnd(1, greppb.NodeEnd_ANSWERED, ""), end()} {
		if err := p.Print(reply); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	const want = `[{"node":"n0","outcome":"answered","clock":{"ahead_seconds":0,"error_seconds":0}},` +
		`{"node":"n1","outcome":"answered","clock":{"ahead_seconds":-1.5,"error_seconds":0.00025}}]`
	if !strings.Contains(out.String(), want) {
		t.Errorf("no %s in %s", want, out.String())
	}
}

// Of a follow, which has no end, the clocks are told as it begins, and those of later nodes as they come.
func TestAFollowTellsClocksAtOnce(t *testing.T) {
	var lines, messages bytes.Buffer
	check := func(p printer.Printer, out *bytes.Buffer, want string) {
		t.Helper()
		p.Outcome().Follow = true
		take := func(replies ...*greppb.QueryReply) {
			for _, reply := range replies {
				if err := p.Print(reply); err != nil {
					t.Fatal(err)
				}
			}
		}
		take(begin("n0", "n1", "n2"), clock(0, 0, 0), clock(1, time.Second, time.Millisecond), clock(2, time.Millisecond, time.Millisecond))
		if err := p.Following("following"); err != nil {
			t.Fatal(err)
		}
		take(clock(1, time.Minute, time.Millisecond), // which was told already
			&greppb.QueryReply{Step: &greppb.QueryReply_NodeBegin{NodeBegin: &greppb.NodeBegin{Node: 3, Addr: "n3"}}},
			clock(3, -time.Second, time.Millisecond))
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("printed\n%s\nwant\n%s", out, want)
		}
		out.Reset()
	}
	const first = "dgrep: following\n"
	const warning1 = "dgrep: warning: the clock of n1 is 999.0 ms ahead (±2.0 ms): the times in its lines are so much too late\n"
	const warning3 = "dgrep: warning: the clock of n3 is 1.0 s behind (±1.0 ms): the times in its lines are so much too early\n"
	options := printer.TextOptions{Program: "dgrep", Follow: true}
	check(printer.NewText(&lines, &messages, options), &messages, first+warning1+"dgrep: n3 is followed now\n"+warning3)
	options.Stats = true
	check(printer.NewText(&lines, &messages, options), &messages, first+
		"dgrep: clock of n0: reference\ndgrep: clock of n1: +1.0 s ±1.0 ms\ndgrep: clock of n2: +1.0 ms ±1.0 ms\n"+warning1+
		"dgrep: n3 is followed now\ndgrep: clock of n3: -1.0 s ±1.0 ms\n"+warning3)
	check(printer.NewJSON(&lines, true), &lines, `{"type":"notice","data":{"message":"following"}}
{"type":"clock","data":{"node":"n0","ahead_seconds":0,"error_seconds":0}}
{"type":"clock","data":{"node":"n1","ahead_seconds":1,"error_seconds":0.001}}
{"type":"clock","data":{"node":"n2","ahead_seconds":0.001,"error_seconds":0.001}}
{"type":"notice","data":{"message":"`+strings.TrimSpace(strings.TrimPrefix(warning1, "dgrep: "))+`"}}
{"type":"node","data":{"node":"n3","event":"followed"}}
{"type":"clock","data":{"node":"n3","ahead_seconds":-1,"error_seconds":0.001}}
{"type":"notice","data":{"message":"`+strings.TrimSpace(strings.TrimPrefix(warning3, "dgrep: "))+`"}}
`)
}
