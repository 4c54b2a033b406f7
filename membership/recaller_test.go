package membership

import (
	"testing"
	"time"
)

// TestTheGoneAreForgotten: entries of members that are gone are dropped some time after, failed
// ones later, and the list grows with no address that was ever in it.
func TestTheGoneAreForgotten(t *testing.T) {
	node := newGateway(t)
	failed, left := ID{testAddr(1), 1}, ID{testAddr(2), 1}
	for _, e := range []Entry{{failed, Alive}, {left, Alive}, {failed, Failed}, {left, Left}} {
		if !node.change(e, ViaUpdate, Event{}) {
			t.Fatalf("%v was not taken in", e)
		}
	}
	gone := node.now.Mono
	for _, c := range []struct {
		after        time.Duration
		failed, left bool
	}{
		{keepLeft, true, true},
		{keepLeft + 2*recallEvery, true, false},
		{keepFailed, true, false},
		{keepFailed + 2*recallEvery, false, false},
	} {
		run(node, gone+c.after-node.now.Mono)
		if isFailed, isLeft := node.list.get(failed.Addr) != nil, node.list.get(left.Addr) != nil; isFailed != c.failed || isLeft != c.left {
			t.Errorf("after %v the failed one is listed: %t, and the one that left: %t; want %t and %t", c.after, isFailed, isLeft, c.failed, c.left)
		}
	}
	if node.Alive() != 1 {
		t.Errorf("%d are alive, want the node itself", node.Alive())
	}
}
