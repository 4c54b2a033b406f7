package membershiptest

import (
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// kindsMax is more than there are kinds of messages.
const kindsMax = 32

// traffic counts what the hosts send.
type traffic struct {
	packets, bytes [kindsMax]int64
	peak           int // packets that one host sent in one second
	memberTime     time.Duration
	up             int           // hosts that count at present
	since          time.Duration // until when memberTime is up to date
}

// sent counts one packet with its headers.
func (t *traffic) sent(h *host, kind membership.Kind, bytes int, now time.Duration) {
	t.packets[kind%kindsMax]++
	t.bytes[kind%kindsMax] += int64(bytes)
	if second := now / time.Second; h.second != second {
		h.second, h.secondPackets = second, 0
	}
	h.secondPackets++
	t.peak = max(t.peak, h.secondPackets)
}

// advance brings memberTime up to date.
func (t *traffic) advance(now time.Duration) {
	t.memberTime += time.Duration(t.up) * (now - t.since)
	t.since = now
}

// reset begins to count anew.
func (t *traffic) reset(now time.Duration) { *t = traffic{up: t.up, since: now} }

// Traffic is what members send, with IP and UDP headers.
type Traffic struct {
	// MemberTime is the time that members were up, summed.
	MemberTime time.Duration
	// Packets and Bytes are the sums by the kind of message.
	Packets, Bytes [kindsMax]int64
	// PeakPackets is the most that one host sent in one second.
	PeakPackets int
}

// add takes the traffic of another simulation in.
func (t *Traffic) add(other Traffic) {
	t.MemberTime += other.MemberTime
	t.PeakPackets = max(t.PeakPackets, other.PeakPackets)
	for kind := range t.Packets {
		t.Packets[kind] += other.Packets[kind]
		t.Bytes[kind] += other.Bytes[kind]
	}
}

// BytesPerSecond is what one member sends, the gateways' heartbeats to each other apart.
func (t Traffic) BytesPerSecond() float64 { return t.perSecond(t.Bytes) }

// PacketsPerSecond is what one member sends, the gateways' heartbeats to each other apart.
func (t Traffic) PacketsPerSecond() float64 { return t.perSecond(t.Packets) }

func (t Traffic) perSecond(counts [kindsMax]int64) float64 {
	if t.MemberTime == 0 {
		return 0
	}
	var sum int64
	for kind, count := range counts {
		if membership.Kind(kind) != membership.GatewayBeat {
			sum += count
		}
	}
	return float64(sum) / t.MemberTime.Seconds()
}

// Traffic is what was sent since ResetTraffic.
func (s *Sim) Traffic() Traffic {
	s.traffic.advance(s.now)
	t := &s.traffic
	return Traffic{MemberTime: t.memberTime, Packets: t.packets, Bytes: t.bytes, PeakPackets: t.peak}
}

// ResetTraffic begins to count anew.
func (s *Sim) ResetTraffic() { s.traffic.reset(s.now) }
