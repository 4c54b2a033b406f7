package explore

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// step is an instant: so many quanta since the beginning.
type step int32

const neverStep = step(1<<31 - 1)

// machine runs nodes. What a node in one state does with one packet at one instant is worked
// out once, whatever the rest of the group is like meanwhile.
type machine struct {
	options *Options
	copier  *copier
	at      step // the instant that known is about
	known   map[string][]*outcome
	locals  map[key]*local
	runs    int
}

// outcome is what a node has come to within one instant.
type outcome struct {
	host     int
	local    *local // as it is now; nil: it has left
	order    string // in which it took the packets, if not in their own: a digit each
	sent     []packet
	events   []membership.Event
	verdicts []membership.ID // that it declared failed itself
	broken   Violation       // zero: nothing
}

// packet is a datagram under way.
type packet struct {
	due      step
	to, from int8
	data     string
}

// comparePackets orders packets by arrival, receiver, sender and content.
func comparePackets(a, b packet) int {
	switch {
	case a.due != b.due:
		return int(a.due - b.due)
	case a.to != b.to:
		return int(a.to - b.to)
	case a.from != b.from:
		return int(a.from - b.from)
	case a.data < b.data:
		return -1
	case a.data > b.data:
		return 1
	}
	return 0
}

func newMachine(options *Options) *machine {
	return &machine{options: options, copier: newCopier()}
}

// setTime forgets what was worked out for an earlier instant.
func (m *machine) setTime(t step) {
	if t != m.at || m.known == nil {
		m.at, m.known, m.locals = t, map[string][]*outcome{}, map[key]*local{}
	}
}

// boot makes a node for a host, and ticks it.
func (m *machine) boot(host int, begin beginning, known []netip.AddrPort) *outcome {
	return m.run(&local{host: host}, func(w *local, now membership.Now) (err error) {
		cfg := m.config(host, &w.die)
		cfg.Known = known
		if w.node, err = begin(cfg, now); err == nil {
			w.node.Tick(now)
		}
		return err
	})
}

// beginning makes a node: membership.NewNode, or what goes on from a snapshot.
type beginning func(membership.Config, membership.Now) (*membership.Node, error)

func (m *machine) config(host int, d *die) membership.Config {
	cfg := membership.Config{
		Addr: addrOf(host), Gateways: addrsOf(m.options.Gateways), Rand: rand.New(d),
	}
	if m.options.Configure != nil {
		m.options.Configure(&cfg)
	}
	return cfg
}

// leave makes a node leave.
func (m *machine) leave(l *local) *outcome {
	return m.run(l, func(w *local, now membership.Now) error {
		w.node.Leave(now)
		return nil
	})
}

// take gives a node a packet.
func (m *machine) take(l *local, p packet) *outcome {
	return m.run(l, func(w *local, now membership.Now) error {
		var message membership.Message
		if err := wire.Decode([]byte(p.data), &message); err != nil {
			return err
		}
		from := addrOf(int(p.from))
		if m.options.Interpose != nil {
			d := Delivery{Host: l.host, Now: now, Node: w.node, From: from, Message: &message}
			d.config = func() membership.Config { return m.config(l.host, &w.die) }
			if m.options.Interpose(&d); d.Lost {
				return nil
			}
			w.node = d.Node
		}
		w.node.Step(now, from, &message)
		return nil
	})
}

// tick lets a node look at its deadlines, as often as it wants to at this instant.
func (m *machine) tick(l *local) *outcome {
	return m.run(l, func(w *local, now membership.Now) error {
		const ticksMax = 100
		for range ticksMax {
			if w.node.Tick(now); w.node.Wake() > now.Mono || w.node.Phase() == membership.Gone {
				return nil
			}
		}
		return fmt.Errorf("it asks to be called at once, again and again")
	})
}

// run does something to a copy of a node, and says what it came to.
func (m *machine) run(old *local, do func(w *local, now membership.Now) error) (o *outcome) {
	m.runs++
	o = &outcome{host: old.host}
	w := &local{host: old.host, die: old.die}
	if old.node != nil {
		w.node = m.copier.clone(old.node, &w.die)
	}
	defer func() {
		if problem := recover(); problem != nil {
			o.broken = Violation{
				Rule: RulePanic, Detail: fmt.Sprintf("%v: %v", nameOf(w.host), problem),
				Stack: string(debug.Stack()),
			}
		}
	}()
	now := m.now(w.host)
	if err := do(w, now); err != nil {
		o.broken = Violation{Rule: RuleDriver, Detail: fmt.Sprintf("%v: %v", nameOf(w.host), err)}
		return o
	}
	m.collect(o, w)
	if o.broken.Rule == "" {
		o.broken = checkLists(old, w)
	}
	if w.phase != membership.Gone {
		o.local = m.intern(w)
	}
	return o
}

// collect takes what the node wants done.
func (m *machine) collect(o *outcome, w *local) {
	ready := w.node.Ready()
	for i := range ready.Messages {
		e := &ready.Messages[i]
		to := indexOf(e.To)
		if to < 0 || to >= m.options.Members {
			detail := fmt.Sprintf("%v sends to %v", nameOf(w.host), e.To)
			o.broken = Violation{Rule: RuleGhost, Detail: detail}
			continue
		}
		data := wire.Append(nil, &e.Message)
		o.sent = append(o.sent, packet{to: int8(to), from: int8(w.host), data: string(data)})
	}
	for i := range ready.Events {
		e := ready.Events[i]
		o.events = append(o.events, e)
		if e.Kind == membership.EventFail && e.Via == membership.ViaMonitor {
			o.verdicts = append(o.verdicts, e.Peer)
		}
	}
	w.self, w.phase, w.wake = w.node.Self(), w.node.Phase(), m.stepOf(w.host, w.node.Wake())
	w.leads = w.phase == membership.InGroup && w.node.Leader() == addrOf(w.host)
	for row := range w.node.All() {
		w.rows = append(w.rows, row.Entry)
	}
}

// intern returns the one local that stands for all that are in the same state.
func (m *machine) intern(w *local) *local {
	w.key = m.copier.keyOf(w.node, w.die)
	if known := m.locals[w.key]; known != nil && known.host == w.host {
		return known
	}
	m.locals[w.key] = w
	return w
}

// live lets a node live through an instant: it takes the packets that have come, those of each
// batch in every order if all says so, and then looks at its deadlines. Outcomes that differ in
// nothing are one.
func (m *machine) live(l *local, batches [][]packet, all bool) []*outcome {
	name := m.nameOf(l, batches, all)
	if known, ok := m.known[name]; ok {
		return known
	}
	outcomes := []*outcome{{host: l.host, local: l}}
	for _, batch := range batches {
		outcomes = m.takeBatch(outcomes, batch, all)
	}
	own := ownOrder(batches)
	for i, o := range outcomes {
		if o.order == own {
			o.order = ""
		}
		if o.broken.Rule == "" && o.local != nil && o.local.wake <= m.at {
			outcomes[i] = o.then(m.tick(o.local))
		}
	}
	m.known[name] = distinct(outcomes)
	return m.known[name]
}

func (m *machine) nameOf(l *local, batches [][]packet, all bool) string {
	name := append(make([]byte, 0, 256), l.key[:]...)
	name = append(name, byte(l.host), byte(len(batches)))
	if all {
		name = append(name, 1)
	}
	for _, batch := range batches {
		name = append(name, byte(len(batch)))
		for _, p := range batch {
			name = append(binary.AppendUvarint(append(name, byte(p.from)), uint64(len(p.data))), p.data...)
		}
	}
	return string(name)
}

// takeBatch gives each of the nodes the packets in every order, or in their own. Orders
// that have come to the same after the same packets go on as one.
func (m *machine) takeBatch(outcomes []*outcome, batch []packet, all bool) []*outcome {
	var results []*outcome
	for _, begin := range outcomes {
		partial := []part{{outcome: begin}}
		for range batch {
			partial = m.extend(partial, batch, all)
		}
		for _, p := range partial {
			p.outcome.order = begin.order + p.order + "."
			results = append(results, p.outcome)
		}
	}
	return distinct(results)
}

// part is an outcome that has taken some of the packets of a batch.
type part struct {
	*outcome
	taken uint64
	order string
}

// orderMax is how many packets that come at one instant are taken in every order. Where there
// are more, as when somebody answers everything that has waited for the end of its pause, those of
// one sender are taken in one order, and those of different senders in every order.
const orderMax = 6

// extend lets each part take one more packet: any of them, or the next.
func (m *machine) extend(parts []part, batch []packet, all bool) []part {
	var longer []part
	seen := map[string]bool{}
	for _, p := range parts {
		for i := range batch {
			if p.taken&(1<<i) != 0 || len(batch) > orderMax && p.overtakes(batch, i) {
				continue
			}
			next := part{outcome: p.outcome, taken: p.taken | 1<<i, order: p.order + string(digit(i))}
			if p.broken.Rule == "" && p.local != nil {
				next.outcome = p.outcome.then(m.take(p.local, batch[i]))
			} else {
				copied := *p.outcome
				next.outcome = &copied
			}
			if name := fmt.Sprint(next.taken) + next.outcome.name(); !seen[name] {
				seen[name] = true
				longer = append(longer, next)
			}
			if !all {
				break // the first that is left
			}
		}
	}
	return longer
}

// overtakes reports whether another packet of the sender of packet i comes before it.
func (p *part) overtakes(batch []packet, i int) bool {
	for j := range i {
		if p.taken&(1<<j) == 0 && batch[j].from == batch[i].from {
			return true
		}
	}
	return false
}

// ownOrder is what the order of packets that were taken in their own is written like.
func ownOrder(batches [][]packet) string {
	var order []byte
	for _, batch := range batches {
		for i := range batch {
			order = append(order, digit(i))
		}
		order = append(order, '.')
	}
	return string(order)
}

func digit(i int) byte { return "0123456789abcdefghijklmnopqrstuvwxyz"[i%36] }

// then is what an outcome and the next one come to together.
func (o *outcome) then(next *outcome) *outcome {
	return &outcome{
		host: o.host, local: next.local, order: o.order, broken: next.broken,
		sent:     append(slices.Clip(o.sent), next.sent...),
		events:   append(slices.Clip(o.events), next.events...),
		verdicts: append(slices.Clip(o.verdicts), next.verdicts...),
	}
}

// name is equal for outcomes that differ in nothing that matters.
func (o *outcome) name() string {
	var name []byte
	if o.local != nil {
		name = append(name, o.local.key[:]...)
	}
	sent := slices.Clone(o.sent)
	slices.SortFunc(sent, comparePackets)
	for _, p := range sent {
		name = append(binary.AppendUvarint(append(name, byte(p.to)), uint64(len(p.data))), p.data...)
	}
	for _, id := range o.verdicts {
		name = append(name, id.String()...)
	}
	return string(append(name, o.broken.Rule...))
}

// distinct drops all but the first of those outcomes that differ in nothing.
func distinct(outcomes []*outcome) []*outcome {
	seen := make(map[string]bool, len(outcomes))
	return slices.DeleteFunc(outcomes, func(o *outcome) bool {
		name := o.name()
		again := seen[name]
		seen[name] = true
		return again
	})
}

// epoch is the wall time at which every search begins.
var epoch = time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)

// clockOffset is how far the monotonic clocks of two hosts are apart, at least: their
// stamps must not be comparable.
const clockOffset = 1000 * time.Second

// now is what the clocks of a host show.
func (m *machine) now(host int) membership.Now {
	elapsed := time.Duration(m.at) * m.options.Quantum
	return membership.Now{
		Mono: time.Duration(host+1)*clockOffset + elapsed, Wall: epoch.Add(elapsed),
	}
}

// stepOf is the first instant at which the host's monotonic clock shows mono, or later.
func (m *machine) stepOf(host int, mono time.Duration) step {
	elapsed := mono - time.Duration(host+1)*clockOffset
	if elapsed > time.Duration(neverStep-1)*m.options.Quantum {
		return neverStep
	}
	return step((max(0, elapsed) + m.options.Quantum - 1) / m.options.Quantum)
}
