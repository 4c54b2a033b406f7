// Package wire turns membership messages into datagrams and back.
//
// A datagram is one Packet of shared/proto/wirepb/wire.proto, in Protocol Buffers'
// encoding, at most PacketBytesMax long. An address is the IP address, 4 or 16 bytes,
// and the port, 2 bytes, in network order. Times are whole microseconds; an incarnation
// and a ring position are 8 bytes, a short identity and a short digest 4. A message has at most
// membership.EntriesMax entries and membership.RangesMax ranges, these in ascending order and
// apart: so what one member sends another can pass on, whatever the length of their identities,
// and all ranges of a message together are one pass over a list.
//
// The table of all messages with their sizes is in membership/PROTOCOL.md.
//
// # Concurrency
//
// The functions keep no state and may be called from any goroutine.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

// PacketBytesMax is the largest datagram that is ever sent, and the largest that is read.
const PacketBytesMax = 1200

// ErrMalformed is wrapped by the error for every datagram that is not a valid packet.
var ErrMalformed = errors.New("malformed packet")

// Append appends the datagram of m to buf. A message larger than PacketBytesMax, which
// package membership never makes, is a programmer's error, and panics.
func Append(buf []byte, m *membership.Message) []byte {
	if m.Kind == membership.Heartbeat {
		// Nearly all messages are heartbeats. Made here, they stay off the heap.
		return appendPacket(buf, m.Kind, &wirepb.Packet{Heartbeat: &wirepb.Heartbeat{
			Sender: m.Short, Stamp: micros(m.Stamp), Seq: m.Seq, Digest: uint32(m.Digest),
		}})
	}
	return appendPacket(buf, m.Kind, packet(m))
}

func appendPacket(buf []byte, kind membership.Kind, p *wirepb.Packet) []byte {
	size := p.Size()
	if size > PacketBytesMax {
		panic(fmt.Sprintf("wire: %v message of %d bytes", kind, size))
	}
	start := len(buf)
	buf = slices.Grow(buf, size)[:start+size]
	if _, err := p.MarshalToSizedBuffer(buf[start:]); err != nil {
		panic(fmt.Sprintf("wire: encode %v: %v", kind, err)) // only for a buffer that is too small
	}
	return buf
}

// packet is for all kinds but heartbeats.
func packet(m *membership.Message) *wirepb.Packet {
	p := &wirepb.Packet{Sender: id(m.Sender), Gray: m.Gray}
	switch m.Kind {
	case membership.Probe:
		p.Probe = &wirepb.Probe{Seq: m.Seq, Incarnation: m.Incarnation}
	case membership.ProbeAck:
		p.ProbeAck = &wirepb.Stamp{Seq: m.Seq, Stamp: micros(m.Stamp), Digest: uint32(m.Digest)}
	case membership.Query:
		p.Query = &wirepb.Query{Seq: m.Seq, Target: id(m.Target), Stamp: micros(m.Stamp)}
	case membership.Report:
		p.Report = &wirepb.Report{Seq: m.Seq, Target: id(m.Target), Stamp: micros(m.Stamp), Age: micros(m.Age)}
	case membership.Update:
		p.Update = &wirepb.Update{
			Seq: m.Seq, ArcFrom: uint64(m.From), ArcTo: uint64(m.To),
			Entries: entries(m.Entries), Hops: uint32(m.Hops), Flood: m.Flood,
		}
	case membership.Ack:
		p.Ack = &wirepb.Ack{Seq: m.Seq}
	case membership.Ranges:
		p.Ranges = &wirepb.Ranges{Seq: m.Seq, Ranges: ranges(m.Ranges), Flood: m.Flood}
	case membership.Entries:
		p.Entries = &wirepb.Entries{
			Seq: m.Seq, From: uint64(m.From), To: uint64(m.To), Entries: entries(m.Entries), Reply: m.Reply, Flood: m.Flood,
		}
	case membership.Join:
		p.Join = &wirepb.Join{Seq: m.Seq}
	case membership.Welcome:
		p.Welcome = &wirepb.Welcome{
			Seq: m.Seq, Verdict: wirepb.Welcome_Verdict(m.Verdict),
			Incarnation: m.Incarnation, Entries: entries(m.Entries), Wait: micros(m.Wait),
		}
	case membership.Redirect:
		p.Redirect = &wirepb.Redirect{Seq: m.Seq, Leader: addr(m.Leader)}
	case membership.Recall:
		p.Recall = &wirepb.Recall{Incarnation: m.Incarnation, State: wirepb.State(m.State)}
	case membership.GatewayBeat:
		p.GatewayBeat = &wirepb.GatewayBeat{Seq: m.Seq, Digest: m.Digest, Count: uint32(m.Count)}
	default:
		panic(fmt.Sprintf("wire: encode a message of %v", m.Kind))
	}
	return p
}

func micros(d time.Duration) uint64 { return uint64(max(0, d) / time.Microsecond) }

func addr(a netip.AddrPort) []byte { return ring.AppendAddr(make([]byte, 0, 18), a) }

func id(i membership.ID) *wirepb.ID {
	return &wirepb.ID{Addr: addr(i.Addr), Incarnation: i.Incarnation}
}

func entry(e membership.Entry) wirepb.Entry {
	return wirepb.Entry{Addr: addr(e.Addr), Incarnation: e.Incarnation, State: wirepb.State(e.State)}
}

func entries(in []membership.Entry) []wirepb.Entry {
	out := make([]wirepb.Entry, len(in))
	for i, e := range in {
		out[i] = entry(e)
	}
	return out
}

func ranges(in []membership.Range) []wirepb.Range {
	out := make([]wirepb.Range, len(in))
	for i, r := range in {
		out[i] = wirepb.Range{From: uint64(r.From), To: uint64(r.To), Digest: r.Digest, Count: uint32(r.Count)}
	}
	return out
}

// Decode reads a datagram into m, whose slices it reuses. The error wraps ErrMalformed and
// says what is wrong; m is then not to be used.
func Decode(data []byte, m *membership.Message) error {
	if len(data) > PacketBytesMax {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(data), PacketBytesMax)
	}
	*m = membership.Message{Entries: m.Entries[:0], Ranges: m.Ranges[:0]}
	var d decoder
	if isHeartbeat(data) {
		return d.heartbeat(m, data[2:])
	}
	if err := d.packet.Unmarshal(data); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if kinds := d.content(m); kinds != 1 {
		d.fail("%d messages in a packet", kinds)
	}
	if m.Kind != membership.Heartbeat {
		m.Sender, m.Gray = d.id(d.packet.Sender), d.packet.Gray
	}
	return d.problem
}

// isHeartbeat reports whether the datagram is a heartbeat with nothing before or after it, as
// nearly all are. Those are read without anything being put on the heap.
func isHeartbeat(data []byte) bool {
	const tag = 1<<3 | 2 // of Packet.heartbeat, whose length follows in one byte
	return len(data) >= 2 && data[0] == tag && data[1] < 0x80 && int(data[1]) == len(data)-2
}

// decoder reads one packet, and remembers the first thing that is wrong with it.
type decoder struct {
	packet  wirepb.Packet
	problem error
}

func (d *decoder) fail(format string, args ...any) {
	if d.problem == nil {
		d.problem = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// heartbeat reads a Heartbeat that is not in a Packet any more.
func (d *decoder) heartbeat(m *membership.Message, data []byte) error {
	var h wirepb.Heartbeat
	if err := h.Unmarshal(data); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	d.setHeartbeat(m, &h)
	return d.problem
}

func (d *decoder) setHeartbeat(m *membership.Message, h *wirepb.Heartbeat) {
	m.Kind, m.Seq = membership.Heartbeat, h.Seq
	m.Short, m.Stamp, m.Digest = h.Sender, d.duration(h.Stamp), uint64(h.Digest)
}

// content fills m in, and returns how many kinds of message the packet holds.
func (d *decoder) content(m *membership.Message) (kinds int) {
	p := &d.packet
	set := func(kind membership.Kind, seq uint64) {
		kinds++
		m.Kind, m.Seq = kind, seq
	}
	if h := p.Heartbeat; h != nil {
		kinds++
		d.setHeartbeat(m, h)
	}
	if x := p.Probe; x != nil {
		set(membership.Probe, x.Seq)
		m.Incarnation = x.Incarnation
	}
	if x := p.ProbeAck; x != nil {
		set(membership.ProbeAck, x.Seq)
		m.Stamp, m.Digest = d.duration(x.Stamp), uint64(x.Digest)
	}
	if x := p.Query; x != nil {
		set(membership.Query, x.Seq)
		m.Target, m.Stamp = d.id(x.Target), d.duration(x.Stamp)
	}
	if x := p.Report; x != nil {
		set(membership.Report, x.Seq)
		m.Target, m.Stamp, m.Age = d.id(x.Target), d.duration(x.Stamp), d.duration(x.Age)
	}
	if x := p.Update; x != nil {
		set(membership.Update, x.Seq)
		m.From, m.To = ring.Position(x.ArcFrom), ring.Position(x.ArcTo)
		m.Hops, m.Flood = int(min(x.Hops, math.MaxUint16)), x.Flood
		d.entries(m, x.Entries)
	}
	if x := p.Ack; x != nil {
		set(membership.Ack, x.Seq)
	}
	if x := p.Ranges; x != nil {
		set(membership.Ranges, x.Seq)
		m.Flood = x.Flood
		d.ranges(m, x.Ranges)
	}
	if x := p.Entries; x != nil {
		set(membership.Entries, x.Seq)
		m.From, m.To = ring.Position(x.From), ring.Position(x.To)
		m.Reply, m.Flood = x.Reply, x.Flood
		d.entries(m, x.Entries)
	}
	if x := p.Join; x != nil {
		set(membership.Join, x.Seq)
	}
	if x := p.Welcome; x != nil {
		set(membership.Welcome, x.Seq)
		if x.Verdict < wirepb.Welcome_ADMITTED || x.Verdict > wirepb.Welcome_DAMPED {
			d.fail("verdict %d", x.Verdict)
		}
		m.Verdict, m.Incarnation = membership.Verdict(x.Verdict), x.Incarnation
		m.Wait = d.duration(x.Wait)
		d.entries(m, x.Entries)
	}
	if x := p.Redirect; x != nil {
		set(membership.Redirect, x.Seq)
		m.Leader = d.addr(x.Leader)
	}
	if x := p.Recall; x != nil {
		set(membership.Recall, 0)
		m.Incarnation, m.State = x.Incarnation, d.state(x.State)
	}
	if x := p.GatewayBeat; x != nil {
		set(membership.GatewayBeat, x.Seq)
		m.Digest, m.Count = x.Digest, int(x.Count)
	}
	return kinds
}

// durationMax keeps sums of times far from overflow: 146 years.
const durationMax = uint64(math.MaxInt64 / 2 / int64(time.Microsecond))

func (d *decoder) duration(micros uint64) time.Duration {
	if micros > durationMax {
		d.fail("a time of %d microseconds", micros)
		return 0
	}
	return time.Duration(micros) * time.Microsecond
}

func (d *decoder) state(s wirepb.State) membership.State {
	if s < wirepb.State_ALIVE || s > wirepb.State_LEFT {
		d.fail("state %d", s)
		return 0
	}
	return membership.State(s)
}

func (d *decoder) addr(b []byte) netip.AddrPort {
	if len(b) != 4+2 && len(b) != 16+2 {
		d.fail("an address of %d bytes", len(b))
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(b[:len(b)-2])
	if ip.Is4In6() {
		d.fail("an IPv4 address written as IPv6")
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[len(b)-2:]))
}

func (d *decoder) id(i *wirepb.ID) membership.ID {
	if i == nil {
		d.fail("no identity")
		return membership.ID{}
	}
	return membership.ID{Addr: d.addr(i.Addr), Incarnation: i.Incarnation}
}

func (d *decoder) entries(m *membership.Message, in []wirepb.Entry) {
	if len(in) > membership.EntriesMax {
		d.fail("%d entries, at most %d are allowed", len(in), membership.EntriesMax)
		return
	}
	for i := range in {
		m.Entries = append(m.Entries, d.entry(&in[i]))
	}
}

func (d *decoder) entry(e *wirepb.Entry) membership.Entry {
	return membership.Entry{
		ID:    membership.ID{Addr: d.addr(e.Addr), Incarnation: e.Incarnation},
		State: d.state(e.State),
	}
}

func (d *decoder) ranges(m *membership.Message, in []wirepb.Range) {
	if len(in) > membership.RangesMax {
		d.fail("%d ranges, at most %d are allowed", len(in), membership.RangesMax)
		return
	}
	for i, r := range in {
		if r.From > r.To || r.Count > math.MaxInt32 {
			d.fail("a range from %x to %x of %d", r.From, r.To, r.Count)
		}
		if i > 0 && r.From <= in[i-1].To {
			d.fail("a range from %x, after one to %x", r.From, in[i-1].To)
		}
		m.Ranges = append(m.Ranges, membership.Range{
			From: ring.Position(r.From), To: ring.Position(r.To), Digest: r.Digest, Count: int(r.Count),
		})
	}
}
