package membershiptest

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Rule names what a Violation broke.
type Rule string

const (
	// RuleDetection: a crash is in some live list within detectWithin.
	RuleDetection Rule = "detection"
	// RuleSpreading: every change is in all live lists within spreadWithin.
	RuleSpreading Rule = "spreading"
	// RuleFalseFail: nobody who is up is declared failed.
	RuleFalseFail Rule = "false-fail"
	// RuleIncarnation: the incarnation of an address never falls in any list.
	RuleIncarnation Rule = "incarnation"
	// RuleTerminal: within an incarnation, a list never goes back from left to failed, nor
	// from either to alive.
	RuleTerminal Rule = "terminal"
	// RuleGhost: a list holds nobody who never was.
	RuleGhost Rule = "ghost"
	// RuleLists: after quiet, each list holds those that are up, and nobody else.
	RuleLists Rule = "lists"
	// RuleEvents: lists say what the events said.
	RuleEvents Rule = "events"
	// RuleTraffic: nobody sends more than Options.PacketsMax in a second.
	RuleTraffic Rule = "traffic"
	// RuleCodec: every packet fits into PacketBytesMax and can be decoded.
	RuleCodec Rule = "codec"
	// RuleDriver: a node can be driven: it starts, and does not ask for endless ticks.
	RuleDriver Rule = "driver"
)

// The bounds of the protocol, counted from the crash, or the change.
const (
	detectWithin = 2 * time.Second
	spreadWithin = 6 * time.Second
	// failuresMax may crash within failuresWithin of each other for the bounds to hold.
	failuresMax    = 3
	failuresWithin = 20 * time.Second
)

// Violation is a broken rule.
type Violation struct {
	At     time.Duration
	Rule   Rule
	Detail string
}

// String gives "instant rule: detail".
func (v Violation) String() string {
	return fmt.Sprintf("%v %s: %s", v.At.Round(time.Millisecond), v.Rule, v.Detail)
}

// violationsMax is how many violations of a run are kept; the rest are counted.
const violationsMax = 100

// Change is a join, a leave or a failure, and how far it has got.
type Change struct {
	ID    membership.ID
	Host  int
	State membership.State
	// At is when the host crashed or began to leave; of other changes, when the first
	// list had it.
	At time.Duration
	// Crashed says that the host crashed, False that it was up when it was declared failed.
	Crashed, False bool
	// First and Last are how long after At the first and the last list had it, of the hosts
	// that were in the group at At; meaningful if Lists is not 0.
	First, Last time.Duration
	// Lists is how many lists have it.
	Lists int
	// FirstBy is the host of the first list, and FirstVia how that learnt of it.
	FirstBy  int
	FirstVia membership.Via
	// Unbounded says that the protocol promises nothing for it: its host is disturbed, or
	// too many crashed at once.
	Unbounded bool

	monitors []int // of a host that crashed, at that moment
}

// event is the kind of event that tells of the change.
func (c *Change) event() membership.EventKind {
	switch c.State {
	case membership.Failed:
		return membership.EventFail
	case membership.Left:
		return membership.EventLeave
	default:
		return membership.EventJoin
	}
}

// view is what a list says of an address; zero is nothing.
type view struct {
	incarnation uint64
	state       membership.State
}

func viewOf(m *membership.Member) view {
	if m == nil {
		return view{}
	}
	return view{m.Incarnation, m.State}
}

// covers reports whether the list that v is from has got as far as the change. A member
// whose leave was not heard of is rightly said to have failed.
func (v view) covers(c *Change) bool {
	if v.incarnation != c.ID.Incarnation {
		return v.incarnation > c.ID.Incarnation
	}
	return v.state >= c.State || v.state != membership.Alive && c.State != membership.Alive
}

// checker compares what the nodes say with what was done to them.
type checker struct {
	sim     *Sim
	told    []told      // what events said of each host
	changes [][]*Change // of each host
	crashes []time.Duration
	vouched []*membership.Member // by subject, while lists are checked; see vouch

	violations []Violation
	broken     int // violations, those beyond violationsMax included
	falseFails int
	excused    int // see Report.Excused
}

func (c *checker) violate(rule Rule, format string, args ...any) {
	v := Violation{At: c.sim.now, Rule: rule, Detail: c.readable(fmt.Sprintf(format, args...))}
	if c.broken++; len(c.violations) < violationsMax {
		c.violations = append(c.violations, v)
	}
	c.sim.note("VIOLATION %s: %s", v.Rule, v.Detail)
}

// node takes notice of the identity and the phase of a host's node.
func (c *checker) node(h *host) {
	if id := h.node.Self(); id != h.id {
		h.id, h.changedAt = id, c.sim.now
		h.incarnations = append(h.incarnations, id.Incarnation)
	}
	phase := h.node.Phase()
	if phase == h.phase {
		return
	}
	if phase == membership.Joining {
		c.forget(h) // it begins with a new list
	}
	c.sim.enterPhase(h, phase)
}

// spins notes that a node asks for one tick after the other, once a host.
func (c *checker) spins(h *host) {
	if !h.spinning {
		h.spinning = true
		c.violate(RuleDriver, "%s asks to be called at once, again and again", nodeName(h.index))
	}
}

// event takes notice of what a node says.
func (c *checker) event(h *host, e *membership.Event) {
	if c.sim.options.Transcript != nil {
		c.sim.transcribe("%s %s", nodeName(h.index), c.readable(e.String()))
	}
	switch e.Kind {
	case membership.EventJoin:
		c.learn(h, e, membership.Alive)
	case membership.EventFail:
		c.learn(h, e, membership.Failed)
	case membership.EventLeave:
		c.learn(h, e, membership.Left)
	}
}

// learn notes that the list of h holds e.Peer in this state from now on.
func (c *checker) learn(h *host, e *membership.Event, state membership.State) {
	subject := c.subject(e.Peer)
	if subject == nil {
		c.violate(RuleGhost, "%s tells of %v, who never was", nodeName(h.index), e)
		return
	}
	subject.life(e.Peer.Incarnation)
	old, now := c.view(subject, h), view{e.Peer.Incarnation, state}
	switch {
	case now.incarnation < old.incarnation:
		c.violate(RuleIncarnation, "%s goes back from incarnation %d: %v", nodeName(h.index), old.incarnation, e)
	case now.incarnation == old.incarnation && now.state <= old.state:
		c.violate(RuleTerminal, "%s goes back from %v: %v", nodeName(h.index), old.state, e)
	}
	c.note(subject, h, now)
	if now != (view{incarnation: subject.formed}) && c.find(subject, e.Peer, state) == nil {
		c.begin(h, subject, e, state)
	}
	for _, change := range c.changes[subject.index] {
		if now.covers(change) && !old.covers(change) && wasMember(h, change) {
			c.heard(h, change, e.Via)
		}
	}
}

// subject is the host that has or had this identity, or nil.
func (c *checker) subject(id membership.ID) *host {
	index := indexOf(id.Addr)
	if index < 0 || index >= len(c.sim.hosts) {
		return nil
	}
	h := c.sim.hosts[index]
	if !slices.Contains(h.incarnations, id.Incarnation) {
		return nil
	}
	return h
}

// told is what events said of a host, by the index of the host whose events they were. What
// they have not spoken of is as it was formed, or nothing, so a large cluster that was formed
// ready-made does not need N x N of them.
type told struct {
	views    map[int]view
	byFormed bool // an event was of a host whose list began as the one that Form made
}

// view is what the events of observer said of subject.
func (c *checker) view(subject, observer *host) view {
	if subject.index < len(c.told) {
		if v, ok := c.told[subject.index].views[observer.index]; ok {
			return v
		}
	}
	if observer.formedList {
		return view{incarnation: subject.formed}
	}
	return view{}
}

// note keeps what an event of observer said of subject.
func (c *checker) note(subject, observer *host, v view) {
	c.grow()
	t := &c.told[subject.index]
	if t.views == nil {
		t.views = map[int]view{}
	}
	t.views[observer.index] = v
	t.byFormed = t.byFormed || observer.formedList
}

func (c *checker) grow() {
	for len(c.told) < len(c.sim.hosts) {
		c.told = append(c.told, told{})
		c.changes = append(c.changes, nil)
	}
}

// forget drops what was noted of a host's list: the host begins with a new one.
func (c *checker) forget(h *host) {
	for _, t := range c.told {
		delete(t.views, h.index)
	}
	h.formedList = false
}

func (c *checker) find(subject *host, id membership.ID, state membership.State) *Change {
	for _, change := range c.changes[subject.index] {
		if change.ID == id && change.State == state {
			return change
		}
	}
	return nil
}

// begin notes a change that the list of h is the first to tell of.
func (c *checker) begin(h, subject *host, e *membership.Event, state membership.State) {
	change := c.add(subject, e.Peer, state)
	isUp := subject.up() && subject.id == e.Peer && subject.phase != membership.Leaving
	if state != membership.Failed || !isUp {
		return
	}
	subject.changedAt = c.sim.now // it has to find out, and to come back
	if change.Unbounded {
		return
	}
	if !c.sim.steady(h, subject) {
		c.excuse() // no detector could know better
		return
	}
	change.False = true
	c.falseFails++
	c.violate(RuleFalseFail, "%s is up: %v", nodeName(subject.index), e)
}

// excuse suspends the bounds: somebody was declared failed who could not be told from the
// dead, and comes back, which costs those their time whom he watched.
func (c *checker) excuse() {
	c.excused++
	for _, changes := range c.changes {
		for _, change := range changes {
			if c.sim.now-change.At < spreadWithin {
				change.Unbounded = true
			}
		}
	}
	for _, h := range c.sim.hosts {
		h.disturbedUntil = max(h.disturbedUntil, c.sim.now+settleWithin)
	}
}

// steady reports whether there is a way without spikes from one host to another and back:
// straight, or by way of a third one that has been in the group for long enough to be asked.
func (s *Sim) steady(a, b *host) bool {
	if s.Network.SpikeLinks == 0 || !s.spikes(a, b) {
		return true
	}
	return slices.ContainsFunc(s.hosts, func(h *host) bool {
		return h != a && h != b && h.inGroup() && s.now-h.inGroupSince >= detectWithin && !s.spikes(a, h) && !s.spikes(h, b)
	})
}

// spikes reports whether the link between two hosts is one of those that have spikes, in
// either direction.
func (s *Sim) spikes(a, b *host) bool {
	return s.fate.spiky(linkKey{a.index, b.index}) || s.fate.spiky(linkKey{b.index, a.index})
}

// crashed notes that a host crashes now.
func (c *checker) crashed(h *host) {
	c.grow()
	c.crashes = append(c.crashes, c.sim.now)
	recent := 0
	for _, at := range c.crashes {
		if c.sim.now-at < failuresWithin {
			recent++
		}
	}
	if leave := c.find(h, h.id, membership.Left); leave != nil {
		leave.Unbounded = true // nobody may have heard of it
	}
	if !h.inGroup() {
		return
	}
	change := c.add(h, h.id, membership.Failed)
	change.Crashed = true
	change.monitors = h.successors(failuresMax)
	change.Unbounded = change.Unbounded || recent > failuresMax
	c.sim.After(detectWithin, func() { c.checkDetected(change) })
}

// leaving notes that a host begins to leave.
func (c *checker) leaving(h *host) {
	if h.inGroup() {
		c.add(h, h.id, membership.Left)
	}
}

// add notes a change that begins now, and has it checked when all lists must have it.
func (c *checker) add(h *host, id membership.ID, state membership.State) *Change {
	c.grow()
	change := &Change{
		ID: id, Host: h.index, State: state, At: c.sim.now,
		Unbounded: c.sim.options.Unbounded || h.disturbed(c.sim.now),
	}
	c.changes[h.index] = append(c.changes[h.index], change)
	c.sim.After(spreadWithin, func() { c.checkSpread(change) })
	return change
}

// heard notes that one more list has the change.
func (c *checker) heard(h *host, change *Change, via membership.Via) {
	took := c.sim.now - change.At
	if change.Lists == 0 {
		change.First, change.FirstBy, change.FirstVia = took, h.index, via
	}
	change.Lists++
	if h.gray == (Gray{}) {
		change.Last = took
	}
}

// wasMember reports whether h was in the group when the change of another host began.
func wasMember(h *host, change *Change) bool {
	return h.index != change.Host && h.inGroup() && h.inGroupSince <= change.At
}

// counts reports whether the bounds hold for the list of h: it was in the group when the
// change began, and nothing has happened to it that the protocol makes no promise for.
func (c *checker) counts(h *host, change *Change) bool {
	return wasMember(h, change) && h.disturbedUntil <= change.At && !h.disturbed(c.sim.now)
}

// covered reports whether the list of h has got as far as the change, whatever its events
// said: a list that never knew of a member, or of this life of it, need not tell that it failed.
func (c *checker) covered(h *host, change *Change) bool {
	if c.view(c.sim.hosts[change.Host], h).covers(change) {
		return true
	}
	row := h.row(change.ID.Addr)
	return viewOf(row).covers(change) || change.State != membership.Alive && (row == nil || !row.Live())
}

// checkDetected is called when a crash must be in some list.
func (c *checker) checkDetected(change *Change) {
	if change.Unbounded || change.Lists > 0 {
		return
	}
	unaware := 0
	for _, h := range c.sim.hosts {
		if !c.counts(h, change) {
			continue
		}
		if c.covered(h, change) {
			return
		}
		unaware++
	}
	if unaware > 0 && !c.orphaned(change) {
		c.violate(RuleDetection, "%v of %v is in none of %d lists", change.event(), change.ID, unaware)
	}
}

// orphaned reports whether all monitors of a crashed member have crashed or left, and those
// that left had no link without spikes over which to report what they knew of it in time.
func (c *checker) orphaned(change *Change) bool {
	var leavers []*host
	for _, i := range change.monitors {
		m := c.sim.hosts[i]
		if c.counts(m, change) {
			return false
		}
		if leave := c.find(m, m.id, membership.Left); leave != nil && leave.At >= change.At {
			leavers = append(leavers, m)
		}
	}
	for _, h := range c.sim.hosts {
		if c.counts(h, change) && slices.ContainsFunc(leavers, func(l *host) bool { return !c.sim.spikes(l, h) }) {
			return false
		}
	}
	if len(leavers) == 0 {
		return false
	}
	change.Unbounded = true
	c.excused++
	return true
}

// checkSpread is called when a change must be in all lists.
func (c *checker) checkSpread(change *Change) {
	if change.Unbounded {
		return
	}
	var unaware []string
	for _, h := range c.sim.hosts {
		if c.counts(h, change) && !c.covered(h, change) {
			unaware = append(unaware, nodeName(h.index))
		}
	}
	if len(unaware) > 0 {
		const shown = 8
		c.violate(RuleSpreading, "%v of %v is not in the lists of %d: %s", change.event(), change.ID,
			len(unaware), strings.Join(unaware[:min(shown, len(unaware))], " "))
	}
}

// joinWithin is how long a newcomer may take when there is a gateway.
const joinWithin = 10 * time.Second

// CheckLists checks that every list holds those that are up and in the group, and nobody
// else, but for those that came or went less than spreadWithin ago; and that everybody has
// joined who was started joinWithin ago, unless there is no gateway.
func (s *Sim) CheckLists() {
	live := 0
	for _, h := range s.hosts {
		switch {
		case h.established(s.now):
			live++
		case h.up() && h.phase == membership.Joining && s.now-h.startedAt >= joinWithin && s.hasGateway():
			s.checker.violate(RuleLists, "%s has not joined after %v", nodeName(h.index), joinWithin)
		}
	}
	s.checker.vouched = make([]*membership.Member, len(s.hosts))
	for _, h := range s.hosts {
		if h.established(s.now) {
			s.checker.checkList(h, live)
		}
	}
}

func (s *Sim) hasGateway() bool {
	return slices.ContainsFunc(s.hosts[:min(len(s.hosts), len(s.gateways))], (*host).inGroup)
}

// checkList checks one list, in which so many established members must be alive.
func (c *checker) checkList(h *host, live int) {
	alive, established := 0, 0
	for m := range h.node.All() {
		if index := indexOf(m.Addr); index >= 0 && index < len(c.vouched) && c.vouched[index] == m {
			alive++
			established++
			continue
		}
		subject := c.subject(m.ID)
		if subject == nil {
			c.violate(RuleGhost, "%s lists %v, who never was", nodeName(h.index), m.Entry)
			continue
		}
		c.checkTold(h, subject, m)
		if m.State != membership.Alive {
			continue
		}
		alive++
		switch isUp := subject.inGroup() && subject.id == m.ID; {
		case isUp && subject.established(c.sim.now):
			established++
			c.vouch(m, subject)
		case !isUp && subject.unchanged(c.sim.now):
			c.violate(RuleLists, "%s lists %v, who is not up", nodeName(h.index), m.Entry)
		}
	}
	if established != live {
		c.violate(RuleLists, "%s lists %d members, of %d that are up", nodeName(h.index), established, live)
	}
	if h.node.Alive() != alive {
		c.violate(RuleLists, "%s counts %d members, and lists %d", nodeName(h.index), h.node.Alive(), alive)
	}
}

// vouch remembers a row that is right, and is as Form made it, so that the other lists that
// share it need not be looked at again: none of their events was about it.
func (c *checker) vouch(m *membership.Member, subject *host) {
	if subject.index >= len(c.told) || !c.told[subject.index].byFormed {
		c.vouched[subject.index] = m
	}
}

// checkTold checks that a row is what the last event of its list said.
func (c *checker) checkTold(h, subject *host, m *membership.Member) {
	if told := c.view(subject, h); told != (view{}) && told != viewOf(m) {
		c.violate(RuleEvents, "%s lists %v, but its last event said %v of incarnation %d",
			nodeName(h.index), m.Entry, told.state, told.incarnation)
	}
}

var idPattern = regexp.MustCompile(`10\.\d+\.\d+\.\d+:7117(@\d+)?`)

// readable puts names in the place of identities: n3 for the first life of host 3, n3#2
// for its second; and in the place of addresses.
func (c *checker) readable(text string) string {
	return idPattern.ReplaceAllStringFunc(text, func(text string) string {
		if id, err := membership.ParseID(text); err == nil {
			return c.name(id)
		}
		if addr, err := netip.ParseAddrPort(text); err == nil {
			return nodeName(indexOf(addr))
		}
		return text
	})
}

// name is readable for an identity. Lives are numbered as they are first told of, since a
// node may try more than one incarnation before it is admitted.
func (c *checker) name(id membership.ID) string {
	subject := c.subject(id)
	if subject == nil {
		return id.String()
	}
	if life := subject.life(id.Incarnation); life > 1 {
		return fmt.Sprintf("%s#%d", nodeName(subject.index), life)
	}
	return nodeName(subject.index)
}
