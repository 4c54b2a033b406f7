package membership

import (
	"fmt"
	"strings"
	"time"
)

// EventKind says what happened to the member list or to this node.
type EventKind uint8

const (
	EventJoin     EventKind = iota // Peer is in this list now
	EventLeave                     // Peer left, says this list now
	EventFail                      // Peer failed, says this list now
	EventSuspect                   // this monitor doubts Peer
	EventTrust                     // ... and no longer
	EventRejoin                    // this node goes on as Peer, under a new incarnation
	EventGateway                   // Peer leads the gateways now; no Peer: nobody does
	EventWaiting                   // this node cannot join: Detail says why
	EventGray                      // this node, Peer, hears too little to judge; or well again: Detail says which
	EventGateways                  // the gateways have other addresses now: Detail names them
	EventConflict                  // another machine speaks under this address as Peer: Detail says so
)

var eventNames = [...]string{
	EventJoin: "JOIN", EventLeave: "LEAVE", EventFail: "FAIL", EventSuspect: "SUSPECT",
	EventTrust: "TRUST", EventRejoin: "REJOIN", EventGateway: "GATEWAY", EventWaiting: "WAITING",
	EventGray:     "GRAY",
	EventGateways: "GATEWAYS",
	EventConflict: "CONFLICT",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// Via says how a node learnt of a change.
type Via uint8

const (
	ViaNone    Via = iota
	ViaSelf        // it is about this node, or this gateway admitted it
	ViaMonitor     // concluded by this node as a monitor
	ViaUpdate      // told by an Update
	ViaSync        // found by comparing lists
)

var viaNames = [...]string{ViaNone: "", ViaSelf: "self", ViaMonitor: "monitor", ViaUpdate: "update", ViaSync: "sync"}

func (v Via) String() string {
	if int(v) < len(viaNames) {
		return viaNames[v]
	}
	return fmt.Sprintf("via(%d)", uint8(v))
}

// Event is something that the node's operator would want to read in the log.
type Event struct {
	Kind EventKind
	Peer ID
	Via  Via
	// Silent is the time since the freshest send stamp: EventFail by a monitor,
	// EventSuspect, EventTrust.
	Silent time.Duration
	// Probes and Answers count what the doubt cost, EventFail by a monitor: probes sent
	// to the peer, and co-monitors that answered a query without a newer stamp. EventGray:
	// Answers of so many Questions came lately.
	Probes, Answers, Questions int
	// Gray reports whether the node is gray from now on: EventGray.
	Gray bool
	// Previous is the identity given up: EventRejoin.
	Previous ID
	// Detail is for people: EventWaiting, EventGateways, EventRejoin, EventGray, EventConflict.
	Detail string
}

// String describes the event in one line, for transcripts and tests.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if !e.Peer.IsZero() {
		fmt.Fprintf(&b, " %v", e.Peer)
	}
	if e.Via != ViaNone {
		fmt.Fprintf(&b, " via=%v", e.Via)
	}
	if e.Silent != 0 {
		fmt.Fprintf(&b, " silent=%v", e.Silent)
	}
	if e.Kind == EventFail && e.Via == ViaMonitor {
		fmt.Fprintf(&b, " probes=%d answers=%d", e.Probes, e.Answers)
	}
	if e.Kind == EventGray {
		fmt.Fprintf(&b, " answers=%d of %d", e.Answers, e.Questions)
	}
	if !e.Previous.IsZero() {
		fmt.Fprintf(&b, " previous=%v", e.Previous)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " (%s)", e.Detail)
	}
	return b.String()
}
