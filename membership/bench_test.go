package membership

import (
	"testing"
	"time"
)

// BenchmarkStepHeartbeat isolates what a member does three times an interval: take in a
// heartbeat of a predecessor, in a group of 1,000.
func BenchmarkStepHeartbeat(b *testing.B) {
	node := testMember(b, 1000)
	target := node.detector.monitors[0].target
	m := Message{Kind: Heartbeat, Short: target.ID.Short(), Digest: uint64(uint32(node.Digest()))}
	now := node.now
	node.Ready() // its first probes
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
	if got := node.detector.monitors[0].stamp; got != m.Stamp {
		b.Fatalf("the newest stamp is %v, want %v", got, m.Stamp)
	}
}

// BenchmarkTickHeartbeat isolates the heartbeat to a successor.
func BenchmarkTickHeartbeat(b *testing.B) {
	node := testMember(b, 1000)
	now := node.now
	node.Ready() // its first probes
	b.ReportAllocs()
	for b.Loop() {
		now.Mono = node.detector.nextBeat
		for i := range node.detector.monitors {
			node.detector.monitors[i].fresh = now.Mono
		}
		node.recaller.next = never
		node.Tick(now)
		if len(node.Ready().Messages) != 1 {
			b.Fatal("not one heartbeat")
		}
	}
}
