package main

import (
	"net/netip"
	"strings"
	"time"
)

// what is a kind of event.
type what string

const (
	held     what = "held"     // the list holds the member to be alive from now on
	lost     what = "lost"     // and to be failed
	renewed  what = "renewed"  // the member has rejoined, or refuted that it is suspect or dead
	notified what = "notified" // the member has run the command that is to be run on failures
)

// event is something that happened to a member, or in its list.
type event struct {
	at     time.Time
	member int
	what   what
	about  identity // of held and lost
}

// identity is how a contender names a member: by its address, and maybe more after a colon.
// Who is declared failed and comes back under the same identity, refutes it; who comes back
// under another is a new member to the others.
type identity string

// member is its number, or 0.
func (id identity) member() int {
	host, _, _ := strings.Cut(string(id), ":")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return 0
	}
	return memberAt(addr)
}
