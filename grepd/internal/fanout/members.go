package fanout

import (
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// State is what a member list says of a member.
type State uint8

const (
	Alive State = iota
	Failed
	Left
)

// Member is one node that a query may be sent to.
type Member struct {
	Addr  string // ip:port of its grep service
	State State
	// Incarnation is when this life of the member began by its own clock, in Unix nanoseconds; 0 in a list that a
	// person wrote.
	Incarnation uint64
}

// Targets is a list of members at one instant.
type Targets struct {
	// Self is this node's own address. It is searched in process, and always asked,
	// in the list or not.
	Self string
	// Members holds the nodes in the order in which answers name them. A member that has
	// no row any more counts as failed. The rows are shared: nobody writes to them.
	Members []Member
	// Phase is what this node is to the group whose list it has. Of one that is no member,
	// Members may lack some.
	Phase greppb.Phase
	// Live says that the list is kept by a membership service, not written by a person.
	Live bool
	// Stale says that a live list has had no membership service behind it for StaleFor.
	Stale    bool
	StaleFor time.Duration
}

// Members is the list that queries choose from. Its methods are called from many
// goroutines, and must not block.
type Members interface {
	// Targets returns the list as it is now.
	Targets() Targets
	// Changed returns a channel that is closed at the next change of the list. A query
	// takes the channel first and looks at the list then, so it misses nothing. A list
	// that never changes may return nil.
	Changed() <-chan struct{}
}

// Static is a list that a person wrote.
type Static struct{ targets Targets }

var _ Members = (*Static)(nil)

// NewStatic returns the list of these nodes, and of self, which may be among them.
func NewStatic(self string, nodes []string) *Static {
	s := &Static{Targets{Self: self}}
	for _, addr := range nodes {
		s.targets.Members = append(s.targets.Members, Member{Addr: addr})
	}
	return s
}

// Targets returns the list.
func (s *Static) Targets() Targets { return s.targets }

// Changed returns nil: the list never changes.
func (s *Static) Changed() <-chan struct{} { return nil }
