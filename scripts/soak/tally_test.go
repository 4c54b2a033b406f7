package main

import (
	"fmt"
	"slices"
	"testing"
)

func TestEachLineCountsOnce(t *testing.T) {
	tally := newTally(2)
	for i := 1; i <= 3000; i++ {
		tally.line(fmt.Sprintf("127.0.0.1:1:app/a.log:2026-11-30T23:00:00Z x SEQ 0.%d", i))
	}
	tally.line("127.0.0.1:1:app/b.log:x SEQ 1.1")
	tally.message("dgrep: following 6 of 6 members")
	if v := tally.verdict([]int{3000, 1}); !v.good() || v.printed != 3001 || len(v.details) > 0 {
		t.Errorf("got %v, %q", v, v.details)
	}
}

func TestWhatIsLostDoubledOrNeverWrittenIsFound(t *testing.T) {
	tally := newTally(2)
	for _, number := range []int{1, 3, 3, 5} {
		tally.line(fmt.Sprintf("SEQ 1.%d", number))
	}
	tally.line("no number at all")
	tally.line("SEQ 2.1") // of no log
	tally.message("127.0.0.1:1:app/a.log: gap: it is gone")
	v := tally.verdict([]int{0, 4})
	if v.good() || v.written != 4 || v.lost != 2 || v.doubled != 2 || v.gaps != 1 || v.alien != 2 {
		t.Errorf("got %v", v)
	}
	want := []string{
		"lost: 1.2", "printed 2 times: 1.3", "lost: 1.4", "printed 1 times: 1.5",
		"127.0.0.1:1:app/a.log: gap: it is gone", "no number at all", "SEQ 2.1",
	}
	if !slices.Equal(v.details, want) {
		t.Errorf("details %q, want %q", v.details, want)
	}
}

// Each kind of trouble alone makes the verdict a bad one.
func TestOneFaultIsEnough(t *testing.T) {
	for _, v := range []verdict{{lost: 1}, {doubled: 1}, {gaps: 1}, {alien: 1}} {
		if v.good() {
			t.Errorf("%v counts as good", v)
		}
	}
}
