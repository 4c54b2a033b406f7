package membership

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// relay is a member that wants to be told of a newer stamp of the target.
type relay struct {
	target ID
	stamp  time.Duration // newer than this one
	asker  netip.AddrPort
	seq    uint64 // of its Query
	probe  uint64 // number of the probe that this node sent for it, if it did
	until  time.Duration
}

// noProbe stands for a stamp that no probe asked for.
const noProbe = uint64(math.MaxUint64)

// relay passes a stamp on to those who asked for a newer one. A stamp in answer to one of this
// node's probes, of which all that is known is that it was made after that was sent, answers
// no question that came later.
func (n *Node) relay(target ID, stamp, age time.Duration, probe uint64) {
	d := &n.detector
	var told []netip.AddrPort
	for i := len(d.relays) - 1; i >= 0; i-- { // to each asker in answer to its last question
		r := d.relays[i]
		if r.target != target || stamp <= r.stamp || probe < r.probe {
			if n.now.Mono >= r.until {
				d.relays = slices.Delete(d.relays, i, i+1)
			}
			continue
		}
		if !slices.Contains(told, r.asker) {
			told = append(told, r.asker)
			n.report(r.asker, r.seq, target, stamp, age)
		}
		d.relays = slices.Delete(d.relays, i, i+1)
	}
}

func (n *Node) report(to netip.AddrPort, seq uint64, target ID, stamp, age time.Duration) {
	n.send(to, Message{Kind: Report, Seq: seq, Target: target, Stamp: stamp, Age: max(0, age).Truncate(time.Microsecond)})
}

func (n *Node) stepProbe(from netip.AddrPort, m *Message) {
	// A later incarnation answers for itself: the asker learns that the earlier one is over.
	if n.phase == InGroup && n.self.Incarnation >= m.Incarnation {
		if m.Incarnation != 0 {
			n.stepDoubted(from) // else it is a ping
		}
		n.send(from, Message{Kind: ProbeAck, Seq: m.Seq, Stamp: n.stamp(), Digest: uint64(uint32(n.list.digest))})
	}
}

// stepQuery answers at once with what this node knows of the target. If that is nothing
// newer than what the asker knows, it probes the target on the asker's behalf.
func (n *Node) stepQuery(from netip.AddrPort, m *Message) {
	known := n.list.get(m.Target.Addr)
	if known != nil && known.supersedes(Entry{ID: m.Target, State: Alive}) {
		n.tell(from, known.Entry)
		return
	}
	var stamp, age time.Duration
	w := n.detector.monitor(m.Target)
	if w != nil {
		stamp, age = w.stamp, n.now.Mono-w.fresh
	}
	if m.Gray && w != nil && stamp <= m.Stamp && n.now.Mono-w.began < n.bounds.Doubt {
		stamp, age = 0, 0 // no heartbeat was due yet, and an asker that hears little may hear no more
	}
	n.report(from, m.Seq, m.Target, stamp, age)
	if stamp > m.Stamp || known == nil {
		return
	}
	r := relay{target: m.Target, stamp: m.Stamp, asker: from, seq: m.Seq, until: n.now.Mono + relayFor}
	if w == nil || !w.doubting || w.nextProbe > n.now.Mono+probeEvery { // else it is about to be asked anyway
		r.probe = n.probeTarget(known, w)
	}
	n.promise(r)
}

// promise remembers an asker.
func (n *Node) promise(r relay) {
	d := &n.detector
	d.relays = slices.DeleteFunc(d.relays, func(old relay) bool { return n.now.Mono >= old.until })
	if len(d.relays) < relaysMax {
		d.relays = append(d.relays, r)
	}
}

// handOver tells those who watch in this node's place, once it has left, what it knows.
func (n *Node) handOver() {
	for i := range n.detector.monitors {
		m := &n.detector.monitors[i]
		for _, c := range n.monitorsOf(m.target) {
			n.report(c.Addr, 0, m.target.ID, m.stamp, n.now.Mono-m.fresh)
		}
	}
}
