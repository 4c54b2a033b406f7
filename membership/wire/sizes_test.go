package wire

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

// TestSizesAreThoseOfTheDocumentation keeps the table of sizes in PROTOCOL.md true. The
// messages are those of a member that has been up for a day, with IPv4 addresses.
func TestSizesAreThoseOfTheDocumentation(t *testing.T) {
	content, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort("10.0.0.1:7117")
	id := membership.ID{Addr: addr, Incarnation: 1795389671056590167}
	entries := []membership.Entry{{ID: id, State: membership.Failed}}
	full := membership.Message{
		Sender: id, Short: 1 << 31, Seq: 216_000, Stamp: 24 * time.Hour, Digest: 1 << 31, Target: id,
		Age: time.Second, From: 1 << 63, To: ^ring.Position(0), Hops: 2, Incarnation: id.Incarnation,
		State: membership.Failed, Leader: addr, Count: 1000,
	}
	checked := 0
	for kind := membership.Heartbeat; kind <= membership.GatewayBeat; kind++ {
		m := full
		m.Kind = kind
		size := func() int { return len(Append(nil, &m)) }
		want := []string{strconv.Itoa(size())}
		switch kind {
		case membership.Update, membership.Entries, membership.Welcome:
			empty := size()
			m.Entries = entries
			want = append(want, strconv.Itoa(size()-empty))
		case membership.Ranges:
			empty := size()
			m.Ranges = []membership.Range{{From: 1, To: ^ring.Position(0), Digest: 1, Count: 1000}}
			want = append(want, strconv.Itoa(size()-empty))
		}
		row := "| " + kind.String() + " | " + strings.Join(want, " + ") + " "
		if !strings.Contains(string(content), "\n"+row) {
			t.Errorf("PROTOCOL.md has no row that begins with %q", row)
		}
		checked++
	}
	if checked != 14 {
		t.Errorf("%d kinds of messages were checked, want 14", checked)
	}
}

// TestFieldSizesAreThoseOfTheDocumentation does the same for the table of fields.
func TestFieldSizesAreThoseOfTheDocumentation(t *testing.T) {
	content, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	const large = 1 << 63
	addr := make([]byte, 6)
	for _, field := range []struct {
		name string
		size int
	}{
		{"packet", (&wirepb.Packet{Ack: &wirepb.Ack{}}).Size()},
		{"sender", (&wirepb.Packet{Sender: &wirepb.ID{Addr: addr, Incarnation: large}}).Size()},
		{"short sender", (&wirepb.Heartbeat{Sender: 1 << 31}).Size()},
		{"stamp", (&wirepb.Heartbeat{Stamp: micros(24 * time.Hour)}).Size()},
		{"seq", (&wirepb.Heartbeat{Seq: 216_000}).Size()},
		{"digest", (&wirepb.Heartbeat{Digest: 1 << 31}).Size()},
		{"incarnation", (&wirepb.Probe{Incarnation: large}).Size()},
		{"ring position", (&wirepb.Update{ArcFrom: large}).Size()},
		{"entry", (&wirepb.Update{Entries: []wirepb.Entry{{Addr: addr, Incarnation: large, State: wirepb.State_FAILED}}}).Size()},
		{"range", (&wirepb.Ranges{Ranges: []wirepb.Range{{From: large, To: large, Digest: large, Count: 1000}}}).Size()},
	} {
		row := fmt.Sprintf("\n| %s | %d |", field.name, field.size)
		if !strings.Contains(string(content), row) {
			t.Errorf("PROTOCOL.md has no row that begins with %q", row[1:])
		}
	}
}
