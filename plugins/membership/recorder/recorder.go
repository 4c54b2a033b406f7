// Package recorder writes what the membership protocol's driver tells into the event log.
//
//	log, err := eventlog.Open(eventlog.Config{Dir: "logs", Name: eventlog.MembershipLog})
//	driver, err := udp.Start(udp.Config{Observer: recorder.New(log, publisher.publish)})
//
// # Concurrency
//
// A Recorder belongs to one goroutine, the driver's.
package recorder

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// Recorder is an observer of the driver. It is called several times for each heartbeat, so
// it remembers the texts that it needs again.
type Recorder struct {
	log  *eventlog.Log
	post func(udp.View)

	rows  []*membership.Member             // of the newest view, in ring order
	ids   map[netip.AddrPort]membership.ID // looked up in rows
	texts map[membership.ID]string         // ID.String
	addrs map[netip.AddrPort]string        // AddrPort.String, of those who are in no list
}

var _ udp.Observer = (*Recorder)(nil)

// New returns a Recorder that writes into log, and hands each view to post.
func New(log *eventlog.Log, post func(udp.View)) *Recorder { return &Recorder{log: log, post: post} }

// textsMax bounds what a Recorder remembers; beyond, it begins anew.
const textsMax = 4096

// Sent writes the line of a message that was sent.
func (r *Recorder) Sent(self membership.ID, to netip.AddrPort, m *membership.Message) {
	r.message(self, r.peerAt(to), eventlog.Sent, m)
}

// Received writes the line of a message that was received.
func (r *Recorder) Received(self membership.ID, from netip.AddrPort, m *membership.Message) {
	peer := m.Sender
	if m.Kind == membership.Heartbeat { // which says in short who sends it
		if id, ok := r.idAt(from); ok && id.Short() == m.Short {
			peer = id
		}
	}
	text := r.text(peer)
	if peer.IsZero() {
		text = r.addrText(from)
	}
	r.message(self, text, eventlog.Received, m)
}

// message writes the line of a message.
func (r *Recorder) message(self membership.ID, peer, dir string, m *membership.Message) {
	event, kind := eventlog.Message, slog.String(eventlog.KeyKind, m.Kind.String())
	switch m.Kind {
	case membership.Heartbeat:
		r.log.Write(slog.LevelDebug, eventlog.Heartbeat, r.text(self), peer,
			slog.String(eventlog.KeyDir, dir), slog.Uint64(eventlog.KeySeq, m.Seq))
		return
	case membership.Probe, membership.ProbeAck:
		event = eventlog.Probe
	}
	attrs := []slog.Attr{slog.String(eventlog.KeyDir, dir), kind, slog.Uint64(eventlog.KeySeq, m.Seq)}
	if !m.Target.IsZero() {
		attrs = append(attrs, slog.String(eventlog.KeyTarget, r.text(m.Target)))
	}
	if len(m.Entries) > 0 {
		attrs = append(attrs, slog.Int(eventlog.KeyEntries, len(m.Entries)))
	}
	r.log.Write(slog.LevelDebug, event, r.text(self), peer, attrs...)
}

// eventLines says how each event is written. What an operator may have to act on is a
// warning.
var eventLines = map[membership.EventKind]struct {
	event eventlog.Event
	level slog.Level
}{
	membership.EventJoin:     {eventlog.Join, slog.LevelInfo},
	membership.EventLeave:    {eventlog.Leave, slog.LevelInfo},
	membership.EventFail:     {eventlog.Fail, slog.LevelWarn},
	membership.EventSuspect:  {eventlog.Suspect, slog.LevelInfo},
	membership.EventTrust:    {eventlog.Trust, slog.LevelInfo},
	membership.EventRejoin:   {eventlog.Rejoin, slog.LevelWarn},
	membership.EventGateway:  {eventlog.Gateway, slog.LevelInfo},
	membership.EventWaiting:  {eventlog.Waiting, slog.LevelWarn},
	membership.EventGateways: {eventlog.Gateways, slog.LevelWarn},
	membership.EventGray:     {eventlog.Gray, slog.LevelWarn},
	membership.EventConflict: {eventlog.Conflict, slog.LevelError},
}

// Event writes the line of an event.
func (r *Recorder) Event(self membership.ID, e membership.Event) {
	line := eventLines[e.Kind]
	level := line.level
	var attrs []slog.Attr
	if e.Via != membership.ViaNone {
		attrs = append(attrs, slog.String(eventlog.KeyVia, e.Via.String()))
	}
	if e.Silent != 0 {
		attrs = append(attrs, slog.Int64(eventlog.KeySilentMS, e.Silent.Milliseconds()))
	}
	if e.Kind == membership.EventFail && e.Via == membership.ViaMonitor {
		attrs = append(attrs, slog.Int(eventlog.KeyProbes, e.Probes), slog.Int(eventlog.KeyAnswers, e.Answers))
	}
	if e.Kind == membership.EventGray {
		attrs = append(attrs, slog.Bool(eventlog.KeyGray, e.Gray),
			slog.Int(eventlog.KeyAnswers, e.Answers), slog.Int(eventlog.KeyQuestions, e.Questions))
		if !e.Gray {
			level = slog.LevelInfo // there is nothing to look at any more
		}
	}
	if !e.Previous.IsZero() {
		attrs = append(attrs, slog.String(eventlog.KeyPrevious, e.Previous.String()))
	}
	if e.Detail != "" {
		attrs = append(attrs, slog.String(eventlog.KeyDetail, e.Detail))
	}
	r.log.Write(level, line.event, r.text(self), r.text(e.Peer), attrs...)
}

// Dropped writes a line for all packets that were dropped lately: one for each would let anybody
// fill the disk.
func (r *Recorder) Dropped(self membership.ID, packets uint64) {
	r.log.Write(slog.LevelWarn, eventlog.Dropped, r.text(self), "",
		slog.Uint64(eventlog.KeyPackets, packets),
		slog.String(eventlog.KeyDetail, "so many packets came that are no messages of a member, or of more newcomers than are let in at once"))
}

// Changed takes the names of members from the view, and hands it on.
func (r *Recorder) Changed(view udp.View) {
	r.rows = view.Rows
	clear(r.ids)
	r.post(view)
}

// peerAt names the member at an address: by its id where the list has it.
func (r *Recorder) peerAt(addr netip.AddrPort) string {
	if id, ok := r.idAt(addr); ok {
		return r.text(id)
	}
	return r.addrText(addr)
}

func (r *Recorder) idAt(addr netip.AddrPort) (membership.ID, bool) {
	if id, ok := r.ids[addr]; ok {
		return id, true
	}
	i, found := slices.BinarySearchFunc(r.rows, ring.PositionOf(addr), func(row *membership.Member, at ring.Position) int {
		return cmp.Compare(row.Position(), at)
	})
	if !found || r.rows[i].Addr != addr {
		return membership.ID{}, false
	}
	r.ids = remember(r.ids, addr, r.rows[i].ID)
	return r.rows[i].ID, true
}

func (r *Recorder) text(id membership.ID) string {
	text, ok := r.texts[id]
	if !ok {
		text = id.String()
		r.texts = remember(r.texts, id, text)
	}
	return text
}

func (r *Recorder) addrText(addr netip.AddrPort) string {
	text, ok := r.addrs[addr]
	if !ok {
		text = addr.String()
		r.addrs = remember(r.addrs, addr, text)
	}
	return text
}

func remember[K comparable, V any](m map[K]V, key K, value V) map[K]V {
	if m == nil || len(m) >= textsMax {
		m = make(map[K]V)
	}
	m[key] = value
	return m
}
