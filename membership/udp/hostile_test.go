package udp

import (
	"net/netip"
	"sync"
	"sync/atomic"
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

// heardJoins counts the Joins that are heard.
type heardJoins struct {
	deaf
	n atomic.Uint64
}

func (h *heardJoins) Received(_ membership.ID, _ netip.AddrPort, m *membership.Message) {
	if m.Kind == membership.Join {
		h.n.Add(1)
	}
}

// TestJoinsOfMadeUpMembersAreNotAllHeard sends Joins of ever new senders to a gateway, which come
// from none of these. It hears few of them; and one that it knows is heard nevertheless.
func TestJoinsOfMadeUpMembersAreNotAllHeard(t *testing.T) {
	conn, heard := listen(t), &heardJoins{}
	d, err := Start(Config{Conn: conn, Observer: heard, Node: membership.Config{
		Addr: addrOf(conn), Gateways: []netip.AddrPort{addrOf(conn)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	eventually(t, "the gateway has founded a group", func() bool { return status(t, d).Phase == membership.InGroup })
	stranger := listen(t)
	sent := uint64(0)
	join := func(number int, incarnation uint64) {
		t.Helper()
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 9, byte(number >> 8), byte(number)}), 9)
		data, err := (&wirepb.Packet{
			Join: &wirepb.Join{Seq: 1}, Sender: &wirepb.ID{Addr: ring.AppendAddr(nil, addr), Incarnation: incarnation},
		}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stranger.WriteToUDPAddrPort(data, addrOf(conn)); err != nil {
			t.Fatal(err)
		}
		if sent++; sent%20 == 0 { // what the socket has no room for is lost
			eventually(t, "the Joins are taken in", func() bool { return heard.n.Load()+counter(t, d, "joins_refused") == sent })
		}
	}
	began := time.Now()
	for number := range 1_000 {
		join(number, 1)
	}
	least := uint64(otherLimit.most)
	most := least + uint64(otherLimit.perSecond*time.Since(began).Seconds()) + 1
	if n := heard.n.Load(); n < least || n > most {
		t.Errorf("%d of %d are heard, want %d to %d", n, sent, least, most)
	}
	before := counter(t, d, "joins_refused")
	for incarnation := range uint64(20) {
		join(0, incarnation+2) // which the list has
	}
	if after := counter(t, d, "joins_refused"); after != before {
		t.Errorf("%d Joins of one that is known were refused", after-before)
	}
}

// TestNewcomersComeAtARate looks at the limit alone.
func TestNewcomersComeAtARate(t *testing.T) {
	node, err := membership.NewNode(membership.Config{
		Addr: netip.MustParseAddrPort("10.0.0.1:1"), Gateways: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1")},
		Rand: newRand(),
	}, membership.Now{Wall: time.Unix(1_800_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var c newcomers
	stranger, translator := netip.MustParseAddrPort("10.0.0.2:1"), netip.MustParseAddrPort("10.0.0.3:1")
	admitted := func(from netip.AddrPort, asked int, now time.Duration) (n int) {
		for range asked {
			if c.admit(node, from, stranger, now) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		at               time.Duration
		asked            int
		want, wantOthers int
	}{
		{0, 5000, 1000, 100},
		{time.Second, 5000, 50, 10},
		{3 * time.Second, 5000, 100, 20},
		{time.Hour, 60, 60, 60},
		{time.Hour, 5000, 940, 40},
	} {
		if got := admitted(stranger, step.asked, step.at); got != step.want {
			t.Errorf("after %v %d of %d are let in, want %d", step.at, got, step.asked, step.want)
		}
		if got := admitted(translator, step.asked, step.at); got != step.wantOthers {
			t.Errorf("after %v %d of %d from another address are let in, want %d", step.at, got, step.asked, step.wantOthers)
		}
	}
}
