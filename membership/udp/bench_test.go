package udp

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/recording"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// benchLoop is a driver's loop that no goroutine runs, and a socket to send to it from.
func benchLoop(b *testing.B) (l *loop, send func(packet []byte)) {
	b.Helper()
	conn, sender := listen(b), listen(b)
	addr := addrOf(conn)
	l, err := newLoop(Config{Conn: conn, Node: membership.Config{Addr: addr, Gateways: []netip.AddrPort{addr}}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.state.close)
	l.give(recording.Input{Kind: recording.Tick}) // founds a group
	return l, func(packet []byte) {
		if _, err := sender.WriteToUDPAddrPort(packet, addr); err != nil {
			b.Fatal(err)
		}
	}
}

func heartbeatPacket() []byte {
	return wire.Append(nil, &membership.Message{Kind: membership.Heartbeat, Short: 1, Seq: 1, Stamp: time.Hour})
}

// BenchmarkReceiveHeartbeat isolates a heartbeat's way from one socket through another into
// a node. Most of it is the kernel's.
func BenchmarkReceiveHeartbeat(b *testing.B) {
	l, send := benchLoop(b)
	packet := heartbeatPacket()
	b.ReportAllocs()
	for b.Loop() {
		send(packet)
		if err := l.read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceiveHeartbeatRecorded isolates the same of a node that is being recorded.
func BenchmarkReceiveHeartbeatRecorded(b *testing.B) {
	l, send := benchLoop(b)
	tape := newTape(math.MaxInt)
	if err := l.record(tape, "a benchmark"); err != nil {
		b.Fatal(err)
	}
	packet := heartbeatPacket()
	b.ReportAllocs()
	for b.Loop() {
		send(packet)
		if err := l.read(); err != nil {
			b.Fatal(err)
		}
		tape.take()
	}
}

// BenchmarkDrainHeartbeat isolates the same where the node has come to a deadline first, and
// then the look that finds no other packet.
func BenchmarkDrainHeartbeat(b *testing.B) {
	l, send := benchLoop(b)
	packet := heartbeatPacket()
	b.ReportAllocs()
	for b.Loop() {
		send(packet)
		l.drain()
	}
	if got := l.counts.packetsReceived; got != uint64(b.N) {
		b.Fatalf("drained %d packets, want %d", got, b.N)
	}
}

// BenchmarkSendHeartbeat isolates the way of a heartbeat out of a node.
func BenchmarkSendHeartbeat(b *testing.B) {
	l, _ := benchLoop(b)
	m := membership.Message{Kind: membership.Heartbeat, Short: 1, Seq: 1, Stamp: time.Hour}
	to := addrOf(listen(b))
	b.ReportAllocs()
	for b.Loop() {
		l.send(to, &m)
	}
}
