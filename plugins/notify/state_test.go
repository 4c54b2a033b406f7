package main

import (
	"bytes"
	"encoding/hex"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

var update = flag.Bool("update", false, "write the golden state of the present layout")

// layouts are all that programs have written under version 1, the oldest first: fields are added, none
// changes its meaning. Each has a golden file, testdata/states/NAME.hex. A change of the layout gets a name here, and its
// file with
//
//	go test ./plugins/notify -run Golden -update
var layouts = []string{"1.0"}

func golden(layout string) string { return filepath.Join("testdata", "states", layout+".hex") }

// goldenState is what the golden file of the present layout holds, with something in every field.
func goldenState() *notifypb.State {
	fail := func(peer string) []byte {
		return []byte(`{"time":"2026-11-22T06:40:00.000000001Z","level":"WARN","event":"FAIL","node":"10.0.0.1:7117@1","peer":"` + peer + `","via":"monitor"}`)
	}
	state := &notifypb.State{
		Version: stateVersion,
		Positions: []notifypb.Position{
			{Log: eventlog.MembershipLog, FileUnixNanos: 1763793600000000001, Offset: 4711}, {Log: eventlog.GrepdLog, FileUnixNanos: 1763793600000000002, Offset: 815},
		},
		Recent:   []notifypb.Waiting{{Line: fail("10.0.0.2:7117@2"), Chosen: "10.0.0.4:7117@4", UntilUnixNanos: 1763793620000000000, SeenUnixNanos: 1763793600000000003}},
		Outboxes: []notifypb.Outbox{{Destination: new(pager).name(), Lines: [][]byte{fail("10.0.0.3:7117@3"), fail("10.0.0.5:7117@5")}, Batch: 1}},
		Departed: []notifypb.Departure{{Id: "10.0.0.2:7117@2", UntilUnixNanos: 1763793621000000000}},
	}
	for i, name := range slices.Sorted(maps.Keys(new(counts).named())) {
		state.Counters = append(state.Counters, notifypb.Counter{Name: name, Value: uint64(i + 1)})
	}
	return state
}

// Each state that a program has ever written can be gone on from; that of the present layout to the byte.
func TestGoldenStatesAreGoneOnFrom(t *testing.T) {
	present := layouts[len(layouts)-1]
	if *update {
		encoded, err := goldenState().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden(present), []byte(hex.EncodeToString(encoded)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, layout := range layouts {
		text, err := os.ReadFile(golden(layout))
		if err != nil {
			t.Fatal(err)
		}
		stored, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		s := &notifier{cfg: config{logDir: t.TempDir()}, boxes: []*outbox{{destination: new(pager)}}}
		if err := s.restore(&notifypb.StartRequest{Snapshot: stored}); err != nil {
			t.Errorf("%s: %v", layout, err)
			continue
		}
		again, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		if layout == present && !bytes.Equal(again, stored) {
			t.Errorf("%s comes back as\n%x, want\n%x", layout, again, stored)
		}
		s.closeLogs()
	}
}
