package membership

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// TestDeadHeadsArePassedOver: an arc that begins with three dead members gets to the fourth one
// after as many hopTimeouts, as the bound on spreading reckons. Without that the digests would
// repair it, and later.
func TestDeadHeadsArePassedOver(t *testing.T) {
	node := testMember(t, 200)
	run(node, 0)
	parts := node.list.ring.Split(ring.Around(node.position), fanOut, func(m *Member) bool { return m.position == node.position })
	var arc []netip.AddrPort
	for m := range node.list.ring.In(parts[3].Arc) {
		arc = append(arc, m.Addr)
	}
	if len(arc) <= maxFailuresDefault {
		t.Fatalf("an arc has %d members, want more than %d", len(arc), maxFailuresDefault)
	}
	dead, fourth := arc[:maxFailuresDefault], arc[maxFailuresDefault]

	now, began := node.now, node.now.Mono
	node.spread(Entry{ID: ID{testAddr(1000), 1}, State: Failed})
	for {
		for _, m := range slices.Clone(node.Ready().Messages) {
			switch {
			case m.Kind != Update || slices.Contains(dead, m.To):
			case m.To == fourth:
				if took, want := now.Mono-began, maxFailuresDefault*hopTimeout; took != want {
					t.Errorf("the fourth was told after %v, want %v", took, want)
				}
				return
			default:
				node.Step(now, m.To, &Message{Kind: Ack, Sender: ID{m.To, 1}, Seq: m.Seq})
			}
		}
		if now.Mono += 10 * time.Millisecond; now.Mono-began > time.Second {
			t.Fatal("the fourth was not told within a second")
		}
		node.Tick(now)
	}
}
