package membership

import (
	"fmt"
	"time"
)

// twin is what this node knows of another machine that has its address. The two outdo each other
// with ever higher incarnations, and every list shows now the one and now the other; so people
// have to be told.
//
// An earlier life of this node, whose clock was ahead, can have had a higher incarnation too, but
// it is over: it comes up with no further one.
type twin struct {
	last   uint64        // incarnation under this address that this node never had; 0: there was none
	heard  time.Duration // Mono at which it was heard of first
	toldAt time.Duration // Mono of the last EventConflict; 0: there was none
}

const (
	// twinSpell is how long a foreign incarnation counts as one of two.
	twinSpell = 10 * time.Minute
	// twinEvery is how often a conflict is told while it lasts.
	twinEvery = time.Minute
)

// noticeTwin looks whether an incarnation that is said of this address, or speaks under it, is
// another machine's.
func (n *Node) noticeTwin(incarnation uint64) {
	t := &n.twin
	foreign := ID{Addr: n.self.Addr, Incarnation: incarnation}
	if incarnation <= n.self.Incarnation || incarnation == t.last || !n.plausible(Entry{ID: foreign}) {
		return
	}
	again := t.last > 0 && n.now.Mono-t.heard < twinSpell
	t.last, t.heard = incarnation, n.now.Mono
	if !again || t.toldAt > 0 && n.now.Mono-t.toldAt < twinEvery {
		return
	}
	t.toldAt = n.now.Mono
	n.emit(Event{Kind: EventConflict, Peer: foreign, Detail: fmt.Sprintf("another machine has the "+
		"address %v too, and the two outdo each other: give each an address of its own", n.self.Addr)})
}
