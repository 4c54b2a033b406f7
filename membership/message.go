package membership

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// Kind says what a Message is, and so which of its fields count.
type Kind uint8

const (
	KindNone Kind = iota
	Heartbeat
	Probe
	ProbeAck
	Query
	Report
	Update
	Ack
	Ranges
	Entries
	Join
	Welcome
	Redirect
	Recall
	GatewayBeat
)

var kindNames = [...]string{
	KindNone: "none", Heartbeat: "heartbeat", Probe: "probe", ProbeAck: "probe-ack",
	Query: "query", Report: "report", Update: "update", Ack: "ack", Ranges: "ranges",
	Entries: "entries", Join: "join", Welcome: "welcome", Redirect: "redirect",
	Recall: "recall", GatewayBeat: "gateway-beat",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Verdict is a gateway's answer to a Join.
type Verdict uint8

const (
	Admitted Verdict = iota // the sender of the Join is a member now
	Stale                   // its address is known with this or a higher incarnation
	Forming                 // the gateway is not in a group itself yet
	Damped                  // the address has come back so often of late that it has to wait
)

var verdictNames = [...]string{Admitted: "admitted", Stale: "stale", Forming: "forming", Damped: "damped"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Range is one stretch of the ring, both ends inclusive and From <= To, with what its
// sender's list holds in it.
type Range struct {
	From, To ring.Position
	Digest   uint64
	Count    int
}

// Message is the union of all that members send each other. Package wire turns it into
// a datagram and back. The comment of a field names the kinds that carry it.
//
// A Message is only lent to Step: the node keeps nothing of it, not even its slices, so
// the caller may decode the next packet into the same Message.
type Message struct {
	Kind   Kind
	Sender ID     // all but Heartbeat
	Short  uint32 // Heartbeat: the sender's ID.Short

	Seq    uint64        // all but Recall; see the kinds in PROTOCOL.md
	Stamp  time.Duration // Heartbeat, ProbeAck: now, Query, Report: the target's newest; in whole microseconds
	Digest uint64        // Heartbeat, ProbeAck: the low 32 bits; GatewayBeat: all 64
	Target ID            // Query, Report
	Age    time.Duration // Report: since Stamp, as the sender reckons; in whole microseconds

	From, To ring.Position // Update: the arc, which may wrap around; Entries: the range
	Entries  []Entry       // Update, Entries, Welcome
	Hops     int           // Update: of the multicast, this one included; 0: told to one member only
	Reply    bool          // Entries: the receiver is asked for its own
	Flood    bool          // Update, Ranges, Entries: whoever learns something new here tells its neighbours

	Ranges []Range // Ranges

	Verdict     Verdict        // Welcome
	Incarnation uint64         // Probe, Recall: the receiver's that is meant; Welcome: the least acceptable
	State       State          // Recall
	Leader      netip.AddrPort // Redirect
	Count       int            // GatewayBeat: members in the sender's list
	Wait        time.Duration  // Welcome, Damped: until it is to ask again
	Gray        bool           // all but Heartbeat: the sender hears too little to be relied on
}

// String describes the message in one line, for logs, transcripts and tests.
func (m *Message) String() string {
	var b strings.Builder
	b.WriteString(m.Kind.String())
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	switch m.Kind {
	case Heartbeat:
		add("seq=%d stamp=%v digest=%08x", m.Seq, m.Stamp, m.Digest)
	case Probe:
		add("seq=%d", m.Seq)
	case ProbeAck:
		add("seq=%d stamp=%v", m.Seq, m.Stamp)
	case Query, Report:
		add("seq=%d target=%v stamp=%v", m.Seq, m.Target, m.Stamp)
		if m.Kind == Report {
			add("age=%v", m.Age)
		}
	case Update:
		add("seq=%d hops=%d arc=%016x-%016x", m.Seq, m.Hops, uint64(m.From), uint64(m.To))
		if m.Flood {
			add("flood")
		}
	case Ack, Join:
		add("seq=%d", m.Seq)
	case Ranges:
		add("seq=%d", m.Seq)
		if m.Flood {
			add("flood")
		}
		for _, r := range m.Ranges {
			add("%016x-%016x:%d:%016x", uint64(r.From), uint64(r.To), r.Count, r.Digest)
		}
	case Entries:
		add("seq=%d range=%016x-%016x reply=%t", m.Seq, uint64(m.From), uint64(m.To), m.Reply)
		if m.Flood {
			add("flood")
		}
	case Welcome:
		add("seq=%d verdict=%v", m.Seq, m.Verdict)
		if m.Verdict == Stale {
			add("incarnation=%d", m.Incarnation)
		}
		if m.Verdict == Damped {
			add("wait=%v", m.Wait)
		}
	case Redirect:
		add("seq=%d leader=%v", m.Seq, m.Leader)
	case Recall:
		add("incarnation=%d state=%v", m.Incarnation, m.State)
	case GatewayBeat:
		add("seq=%d count=%d digest=%016x", m.Seq, m.Count, m.Digest)
	}
	if m.Gray {
		add("gray")
	}
	for _, e := range m.Entries {
		add("[%v]", e)
	}
	return b.String()
}

// Envelope is a message on its way out.
type Envelope struct {
	To netip.AddrPort
	Message
}
