package membership

import (
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// testWindow is how far back a node looks that detects failures within 2 s.
const testWindow = 20 * time.Second

// asked is a hearing in which each member was asked so many questions a while ago, and has
// answered the first ones.
func asked(members []share) *hearing {
	h := &hearing{}
	seq := uint64(0)
	for i, m := range members {
		for q := range m.asked {
			seq++
			h.ask(seq, ring.Position(i), 0)
			if q < m.answered {
				h.answer(seq, ring.Position(i))
			}
		}
	}
	return h
}

func TestShareLeavesOutThoseThatMayBeDead(t *testing.T) {
	tests := map[string]struct {
		members []share
		spare   int
		want    share
	}{
		"nobody asked":             {nil, 3, share{}},
		"all answer":               {[]share{{4, 4}, {2, 2}}, 0, share{6, 6}},
		"dead ones are left out":   {[]share{{0, 9}, {0, 8}, {3, 4}, {4, 4}}, 2, share{7, 8}},
		"no more than may be dead": {[]share{{0, 9}, {0, 8}, {0, 7}, {4, 4}}, 2, share{4, 11}},
		"all may be":               {[]share{{0, 9}, {0, 8}}, 3, share{}},
	}
	for name, test := range tests {
		if got := asked(test.members).share(testWindow, test.spare, time.Second); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestShareCountsWhatHadTime(t *testing.T) {
	h := asked([]share{{1, 4}})
	if got := h.share(testWindow, 0, answerWithin-1); got != (share{1, 1}) {
		t.Errorf("before an answer could come: %+v", got)
	}
	if got := h.share(testWindow, 0, answerWithin); got != (share{1, 4}) {
		t.Errorf("when it could have: %+v", got)
	}
	if got := h.share(testWindow, 0, testWindow+answerWithin+1); got != (share{}) {
		t.Errorf("long after: %+v", got)
	}
}

func TestAnswersCountForWhomTheyWereAsked(t *testing.T) {
	h := asked([]share{{0, 2}})
	h.answer(1, 7) // another member
	h.answer(9, 0) // no such question
	if got := h.share(testWindow, 0, time.Second); got != (share{0, 2}) {
		t.Errorf("%+v after answers to nothing", got)
	}
	h.forget(0)
	if got := h.share(testWindow, 0, time.Second); got != (share{}) {
		t.Errorf("%+v of a member that is gone", got)
	}
}

// TestQuestionsAreBounded asks more than are kept; those that are kept are the last ones, and
// found.
func TestQuestionsAreBounded(t *testing.T) {
	h := &hearing{}
	for seq := uint64(1); seq <= 2*questionsMax+7; seq++ {
		h.ask(seq, 1, 0)
	}
	for seq := uint64(1); seq <= 2*questionsMax+7; seq += 2 {
		h.answer(seq, 1)
	}
	if got, want := h.share(testWindow, 0, time.Second), (share{questionsMax / 2, questionsMax}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWhatProves(t *testing.T) {
	tests := []struct {
		share
		inVain int
		want   bool
	}{
		{share{0, 0}, 1000, false}, // nobody was asked
		{share{0, 20}, 1000, false},
		{share{10, 10}, 5, false},
		{share{10, 10}, 6, true},
		{share{10, 20}, 20, false}, // 0.52 to the 20th is two in a million
		{share{10, 20}, 22, true},
		{share{1, 20}, 100, false},
		{share{1, 20}, 300, true},
	}
	for _, test := range tests {
		if got := test.proves(test.inVain); got != test.want {
			t.Errorf("%d in vain, %+v answered: proves %t", test.inVain, test.share, got)
		}
	}
}
