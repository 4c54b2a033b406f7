package membership

import (
	"fmt"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// State is what a member list says of an incarnation. The order of the values is the
// order in which they win a merge: a terminal state never goes back to Alive, and a
// leave, which only the member itself can say, outranks what monitors concluded.
type State uint8

const (
	Alive  State = iota // in the group
	Failed              // declared failed by a monitor; final for this incarnation
	Left                // said that it leaves; final for this incarnation
)

var stateNames = [...]string{Alive: "alive", Failed: "failed", Left: "left"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Entry is what travels: an identity and its state.
type Entry struct {
	ID
	State State
}

// String gives "ip:port@incarnation state".
func (e Entry) String() string { return e.ID.String() + " " + e.State.String() }

// supersedes reports whether merging e over old changes anything. It is a total order
// on the entries of one address, which makes the list a join-semilattice.
func (e Entry) supersedes(old Entry) bool {
	if e.Incarnation != old.Incarnation {
		return e.Incarnation > old.Incarnation
	}
	return e.State > old.State
}

// Member is one row of a member list. Rows are never written to once they are in a
// list; a change puts a new row in its place, so they may be shared freely.
type Member struct {
	Entry
	// Since is when this list took the state up, on the wall clock of its machine.
	Since time.Time

	position ring.Position
	hash     uint64 // what the row adds to the digest
}

// NewMember makes a row, for a Snapshot.
func NewMember(e Entry, since time.Time) *Member {
	m := &Member{Entry: e, Since: since, position: ring.PositionOf(e.Addr)}
	if e.State == Alive {
		m.hash = e.ID.hash()
	}
	return m
}

// Position is where the member stands on the ring.
func (m *Member) Position() ring.Position { return m.position }

// Live reports whether the member is in the group.
func (m *Member) Live() bool { return m.State == Alive }
