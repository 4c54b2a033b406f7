package explore

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// world is the state of everything at one instant. Once it is made it is not changed.
type world struct {
	hosts  [membersMax]host
	flight []packet // under way, in the order of comparePackets
	used   Budget
	rules  rules
	trail  *trail
}

// host is a machine.
type host struct {
	local   *local // nil: down
	resumes step   // it is paused until then; 0: it is not
	lives   int8   // nodes that have run here
	// born are the incarnations that this host has had, or tried to have.
	born []uint64
	// known are the members that the last node knew, once it is down.
	known []netip.AddrPort
}

func (h *host) up() bool      { return h.local != nil }
func (h *host) running() bool { return h.up() && h.resumes == 0 }

// inGroup reports whether the host is up and a member, for all it knows.
func (h *host) inGroup() bool { return h.up() && h.local.phase == membership.InGroup }

// key is equal for worlds that go on alike. What has gone wrong so far is left out: it
// allows the one more than the other.
func (w *world) key(n int) key {
	text := make([]byte, 0, 512)
	for i := range w.hosts[:n] {
		h := &w.hosts[i]
		if h.up() {
			text = append(text, h.local.key[:]...)
		}
		text = binary.AppendVarint(append(text, byte(h.lives)), int64(h.resumes))
		for _, incarnation := range h.born {
			text = binary.AppendUvarint(text, incarnation)
		}
		for _, k := range h.known {
			text = append(text, byte(indexOf(k)))
		}
		text = append(text, 0xff)
	}
	for _, p := range w.flight {
		text = binary.AppendVarint(append(text, byte(p.to), byte(p.from)), int64(p.due))
		text = append(binary.AppendUvarint(text, uint64(len(p.data))), p.data...)
	}
	return keyOf(w.rules.append(text))
}

// next is the first instant after t at which anything happens.
func (s *search) next(w *world, t step) step {
	next := min(s.options.end(), w.rules.due(s.options, t))
	if s.options.inWindow(t+1) && s.hostFaultsLeft(w) {
		return t + 1
	}
	if !s.options.inWindow(t) && t < s.options.steps(s.options.begin()) {
		next = min(next, s.options.steps(s.options.begin())) // the window opens
	}
	for i := range w.hosts[:s.options.Members] {
		h := &w.hosts[i]
		switch {
		case h.resumes > 0:
			next = min(next, h.resumes)
		case h.up():
			next = min(next, h.local.wake)
		}
		if b := s.boots[i]; b > t && h.lives == 0 {
			next = min(next, b)
		}
	}
	for _, p := range w.flight {
		if w.hosts[p.to].resumes == 0 { // a host that is down loses it
			next = min(next, p.due)
			break // those that follow are due later
		}
	}
	return max(next, t+1)
}

// draft is a world that is being made from another one, for the next instant.
type draft struct {
	world
	did    []*outcome // by whom there was something to do
	sent   []packet   // by them
	broken Violation  // zero: nothing
}

func (d *draft) add(o *outcome) {
	d.did = append(slices.Clip(d.did), o)
	d.sent = append(slices.Clip(d.sent), o.sent...)
}

// branch returns a copy of the draft that has made one more choice.
func (d *draft) branch(c Choice) *draft {
	other := *d
	other.trail = d.trail.then(c)
	return &other
}

// expand returns all that a world can be like once the instant t is over.
func (s *search) expand(w *world, t step) []*draft {
	s.machine.setTime(t)
	d := &draft{world: *w}
	s.resume(d, t)
	s.bootDue(d, t)
	drafts := []*draft{d}
	if s.options.inWindow(t) {
		drafts = s.hostFaults(d, t)
	}
	for i := range s.options.Members {
		drafts = s.live(drafts, i, t)
	}
	var done []*draft
	for _, d := range drafts {
		for _, sent := range s.fates(d, t) {
			s.judge(sent, t)
			done = append(done, sent)
		}
	}
	return done
}

func (s *search) resume(d *draft, t step) {
	for i := range d.hosts {
		if h := &d.hosts[i]; h.resumes > 0 && h.resumes <= t {
			h.resumes = 0
		}
	}
}

// live lets the host i of each draft live through the instant t.
func (s *search) live(drafts []*draft, i int, t step) []*draft {
	var results []*draft
	for _, d := range drafts {
		h := &d.hosts[i]
		batches := s.arrived(d, i, t)
		if !h.running() || len(batches) == 0 && h.local.wake > t {
			results = append(results, d)
			continue
		}
		all := s.options.inWindow(t) && !s.options.InOrder
		for _, o := range s.machine.live(h.local, batches, all) {
			next := *d
			if o.order != "" {
				next.trail = d.trail.then(s.choice(t, verbOrder, nameOf(i)+"."+o.order))
			}
			next.settle(i, o)
			results = append(results, &next)
		}
	}
	return results
}

// settle makes what a node has come to a part of the draft.
func (d *draft) settle(i int, o *outcome) {
	h := &d.hosts[i]
	if o.local == nil && o.broken.Rule == "" {
		d.goDown(i)
	} else {
		h.local = o.local
	}
	if h.up() && !slices.Contains(h.born, h.local.self.Incarnation) {
		h.born = append(slices.Clip(h.born), h.local.self.Incarnation)
	}
	d.add(o)
}

// goDown takes the node off a host.
func (d *draft) goDown(i int) {
	h := &d.hosts[i]
	h.known = nil
	for _, row := range h.local.rows {
		if row.State == membership.Alive && row.Addr != addrOf(i) {
			h.known = append(h.known, row.Addr)
		}
	}
	h.local, h.resumes = nil, 0
	d.rules.gone(i)
}

// arrived are the packets that have come for a host, those that came together in one batch.
func (s *search) arrived(d *draft, i int, t step) (batches [][]packet) {
	for _, p := range d.flight {
		if p.due > t || int(p.to) != i {
			continue
		}
		last := len(batches) - 1
		if last < 0 || batches[last][0].due != p.due {
			batches = append(batches, nil)
			last++
		}
		batches[last] = append(batches[last], p)
	}
	return batches
}

// underWay are the packets that will come, once those of the instant t have.
func (s *search) underWay(d *draft, t step) (left []packet) {
	for _, p := range d.flight {
		if p.due > t || d.hosts[p.to].resumes > 0 {
			left = append(left, p)
		}
	}
	return left
}
