// Package recording keeps what goes into a live membership.Node and what comes out of it, so
// that the same can be seen again: on another machine, under a debugger, with a newer core.
//
// A Node does nothing that does not follow from its configuration, the state that it began with,
// its random numbers, and the calls that it gets. A recording has all four. It does not begin in
// the midst of a node's life, which no snapshot describes to the last bit, but with a node that
// has just been restored from a snapshot: Begin makes the Header, from which Header.Node makes
// the node that goes on, in the live member as in the replay. A live member that is to be
// recorded thus does what it does at every reload of its process.
//
//	header, err := recording.Begin(node, program, seed, now)
//	node, err = header.Node(header.Source())
//	...                                  // each call of the node:
//	in := recording.Input{Kind: recording.Tick, Now: now}
//	in.Apply(node)
//	step := recording.StepOf(&in, node, node.Ready())
//
// Replay does it all again from a file, prints a transcript, and says where the node did
// something else than the file says.
//
// # The file
//
// The format is written down in shared/proto/recordpb/recording.proto. Each frame has a checksum,
// so that a damaged file is not taken for a node that went astray. A file that breaks off is good
// as far as it goes.
//
// Fields and inputs are only ever added. A reader refuses a version or an input that it does not
// know. What was recorded by an older program is replayed by the present core, on purpose: where
// that does something else now, the replay says so.
//
// # Concurrency
//
// Nothing here is for more than one goroutine at a time. Package udp records live nodes.
package recording

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// ErrUnusable is wrapped by the error about a file that cannot be replayed, or not to its end.
var ErrUnusable = errors.New("unusable recording")

// Header is what a recorded node began with.
type Header struct {
	Program  string            // what recorded it
	Config   membership.Config // without Rand
	Snapshot []byte            // as package wire encodes it
	Seed     [2]uint64         // of the node's random numbers
	Now      membership.Now
}

// Begin says what a node is to be replaced by, so that all that it does from now on can be seen
// again. One that is about to leave, or has left, cannot be.
func Begin(
	node *membership.Node, program string, seed [2]uint64, now membership.Now,
) (*Header, error) {
	if phase := node.Phase(); phase != membership.Joining && phase != membership.InGroup {
		return nil, fmt.Errorf("a node whose phase is %q cannot be recorded", phase)
	}
	h := &Header{Program: program, Config: node.Config(), Seed: seed, Now: now}
	h.Config.Rand = nil
	h.Snapshot = wire.AppendSnapshot(nil, node.Snapshot())
	return h, nil
}

// Source is the source of the node's random numbers.
func (h *Header) Source() *rand.PCG { return rand.NewPCG(h.Seed[0], h.Seed[1]) }

// Node returns the node that begins here. Its random numbers are those of source, which is to be
// a new Source of this header.
func (h *Header) Node(source rand.Source) (*membership.Node, error) {
	snapshot, err := wire.DecodeSnapshot(h.Snapshot)
	if err != nil {
		return nil, err
	}
	cfg := h.Config
	cfg.Rand = rand.New(source)
	return membership.RestoreNode(cfg, snapshot, false, h.Now)
}

// Kind says which call of a Node an Input is.
type Kind uint8

const (
	Started Kind = iota // none: the first step has what the node wanted done when it was restored
	Packet              // Step
	Tick
	Leave
	Gateways // SetGateways
)

var kindNames = [...]string{Started: "started", Packet: "packet", Tick: "tick", Leave: "leave", Gateways: "gateways"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("input(%d)", uint8(k))
}

// Input is one call of a Node: all that a Node is ever told goes through Apply.
type Input struct {
	Kind    Kind
	Now     membership.Now
	From    netip.AddrPort      // Packet
	Packet  []byte              // Packet: as it came
	Message *membership.Message // Packet: what it says
	// Gateways is where they are, for the input of that name.
	Gateways []netip.AddrPort
}

// Apply makes the call.
func (in *Input) Apply(node *membership.Node) {
	switch in.Kind {
	case Packet:
		node.Step(in.Now, in.From, in.Message)
	case Tick:
		node.Tick(in.Now)
	case Leave:
		node.Leave(in.Now)
	case Gateways:
		_ = node.SetGateways(in.Now, in.Gateways) // refused ones change nothing, in a replay as well
	}
}

// Step is an input and what came of it.
type Step struct {
	Input
	Output
}

// Output is what a node wanted done after an input, and how it was then. Two outputs are equal
// if the nodes that they are from have done the same.
type Output struct {
	Sent   []Sent
	Events []string
	State
}

// State is what is seen of a node's state.
type State struct {
	Wake    time.Duration // the Mono of the next call
	Phase   membership.Phase
	Version uint64 // of the list
	Digest  uint64 // of the list
}

// Sent is a packet that a node wanted sent.
type Sent struct {
	To     netip.AddrPort
	Packet []byte
}

// StepOf says what came of an input. It copies nothing of the input, and keeps nothing of ready.
func StepOf(in *Input, node *membership.Node, ready membership.Ready) *Step {
	s := &Step{Input: *in, Output: Output{State: State{
		Wake: node.Wake(), Phase: node.Phase(), Version: node.Version(), Digest: node.Digest(),
	}}}
	for i := range ready.Messages {
		m := &ready.Messages[i]
		s.Sent = append(s.Sent, Sent{To: m.To, Packet: wire.Append(nil, &m.Message)})
	}
	for _, e := range ready.Events {
		s.Events = append(s.Events, e.String())
	}
	return s
}

// Reason says why a recording ended.
type Reason uint8

const (
	Other   Reason = iota
	Time           // the time that was asked for is over
	Asked          // whoever asked for it had enough
	Size           // the size that was asked for is reached
	Slow           // it was not written as fast as it grew
	Stopped        // the node was stopped, or handed to another process
	Gone           // the node has left the group
)

var reasonTexts = [...]string{
	Other: "something else", Time: "the time was over", Asked: "it was asked to end",
	Size: "the size was reached", Slow: "it could not be written as fast as it grew",
	Stopped: "the membership service was stopped or replaced", Gone: "the member left the group",
}

func (r Reason) String() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Early reports whether the recording ended before whoever asked for it wanted.
func (r Reason) Early() bool { return r != Time && r != Asked }

// End is the end of a recording.
type End struct {
	Reason Reason
	Steps  int
}
