package membershiptest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// host is one simulated machine: its address, its clocks, its socket's buffer, and the
// Node that runs on it, if any. It is the driver of that Node.
type host struct {
	index int
	addr  netip.AddrPort
	clock clock

	node  *membership.Node // nil while down
	nodes int              // that have run here
	phase membership.Phase
	id    membership.ID

	stateFile []netip.AddrPort // members that the last node knew

	incarnations []uint64 // that this address has had, or tried to have
	lives        []uint64 // the incarnations that were told of
	formed       uint64   // the incarnation with which Form made it a member, 0 if it did not
	formedList   bool     // its list began as the one that Form made

	wakeAt      time.Duration // what the node asked for, as an instant
	scheduledAt time.Duration // the instant of its wakeEvent that counts; never: there is none
	tickedAt    time.Duration // when the node was ticked last
	ticks       int           // how often at that instant
	spinning    bool          // it has had too many of them

	paused       bool
	pausedAt     time.Duration
	backlog      []int32 // packets received while paused
	backlogBytes int

	gray Gray

	startedAt      time.Duration // of the node
	inGroupSince   time.Duration // never: it is not in a group
	changedAt      time.Duration // when it came into the group, went out of it, or changed its identity
	disturbedUntil time.Duration // see disturbed

	second        time.Duration // the second that secondPackets were sent in
	secondPackets int
}

const (
	// socketBytesMax is Linux' default receive buffer, and packetOverheadBytes what a
	// small datagram takes of it beyond its own length.
	socketBytesMax      = 212_992
	packetOverheadBytes = 704
	// ticksMax is how often a node may want to be ticked at one instant.
	ticksMax = 100
	// pauseMax is the longest pause of a host that the protocol makes nothing of.
	pauseMax = time.Second
	// settleWithin is how long a cluster may take to be itself again after a partition
	// or a long pause.
	settleWithin = 10 * time.Second
	// knownMax is how many members the state file holds.
	knownMax = 64
)

const port = 7117

// addrOf is the address of the host with this index, and indexOf its inverse.
func addrOf(index int) netip.AddrPort {
	ip := netip.AddrFrom4([4]byte{10, byte(index >> 16), byte(index >> 8), byte(index)})
	return netip.AddrPortFrom(ip, port)
}

func indexOf(addr netip.AddrPort) int {
	if !addr.Addr().Is4() {
		return -1
	}
	b := addr.Addr().As4()
	if b[0] != 10 || addr.Port() != port {
		return -1
	}
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

func newHost(index int, clocks Clocks, r *rand.Rand) *host {
	return &host{
		index: index, addr: addrOf(index), clock: clocks.draw(r),
		scheduledAt: never, wakeAt: never, inGroupSince: never,
	}
}

func (h *host) up() bool { return h.node != nil }

// inGroup reports whether the host is up and a member, for all it knows.
func (h *host) inGroup() bool { return h.up() && h.phase == membership.InGroup }

// established reports whether the host has been in the group, under its identity, long
// enough for every list to hold it.
func (h *host) established(now time.Duration) bool { return h.inGroup() && h.unchanged(now) }

// unchanged reports whether it is so long ago that the host came, went, or changed its
// identity that every list must say so.
func (h *host) unchanged(now time.Duration) bool { return now-h.changedAt >= spreadWithin }

// disturbed reports whether the host suffers from a fault that the protocol promises
// nothing for, or has had no time to get over it.
func (h *host) disturbed(now time.Duration) bool {
	return now < h.disturbedUntil || h.paused && now > h.pausedAt+pauseMax
}

// life is the number of the life with this incarnation, from 1.
func (h *host) life(incarnation uint64) int {
	i := slices.Index(h.lives, incarnation)
	if i < 0 {
		i = len(h.lives)
		h.lives = append(h.lives, incarnation)
	}
	return i + 1
}

// keepState writes the state file: the members that the node last saw alive.
func (h *host) keepState() {
	h.stateFile = nil
	for m := range h.node.All() {
		if m.State == membership.Alive && m.Addr != h.addr && len(h.stateFile) < knownMax {
			h.stateFile = append(h.stateFile, m.Addr)
		}
	}
}

// nodeName is a host's name in scripts and transcripts.
func nodeName(index int) string { return fmt.Sprintf("n%d", index) }

// successors are the hosts of the next k live members on the ring, as the host's list has it.
func (h *host) successors(k int) (indices []int) {
	rows := slices.DeleteFunc(h.node.Members(), func(m *membership.Member) bool { return !m.Live() })
	own := slices.IndexFunc(rows, func(m *membership.Member) bool { return m.Addr == h.addr })
	for i := range min(k, len(rows)-1) {
		indices = append(indices, indexOf(rows[(own+1+i)%len(rows)].Addr))
	}
	return indices
}

// row is what the host's list holds for an address, or nil.
func (h *host) row(addr netip.AddrPort) *membership.Member {
	for m := range h.node.All() {
		if m.Addr == addr {
			return m
		}
	}
	return nil
}
