package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/recordpb"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests")

// TestEveryInputOfANodeHasAKind: a Node gets to know the time with every call that can change
// it, and Input must have them all.
func TestEveryInputOfANodeHasAKind(t *testing.T) {
	inputs := map[string]Kind{"Step": Packet, "Tick": Tick, "Leave": Leave, "SetGateways": Gateways}
	node, now := reflect.TypeFor[*membership.Node](), reflect.TypeFor[membership.Now]()
	found := 0
	for method := range node.Methods() {
		if method.Type.NumIn() < 2 || method.Type.In(1) != now {
			continue
		}
		found++
		if _, ok := inputs[method.Name]; !ok {
			t.Errorf("Node.%s changes a node, and a recording knows nothing of it: "+
				"give it a Kind here and in recording.proto, and have Input.Apply call it", method.Name)
		}
	}
	if found != len(inputs) || len(kindNames) != len(inputs)+1 {
		t.Errorf("%d methods take the time, and there are %d kinds", found, len(kindNames))
	}
}

// TestHeaderHasTheWholeConfiguration fills every field, whatever there will be.
func TestHeaderHasTheWholeConfiguration(t *testing.T) {
	h := &Header{
		Program: "a test", Snapshot: []byte("state"), Seed: [2]uint64{1, 2},
		Now: newGroup(t, nil).clock(),
	}
	cfg := reflect.ValueOf(&h.Config).Elem()
	for i := range cfg.NumField() {
		if cfg.Type().Field(i).Name != "Rand" {
			fill(t, cfg.Field(i), i+1)
		}
	}
	r, err := NewReader(bytes.NewReader(AppendHeader(nil, h)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&r.Header, h) {
		t.Errorf("read\n%+v, want\n%+v; does the header lack a field of membership.Config?", r.Header, *h)
	}
}

// fill sets a value to one that is not zero.
func fill(t *testing.T, v reflect.Value, n int) {
	switch {
	case v.Type() == reflect.TypeOf(address(0)):
		v.Set(reflect.ValueOf(address(n)))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n+1)
	case v.CanInt():
		v.SetInt(int64(n))
	case v.CanUint():
		v.SetUint(uint64(n))
	case v.Kind() == reflect.String:
		v.SetString(strings.Repeat("x", n))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a configuration has a %v: fill it here, and put it into the header", v.Type())
	}
}

// TestReplayIsExact records nodes from any moment of their lives, in groups on bad networks whose
// members come, crash and leave. The replay does the same to the last bit.
func TestReplayIsExact(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	kinds := map[Kind]int{}
	recordings, doubts, joins := 0, 0, 0
	for range 100 {
		g := newGroup(t, random)
		g.loss = 0.4 * random.Float64()
		for range 3 + random.IntN(9) {
			g.start()
			g.run(time.Duration(random.Int64N(int64(time.Second))))
		}
		for range 3 {
			m := g.members[random.IntN(len(g.members))]
			if m.node == nil || m.node.Phase() > membership.InGroup {
				continue
			}
			if m.node.Phase() == membership.Joining {
				joins++
			}
			g.record(m)
			if other := g.members[random.IntN(len(g.members))]; other != m {
				other.node = nil
			}
			g.run(time.Duration(random.Int64N(int64(4 * time.Second))))
			if random.IntN(4) == 0 { // no gateways, which are refused, or one that it has not been
				var gateways []netip.AddrPort
				if random.IntN(4) > 0 {
					gateways = append(gateways, m.node.Self().Addr)
				}
				g.give(m, Input{Kind: Gateways, Gateways: gateways})
				g.run(2 * time.Second)
			}
			if random.IntN(4) == 0 {
				g.give(m, Input{Kind: Leave})
				g.run(2 * time.Second)
			}
			steps, file := m.kept, m.end(Time)
			var transcript strings.Builder
			result, err := Replay(bytes.NewReader(file), &transcript)
			exact := result.Divergence == nil && result.Diverging == 0
			if err != nil || !exact || result.End != (End{Time, steps}) {
				t.Fatalf("%v: %v; %+v\n%s", g, err, result, transcript.String())
			}
			recordings++
			doubts += strings.Count(transcript.String(), "SUSPECT")
			for _, step := range stepsOf(t, file) {
				kinds[step.Kind]++
			}
		}
	}
	t.Logf("%d recordings with %v steps, %d of joining nodes, %d suspicions",
		recordings, kinds, joins, doubts)
	if len(kinds) != len(kindNames) || doubts == 0 || joins == 0 {
		t.Errorf("that is not all that there is to record")
	}
}

func stepsOf(t *testing.T, file []byte) (steps []*Step) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return steps
		}
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, s)
	}
}

// sample is a recording of a member that loses another one, always the same.
func sample(t *testing.T) []byte {
	g := newGroup(t, rand.New(rand.NewPCG(1, 2)))
	for range 4 {
		g.start()
	}
	g.run(3 * time.Second)
	g.record(g.members[2])
	g.members[3].node = nil
	g.run(3 * time.Second)
	return g.members[2].end(Asked)
}

// edited gives a recording whose steps have been changed.
func edited(t *testing.T, file []byte, edit func(i int, s *Step)) []byte {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	out, steps := AppendHeader(nil, &r.Header), stepsOf(t, file)
	for i, s := range steps {
		edit(i+1, s)
		out = AppendStep(out, s)
	}
	return AppendEnd(out, End{Reason: Asked, Steps: len(steps)})
}

func (s *Sent) append(field string) { s.Packet = append(s.Packet, field...) }

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	file := sample(t)
	if again := edited(t, file, func(int, *Step) {}); !bytes.Equal(again, file) {
		t.Errorf("written again, the file of %d bytes is another one of %d", len(file), len(again))
	}
}

// TestDivergenceIsFoundAndNamed changes what a step did, in each way, and once what it was told.
func TestDivergenceIsFoundAndNamed(t *testing.T) {
	file := sample(t)
	steps := stepsOf(t, file)
	sends, says := 0, 0
	for i, s := range steps {
		if len(s.Sent) > 0 && sends == 0 {
			sends = i + 1
		}
		if len(s.Events) > 0 && says == 0 {
			says = i + 1
		}
	}
	other := address(9)
	for name, test := range map[string]struct {
		step int
		edit func(*Step)
		want []string // parts of what is said
	}{
		"another receiver": {sends, func(s *Step) { s.Sent[0].To = other },
			[]string{"-    > 10.0.0.10:7117 ", "+    > 10.0.0."}},
		"another packet": {sends, func(s *Step) { s.Sent[0].append("\xf8\x7f\x01") },
			[]string{"f87f01\n", "-    > ", "+    > "}},
		"one more packet": {sends, func(s *Step) { s.Sent = append(s.Sent, Sent{To: other}) },
			[]string{"-    > 10.0.0.10:7117 "}},
		"no packet": {sends, func(s *Step) { s.Sent = nil },
			[]string{"+    > 10.0.0."}},
		"another event": {says, func(s *Step) { s.Events[0] = "GATEWAY x" },
			[]string{"-    GATEWAY x\n", "+    "}},
		"another wake-up": {9, func(s *Step) { s.Wake++ },
			[]string{"-    to be called at +", "+    to be called at +"}},
		"another digest": {9, func(s *Step) { s.Digest++ },
			[]string{"-    member, list version ", "+    member, list version "}},
		"another version": {9, func(s *Step) { s.Version += 9 },
			[]string{"-    member, list version ", "+    member, list version "}},
		"another phase": {9, func(s *Step) { s.Phase++ },
			[]string{"-    leaving, list version ", "+    member, list version "}},
		"another time": {9, func(s *Step) { s.Now.Mono += time.Second }, nil},
	} {
		changed := edited(t, file, func(i int, s *Step) {
			if i == test.step {
				test.edit(s)
			}
		})
		var transcript strings.Builder
		result, err := Replay(bytes.NewReader(changed), &transcript)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if result.Divergence == nil || result.Divergence.Step != test.step || result.Diverging == 0 {
			t.Errorf("%s: %+v, want a divergence at step %d", name, result, test.step)
			continue
		}
		said := result.Divergence.String()
		for _, want := range append(test.want, "as recorded (- expected, + got)") {
			if !strings.Contains(said, want) || !strings.Contains(transcript.String(), said) {
				t.Errorf("%s: said\n%s\nwant %q in it, and it in the transcript", name, said, want)
			}
		}
		if result.End.Steps != len(steps) {
			t.Errorf("%s: the replay ended behind step %d of %d", name, result.End.Steps, len(steps))
		}
	}
}

// read counts the steps of a file, and says what ends them.
func read(file []byte) (steps int, err error) {
	r, err := NewReader(bytes.NewReader(file))
	for err == nil {
		if _, err = r.Next(); err == nil {
			steps++
		}
	}
	return steps, err
}

// TestCutFileIsGoodAsFarAsItGoes cuts a file at every byte, and replays some of what is left.
func TestCutFileIsGoodAsFarAsItGoes(t *testing.T) {
	file := sample(t)
	var whole strings.Builder
	if _, err := Replay(bytes.NewReader(file), &whole); err != nil {
		t.Fatal(err)
	}
	last := 0
	for size := range file {
		steps, err := read(file[:size])
		where := size < len(magic) || strings.Contains(err.Error(), "behind step")
		if !errors.Is(err, ErrUnusable) || steps < last || !where {
			t.Fatalf("cut to %d of %d bytes: %d steps after %d, %v", size, len(file), steps, last, err)
		}
		last = steps
		if size%97 != 0 {
			continue
		}
		var transcript strings.Builder
		result, err := Replay(bytes.NewReader(file[:size]), &transcript)
		good := strings.HasPrefix(whole.String(), transcript.String()) &&
			strings.Count(transcript.String(), "\n#") == steps
		if !errors.Is(err, ErrUnusable) || result.Divergence != nil || !good {
			t.Fatalf("cut to %d of %d bytes: %v, %+v\n%s", size, len(file), err, result, transcript.String())
		}
	}
	if all := len(stepsOf(t, file)); last != all {
		t.Errorf("cut by a byte, a file of %d steps gives %d", all, last)
	}
}

// TestDamagedFileIsRefused changes every byte of a file.
func TestDamagedFileIsRefused(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	file := sample(t)
	for i := range file {
		damaged := bytes.Clone(file)
		damaged[i] ^= byte(1 + random.IntN(255))
		if steps, err := read(damaged); !errors.Is(err, ErrUnusable) {
			t.Fatalf("byte %d is %#x instead of %#x: %d steps, %v", i, damaged[i], file[i], steps, err)
		}
	}
}

func TestForeignAndNewerFilesAreRefused(t *testing.T) {
	file := sample(t)
	header, _, _ := bytes.Cut(file, []byte("a test"))
	empty := &Header{Config: membership.Config{Addr: address(0)}}
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	beginning := AppendHeader(nil, &r.Header)
	frame := func(f recordpb.Frame) []byte { return appendFrame([]byte(magic), &f) }
	unknown := edited(t, file, func(i int, s *Step) {
		if i == 5 {
			s.Kind = Kind(len(kindNames))
		}
	})
	end := AppendEnd(nil, End{Reason: Asked, Steps: len(stepsOf(t, file))})
	wrongEnd := AppendEnd(bytes.Clone(bytes.TrimSuffix(file, end)), End{Steps: 3})
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"empty":          {nil, "no file that grepd record has written"},
		"another file":   {[]byte("#!/bin/sh\nexit 0\n"), "no file that grepd record has written"},
		"only its start": {[]byte(magic), "breaks off behind step 0"},
		"half a header":  {header, "breaks off behind step 0"},
		"newer": {frame(recordpb.Frame{Header: &recordpb.Header{Version: 2, Program: "grepd 9"}}),
			"format 2, and this program knows format 1 only; replay it with the program that recorded " +
				"it: grepd 9",
		},
		"no header":      {frame(recordpb.Frame{End: &recordpb.End{}}), "does not begin with a header"},
		"no address":     {frame(recordpb.Frame{Header: &recordpb.Header{Version: 1}}), "its header"},
		"no snapshot":    {AppendHeader(nil, empty), "cannot be restored"},
		"a newer input":  {unknown, "step 5 is an input of kind 5, which this program does not know"},
		"another end":    {wrongEnd, "says that it has 3 steps"},
		"more behind it": {append(bytes.Clone(file), 0), "more behind its end"},
		"endless length": {[]byte(magic + strings.Repeat("\xff", 20)), "step 0: the length of a frame"},
		"a giant frame":  {binary.AppendUvarint([]byte(magic), 1<<60), "a frame of 11529215046068"},
		"an empty frame": {frame(recordpb.Frame{}), "does not begin with a header"},
		"not a message":  {rawFrame([]byte{0xff}), "behind step 0"},
		"an unknown frame": {appendFrame(bytes.Clone(beginning), &recordpb.Frame{}),
			"unknown comes behind step 0"},
	} {
		_, err := Replay(bytes.NewReader(test.file), io.Discard)
		if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// rawFrame frames what need be no message.
func rawFrame(message []byte) []byte {
	out := append(binary.AppendUvarint([]byte(magic), uint64(len(message))), message...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(message, castagnoli))
}

// TestNodeThatLeavesCannotBeRecorded: restored from a snapshot it would join again.
func TestNodeThatLeavesCannotBeRecorded(t *testing.T) {
	g := newGroup(t, rand.New(rand.NewPCG(1, 2)))
	m := g.start()
	g.run(5 * time.Second)
	g.give(m, Input{Kind: Leave})
	_, err := Begin(m.node, "a test", [2]uint64{}, g.clock())
	if err == nil || !strings.Contains(err.Error(), "cannot be recorded") {
		t.Errorf("phase %v: %v", m.node.Phase(), err)
	}
}

// TestFailedTranscriptEndsTheReplay, and is not taken for a bad file.
func TestFailedTranscriptEndsTheReplay(t *testing.T) {
	full := errors.New("the disk is full")
	_, err := Replay(bytes.NewReader(sample(t)), failingWriter{full})
	if !errors.Is(err, full) || errors.Is(err, ErrUnusable) {
		t.Errorf("%v, want %v", err, full)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// FuzzReplay: no file makes the reader panic, or takes much memory.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(rawFrame([]byte{0xff}))
	f.Add(AppendHeader(nil, &Header{Config: membership.Config{Addr: address(0)}}))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrUnusable) {
			t.Error(err)
		}
	})
}
