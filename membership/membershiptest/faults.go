package membershiptest

import (
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// Crash stops hosts dead.
func (s *Sim) Crash(indices ...int) {
	for _, i := range indices {
		h := s.hosts[i]
		if !h.up() {
			continue
		}
		s.note("crash %s", nodeName(i))
		h.keepState()
		s.checker.crashed(h)
		s.stop(h)
	}
}

// Restart boots crashed hosts or such that have left, under their old addresses and with
// the members they last knew.
func (s *Sim) Restart(indices ...int) {
	for _, i := range indices {
		if h := s.hosts[i]; !h.up() {
			s.note("restart %s", nodeName(i))
			s.boot(h)
		}
	}
}

// Leave makes hosts leave the group.
func (s *Sim) Leave(indices ...int) {
	for _, i := range indices {
		h := s.hosts[i]
		if !h.up() || h.paused {
			continue
		}
		s.note("leave %s", nodeName(i))
		h.keepState()
		s.checker.leaving(h)
		h.node.Leave(h.clock.now(s.now))
		s.afterStep(h)
	}
}

// Pause freezes hosts: their packets wait in their sockets' buffers.
func (s *Sim) Pause(indices ...int) {
	for _, i := range indices {
		if h := s.hosts[i]; h.up() && !h.paused {
			s.note("pause %s", nodeName(i))
			h.paused, h.pausedAt = true, s.now
		}
	}
}

// Resume lets paused hosts go on: each takes in all packets that have waited, then looks
// at its deadlines.
func (s *Sim) Resume(indices ...int) {
	for _, i := range indices {
		h := s.hosts[i]
		if !h.paused {
			continue
		}
		s.note("resume %s", nodeName(i))
		h.paused = false
		if s.now > h.pausedAt+pauseMax {
			h.disturbedUntil = max(h.disturbedUntil, s.now+settleWithin)
		}
		s.drain(h)
		if h.up() {
			s.tick(h)
		}
	}
}

// Freeze pauses a host for the time d, as a virtual machine is when it is moved: its clocks
// stand still meanwhile.
func (s *Sim) Freeze(index int, d time.Duration) {
	h := s.hosts[index]
	s.Pause(index)
	s.After(d, func() {
		if h.paused {
			stood := s.now - h.pausedAt
			h.clock.monoOffset -= stood
			h.clock.wallOffset -= stood
		}
		s.Resume(index)
	})
}

// Reload replaces a node by one restored from its snapshot, as a reload of the plugin
// does: packets wait in the socket's buffer for the time that it takes.
func (s *Sim) Reload(index int, takes time.Duration) {
	h := s.hosts[index]
	if !h.up() || h.paused {
		return
	}
	s.note("reload %s", nodeName(index))
	old := h.node
	h.paused, h.pausedAt = true, s.now
	s.After(takes, func() {
		if h.node != old {
			return // it has crashed meanwhile
		}
		snapshot, err := wire.DecodeSnapshot(wire.AppendSnapshot(nil, old.Snapshot()))
		if err != nil {
			s.checker.violate(RuleCodec, "%s has a snapshot that cannot be decoded: %v", nodeName(index), err)
		} else {
			s.restore(h, snapshot)
		}
		s.Resume(index)
	})
}

// StepWall sets a host's wall clock forward, or back.
func (s *Sim) StepWall(index int, by time.Duration) {
	s.note("wall %s %v", nodeName(index), by)
	s.hosts[index].clock.wallOffset += by
}

// Link gives access to what is done to one direction between two hosts.
func (s *Sim) Link(from, to int) *Link {
	key := linkKey{from, to}
	if s.links[key] == nil {
		s.links[key] = &Link{}
	}
	return s.links[key]
}

// Clog holds back what is sent from one host to another, until Unclog.
func (s *Sim) Clog(from, to int) { s.Link(from, to).clogged = true }

// Unclog lets what was held back go on its way.
func (s *Sim) Unclog(from, to int) {
	link := s.Link(from, to)
	link.clogged = false
	for _, p := range link.held {
		s.queue.push(s.now+s.fate.delay(s.now, linkKey{from, to}, link), packetEvent, p)
	}
	link.held = nil
}

// Partition parts the hosts into sides that cannot reach each other. Hosts that no side
// names are on one more side.
func (s *Sim) Partition(sides ...[]int) {
	s.note("partition %v", sides)
	s.partition = make([]int, len(s.hosts))
	for side, indices := range sides {
		for _, i := range indices {
			s.partition[i] = side + 1
		}
	}
	for _, h := range s.hosts {
		h.disturbedUntil = never
	}
}

// Heal ends the partition, and takes everything off that was done to links.
func (s *Sim) Heal() {
	s.note("heal")
	if s.partition != nil {
		for _, h := range s.hosts {
			h.disturbedUntil = s.now + settleWithin
		}
	}
	s.partition = nil
	for _, key := range s.linksInOrder() {
		if s.links[key].clogged {
			s.Unclog(key.from, key.to)
		}
	}
	clear(s.links)
}

func (s *Sim) linksInOrder() []linkKey {
	keys := make([]linkKey, 0, len(s.links))
	for key := range s.links {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b linkKey) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return a.to - b.to
	})
	return keys
}

// parted reports whether a partition keeps two hosts apart. Hosts that were added since
// are on the side of those that it did not name.
func (s *Sim) parted(from, to int) bool {
	return s.partition != nil && s.side(from) != s.side(to)
}

func (s *Sim) side(index int) int {
	if index >= len(s.partition) {
		return 0
	}
	return s.partition[index]
}
