package recorder

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// Every kind of event has a line of its own.
func TestEveryEventHasALine(t *testing.T) {
	for kind := membership.EventKind(0); !strings.HasPrefix(kind.String(), "event("); kind++ {
		if line := eventLines[kind]; string(line.event) != kind.String() {
			t.Errorf("%v is logged as %q", kind, line.event)
		}
	}
}

// The protocol's core imports nothing of shared, so it has words of its own for what eventlog has
// constants and functions for. Readers of the log go by those.
func TestTheCoreSpeaksAsTheEventLog(t *testing.T) {
	for via, want := range map[membership.Via]string{
		membership.ViaSelf: eventlog.ViaSelf, membership.ViaMonitor: eventlog.ViaMonitor,
		membership.ViaUpdate: eventlog.ViaUpdate, membership.ViaSync: eventlog.ViaSync,
	} {
		if via.String() != want {
			t.Errorf("%v is eventlog's %q", via, want)
		}
	}
	for _, addr := range []string{"10.0.0.3:7117", "[::1]:7117"} {
		id := membership.ID{Addr: netip.MustParseAddrPort(addr), Incarnation: 1763793600000000000}
		if want := eventlog.FormatID(addr, id.Incarnation); id.String() != want {
			t.Errorf("an id is %v, eventlog's is %v", id, want)
		}
		if parsed, err := membership.ParseID(eventlog.FormatID(addr, id.Incarnation)); err != nil || parsed != id {
			t.Errorf("eventlog's id is read as %v, %v; want %v", parsed, err, id)
		}
	}
}
