package explore

import (
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

func (s *search) choice(t step, verb, what string) Choice {
	return Choice{At: time.Duration(t) * s.options.Quantum, Verb: verb, What: what}
}

func (s *search) hostFaultsLeft(w *world) bool {
	left := s.options.Budget
	return w.used.Crashes < left.Crashes || w.used.Pauses < left.Pauses ||
		w.used.Leaves < left.Leaves || w.used.Restarts < left.Restarts
}

// hostFault is something that may happen to a host.
type hostFault struct {
	verb string
	used func(b *Budget) *int
	// can reports whether it can happen to the host now.
	can func(h *host) bool
	do  func(s *search, d *draft, i int, t step)
}

var allHostFaults = []hostFault{
	{
		verb: verbCrash, used: func(b *Budget) *int { return &b.Crashes }, can: (*host).up,
		do: func(s *search, d *draft, i int, t step) {
			d.rules.crashed(&d.world, i, t)
			d.goDown(i)
		},
	},
	{
		verb: verbLeave, used: func(b *Budget) *int { return &b.Leaves },
		can: func(h *host) bool { return h.running() && h.local.phase == membership.InGroup },
		do: func(s *search, d *draft, i int, t step) {
			d.rules.leaves(&d.world, i, t)
			d.settle(i, s.machine.leave(d.hosts[i].local))
		},
	},
	{
		verb: verbPause, used: func(b *Budget) *int { return &b.Pauses }, can: (*host).running,
		do: func(s *search, d *draft, i int, t step) {
			d.hosts[i].resumes = t + s.options.steps(s.options.PauseFor)
			d.rules.paused(i)
		},
	},
	{
		verb: verbRestart, used: func(b *Budget) *int { return &b.Restarts },
		can: func(h *host) bool { return !h.up() && h.lives > 0 },
		do:  func(s *search, d *draft, i int, t step) { s.boot(d, i, membership.NewNode) },
	},
}

// hostFaults returns the draft as it is, and with all that may happen to its hosts now.
func (s *search) hostFaults(d *draft, t step) []*draft {
	drafts := []*draft{d}
	for _, fault := range allHostFaults {
		for i := range s.options.Members {
			for _, d := range slices.Clone(drafts) {
				if *fault.used(&d.used) >= *fault.used(&s.options.Budget) || !fault.can(&d.hosts[i]) {
					continue
				}
				other := d.branch(s.choice(t, fault.verb, nameOf(i)))
				*fault.used(&other.used)++
				fault.do(s, other, i, t)
				drafts = append(drafts, other)
			}
		}
	}
	return drafts
}

// fates returns the draft with its packets on their way, in all the ways that the budget
// leaves.
func (s *search) fates(d *draft, t step) []*draft {
	d.flight = s.underWay(d, t)
	drafts := []*draft{d}
	var count [membersMax][membersMax]int
	for _, p := range d.sent {
		place := count[p.from][p.to]
		count[p.from][p.to]++
		if s.isLost(d, p) {
			continue
		}
		what := fmt.Sprintf("%s>%s.%d", nameOf(int(p.from)), nameOf(int(p.to)), place)
		for _, d := range drafts { // as they are before this packet
			if s.options.inWindow(t) && d.used.Messages < s.options.Messages {
				drafts = append(drafts, s.disturb(d, p, what, t)...)
			}
			d.dispatch(p, t+1)
		}
	}
	return drafts
}

// isLost reports whether a packet can never come: its receiver is down for good.
func (s *search) isLost(d *draft, p packet) bool {
	h := &d.hosts[p.to]
	return !h.up() && h.lives > 0 && d.used.Restarts >= s.options.Restarts
}

// disturb returns the draft with all that can go wrong with a packet.
func (s *search) disturb(d *draft, p packet, what string, t step) (drafts []*draft) {
	add := func(verb string, arrivals ...step) {
		other := d.branch(s.choice(t, verb, what))
		other.used.Messages++
		for _, due := range arrivals {
			other.dispatch(p, due)
		}
		drafts = append(drafts, other)
	}
	add(verbLose)
	add(verbTwice, t+1, t+1)
	for _, delay := range s.options.Delays {
		later := t + 1 + s.options.steps(delay)
		add(verbLate+delay.String(), later)
		add(verbTwice+delay.String(), t+1, later)
	}
	return drafts
}

// dispatch puts a packet on its way.
func (d *draft) dispatch(p packet, due step) {
	p.due = due
	at, _ := slices.BinarySearchFunc(d.flight, p, comparePackets)
	d.flight = slices.Insert(slices.Clip(d.flight), at, p)
}
