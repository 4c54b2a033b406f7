package explore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Rule names what a Violation broke.
type Rule string

const (
	// RulePanic: no input makes a node panic.
	RulePanic Rule = "panic"
	// RuleDriver: a node can be driven: it starts, does not ask for endless ticks, and sends
	// what can be decoded.
	RuleDriver Rule = "driver"
	// RuleGhost: a list holds nobody who never was, and nobody sends anything to one.
	RuleGhost Rule = "ghost"
	// RuleDead: no list goes back to an earlier incarnation, nor within one from left to failed, or
	// from either to alive.
	RuleDead Rule = "dead-comes-back"
	// RuleFalseFail: nobody who is up is declared failed by a monitor. Three things at once are
	// excused: a member pauses, its other monitor crashes or leaves, and a message between them
	// goes wrong. Then the last that is heard of it is a turn too old for the pause (see
	// PROTOCOL.md).
	RuleFalseFail Rule = "false-fail"
	// RuleDetection: a crash is in some live list within 2 s.
	RuleDetection Rule = "detection"
	// RuleSpreading: a crash or a leave is in all live lists within 6 s.
	RuleSpreading Rule = "spreading"
	// RuleLeaders: no two gateways lead for longer than leadersFor.
	RuleLeaders Rule = "two-leaders"
	// RuleLists: once faults have ended, everybody who is up is in the group, all lists hold
	// those that are up and nobody else, and all gateways follow the first of them.
	RuleLists Rule = "lists"
)

// The bounds of the rules.
const (
	detectWithin = 2 * time.Second
	spreadWithin = 6 * time.Second
	leadersFor   = 2 * time.Second
)

// Violation is a broken rule, and how it came to it.
type Violation struct {
	Rule   Rule
	Detail string
	At     time.Duration
	Path   Path
	Stack  string // of a panic
}

func (v Violation) String() string {
	return fmt.Sprintf("%v %s: %s", v.At, v.Rule, readable(v.Detail))
}

// checkLists compares a node's list with what it was before.
func checkLists(old, now *local) Violation {
	if now.phase == membership.Joining {
		return Violation{} // it begins with a new list
	}
	for _, before := range old.rows {
		after, ok := now.row(before.Addr)
		back := after.Incarnation < before.Incarnation ||
			after.Incarnation == before.Incarnation && after.State < before.State
		if !ok || back {
			detail := fmt.Sprintf("%v goes back from %v to %v", nameOf(now.host), before, after)
			return Violation{Rule: RuleDead, Detail: detail}
		}
	}
	return Violation{}
}

// rules is what has to be remembered for the rules about more than one host.
type rules struct {
	changes []change // that are not in all lists yet; never written to
	twoLead step     // since when more than one gateway leads; 0: not now
}

// change is a crash or a leave.
type change struct {
	id   membership.ID
	at   step
	left bool // it said so itself
	seen bool // some list has it
	// witnesses are the hosts, a bit each, that were in the group at that moment, and have
	// been up ever since. For them the bounds hold.
	witnesses uint8
}

func (r *rules) append(text []byte) []byte {
	text = binary.AppendVarint(text, int64(r.twoLead))
	for _, c := range r.changes {
		text = binary.AppendVarint(append(text, byte(indexOf(c.id.Addr)), c.witnesses), int64(c.at))
		text = binary.AppendUvarint(text, c.id.Incarnation)
		if c.seen {
			text = append(text, 1)
		}
		text = append(text, 0xff)
	}
	return text
}

func (r *rules) crashed(w *world, i int, t step) { r.begin(w, i, t, false) }

// leaves notes that a host begins to leave; for the list of one that does nothing is promised.
func (r *rules) leaves(w *world, i int, t step) {
	r.gone(i)
	r.begin(w, i, t, true)
}

func (r *rules) begin(w *world, i int, t step, left bool) {
	if !w.hosts[i].inGroup() {
		return
	}
	c := change{id: w.hosts[i].local.self, at: t, left: left}
	for j := range w.hosts {
		if j != i && w.hosts[j].inGroup() && w.hosts[j].running() {
			c.witnesses |= 1 << j
		}
	}
	r.changes = append(slices.Clip(r.changes), c)
}

// paused and gone take a host out of the witnesses: nothing is promised for its list.
func (r *rules) paused(i int) { r.gone(i) }
func (r *rules) gone(i int) {
	r.changes = slices.Clone(r.changes)
	for j := range r.changes {
		r.changes[j].witnesses &^= 1 << i
	}
}

// due is the next instant at which a bound ends.
func (r *rules) due(o *Options, t step) step {
	due := neverStep
	for _, c := range r.changes {
		for _, within := range []time.Duration{detectWithin, spreadWithin} {
			if at := c.at + o.steps(within) + 1; at > t {
				due = min(due, at)
			}
		}
	}
	if r.twoLead > 0 {
		due = min(due, max(t+1, r.twoLead+o.steps(leadersFor)+1))
	}
	return due
}

// judge looks at what has happened at the instant t.
func (s *search) judge(d *draft, t step) {
	for _, o := range d.did {
		if o.broken.Rule != "" {
			s.violate(d, t, o.broken.Rule, "%s", o.broken.Detail)
			d.broken.Stack = o.broken.Stack
			return
		}
		for _, id := range o.verdicts {
			s.judgeVerdict(d, t, id)
		}
		if o.local != nil {
			s.judgeRows(d, t, o.local)
		}
	}
	s.judgeChanges(d, t)
	s.judgeLeaders(d, t)
	if t >= s.options.end() {
		s.judgeLists(d, t)
	}
}

// judgeVerdict looks whether somebody was declared failed who is up.
func (s *search) judgeVerdict(d *draft, t step, id membership.ID) {
	i := indexOf(id.Addr)
	if i < 0 || !d.hosts[i].inGroup() || d.hosts[i].local.self != id {
		return
	}
	if u := d.used; u.Pauses > 0 && u.Messages > 0 && u.Crashes+u.Leaves > 0 {
		s.result.Excused++
		return
	}
	s.violate(d, t, RuleFalseFail, "%v is up and declared failed", id)
}

// judgeRows looks whether a list holds somebody who never was.
func (s *search) judgeRows(d *draft, t step, l *local) {
	for _, row := range l.rows {
		i := indexOf(row.Addr)
		if i < 0 || !slices.Contains(d.hosts[i].born, row.Incarnation) && !s.formedAs(row.ID) {
			s.violate(d, t, RuleGhost, "%s lists %v, who never was", nameOf(l.host), row)
		}
	}
}

// judgeChanges looks how far crashes and leaves have got.
func (s *search) judgeChanges(d *draft, t step) {
	var left []change
	for _, c := range d.rules.changes {
		unaware := 0
		for i := range s.options.Members {
			switch h := &d.hosts[i]; {
			case h.inGroup() && covered(h.local, c.id):
				c.seen = true
			case c.witnesses&(1<<i) != 0:
				unaware++
			}
		}
		late := t - c.at
		switch {
		case unaware == 0:
			continue
		case !c.seen && !c.left && late > s.options.steps(detectWithin):
			s.violate(d, t, RuleDetection, "the crash of %v is in no list", c.id)
		case late > s.options.steps(spreadWithin):
			s.violate(d, t, RuleSpreading, "the end of %v is not in the lists of %d", c.id, unaware)
		}
		left = append(left, c)
	}
	d.rules.changes = left
}

// covered reports whether a list no longer holds an identity to be alive.
func covered(l *local, id membership.ID) bool {
	row, ok := l.row(id.Addr)
	return !ok || row.Incarnation > id.Incarnation || row.State != membership.Alive
}

// judgeLeaders looks whether more than one gateway leads for too long.
func (s *search) judgeLeaders(d *draft, t step) {
	leaders := 0
	for i := range s.options.Gateways {
		if h := &d.hosts[i]; h.running() && h.local.leads {
			leaders++
		}
	}
	switch {
	case leaders < 2:
		d.rules.twoLead = 0
	case d.rules.twoLead == 0:
		d.rules.twoLead = t
	case t-d.rules.twoLead > s.options.steps(leadersFor):
		s.violate(d, t, RuleLeaders, "%d gateways lead for more than %v", leaders, leadersFor)
	}
}

// judgeLists looks whether all lists hold those that are up, and nobody else.
func (s *search) judgeLists(d *draft, t step) {
	first := -1 // of the gateways that are members
	for i := range s.options.Gateways {
		if d.hosts[i].inGroup() && first < 0 {
			first = i
		}
	}
	for i := range s.options.Members {
		h := &d.hosts[i]
		switch {
		case !h.up():
		case !h.inGroup():
			if first >= 0 {
				s.violate(d, t, RuleLists, "%s is %v", nameOf(i), h.local.phase)
			}
		default:
			s.judgeList(d, t, h.local)
			if i < s.options.Gateways && h.local.node.Leader() != addrOf(first) {
				s.violate(d, t, RuleLists, "%s follows %v", nameOf(i), h.local.node.Leader())
			}
		}
	}
}

func (s *search) judgeList(d *draft, t step, l *local) {
	for i := range s.options.Members {
		h := &d.hosts[i]
		row, ok := l.row(addrOf(i))
		switch listed := ok && row.State == membership.Alive; {
		case h.inGroup() && (!listed || row.ID != h.local.self):
			s.violate(d, t, RuleLists, "%s does not list %v, who is up", nameOf(l.host), h.local.self)
		case !h.inGroup() && listed:
			s.violate(d, t, RuleLists, "%s lists %v, who is not up", nameOf(l.host), row)
		}
	}
}

// violate takes note of the first rule that a draft breaks.
func (s *search) violate(d *draft, t step, rule Rule, format string, args ...any) {
	if d.broken.Rule == "" {
		d.broken = Violation{
			Rule: rule, Detail: fmt.Sprintf(format, args...),
			At: time.Duration(t) * s.options.Quantum, Path: d.trail.path(),
		}
	}
}
