package udp

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

// TestForwardingNeverOutgrowsAPacket: an Update whose entries fill a datagram only because its
// sender's identity is a short one must not be passed on under a longer one. It used to end the
// process of everyone whom it reached.
func TestForwardingNeverOutgrowsAPacket(t *testing.T) {
	group := startGroup(t, 3)
	update := &wirepb.Update{Seq: 1, ArcTo: ^uint64(0)}
	packet := &wirepb.Packet{Sender: &wirepb.ID{Addr: addrBytes("10.9.9.9:1")}, Update: update}
	for packet.Size() < 1190 {
		update.Entries = append(update.Entries, wirepb.Entry{Addr: addrBytes("10.9.9.9:1")})
	}
	data, err := packet.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t).WriteToUDPAddrPort(data, addrOf(group[0].conn)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the packet is taken for malformed", func() bool {
		return counter(t, group[0].Driver, "packets_malformed") == 1
	})
}

func addrBytes(text string) []byte { return ring.AppendAddr(nil, netip.MustParseAddrPort(text)) }

// droppedPackets notes each call of Dropped, and all that is received.
type droppedPackets struct {
	deaf
	mu       sync.Mutex
	told     []uint64
	at       []time.Time
	received int
}

func (d *droppedPackets) Dropped(_ membership.ID, packets uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told, d.at = append(d.told, packets), append(d.at, time.Now())
}

func (d *droppedPackets) Received(membership.ID, netip.AddrPort, *membership.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.received++
}

// TestAFloodOfGarbageIsToldOfRarely sends packets that are none, more than a log has room for. Each is
// counted, and that is told at once, and then every ten seconds.
func TestAFloodOfGarbageIsToldOfRarely(t *testing.T) {
	conn, observer := listen(t), &droppedPackets{}
	d, err := Start(Config{Conn: conn, Observer: observer, Node: membership.Config{
		Addr: addrOf(conn), Gateways: []netip.AddrPort{addrOf(conn)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	stranger := listen(t)
	garbage := []byte("\xffgarbage")
	sent := uint64(0)
	for began := time.Now(); time.Since(began) < dropTellTime+dropTellTime/10; sent++ {
		if _, err := stranger.WriteToUDPAddrPort(garbage, addrOf(conn)); err != nil {
			t.Fatal(err)
		}
		if sent%100 == 0 { // what the socket has no room for is lost
			eventually(t, "the packets are counted", func() bool { return counter(t, d, "packets_malformed") > sent })
		}
	}
	eventually(t, "all are counted", func() bool { return counter(t, d, "packets_malformed") == sent })
	observer.mu.Lock()
	defer observer.mu.Unlock()
	if len(observer.told) != 2 || observer.at[1].Sub(observer.at[0]) < dropTellTime-time.Second || observer.told[0]+observer.told[1] > sent {
		t.Errorf("it was told %v at %v, of %d; want two numbers, ten seconds apart", observer.told, observer.at, sent)
	}
	if observer.received != 0 {
		t.Errorf("%d packets count as received", observer.received)
	}
}
