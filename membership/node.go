package membership

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Now is an instant as the driver's two clocks show it.
type Now struct {
	Mono time.Duration // monotonic, from any fixed origin
	Wall time.Time     // for incarnations and for Member.Since; may step
}

// Config is what a Node needs to know.
type Config struct {
	Addr     netip.AddrPort
	Gateways []netip.AddrPort
	// Known are members seen in an earlier life, asked for a group when no gateway answers.
	Known []netip.AddrPort
	// MaxFailures is how many members may fail at the same time, and so the number of
	// monitors of each. Zero means 3.
	MaxFailures int
	// DetectWithin and SpreadWithin are R5 and R6. Zero means 2 s and 6 s.
	DetectWithin, SpreadWithin time.Duration
	// Rand is the node's only source of randomness.
	Rand *rand.Rand
}

// Phase is where a node is in its life.
type Phase uint8

const (
	Joining Phase = iota
	InGroup
	Leaving
	Gone
)

// Ready is what the driver has to do. Its slices are valid until the next call of a
// method of the Node.
type Ready struct {
	Messages []Envelope
	Events   []Event
	Changed  bool // the member list has changed
}

// Node is one member's state machine.
type Node struct{}

var errTODO = errors.New("not yet")

// NewNode returns a node that begins to join at its first Tick.
func NewNode(cfg Config, now Now) (*Node, error) { return nil, errTODO }

// RestoreNode returns a node that goes on from a snapshot.
func RestoreNode(cfg Config, snapshot []byte, crashed bool, now Now) (*Node, error) {
	return nil, errTODO
}

// Step takes in a message that came from an address.
func (n *Node) Step(now Now, from netip.AddrPort, m *Message) {}

// Tick lets time pass. Call it when Wake is reached; at any other time it does no harm.
func (n *Node) Tick(now Now) {}

// Leave begins to leave the group; Phase is Gone when that is done.
func (n *Node) Leave(now Now) {}

// Ready returns what has to be done since it was called last.
func (n *Node) Ready() Ready { return Ready{} }

// Wake is the monotonic time of the next necessary Tick.
func (n *Node) Wake() time.Duration { return 0 }

// Self is the identity in use.
func (n *Node) Self() ID { return ID{} }

// Phase says where the node is in its life.
func (n *Node) Phase() Phase { return Joining }

// Members returns the list's rows in ring order, terminal ones included. The rows are
// shared and must not be written to; the slice is the caller's.
func (n *Node) Members() []*Member { return nil }

// Digest is equal on nodes that hold the same members to be alive.
func (n *Node) Digest() uint64 { return 0 }

// Alive is how many members the list holds to be alive, this node included.
func (n *Node) Alive() int { return 0 }

// Version counts the changes of the list.
func (n *Node) Version() uint64 { return 0 }

// Snapshot returns the state for RestoreNode.
func (n *Node) Snapshot(now Now) []byte { return nil }
