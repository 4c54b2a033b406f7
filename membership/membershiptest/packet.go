package membershiptest

import (
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// packet is a datagram under way. Its buffer is used again when it has arrived.
type packet struct {
	from, to int
	data     []byte
}

// headerBytes are the IP and UDP headers of a packet.
const headerBytes = 28

// recordedMax is how many packets Options.Record keeps.
const recordedMax = 4096

// send encodes a message and gives it to the network.
func (s *Sim) send(h *host, envelope *membership.Envelope) {
	m := &envelope.Message
	p := s.newPacket()
	packet := &s.packets[p]
	packet.from, packet.to = h.index, indexOf(envelope.To)
	packet.data = wire.Append(packet.data[:0], m)
	if n := len(packet.data); n == 0 || n > wire.PacketBytesMax {
		s.checker.violate(RuleCodec, "%s sends a packet of %d bytes: %v", nodeName(h.index), n, m)
	}
	s.traffic.sent(h, m.Kind, len(packet.data)+headerBytes, s.now)
	if h.secondPackets == s.options.PacketsMax+1 {
		s.checker.violate(RuleTraffic, "%s sends more than %d packets in a second", nodeName(h.index), s.options.PacketsMax)
	}
	if s.options.Observer != nil {
		s.options.Observer.Sent(h.id, envelope.To, m)
	}
	if s.options.Messages && m.Kind != membership.Heartbeat {
		s.transcribe("%s > %s %s", nodeName(h.index), nodeName(packet.to), s.checker.readable(m.String()))
	}
	if s.Drop != nil && s.Drop(h.index, packet.to, m) {
		s.freePacket(p)
		return
	}
	s.dispatch(p)
}

// dispatch sends a packet through the network's faults.
func (s *Sim) dispatch(p int32) {
	from, to := s.packets[p].from, s.packets[p].to
	if to < 0 || to >= len(s.hosts) || s.parted(from, to) {
		s.freePacket(p)
		return
	}
	key := linkKey{from, to}
	var link *Link
	if len(s.links) > 0 {
		link = s.links[key]
	}
	switch {
	case link != nil && link.Cut, s.fate.lost(link),
		s.fate.happens(s.hosts[from].gray.Out), s.fate.happens(s.hosts[to].gray.In):
		s.freePacket(p)
	case link != nil && link.clogged:
		s.hold(link, p)
	default:
		if s.fate.happens(s.Network.Duplicate) {
			s.queue.push(s.now+s.fate.delay(s.now, key, link), packetEvent, s.copyPacket(p))
		}
		s.queue.push(s.now+s.fate.delay(s.now, key, link), packetEvent, p)
	}
}

func (s *Sim) hold(link *Link, p int32) {
	if len(link.held) >= clogPacketsMax {
		s.freePacket(p)
		return
	}
	link.held = append(link.held, p)
}

// arrive puts a packet into the socket of its receiver.
func (s *Sim) arrive(p int32) {
	h := s.hosts[s.packets[p].to]
	size := len(s.packets[p].data) + packetOverheadBytes
	switch {
	case !h.up(), h.paused && h.backlogBytes+size > socketBytesMax:
		s.freePacket(p)
	case h.paused:
		h.backlogBytes += size
		h.backlog = append(h.backlog, p)
	default:
		s.deliver(h, p)
	}
}

// deliver decodes a packet for the node.
func (s *Sim) deliver(h *host, p int32) {
	packet := &s.packets[p]
	from := addrOf(packet.from)
	if err := wire.Decode(packet.data, &s.message); err != nil {
		s.checker.violate(RuleCodec, "%s cannot decode %x from %s: %v", nodeName(h.index), packet.data, nodeName(packet.from), err)
		s.freePacket(p)
		return
	}
	if s.options.Record {
		s.record(packet)
	}
	s.freePacket(p)
	if s.options.Observer != nil {
		s.options.Observer.Received(h.id, from, &s.message)
	}
	h.node.Step(h.clock.now(s.now), from, &s.message)
	s.afterStep(h)
}

// drain delivers what has waited in the socket of a host that was paused.
func (s *Sim) drain(h *host) {
	for _, p := range h.backlog {
		if h.up() {
			s.deliver(h, p)
		} else {
			s.freePacket(p)
		}
	}
	h.backlog, h.backlogBytes = h.backlog[:0], 0
}

func (s *Sim) dropBacklog(h *host) {
	for _, p := range h.backlog {
		s.freePacket(p)
	}
	h.backlog, h.backlogBytes = nil, 0
}

func (s *Sim) newPacket() int32 {
	if n := len(s.freePackets); n > 0 {
		p := s.freePackets[n-1]
		s.freePackets = s.freePackets[:n-1]
		return p
	}
	s.packets = append(s.packets, packet{})
	return int32(len(s.packets) - 1)
}

func (s *Sim) freePacket(p int32) { s.freePackets = append(s.freePackets, p) }

func (s *Sim) copyPacket(p int32) int32 {
	q := s.newPacket()
	from, to := &s.packets[p], &s.packets[q]
	to.from, to.to = from.from, from.to
	to.data = append(to.data[:0], from.data...)
	return q
}

// record keeps a copy of a packet for Replay.
func (s *Sim) record(p *packet) {
	if len(s.recorded) < recordedMax {
		s.recorded = append(s.recorded, packet{})
	}
	r := &s.recorded[s.recordNext%recordedMax]
	r.from, r.to, r.data = p.from, p.to, append(r.data[:0], p.data...)
	s.recordNext++
}

// Replay sends the packets delivered last once more, as somebody who has overheard them
// could, spread over the time d. It returns how many there are.
func (s *Sim) Replay(d time.Duration) int {
	for i := range s.recorded {
		old := s.recorded[i] // a copy: the ring goes on while these wait
		old.data = append([]byte(nil), old.data...)
		s.After(uniform(s.rand, 0, d), func() {
			p := s.newPacket()
			s.packets[p].from, s.packets[p].to = old.from, old.to
			s.packets[p].data = append(s.packets[p].data[:0], old.data...)
			s.dispatch(p)
		})
	}
	s.note("replay %d packets", len(s.recorded))
	return len(s.recorded)
}
