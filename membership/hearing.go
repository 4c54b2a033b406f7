package membership

import (
	"cmp"
	"math"
	"net/netip"
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
// node whose links are good. A question counts if the member had answered this node before: one
// that has not may be made up.
//
// Questions are kept one by one only for as long as they may be answered. Beyond, they are counted,
// by member and span of time, so that many questions do not displace what an earlier time showed.
type hearing struct {
	span      time.Duration    // of a tally
	keep      time.Duration    // how long ago the oldest tally is
	questions []question       // a ring of the last questionsMax, in the order of their numbers
	oldest    int              // of the ring, once it is full
	tallies   []tally          // in the order of their time
	known     []netip.AddrPort // members that have answered, the last one last
	sums      []tally          // scratch of count
}

// question is a Probe or a Query that this node has sent.
type question struct {
	seq      uint64
	to       ring.Position
	sent     time.Duration
	answered bool
	void     bool // does not count
}

// tally counts the questions to one member within one span of time.
type tally struct {
	to              ring.Position
	since           time.Duration // the span's beginning
	asked, answered int
}

// share is how many of some questions were answered.
type share struct{ answered, asked int }

// Limits of hearing.
const (
	// questionsMax is more than a node asks while an answer may be on its way.
	questionsMax = 512
	// knownMax is how many members are kept that have answered, the last ones.
	knownMax = 32
	// knownWanted is how many a node should know, so that enough of them are left to judge its
	// hearing by where as many are left out as may be dead.
	knownWanted = 12
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

func newHearing(b Bounds) hearing {
	return hearing{span: b.Detect / 2, keep: 13 * b.Detect} // window, before, and two spans
}

// ask takes note of a question. Numbers rise.
func (h *hearing) ask(seq uint64, to netip.AddrPort, now time.Duration) {
	q := question{seq: seq, to: ring.PositionOf(to), sent: now, void: !slices.Contains(h.known, to)}
	if !q.void {
		h.tally(q.to, now).asked++
	}
	if len(h.questions) < questionsMax {
		h.questions = append(h.questions, q)
		return
	}
	h.questions[h.oldest] = q
	h.oldest = (h.oldest + 1) % questionsMax
}

// tally is the one that a question of that instant belongs to, a new one if need be.
func (h *hearing) tally(to ring.Position, sent time.Duration) *tally {
	since := sent.Truncate(h.span)
	for i := len(h.tallies) - 1; i >= 0 && h.tallies[i].since >= since; i-- {
		if t := &h.tallies[i]; t.to == to && t.since == since {
			return t
		}
	}
	old := slices.IndexFunc(h.tallies, func(t tally) bool { return sent-t.since < h.keep })
	h.tallies = slices.Delete(h.tallies, 0, max(0, old))
	h.tallies = append(h.tallies, tally{to: to, since: since})
	return &h.tallies[len(h.tallies)-1]
}

// at is the question that was asked as the i-th of those that are kept.
func (h *hearing) at(i int) *question {
	return &h.questions[(h.oldest+i)%len(h.questions)]
}

// answer takes note of an answer to the question with this number, by the member that it was put
// to.
func (h *hearing) answer(seq uint64, by netip.AddrPort) {
	i := sort.Search(len(h.questions), func(i int) bool { return h.at(i).seq >= seq })
	if i == len(h.questions) {
		return
	}
	if q := h.at(i); q.seq == seq && q.to == ring.PositionOf(by) && !q.answered {
		q.answered = true
		if !q.void {
			h.tally(q.to, q.sent).answered++
		}
		h.meet(by)
	}
}

// meet keeps a member that has answered, as the last one.
func (h *hearing) meet(addr netip.AddrPort) {
	if i := slices.Index(h.known, addr); i >= 0 {
		h.known = slices.Delete(h.known, i, i+1)
	} else if len(h.known) == knownMax {
		h.known = slices.Delete(h.known, 0, 1)
	}
	h.known = append(h.known, addr)
}

// meetMore asks a member that this node does not know, if it knows too few that are alive: one in
// each turn of its heartbeats, in its first seconds and after others have gone.
func (n *Node) meetMore() {
	known := n.hearing.known
	wanted := min(knownWanted, n.list.ring.Live()-1)
	for _, addr := range known {
		if m := n.list.get(addr); m != nil && m.Live() {
			wanted--
		}
	}
	if wanted <= 0 {
		return
	}
	points := n.list.ring.Points()
	for range 16 { // tries; where hardly anyone is live, there is time
		m := points[n.cfg.Rand.IntN(len(points))]
		if m.Live() && m.position != n.position && !slices.Contains(known, m.Addr) {
			n.ping(m)
			return
		}
	}
}

// forget drops the questions to a member that has left or failed: that it did not answer says
// nothing.
func (h *hearing) forget(member ring.Position) {
	h.tallies = slices.DeleteFunc(h.tallies, func(t tally) bool { return t.to == member })
	for i := range h.questions {
		if h.questions[i].to == member {
			h.questions[i].void = true
		}
	}
}

// justNow sums up the questions of the last hearingNow, a sum for each member.
func (h *hearing) justNow(now time.Duration) []tally {
	h.sums = h.sums[:0]
	for i := len(h.questions) - 1; i >= 0; i-- {
		q := h.at(i)
		if now-q.sent > hearingNow+answerWithin {
			break
		}
		switch {
		case q.void:
		case q.answered:
			h.count(tally{to: q.to, asked: 1, answered: 1})
		case now-q.sent >= answerWithin:
			h.count(tally{to: q.to, asked: 1})
		}
	}
	return h.sums
}

// lately sums up the questions of a while that ended at an instant, a sum for each member. What was
// asked a moment ago does not count yet, unless it is answered.
func (h *hearing) lately(end, while, now time.Duration) []tally {
	h.sums = h.sums[:0]
	for _, t := range h.tallies {
		if t.since+h.span > end-while && (t.since+h.span <= end || end == now) {
			h.count(t)
		}
	}
	for i := len(h.questions) - 1; i >= 0; i-- {
		q := h.at(i)
		if end < now || now-q.sent >= answerWithin {
			break
		}
		if !q.answered && !q.void {
			h.count(tally{to: q.to, asked: -1})
		}
	}
	return h.sums
}

func (h *hearing) count(t tally) {
	i := slices.IndexFunc(h.sums, func(s tally) bool { return s.to == t.to })
	if i < 0 {
		h.sums = append(h.sums, t)
		return
	}
	h.sums[i].asked += t.asked
	h.sums[i].answered += t.answered
}

// heard is the share of questions that were answered, by all but those members that answered least,
// spare of them at most. Those that have said that they are gray do not count, if there are enough
// others.
func (n *Node) heard(sums []tally, spare int) share {
	gray := make(map[ring.Position]bool, len(n.gray.others))
	for _, o := range n.gray.others {
		gray[ring.PositionOf(o.Addr)] = true
	}
	var well []tally
	for _, t := range sums {
		if !gray[t.to] {
			well = append(well, t)
		}
	}
	if s := shareOf(well, spare); s.asked >= grayLeast {
		return s
	}
	return shareOf(sums, spare)
}

// shareOf leaves out as many members, spare at most, as makes the share the best. Where none may be
// left out, few members count, and none for so much that it outweighs the others: whoever is
// doubted is asked most.
func shareOf(sums []tally, spare int) (best share) {
	slices.SortFunc(sums, func(a, b tally) int {
		return cmp.Or(cmp.Compare(a.asked-a.answered, b.asked-b.answered), cmp.Compare(a.to, b.to))
	})
	most := math.MaxInt
	if spare == 0 {
		most = max(weightMax, grayMin/max(1, len(sums)))
	}
	var s share
	for i, t := range sums {
		if t.asked > most {
			t.answered, t.asked = t.answered*most/t.asked, most
		}
		s.asked += t.asked
		s.answered += t.answered
		if i < len(sums)-spare || s.lost() < best.lost() {
			best = s
		}
	}
	return best
}

// lost is the share that was not answered, and one question more, so that few show little.
func (s share) lost() float64 { return float64(s.asked-s.answered+1) / float64(s.asked+1) }

// weightMax is for how many questions a member counts, where few count.
const weightMax = 20

// proves reports whether so many questions in vain show that the member that they were about is
// silent: whether it is unlikely enough that each of them was lost by itself. A few questions, that
// may be those to the luckiest of the members, show nothing.
func (s share) proves(inVain int) bool {
	return s.asked >= grayLeast && float64(inVain)*math.Log(s.lost()) <= doubtless
}

// Question is a question that this node has asked another member a moment ago, for a Snapshot.
type Question struct {
	Seq      uint64
	To       ring.Position
	Sent     time.Duration // Mono
	Answered bool
}

// Tally is how many questions this node has asked another member within a span of time, and how
// many of them were answered, for a Snapshot.
type Tally struct {
	To              ring.Position
	Since           time.Duration // Mono
	Asked, Answered int
}

// snapshot is the questions that may yet be answered, or count for how well the node hears just
// now.
func (h *hearing) snapshot(now time.Duration) (questions []Question, tallies []Tally) {
	for i := range h.questions {
		q := h.at(i)
		if !q.void && now-q.sent <= hearingNow+answerWithin {
			questions = append(questions, Question{q.seq, q.to, q.sent, q.answered})
		}
	}
	for _, t := range h.tallies {
		if now-t.since < h.keep {
			tallies = append(tallies, Tally{t.to, t.since, t.asked, t.answered})
		}
	}
	return questions, tallies
}

// restore takes up the questions of a snapshot. Where the earlier process has gone on, the last
// of them may have been answered since. A snapshot of an earlier layout has all of them singly.
func (h *hearing) restore(questions []Question, tallies []Tally, crashed bool) {
	for _, t := range tallies {
		h.tallies = append(h.tallies, tally{t.To, t.Since, t.Asked, t.Answered})
	}
	for _, q := range questions[max(0, len(questions)-questionsMax):] {
		void := crashed && questions[len(questions)-1].Sent-q.Sent < answerWithin && !q.Answered
		h.questions = append(h.questions, question{
			seq: q.Seq, to: q.To, sent: q.Sent, answered: q.Answered, void: void,
		})
		switch t := h.tally(q.To, q.Sent); {
		case len(tallies) > 0 && void:
			t.asked--
		case len(tallies) == 0 && !void:
			t.asked++
			if q.Answered {
				t.answered++
			}
		}
	}
}
