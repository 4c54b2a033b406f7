package membership

import (
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// testWindow is how far back a node looks that detects failures within 2 s.
const testWindow = 20 * time.Second

func testHearing() hearing { return newHearing(Bounds{Detect: 2 * time.Second}) }

// asked is a node that has asked each of some members so many questions at an instant, and got
// answers to the first ones.
func asked(members []share, at time.Duration) *Node {
	n := &Node{hearing: testHearing()}
	seq := uint64(0)
	for i, m := range members {
		n.hearing.meet(testAddr(i))
		for q := range m.asked {
			seq++
			n.hearing.ask(seq, testAddr(i), at)
			if q < m.answered {
				n.hearing.answer(seq, testAddr(i))
			}
		}
	}
	return n
}

// lately is the share of a node's questions of the last testWindow.
func lately(n *Node, spare int, now time.Duration) share {
	return n.heard(n.hearing.lately(now, testWindow, now), spare)
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
		"but are not":              {[]share{{9, 9}, {8, 8}}, 3, share{17, 17}},
		"no one outweighs another": {[]share{{30, 300}, {9, 10}}, 0, share{11, 30}},
		"but one alone":            {[]share{{30, 300}}, 0, share{3, 32}},
	}
	for name, test := range tests {
		if got := lately(asked(test.members, 0), test.spare, time.Second); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// Who has never answered may be made up. Who says that it is gray does not count if others do.
func TestShareCountsWhoCanBeReliedOn(t *testing.T) {
	n := asked([]share{{10, 10}, {1, 20}}, 0)
	stranger := testAddr(9)
	for seq := uint64(100); seq < 200; seq++ {
		n.hearing.ask(seq, stranger, 0)
	}
	n.hearing.answer(150, stranger)
	if got := lately(n, 0, time.Second); got != (share{11, 30}) {
		t.Errorf("with a stranger: %+v", got)
	}
	n.hearing.ask(200, stranger, 0)
	if got := lately(n, 0, time.Second); got != (share{11, 31}) {
		t.Errorf("with one that has answered, and is asked again: %+v", got)
	}
	n.hearing.answer(200, stranger)
	n.gray.others = []GrayMember{{Addr: stranger}}
	n.gray.others = append(n.gray.others, GrayMember{Addr: testAddr(1)})
	if got := lately(n, 0, time.Second); got != (share{10, 10}) {
		t.Errorf("with one that is gray: %+v", got)
	}
	n.gray.others = append(n.gray.others, GrayMember{Addr: testAddr(0)})
	if got := lately(n, 0, time.Second); got != (share{12, 31}) {
		t.Errorf("where all are gray: %+v", got)
	}
}

func TestShareCountsWhatHadTime(t *testing.T) {
	n := asked([]share{{1, 4}}, 0)
	if got := lately(n, 0, answerWithin-1); got != (share{1, 1}) {
		t.Errorf("before an answer could come: %+v", got)
	}
	if got := lately(n, 0, answerWithin); got != (share{1, 4}) {
		t.Errorf("when it could have: %+v", got)
	}
	if got := lately(n, 0, testWindow+n.hearing.span+1); got != (share{}) {
		t.Errorf("long after: %+v", got)
	}
	before := n.hearing.lately(-time.Second, testWindow, 0)
	if got := n.heard(before, 0); got != (share{}) {
		t.Errorf("of the time before: %+v", got)
	}
}

func TestAnswersCountForWhomTheyWereAsked(t *testing.T) {
	n := asked([]share{{0, 2}}, 0)
	n.hearing.answer(1, testAddr(7)) // another member
	n.hearing.answer(9, testAddr(0)) // no such question
	if got := lately(n, 0, time.Second); got != (share{0, 2}) {
		t.Errorf("%+v after answers to nothing", got)
	}
	n.hearing.answer(1, testAddr(0))
	n.hearing.answer(1, testAddr(0)) // a duplicate
	if got := lately(n, 0, time.Second); got != (share{1, 2}) {
		t.Errorf("%+v after one answer", got)
	}
	n.hearing.forget(ring.PositionOf(testAddr(0)))
	if got := lately(n, 0, time.Second); got != (share{}) {
		t.Errorf("%+v of a member that is gone", got)
	}
}

// Many questions just now do not displace what an earlier time has shown.
func TestManyQuestionsAreCountedAndFewAreKept(t *testing.T) {
	n := asked([]share{{8, 10}}, 0)
	h := &n.hearing
	addr := testAddr(0)
	seq := uint64(1000)
	for now := 5 * time.Second; now < 15*time.Second; now += time.Millisecond {
		seq++
		h.ask(seq, addr, now)
	}
	if len(h.questions) > questionsMax || len(h.tallies) > 11 {
		t.Errorf("%d questions and %d tallies are kept", len(h.questions), len(h.tallies))
	}
	h.answer(seq, addr)
	h.answer(seq-questionsMax, addr) // too late: it is not kept any more
	if got := lately(n, 0, 16*time.Second); got.answered != 0 || got.asked != grayMin {
		t.Errorf("the last 20 s: %+v, want nearly none of %d", got, grayMin)
	}
	if got := n.heard(h.lately(5*time.Second, testWindow, 16*time.Second), 0); got != (share{8, 10}) {
		t.Errorf("before: %+v, want 8 of 10", got)
	}
	for now := 15 * time.Second; now < time.Hour; now += time.Second {
		seq++
		h.ask(seq, testAddr(0), now)
	}
	if most := int(h.keep/h.span) + 1; len(h.tallies) > most {
		t.Errorf("%d tallies are kept after an hour, want at most %d", len(h.tallies), most)
	}
}

func TestSoManyAreKnown(t *testing.T) {
	h := testHearing()
	for i := range 3 * knownMax {
		h.meet(testAddr(i))
		h.meet(testAddr(0))
	}
	if len(h.known) != knownMax || h.known[knownMax-1] != testAddr(0) {
		t.Errorf("%d are known, %v as the last one", len(h.known), h.known[len(h.known)-1])
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
