package explore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Result is what a search has shown.
type Result struct {
	Options Options
	// States are the different states that were seen, Transitions the ways from one to another, and
	// NodeSteps what single nodes had to be run for.
	States, Transitions, NodeSteps int
	// Depth is how many instants the longest way has at which anything happened, and Lasts how
	// long it is in virtual time.
	Depth int
	Lasts time.Duration
	// Widest is how many states there were at one instant.
	Widest int
	// Excused are the verdicts about members that are up of which nobody could know better; see
	// RuleFalseFail.
	Excused int
	// Exhaustive is whether every way within the options was followed to its end.
	Exhaustive bool
	// Violation is the first rule that was broken, if any.
	Violation *Violation
}

// String is the line that ends a search.
func (r Result) String() string {
	text := fmt.Sprintf("%d members, %v within %v: ", r.Options.Members, r.Options.Budget, r.Options.Window)
	text += fmt.Sprintf("%d states, %d transitions, %d runs of a node, depth %d (%v), ",
		r.States, r.Transitions, r.NodeSteps, r.Depth, r.Lasts)
	text += fmt.Sprintf("%d at one instant at the most", r.Widest)
	if r.Excused > 0 {
		text += fmt.Sprintf(", %d false verdicts excused", r.Excused)
	}
	switch {
	case r.Violation != nil:
		return text + "; a rule broke"
	case r.Exhaustive:
		return text + "; exhaustive, no rule broke"
	default:
		return text + "; NOT exhaustive, no rule broke so far"
	}
}

// Progress is how far a search is.
type Progress struct {
	At             time.Duration // in virtual time, of Lasts
	Lasts          time.Duration
	States, Active int // seen so far, and at this instant
}

// search is one exploration under way.
type search struct {
	options *Options
	machine *machine
	boots   [membersMax]step // when each host starts first
	layers  []layer          // by instant
	result  Result
}

// layer is what the world can be like before an instant.
type layer struct {
	worlds []*world
	depth  int
	byKey  map[key][]int // indices of worlds
}

// warmUpBoots is within what time the hosts start.
const warmUpBoots = time.Second

func newSearch(o Options) (*search, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &search{options: &o, machine: newMachine(&o), layers: make([]layer, o.end()+1)}
	draw := rand.New(rand.NewPCG(o.Seed, 0))
	for i := range s.boots[:o.Members] {
		if s.boots[i] = 1; o.Seed > 0 {
			s.boots[i] += step(draw.IntN(int(o.steps(warmUpBoots))))
		}
	}
	return s, nil
}

// Run explores, and says what it has seen. The error wraps ErrOptions.
func Run(o Options) (Result, error) {
	s, err := newSearch(o)
	if err != nil {
		return Result{}, err
	}
	s.result.Options, s.result.Exhaustive = *s.options, true
	s.put(&world{}, 0, 0)
	for t := range s.layers {
		if !s.advance(step(t)) {
			break
		}
	}
	s.result.NodeSteps = s.machine.runs
	s.result.Exhaustive = s.result.Exhaustive && s.result.Violation == nil
	return s.result, nil
}

// advance follows every world over the instant t, and reports whether the search goes on.
func (s *search) advance(t step) bool {
	l := &s.layers[t]
	worlds, depth := l.worlds, l.depth
	*l = layer{}
	if len(worlds) == 0 {
		return true
	}
	s.result.Widest = max(s.result.Widest, len(worlds))
	s.result.Depth, s.result.Lasts = depth, time.Duration(t)*s.options.Quantum
	if s.options.Progress != nil {
		s.options.Progress(Progress{
			At: s.result.Lasts, Lasts: s.options.lasts(), States: s.result.States, Active: len(worlds),
		})
	}
	for i, w := range worlds {
		worlds[i] = nil
		for _, d := range s.expand(w, t) {
			s.result.Transitions++
			if d.broken.Rule != "" {
				s.note(d.broken)
				continue
			}
			if t < s.options.end() {
				s.put(&d.world, s.next(&d.world, t), depth+1)
			}
		}
		if s.options.StatesMax > 0 && s.result.States >= s.options.StatesMax {
			s.result.Exhaustive = false
			return false
		}
	}
	return s.result.Violation == nil
}

// note keeps the violation of the shortest path of those that are found at one instant.
func (s *search) note(v Violation) {
	if s.result.Violation == nil || len(v.Path) < len(s.result.Violation.Path) {
		s.result.Violation = &v
	}
}

// put adds a world to those of an instant, unless there is one like it to which less has
// happened.
func (s *search) put(w *world, t step, depth int) {
	l := &s.layers[t]
	if l.byKey == nil {
		l.byKey = map[key][]int{}
	}
	l.depth = max(l.depth, depth)
	k := w.key(s.options.Members)
	for _, i := range l.byKey[k] {
		old := l.worlds[i]
		switch {
		case w.used.covers(old.used):
			if w.used == old.used && w.trail.len() < old.trail.len() {
				l.worlds[i] = w
			}
			return
		case old.used.covers(w.used):
			l.worlds[i] = w
			return
		}
	}
	l.byKey[k] = append(l.byKey[k], len(l.worlds))
	l.worlds = append(l.worlds, w)
	s.result.States++
}

// bootDue starts the hosts that start at the instant t.
func (s *search) bootDue(d *draft, t step) {
	for i := range s.options.Members {
		if s.boots[i] != t {
			continue
		}
		if s.options.Forming {
			s.boot(d, i, membership.NewNode)
		} else {
			s.boot(d, i, s.formed)
		}
	}
}

// boot puts a new node on a host.
func (s *search) boot(d *draft, i int, begin beginning) {
	h := &d.hosts[i]
	o := s.machine.boot(i, begin, h.known)
	h.known = nil
	h.lives++
	d.settle(i, o)
}

// formed makes a node that is a member of the whole group already.
func (s *search) formed(cfg membership.Config, now membership.Now) (*membership.Node, error) {
	snapshot := membership.Snapshot{Phase: membership.InGroup, Epoch: now.Mono, Beat: now.Mono}
	for i := range s.options.Members {
		entry := membership.Entry{ID: s.first(i)}
		if entry.Addr == cfg.Addr {
			snapshot.Self = entry.ID
		}
		snapshot.Rows = append(snapshot.Rows, membership.NewMember(entry, epoch))
	}
	slices.SortFunc(snapshot.Rows, func(a, b *membership.Member) int {
		if a.Position() < b.Position() {
			return -1
		}
		return 1
	})
	return membership.RestoreNode(cfg, snapshot, false, now)
}

// first is the identity with which a host starts.
func (s *search) first(i int) membership.ID {
	born := epoch.Add(time.Duration(s.boots[i]) * s.options.Quantum)
	return membership.ID{Addr: addrOf(i), Incarnation: uint64(born.UnixNano())}
}

// formedAs reports whether a group that is formed ready-made has this member, who may not have
// started yet.
func (s *search) formedAs(id membership.ID) bool {
	return !s.options.Forming && id == s.first(indexOf(id.Addr))
}
