package udp

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/recording"
)

// TestOnlyGiveTellsTheNode: a call that went past loop.give would be missing in a recording.
func TestOnlyGiveTellsTheNode(t *testing.T) {
	var inputs []string
	for method := range reflect.TypeFor[*membership.Node]().Methods() {
		if method.Type.NumIn() > 1 && method.Type.In(1) == reflect.TypeFor[membership.Now]() {
			inputs = append(inputs, method.Name)
		}
	}
	paths, err := filepath.Glob("*.go")
	if err != nil || len(paths) == 0 || len(inputs) == 0 {
		t.Fatalf("files %v, inputs %v: %v", paths, inputs, err)
	}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, input := range inputs {
			if call := "node." + input + "("; strings.Contains(callsOf(t, path, source), call) {
				t.Errorf("%s calls %s...): let l.give do it, so that a recording has it", path, call)
			}
		}
	}
}

// callsOf lists the calls of methods of anything named node.
func callsOf(t *testing.T, path string, source []byte) string {
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var calls strings.Builder
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := call.X.(*ast.SelectorExpr); ok && of.Sel.Name == "node" {
			calls.WriteString("node." + call.Sel.Name + "(\n")
		}
		return true
	})
	return calls.String()
}

func TestCallsOfTheNodeAreFound(t *testing.T) {
	calls := callsOf(t, "x.go", []byte("package x\nfunc f(l *loop) { l.node.Tick(l.clock.now()) }\n"))
	if calls != "node.Tick(\n" {
		t.Errorf("found %q", calls)
	}
}

func gateways(conn *net.UDPConn) []netip.AddrPort { return []netip.AddrPort{addrOf(conn)} }

// recorder is a recording under way in a goroutine of its own.
type recorder struct {
	file  bytes.Buffer // valid after ended
	end   recording.End
	err   error
	ended chan struct{}
}

func startRecording(d *Driver, o RecordOptions) *recorder {
	r := &recorder{ended: make(chan struct{})}
	begun := make(chan struct{}, 1)
	o.Program = "a test"
	if o.BytesMax == 0 {
		o.BytesMax = 1 << 20
	}
	if o.For == 0 {
		o.For = time.Minute
	}
	go func() {
		defer close(r.ended)
		r.end, r.err = d.Record(context.Background(), o, func(piece []byte) error {
			r.file.Write(piece)
			select {
			case begun <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	select {
	case <-begun:
	case <-r.ended:
	}
	return r
}

// replay checks that a file is whole, and what the node did by it, and returns the transcript.
func (r *recorder) replay(t *testing.T, why recording.Reason) string {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the recording has not ended after 20 s")
	}
	if r.err != nil || r.end.Reason != why {
		t.Fatalf("the recording ended with %+v, %v, want reason %q", r.end, r.err, why)
	}
	var transcript strings.Builder
	result, err := recording.Replay(bytes.NewReader(r.file.Bytes()), &transcript)
	if err != nil || result.Divergence != nil || result.End != r.end {
		t.Fatalf("%v, %+v, want %+v\n%s", err, result, r.end, transcript.String())
	}
	return transcript.String()
}

// TestLiveNodeIsReplayedExactly records members of a real group, of which one crashes and one
// leaves meanwhile.
func TestLiveNodeIsReplayedExactly(t *testing.T) {
	group := startGroup(t, 6)
	before := status(t, group[1].Driver)
	stop := make(chan struct{})
	var recorders []*recorder
	for _, m := range group[:5] {
		recorders = append(recorders, startRecording(m.Driver, RecordOptions{Stop: stop}))
	}
	group[5].Close()
	for _, m := range group[:5] {
		eventually(t, "the crash in every list", func() bool { return lists(t, m, group[5], membership.Failed) })
	}
	if err := group[4].Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, m := range group[:4] {
		eventually(t, "the leave in every list", func() bool { return lists(t, m, group[4], membership.Left) })
	}
	close(stop)
	rejoined := false
	for i, r := range recorders {
		why := recording.Asked
		if i == 4 {
			why = recording.Gone
		}
		transcript := r.replay(t, why)
		rejoined = rejoined || strings.Contains(transcript, "REJOIN")
		if !strings.Contains(transcript, "FAIL "+group[5].cfg.Node.Addr.String()) {
			t.Errorf("the transcript of member %d lacks the crash:\n%s", i, transcript)
		}
	}
	if rejoined {
		t.Skip("the machine is so busy that a member was taken for dead, and has another identity since")
	}
	if after := status(t, group[1].Driver); after.Self != before.Self {
		t.Errorf("having been recorded, it goes on as %v, and was %v", after.Self, before.Self)
	}
}

// lists reports whether a member's list holds another one to be in a state.
func lists(t *testing.T, m, other member, state membership.State) (so bool) {
	t.Helper()
	if err := m.do(context.Background(), func(l *loop) {
		for row := range l.node.All() {
			so = so || row.Addr == other.cfg.Node.Addr && row.State == state
		}
	}); err != nil {
		t.Fatal(err)
	}
	return so
}

// TestJoiningNodeIsRecorded: one that waits for its gateway, which comes.
func TestJoiningNodeIsRecorded(t *testing.T) {
	gateway, newcomer := listen(t), listen(t)
	cfg := membership.Config{Addr: addrOf(newcomer), Gateways: gateways(gateway)}
	d, err := Start(Config{Conn: newcomer, Node: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	stop := make(chan struct{})
	r := startRecording(d, RecordOptions{Stop: stop})
	cfg.Addr = addrOf(gateway)
	g, err := Start(Config{Conn: gateway, Node: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	eventually(t, "the newcomer is a member", func() bool {
		return status(t, d).Phase == membership.InGroup
	})
	close(stop)
	if transcript := r.replay(t, recording.Asked); !strings.Contains(transcript, "welcome") {
		t.Errorf("the transcript lacks the welcome:\n%s", transcript)
	}
}

func TestRecordingEndsAndSaysWhy(t *testing.T) {
	group := startGroup(t, 3)
	d := group[1].Driver
	startRecording(d, RecordOptions{For: 300 * time.Millisecond}).replay(t, recording.Time)

	limited := startRecording(d, RecordOptions{BytesMax: 2000})
	limited.replay(t, recording.Size)
	if size := limited.file.Len(); size > 2000+64 {
		t.Errorf("a file that was to have 2000 bytes has %d", size)
	}

	frozen := startRecording(d, RecordOptions{})
	if again := startRecording(d, RecordOptions{}); !errors.Is(again.err, ErrRecording) {
		t.Errorf("a second recording at the same time: %v, want ErrRecording", again.err)
	}
	if _, err := d.Freeze(context.Background()); err != nil {
		t.Fatal(err)
	}
	frozen.replay(t, recording.Stopped)
	if after := startRecording(d, RecordOptions{}); !errors.Is(after.err, ErrStopped) {
		t.Errorf("a recording of a frozen driver: %v, want ErrStopped", after.err)
	}
}

// TestRecordingThatCannotBeWrittenIsNoHarm: it ends, what there is of it breaks off, and the node
// goes on.
func TestRecordingThatCannotBeWrittenIsNoHarm(t *testing.T) {
	group := startGroup(t, 3)
	full := errors.New("no space left on device")
	var file bytes.Buffer
	_, err := group[1].Record(context.Background(), RecordOptions{For: time.Minute, BytesMax: 1 << 20},
		func(piece []byte) error {
			if file.Len() > 0 {
				return full
			}
			file.Write(piece)
			return nil
		})
	if !errors.Is(err, full) {
		t.Errorf("the recording ended with %v, want %v", err, full)
	}
	result, err := recording.Replay(&file, io.Discard)
	if !errors.Is(err, recording.ErrUnusable) || result.Divergence != nil {
		t.Errorf("%v, %+v, want that it breaks off", err, result)
	}
	startRecording(group[1].Driver, RecordOptions{For: time.Millisecond}).replay(t, recording.Time)
	if s := status(t, group[1].Driver); s.Alive != 3 || s.Phase != membership.InGroup {
		t.Errorf("the node is %v with %d alive", s.Phase, s.Alive)
	}
}

// TestTapeThatNobodyTakesEnds: it is bounded, and what is on it is whole.
func TestTapeThatNobodyTakesEnds(t *testing.T) {
	t.Parallel()
	tape := newTape(1 << 30)
	step := &recording.Step{Input: recording.Input{Kind: recording.Tick}, Output: recording.Output{
		Events: []string{strings.Repeat("x", 1<<16)},
	}}
	header := &recording.Header{Config: membership.Config{Addr: addrOf(listen(t))}}
	for tape.begin(header); tape.running(); {
		tape.add(step)
	}
	tape.add(step) // as the driver may, which does not know yet
	piece, end := tape.take()
	if end == nil || end.Reason != recording.Slow || len(piece) > pendingBytesMax+64 {
		t.Fatalf("%d bytes, %+v, want at most %d and reason Slow", len(piece), end, pendingBytesMax)
	}
	r, err := recording.NewReader(bytes.NewReader(piece))
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) || r.End != *end {
		t.Errorf("what was on it ends with %v, %+v, want %+v", err, r.End, *end)
	}
}

// TestRandomNumbersBeginAnewAfterARecording, of which the file tells the old ones.
func TestRandomNumbersBeginAnewAfterARecording(t *testing.T) {
	conn := listen(t)
	cfg := membership.Config{Addr: addrOf(conn), Gateways: gateways(conn)}
	l, err := newLoop(Config{Conn: conn, Node: cfg}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.state.close)
	tape := newTape(1 << 20)
	if err := l.record(tape, "a test"); err != nil {
		t.Fatal(err)
	}
	piece, _ := tape.take()
	r, err := recording.NewReader(bytes.NewReader(piece))
	if err != nil {
		t.Fatal(err)
	}
	told := r.Header.Source()
	if *l.source != *told {
		t.Error("the node's random numbers are not those that the file tells")
	}
	tape.end(recording.Asked)
	l.give(recording.Input{Kind: recording.Tick})
	if *l.source == *told {
		t.Error("the recording has ended, and its file still tells the node's random numbers")
	}
}
