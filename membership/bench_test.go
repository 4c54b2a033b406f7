package membership

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// benchNode is a member of a group of n, restored as if it had been in it for a while.
func benchNode(b *testing.B, n int) *Node {
	b.Helper()
	wall := time.Unix(1763793600, 0)
	var l list
	for i := range n {
		l.merge(Entry{ID: ID{Addr: testAddr(i), Incarnation: 1}}, wall)
	}
	snapshot := Snapshot{Self: ID{Addr: testAddr(0), Incarnation: 1}, Phase: InGroup, Rows: l.ring.Points()}
	cfg := Config{Addr: testAddr(0), Gateways: []netip.AddrPort{testAddr(1)}, Rand: rand.New(rand.NewPCG(1, 1))}
	node, err := RestoreNode(cfg, snapshot, false, Now{Mono: time.Hour, Wall: wall})
	if err != nil {
		b.Fatal(err)
	}
	return node
}

// BenchmarkStepHeartbeat isolates what a member does three times an interval: take in a
// heartbeat of a predecessor, in a group of 1,000.
func BenchmarkStepHeartbeat(b *testing.B) {
	node := benchNode(b, 1000)
	target := node.detector.monitors[0].target
	m := Message{Kind: Heartbeat, Short: target.ID.Short(), Digest: uint64(uint32(node.Digest()))}
	now := node.now
	b.ReportAllocs()
	for b.Loop() {
		now.Mono += time.Microsecond
		m.Stamp += time.Microsecond
		node.Step(now, target.Addr, &m)
		if len(node.Ready().Messages) != 0 {
			b.Fatal("a heartbeat was answered")
		}
		// The node's own heartbeats are not what is measured.
		node.detector.nextBeat = never
	}
}

// BenchmarkTickHeartbeat isolates a round of heartbeats to three successors.
func BenchmarkTickHeartbeat(b *testing.B) {
	node := benchNode(b, 1000)
	now := node.now
	b.ReportAllocs()
	for b.Loop() {
		now.Mono = node.detector.nextBeat
		for i := range node.detector.monitors {
			node.detector.monitors[i].fresh = now.Mono
		}
		node.recaller.next = never
		node.Tick(now)
		if len(node.Ready().Messages) != 3 {
			b.Fatal("not three heartbeats")
		}
	}
}
