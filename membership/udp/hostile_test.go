package udp

import (
	"net/netip"
	"testing"

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
