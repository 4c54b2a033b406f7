package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// Report judges what was added. Its coverage is the caller's to fill in.
func (a *Audit) Report() *Report {
	r := &Report{
		Verdict: Held, Asked: a.cfg.Asked.UTC(), Since: a.cfg.Since.UTC(),
		DetectWithinMS: milliseconds(a.cfg.DetectWithin), SpreadWithinMS: milliseconds(a.cfg.SpreadWithin),
		Coverage: Coverage{Unread: []string{}}, Changes: []Change{}, Clocks: a.clocks(), Malformed: a.malformed,
	}
	j := &judge{Audit: a, spans: make([][]span, len(a.machines)), have: make([]sighting, len(a.machines))}
	for i, m := range a.machines {
		j.spans[i] = a.spansOf(m)
	}
	for _, m := range a.machines {
		r.Changes = append(r.Changes, j.changesOf(m)...)
	}
	slices.SortFunc(r.Changes, func(x, y Change) int {
		return cmp.Or(x.First.Compare(y.First), cmp.Compare(x.Member, y.Member), cmp.Compare(x.Event, y.Event))
	})
	switch {
	case r.Count(Broken) > 0:
		r.Verdict = Broken
	case r.Count(Open) > 0:
		r.Verdict = Open
	}
	return r
}

// span is when a life was a member.
type span struct {
	life        *life
	from, until int64 // until is never for one that did not end
}

// inOrder returns a machine's lives in the order of time.
func (m *machine) inOrder() []*life {
	return slices.SortedFunc(maps.Values(m.lives), func(x, y *life) int { return cmp.Compare(x.incarnation, y.incarnation) })
}

// spansOf says when a machine was a member. A life that never was has no span: an
// incarnation that was given up before it was admitted.
func (a *Audit) spansOf(m *machine) []span {
	var spans []span
	for _, l := range slices.Backward(m.inOrder()) {
		if !l.member() {
			continue
		}
		s := span{life: l, from: l.began(), until: a.ended(l)}
		if n := len(spans); n > 0 { // the later life; before it began this one was over
			s.until = min(s.until, spans[n-1].from-int64(a.cfg.DetectWithin))
		}
		spans = append(spans, s)
	}
	return spans
}

func (l *life) member() bool {
	return l.acted || l.listed != 0 || l.entered != 0 ||
		slices.ContainsFunc(l.changes[:], func(c change) bool { return c.by != nil })
}

// began is when a member joined: as it says itself, or as others do; else it was when the
// incarnation began, at the earliest.
func (l *life) began() int64 {
	switch {
	case l.entered != 0:
		return l.entered
	case l.changes[join].by != nil:
		return l.changes[join].first.at
	case l.listed != 0:
		return min(l.listed, int64(l.incarnation))
	}
	return int64(l.incarnation)
}

// ended is when a member may have come to its end.
func (a *Audit) ended(l *life) int64 {
	end := int64(never)
	if c := &l.changes[leave]; c.by != nil {
		end = c.first.at
	}
	if c := &l.changes[fail]; c.by != nil {
		origin, known := c.origin(fail)
		if !known {
			origin -= int64(a.cfg.DetectWithin)
		}
		end = min(end, origin)
	}
	return end
}

// origin is when a change came about, at the earliest; known is false where for a FAIL that
// cannot be told, and it is when the change was first seen.
func (c *change) origin(k kind) (at int64, known bool) {
	if k != fail {
		return c.first.at, true
	}
	if len(c.declared) == 0 {
		return c.first.at, false
	}
	d := c.declared[0]
	return d.Time.UnixNano() - int64(duration(d.SilentMS)), true
}

// judge goes through the changes.
type judge struct {
	*Audit
	spans [][]span // of each machine, the latest first
	// have is, for the machine whose changes are looked at, each list's first sighting of
	// the change in hand or a later one. Its at is never where there is none.
	have []sighting
}

// changesOf judges the changes of one machine, from the last to the first, since a list that
// has a later one needs no earlier.
func (j *judge) changesOf(m *machine) (out []Change) {
	for i := range j.have {
		j.have[i].at = never
	}
	next := int64(never) // when a later change was first in a list
	for _, l := range slices.Backward(m.inOrder()) {
		for k := kinds; k > 0; k-- {
			c := &l.changes[k-1]
			if c.by == nil {
				continue
			}
			for _, s := range c.seen {
				if s.at < j.have[s.machine].at {
					j.have[s.machine] = s
				}
			}
			if j.cfg.Since.IsZero() || c.first.at >= j.cfg.Since.UnixNano() {
				out = append(out, j.judge(m, l, k-1, next))
			}
			next = min(next, c.first.at)
		}
	}
	return out
}

// judge judges one change, after which there was a later one of the same machine.
func (j *judge) judge(m *machine, l *life, k kind, next int64) Change {
	c := &l.changes[k]
	out := Change{
		Event: kindNames[k], Member: l.id, Verdict: Held, Reasons: []string{},
		First: timeOf(c.first.at), FirstIn: c.by.id, FirstVia: viaNames[c.first.via],
		Declared: c.declared, Lists: Lists{Missing: []string{}}, Via: make(map[string]int),
	}
	if k == fail {
		out.RejoinedAs = l.rejoined
	}
	origin, _ := c.origin(k)
	due := origin + int64(j.cfg.SpreadWithin)
	last := j.count(&out, m, l, k, due, next)
	j.judgeDetection(&out, c, k)
	j.judgeSpreading(&out, last, origin, due)
	return out
}

// count looks at each list that is due, and returns the last that has the change.
func (j *judge) count(out *Change, m *machine, l *life, k kind, due, next int64) (last sighting) {
	first := l.changes[k].first.at
	var ahead []string // by whose clocks they joined too late to have it
	for i, other := range j.machines {
		if other == m {
			continue
		}
		s := j.memberFrom(i, first, due)
		if s == nil {
			if s := j.aheadOf(i, first, due); s != nil && other.read {
				ahead = append(ahead, s.life.id)
			}
			continue
		}
		has := j.have[i]
		switch {
		case !other.read || other.from > first:
			out.Lists.Unread++
		case has.at != never:
			out.Lists.Have++
			out.Via[viaNames[has.via]]++
			if has.at > last.at {
				last = has
				out.LastIn = s.life.id
			}
		case next > due && (k == join || j.hadToLose(s, other, l)):
			out.Lists.Missing = append(out.Lists.Missing, s.life.id)
		}
	}
	slices.Sort(out.Lists.Missing)
	if len(ahead) > 0 {
		slices.Sort(ahead)
		out.open("the clock of %s is so far ahead that its list cannot be judged", naming(ahead))
	}
	return last
}

// aheadOf returns the life in which a machine was a member at a time by what others wrote of
// it, but not even by the end of the bound by what it wrote itself, or nil. Its clock is ahead
// by more than the bound, and without a word its list would not be due.
func (j *judge) aheadOf(machine int, from, to int64) *span {
	for i := range j.spans[machine] {
		s := &j.spans[machine][i]
		if c := &s.life.changes[join]; s.life.entered > to && s.until > to && c.by != nil && c.first.at <= from {
			return s
		}
	}
	return nil
}

// memberFrom returns the life in which a machine was a member from one time to another, or
// nil.
func (j *judge) memberFrom(machine int, from, to int64) *span {
	for i := range j.spans[machine] {
		if s := &j.spans[machine][i]; s.from <= from {
			if s.until > to {
				return s
			}
			return nil
		}
	}
	return nil
}

// hadToLose reports whether a list had the member l: it says so, or is from before what was
// kept.
func (j *judge) hadToLose(s *span, m *machine, l *life) bool {
	joined := max(s.from, l.began())
	return joined < max(j.keepFrom, m.from) ||
		slices.ContainsFunc(l.changes[join].seen, func(s sighting) bool { return s.machine == m.index })
}

func (j *judge) judgeDetection(out *Change, c *change, k kind) {
	if k != fail {
		return
	}
	if len(c.declared) == 0 {
		out.open("no log that was read says who declared it, and on what evidence")
		return
	}
	silent := c.declared[0].SilentMS
	out.DetectMS = &silent
	if over := duration(silent) - j.cfg.DetectWithin; over > 0 {
		out.broken("detected %v late", over)
	}
}

func (j *judge) judgeSpreading(out *Change, last sighting, origin, due int64) {
	missing := out.Lists.Missing
	switch {
	case len(missing) > 0 && due < j.cfg.Asked.UnixNano():
		out.broken("missing in the list of %s", naming(missing))
	case len(missing) > 0:
		out.open("not yet in the list of %s, and the time is not over", naming(missing))
	case out.Lists.Have > 0:
		spread := milliseconds(time.Duration(last.at - origin))
		out.SpreadMS, out.All = &spread, timeOf(last.at)
	}
	if over := time.Duration(last.at - due); out.Lists.Have > 0 && over > 0 {
		out.broken("in the list of %s %v late", eventlog.AddrOf(out.LastIn), over.Round(time.Millisecond))
	}
}

func (c *Change) broken(format string, args ...any) {
	c.Verdict = Broken
	c.Reasons = append(c.Reasons, fmt.Sprintf(format, args...))
}

func (c *Change) open(format string, args ...any) {
	if c.Verdict == Held {
		c.Verdict = Open
	}
	c.Reasons = append(c.Reasons, fmt.Sprintf(format, args...))
}

// clocks compares the clock of each member with that of the gateway that admitted it: the
// member had pulled the list before it was admitted, and entered after.
func (a *Audit) clocks() []Clock {
	clocks := []Clock{}
	for _, m := range a.machines {
		lives := m.inOrder()
		if len(lives) == 0 {
			continue
		}
		l := lives[len(lives)-1]
		if l.pulled == 0 || l.entered == 0 || l.pulled > l.entered || l.admitted.at == 0 {
			continue
		}
		clocks = append(clocks, Clock{
			Member: l.id, Gateway: a.machines[l.admitted.machine].addr,
			LowMS:  milliseconds(time.Duration(l.pulled-l.admitted.at) - lineLag),
			HighMS: milliseconds(time.Duration(l.entered-l.admitted.at) + lineLag),
		})
	}
	slices.SortFunc(clocks, func(x, y Clock) int { return cmp.Compare(x.Member, y.Member) })
	return clocks
}
