package main

import (
	"net/netip"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// contender is a membership protocol whose members can be run here.
type contender interface {
	name() string
	// start makes a new member, at any port where addr has none, that joins the group of the
	// others. Without others it is the first.
	start(addr netip.AddrPort, others []member) (member, error)
}

// member is one member of a group.
type member interface {
	addr() netip.AddrPort
	// alive is how many members its list holds to be alive, itself included.
	alive() int
	losses() *loopback.Losses
	sent() traffic
	// crash makes it stop reading and writing at once, telling nobody.
	crash() error
	// close frees its sockets, whether it has crashed or not.
	close() error
}

// traffic is what has been sent.
type traffic struct {
	packets       uint64
	packetBytes   uint64 // with IP and UDP headers
	streamedBytes uint64 // over TCP, without any headers
}

func (t traffic) plus(u traffic) traffic {
	return traffic{t.packets + u.packets, t.packetBytes + u.packetBytes, t.streamedBytes + u.streamedBytes}
}

func (t traffic) minus(u traffic) traffic {
	return traffic{t.packets - u.packets, t.packetBytes - u.packetBytes, t.streamedBytes - u.streamedBytes}
}
