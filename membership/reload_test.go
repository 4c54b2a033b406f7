package membership

import (
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// TestCrashedProcessMayHaveHadItsLastAnswers: from a snapshot of the very end, all questions count.
// After one that the earlier process outlived, the last of them may have been answered. Snapshots of
// earlier layouts have no tallies.
func TestCrashedProcessMayHaveHadItsLastAnswers(t *testing.T) {
	const now = time.Hour
	before, peer := testHearing(), testAddr(1)
	before.meet(peer)
	for seq, ago := range []time.Duration{time.Second, 900 * time.Millisecond, 200 * time.Millisecond, 0} {
		before.ask(uint64(seq), peer, now-ago)
	}
	before.answer(0, peer)
	before.answer(3, peer)
	questions, tallies := before.snapshot(now)
	for crashed, want := range map[bool]share{false: {asked: 4, answered: 2}, true: {asked: 3, answered: 2}} {
		for layout, tallies := range map[string][]Tally{"1.6": nil, "1.7": tallies} {
			n := &Node{hearing: testHearing()}
			n.hearing.restore(questions, tallies, crashed)
			if got := lately(n, 0, now+answerWithin); got != want {
				t.Errorf("layout %s, crashed %t: it has %+v, want %+v", layout, crashed, got, want)
			}
		}
	}
}

// TestSnapshotLeavesOutQuestionsThatDoNotCount keeps it small.
func TestSnapshotLeavesOutQuestionsThatDoNotCount(t *testing.T) {
	const now = time.Hour
	h := testHearing()
	h.meet(testAddr(1))
	h.meet(testAddr(2))
	h.ask(1, testAddr(1), now-time.Minute)
	h.ask(2, testAddr(1), now-10*time.Second)
	h.ask(3, testAddr(2), now-time.Second)
	h.ask(4, testAddr(1), now-time.Second)
	h.ask(5, testAddr(3), now-time.Second)
	h.forget(ring.PositionOf(testAddr(2)))
	questions, tallies := h.snapshot(now)
	if len(questions) != 1 || questions[0].Seq != 4 {
		t.Errorf("kept are %+v, want the question 4", questions)
	}
	if len(tallies) != 2 || tallies[0].Since != now-10*time.Second {
		t.Errorf("kept are %+v, want those of two seconds", tallies)
	}
}

// A reload knows those again that the earlier process knew, whatever the layout.
func TestReloadKnowsWhoHasAnswered(t *testing.T) {
	node := testMember(t, 10)
	node.hearing.meet(testAddr(5))
	node.hearing.ask(7, testAddr(5), node.now.Mono)
	node.hearing.answer(7, testAddr(5))
	s := node.Snapshot()
	s.Beats = append(s.Beats[:0], Beat{Addr: testAddr(1)}, Beat{Addr: testAddr(2), Unheard: time.Minute})
	s.Watched = append(s.Watched[:0], Watched{ID: ID{testAddr(3), 1}, HasBase: true}, Watched{ID: ID{testAddr(4), 1}})
	restored, err := RestoreNode(node.cfg, s, false, node.now)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]bool{1: true, 2: false, 3: true, 4: false, 5: true, 6: false} {
		if got := slices.Contains(restored.hearing.known, testAddr(i)); got != want {
			t.Errorf("%v is known: %t, want %t", testAddr(i), got, want)
		}
	}
}
