package membership

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// hearing is how well this node hears: which of the questions that it asked lately were
// answered. A monitor that hears nothing of a member cannot know from that alone whether the
// member is silent or its own links are bad. How others answer tells the two apart.
//
// As many members as may fail at once may be dead, and answer nothing. So those with the most
// unanswered questions are left out, as many as there may be of them. The rest must answer a
// node whose links are good.
type hearing struct {
	questions []question // a ring of the last questionsMax, in the order of their numbers
	oldest    int        // of the ring, once it is full
	tallies   []tally    // scratch of share
}

// question is a Probe or a Query that this node has sent.
type question struct {
	seq      uint64
	to       ring.Position
	sent     time.Duration
	answered bool
	void     bool // does not count
}

// tally counts the questions to one member.
type tally struct {
	to              ring.Position
	asked, answered int
}

// share is how many of some questions were answered.
type share struct{ answered, asked int }

// Limits of hearing.
const (
	questionsMax = 512
	// answerWithin is when a question without an answer counts as unanswered.
	answerWithin = 250 * time.Millisecond
	// hearingNow is how far back a node looks to know how well it hears just now.
	hearingNow = time.Second
	// doubtless is the logarithm of the chance that a verdict is wrong, at most: one in a million.
	doubtless = -13.8
)

// hearingWindow is how far back a node looks to know how well it hears as a rule: some time more
// than members take to doubt each other.
func (n *Node) hearingWindow() time.Duration { return 10 * n.bounds.Detect }

// hearingBefore is how long ago members that have failed together with the one in doubt were
// still there, and answered.
func (n *Node) hearingBefore() time.Duration { return 2 * n.bounds.Detect }

// ask takes note of a question. Numbers rise.
func (h *hearing) ask(seq uint64, to ring.Position, now time.Duration) {
	q := question{seq: seq, to: to, sent: now}
	if len(h.questions) < questionsMax {
		h.questions = append(h.questions, q)
		return
	}
	h.questions[h.oldest] = q
	h.oldest = (h.oldest + 1) % questionsMax
}

// at is the question that was asked as the i-th of those that are kept.
func (h *hearing) at(i int) *question {
	return &h.questions[(h.oldest+i)%len(h.questions)]
}

// answer takes note of an answer to the question with this number, by the member that it was put
// to.
func (h *hearing) answer(seq uint64, by ring.Position) {
	i := sort.Search(len(h.questions), func(i int) bool { return h.at(i).seq >= seq })
	if i < len(h.questions) && h.at(i).seq == seq && h.at(i).to == by {
		h.at(i).answered = true
	}
}

// forget drops the questions to a member that has left or failed: that it did not answer says
// nothing.
func (h *hearing) forget(member ring.Position) {
	for i := range h.questions {
		if h.questions[i].to == member {
			h.questions[i].void = true
		}
	}
}

// share is how many of the questions of a while were answered, by all but the members that
// answered least: spare of them. What was asked a moment ago does not count yet, unless it is
// answered.
func (h *hearing) share(while time.Duration, spare int, now time.Duration) share {
	return h.shareUntil(now, while, spare, now)
}

// shareUntil is the share of a while that ended earlier.
func (h *hearing) shareUntil(end, while time.Duration, spare int, now time.Duration) share {
	h.tallies = h.tallies[:0]
	for i := len(h.questions) - 1; i >= 0; i-- {
		q := h.at(i)
		if end-q.sent > while+answerWithin {
			break
		}
		if q.sent <= end && !q.void && (q.answered || now-q.sent >= answerWithin) {
			h.count(q)
		}
	}
	slices.SortFunc(h.tallies, func(a, b tally) int {
		return cmp.Or(cmp.Compare(b.asked-b.answered, a.asked-a.answered), cmp.Compare(a.to, b.to))
	})
	var s share
	for _, t := range h.tallies[min(spare, len(h.tallies)):] {
		s.asked += t.asked
		s.answered += t.answered
	}
	return s
}

func (h *hearing) count(q *question) {
	i := slices.IndexFunc(h.tallies, func(t tally) bool { return t.to == q.to })
	if i < 0 {
		i = len(h.tallies)
		h.tallies = append(h.tallies, tally{to: q.to})
	}
	h.tallies[i].asked++
	if q.answered {
		h.tallies[i].answered++
	}
}

// proves reports whether so many questions in vain show that the member that they were about is
// silent: whether it is unlikely enough that each of them was lost by itself. One more that was
// not answered is reckoned with, so that few questions prove little.
func (s share) proves(inVain int) bool {
	lost := float64(s.asked-s.answered+1) / float64(s.asked+1)
	return float64(inVain)*math.Log(lost) <= doubtless
}

// Question is a question that this node has asked another member, for a Snapshot.
type Question struct {
	Seq      uint64
	To       ring.Position
	Sent     time.Duration // Mono
	Answered bool
}

// snapshot is the questions of a while that still count.
func (h *hearing) snapshot(while, now time.Duration) (questions []Question) {
	for i := range h.questions {
		q := h.at(i)
		if !q.void && now-q.sent <= while+answerWithin {
			questions = append(questions, Question{q.seq, q.to, q.sent, q.answered})
		}
	}
	return questions
}

// restore takes up the questions of a snapshot. Where the earlier process has gone on, the last
// of them may have been answered since.
func (h *hearing) restore(questions []Question, crashed bool) {
	questions = questions[max(0, len(questions)-questionsMax):]
	for _, q := range questions {
		last := questions[len(questions)-1].Sent-q.Sent < answerWithin
		h.questions = append(h.questions, question{
			seq: q.Seq, to: q.To, sent: q.Sent, answered: q.Answered,
			void: crashed && last && !q.Answered,
		})
	}
}
