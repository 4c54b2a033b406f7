package explore

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Options says what to explore. Zero values are the defaults.
type Options struct {
	// Members is how many hosts there are. Zero means 3, and 5 are the most.
	Members int
	// Gateways is how many of the first hosts are gateways. Zero means 2.
	Gateways int
	// Seed draws when, within the first second, each of the hosts starts, and so how their
	// timers stand to each other.
	Seed uint64
	// Forming begins with hosts that join through the gateways, one after the other. Without, they
	// are a group that has been up for warmUp.
	Forming bool

	// Budget is how much may go wrong.
	Budget
	// PauseFor is how long a pause lasts. Zero means 1 s, the longest that the protocol makes
	// nothing of.
	PauseFor time.Duration
	// Delays are how much later than in order a delayed packet comes, and the second copy of
	// a duplicated one. None given means 250 ms and 2 s.
	Delays []time.Duration
	// Quantum is how long a packet takes that nothing delays, and the distance of the instants at
	// which anything happens. Zero means 50 ms.
	Quantum time.Duration
	// Window is how long things may go wrong. Zero means 2 s.
	Window time.Duration
	// InOrder has packets that come at one instant taken in one order only.
	InOrder bool

	// StatesMax is how many states are looked at before the search gives up. Zero means no limit.
	StatesMax int
	// Progress is told now and then how far the search is, if not nil.
	Progress func(Progress)

	// Configure changes the configuration of each node before it starts, if not nil.
	Configure func(cfg *membership.Config)
	// Interpose is called before each packet is given to a node, if not nil, and may break
	// the protocol on purpose. What it does may depend on the Delivery alone.
	Interpose func(d *Delivery)
}

// Budget counts what may go wrong, or has gone wrong: Messages are packets that are lost,
// duplicated or delayed.
type Budget struct{ Messages, Crashes, Pauses, Leaves, Restarts int }

// covers reports whether b allows all that other does.
func (b Budget) covers(other Budget) bool {
	return b.Messages >= other.Messages && b.Crashes >= other.Crashes && b.Pauses >= other.Pauses &&
		b.Leaves >= other.Leaves && b.Restarts >= other.Restarts
}

// String gives "2 messages, 1 crash" and so on, without what is 0.
func (b Budget) String() string {
	var parts []string
	add := func(n int, one, more string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, more))
		}
	}
	add(b.Messages, "message", "messages")
	add(b.Crashes, "crash", "crashes")
	add(b.Pauses, "pause", "pauses")
	add(b.Leaves, "leave", "leaves")
	add(b.Restarts, "restart", "restarts")
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Delivery is a packet that is about to be given to a node.
type Delivery struct {
	Host    int
	Now     membership.Now
	Node    *membership.Node // another one may be put in its place
	From    netip.AddrPort
	Message *membership.Message // may be changed
	Lost    bool                // may be set: the node does not get it

	config func() membership.Config
}

// Restore puts a node in the place of the Delivery's that goes on from a snapshot.
func (d *Delivery) Restore(s membership.Snapshot) error {
	node, err := membership.RestoreNode(d.config(), s, false, d.Now)
	if err == nil {
		d.Node = node
	}
	return err
}

const (
	membersMax = 5
	// warmUp is how long a group is up before anything goes wrong: its links are no longer young.
	warmUp = 12 * time.Second
	// settleFor is how long the group has after the window until all lists must be equal.
	settleFor = 12 * time.Second
	// lastsMax is how long a search may last in virtual time. The state of a node has instants that
	// count again after 30 s (see ageless).
	lastsMax = 29 * time.Second
)

// ErrOptions is wrapped by every error about Options that cannot be explored.
var ErrOptions = errors.New("exploration")

func (o Options) withDefaults() (Options, error) {
	o.Members = orElse(o.Members, 3)
	o.Gateways = orElse(o.Gateways, min(2, o.Members))
	o.PauseFor = orElse(o.PauseFor, time.Second)
	o.Quantum = orElse(o.Quantum, 50*time.Millisecond)
	o.Window = orElse(o.Window, 2*time.Second)
	if o.Delays == nil {
		o.Delays = []time.Duration{250 * time.Millisecond, 2 * time.Second}
	}
	return o, o.check()
}

func orElse[T comparable](value, otherwise T) T {
	if value == *new(T) {
		return otherwise
	}
	return value
}

func (o Options) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.Members < 1 || o.Members > membersMax:
		return fail("%d members, want 1 to %d", o.Members, membersMax)
	case o.Gateways < 1 || o.Gateways > o.Members:
		return fail("%d gateways of %d members, want 1 to %d", o.Gateways, o.Members, o.Members)
	case o.Quantum < time.Millisecond || o.Quantum > 100*time.Millisecond:
		return fail("a quantum of %v, want 1 ms to 100 ms", o.Quantum)
	case o.Window < o.Quantum || o.lasts() > lastsMax:
		return fail("a window of %v, want %v to %v", o.Window, o.Quantum, lastsMax-(o.lasts()-o.Window))
	case min(o.Messages, o.Crashes, o.Pauses, o.Leaves, o.Restarts) < 0:
		return fail("less than nothing cannot go wrong")
	case o.PauseFor < o.Quantum:
		return fail("a pause of %v, want at least a quantum of %v", o.PauseFor, o.Quantum)
	}
	for _, d := range o.Delays {
		if d < o.Quantum {
			return fail("a delay of %v, want at least a quantum of %v", d, o.Quantum)
		}
	}
	return nil
}

func (o *Options) steps(d time.Duration) step { return step((d + o.Quantum - 1) / o.Quantum) }

func (o *Options) begin() time.Duration {
	if o.Forming {
		return 0
	}
	return warmUp
}

func (o *Options) lasts() time.Duration { return o.begin() + o.Window + settleFor }

// inWindow reports whether things may go wrong at this instant.
func (o *Options) inWindow(t step) bool {
	return t >= o.steps(o.begin()) && t < o.steps(o.begin()+o.Window)
}

func (o *Options) end() step { return o.steps(o.lasts()) }
