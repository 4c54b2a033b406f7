package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

var update = flag.Bool("update", false, "write the golden snapshot of the present layout")

// layouts are all that programs have written under version 1, the oldest first: fields
// were added, none has changed its meaning. Each has a golden file, testdata/snapshots/NAME.hex,
// that a program of that time wrote: 1.0 that of commit 3ccd587, 1.1 that of cda3fc9. A
// change of the layout gets a name here, and its file with
//
//	go test ./membership/wire -run Golden -update
var layouts = []struct {
	name string
	// lacks takes out of the sample what that layout had no field for.
	lacks func(*membership.Snapshot)
}{
	{"1.0", func(s *membership.Snapshot) {
		s.Beats, s.Pending, s.Watched[0].Doubt = nil, membership.Pending{}, membership.Doubt{}
		s.Watched[0].Wronged = 0
		lackHearing(s)
	}},
	{"1.1", func(s *membership.Snapshot) {
		lackHearing(s)
		s.Pending, s.Watched[0].Doubt, s.Watched[0].Wronged = membership.Pending{}, membership.Doubt{}, 0
	}},
	{"1.2", func(s *membership.Snapshot) {
		lackHearing(s)
		s.Watched[0].Doubt, s.Watched[0].Wronged = membership.Doubt{}, 0
	}},
	{"1.3", func(s *membership.Snapshot) {
		lackHearing(s)
		w := &s.Watched[0]
		w.Wronged, w.Doubt.Rounds = 0, w.Doubt.Probes // all of them were
	}},
	{"1.4", lackHearing},
	{"1.5", lackGray},
	{"1.6", func(s *membership.Snapshot) { s.Returns, s.Tallies = nil, nil }},
	{"1.7", func(*membership.Snapshot) {}},
}

func lackHearing(s *membership.Snapshot) {
	s.Heard, s.Held, s.Version = 0, false, 0
	lackGray(s)
}

func lackGray(s *membership.Snapshot) {
	s.GraySince, s.GrayMembers, s.Questions = time.Time{}, nil, nil
	s.Returns, s.Tallies = nil, nil
	for i := range s.Beats {
		s.Beats[i].Unheard = 0
	}
	w := &s.Watched[0]
	w.Trip, w.Doubt.InVain, w.Doubt.Underway = 0, 0, 0
}

const sampleAt = 5 * time.Hour // Mono

func sampleID(host string, incarnation uint64) membership.ID {
	return membership.ID{Addr: netip.MustParseAddrPort(host + ":7117"), Incarnation: incarnation}
}

// sample is the snapshot that the golden files hold: of a monitor that has just declared
// a failure, and knows IPv6 as well.
func sample() membership.Snapshot {
	since := time.Unix(1763793600, 123456789).UTC()
	self, peer, dead := sampleID("10.0.0.1", 1763793600000000001), sampleID("10.0.0.2", 1763793600000000002), sampleID("10.0.0.3", 3)
	s := membership.Snapshot{
		Self: self, Phase: membership.InGroup, Epoch: time.Hour, Seq: 4711, BeatSeq: 815,
		Beat:  sampleAt + 400*time.Millisecond,
		Heard: sampleAt - time.Second, Held: true, Version: 42,
		Beats: []membership.Beat{{Addr: peer.Addr, At: sampleAt - time.Second, Unheard: sampleAt - time.Minute}},
		Watched: []membership.Watched{{
			ID: peer, Stamp: time.Minute, Fresh: sampleAt - 2*time.Second, Base: -time.Millisecond, HasBase: true,
			Trip: time.Millisecond, Wronged: sampleAt - time.Minute,
			Doubt: membership.Doubt{
				Probes: 3, Rounds: 2, InVain: 5, Underway: 3, Since: sampleAt - 700*time.Millisecond,
				NextProbe: sampleAt + 50*time.Millisecond, Ripe: sampleAt + 50*time.Millisecond,
			},
		}},
	}
	s.GraySince = since.Add(time.Hour)
	s.GrayMembers = []membership.GrayMember{{Addr: peer.Addr, Until: sampleAt + time.Second}}
	s.Questions = []membership.Question{
		{Seq: 4709, To: ring.PositionOf(peer.Addr), Sent: sampleAt - time.Second, Answered: true},
		{Seq: 4711, To: ring.PositionOf(peer.Addr), Sent: sampleAt - 100*time.Millisecond},
	}
	s.Tallies = []membership.Tally{{To: ring.PositionOf(peer.Addr), Since: sampleAt - 3*time.Second, Asked: 7, Answered: 5}}
	s.Returns = []membership.Returns{{Addr: peer.Addr, Count: 4.5, At: sampleAt - 30*time.Second}}
	for _, e := range []membership.Entry{
		{ID: self}, {ID: peer}, {ID: dead, State: membership.Failed},
		{ID: sampleID("[2001:db8::4]", 4), State: membership.Left},
	} {
		s.Rows = append(s.Rows, membership.NewMember(e, since))
	}
	slices.SortFunc(s.Rows, func(a, b *membership.Member) int {
		if a.Position() < b.Position() {
			return -1
		}
		return 1
	})
	verdict := membership.Entry{ID: dead, State: membership.Failed}
	s.Pending = membership.Pending{
		Batch:  []membership.Entry{verdict},
		Staged: []membership.Staged{{Entry: verdict, Due: sampleAt + 200*time.Millisecond}},
		Flights: []membership.Flight{{
			Seq: 4710, Head: peer, Arc: ring.Arc{From: 1, To: 1 << 63}, Entries: []membership.Entry{verdict},
			Hops: 2, Relayed: true, Tries: 1, Retry: sampleAt + 100*time.Millisecond,
		}},
	}
	return s
}

func goldenPath(layout string) string {
	return filepath.Join("testdata", "snapshots", layout+".hex")
}

// golden reads a file of hex digits, with line breaks anywhere.
func golden(t *testing.T, layout string) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenPath(layout))
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeGolden(t *testing.T, layout string, data []byte) {
	t.Helper()
	var text strings.Builder
	for line := range slices.Chunk([]byte(hex.EncodeToString(data)), 64) {
		text.Write(line)
		text.WriteByte('\n')
	}
	if err := os.WriteFile(goldenPath(layout), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenSnapshotIsWhatIsWrittenToday(t *testing.T) {
	newest := layouts[len(layouts)-1].name
	written := AppendSnapshot(nil, sample())
	if *update {
		writeGolden(t, newest, written)
	}
	if !bytes.Equal(written, golden(t, newest)) {
		t.Errorf("the layout is no longer %s: add a name to layouts, and write its golden file with -update", newest)
	}
}

// TestGoldenSnapshotsOfAllLayoutsAreRestored restores what earlier programs have written.
func TestGoldenSnapshotsOfAllLayoutsAreRestored(t *testing.T) {
	files, err := filepath.Glob(goldenPath("*"))
	if err != nil || len(files) != len(layouts) {
		t.Errorf("there are the golden files %v (error %v), for %d layouts", files, err, len(layouts))
	}
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			want := sample()
			layout.lacks(&want)
			got, err := DecodeSnapshot(golden(t, layout.name))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read\n%+v\nwant\n%+v", got, want)
			}
			checkRestored(t, got)
		})
	}
}

// checkRestored lets a node go on from the snapshot, and looks at what it then is.
func checkRestored(t *testing.T, s membership.Snapshot) {
	t.Helper()
	cfg := membership.Config{Addr: s.Self.Addr, Gateways: []netip.AddrPort{s.Self.Addr}, Rand: random(t)}
	now := membership.Now{Mono: sampleAt, Wall: time.Unix(1763800000, 0)}
	node, err := membership.RestoreNode(cfg, s, false, now)
	if err != nil {
		t.Fatal(err)
	}
	if node.Self() != s.Self || node.Phase() != membership.InGroup || node.Alive() != 2 {
		t.Errorf("it goes on as %v, %v, with %d alive; want %v, in the group, 2 alive", node.Self(), node.Phase(), node.Alive(), s.Self)
	}
	if !reflect.DeepEqual(node.Members(), s.Rows) {
		t.Errorf("its list is %v, want %v", node.Members(), s.Rows)
	}
	again := node.Snapshot()
	if again.Seq != s.Seq || again.BeatSeq != s.BeatSeq || again.Epoch != s.Epoch {
		t.Errorf("its numbers are %d and %d, its epoch %v; want %d, %d, %v", again.Seq, again.BeatSeq, again.Epoch, s.Seq, s.BeatSeq, s.Epoch)
	}
	if !reflect.DeepEqual(again.Pending, s.Pending) {
		t.Errorf("it has pending %+v, want %+v", again.Pending, s.Pending)
	}
	if again.GraySince != s.GraySince || !reflect.DeepEqual(again.GrayMembers, s.GrayMembers) ||
		!reflect.DeepEqual(again.Questions, s.Questions) {
		t.Errorf("it is gray since %v, others are %v, it has asked %v; want %v, %v, %v",
			again.GraySince, again.GrayMembers, again.Questions, s.GraySince, s.GrayMembers, s.Questions)
	}
	for _, f := range s.Pending.Flights {
		node.Step(now, f.Head.Addr, &membership.Message{Kind: membership.Ack, Sender: f.Head, Seq: f.Seq})
	}
	if left := node.Snapshot().Pending.Flights; len(left) > 0 {
		t.Errorf("acknowledgements of the earlier process's messages do not count: %+v", left)
	}
}

func TestUnknownAndDamagedSnapshotsAreRefused(t *testing.T) {
	whole := golden(t, layouts[len(layouts)-1].name)
	newer, err := (&wirepb.Snapshot{Version: snapshotVersion + 1}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	outOfOrder := sample()
	slices.Reverse(outOfOrder.Rows)
	disorderly := sample()
	slices.Reverse(disorderly.Questions)
	noState := sample()
	noState.Pending.Batch[0].State = membership.Left + 1
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"newer":            {newer, "version 2, this program knows 1 to 1"},
		"empty":            {[]byte{}, "version 0"},
		"cut short":        {whole[:len(whole)-1], "unexpected EOF"},
		"garbage":          {[]byte("not a snapshot"), ErrSnapshot.Error()},
		"not in order":     {AppendSnapshot(nil, outOfOrder), "ring order"},
		"questions":        {AppendSnapshot(nil, disorderly), "questions are not in order"},
		"no such state":    {AppendSnapshot(nil, noState), "state 3"},
		"another's header": {append([]byte{0xff}, whole...), ErrSnapshot.Error()},
	} {
		if _, err := DecodeSnapshot(test.data); !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want ErrSnapshot with %q", name, err, test.want)
		}
	}
}

// TestSnapshotOfALaterLayoutIsRead: fields that this program does not know are passed over.
func TestSnapshotOfALaterLayoutIsRead(t *testing.T) {
	const unknownField = "\xfa\x3e\x03new" // number 1007, three bytes
	got, err := DecodeSnapshot(append(AppendSnapshot(nil, sample()), unknownField...))
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("read %+v, %v", got, err)
	}
}
