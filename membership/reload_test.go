package membership

import (
	"testing"
	"time"
)

// TestCrashedProcessMayHaveHadItsLastAnswers: from a snapshot of the very end, all questions count.
// After one that the earlier process outlived, the last of them may have been answered.
func TestCrashedProcessMayHaveHadItsLastAnswers(t *testing.T) {
	const now = time.Hour
	var before hearing
	for seq, ago := range []time.Duration{time.Second, 900 * time.Millisecond, 200 * time.Millisecond, 0} {
		before.ask(uint64(seq), 1, now-ago)
	}
	before.answer(0, 1)
	before.answer(3, 1)
	for crashed, want := range map[bool]share{false: {asked: 4, answered: 2}, true: {asked: 3, answered: 2}} {
		var after hearing
		after.restore(before.snapshot(testWindow, now), crashed)
		if got := after.share(testWindow, 0, now+answerWithin); got != want {
			t.Errorf("crashed %t: it has %+v, want %+v", crashed, got, want)
		}
	}
}

// TestSnapshotLeavesOutQuestionsThatDoNotCount keeps it small.
func TestSnapshotLeavesOutQuestionsThatDoNotCount(t *testing.T) {
	const now = time.Hour
	var h hearing
	h.ask(1, 1, now-time.Minute)
	h.ask(2, 2, now-time.Second)
	h.ask(3, 1, now-time.Second)
	h.forget(2)
	if got := h.snapshot(testWindow, now); len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("kept are %+v, want the question 3", got)
	}
}
