package recorder

import (
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Every kind of event has a line of its own.
func TestEveryEventHasALine(t *testing.T) {
	for kind := membership.EventKind(0); !strings.HasPrefix(kind.String(), "event("); kind++ {
		if line := eventLines[kind]; string(line.event) != kind.String() {
			t.Errorf("%v is logged as %q", kind, line.event)
		}
	}
}
