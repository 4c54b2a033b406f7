package main

import (
	"net/netip"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// ours is this project's protocol. The first member of a group is its gateway.
type ours struct{}

func (ours) name() string { return "grepd" }

func (ours) start(addr netip.AddrPort, others []member) (member, error) {
	m, err := loopback.Listen(addr)
	if err != nil {
		return nil, err
	}
	gateway := m.Addr
	if len(others) > 0 {
		gateway = others[0].addr()
	}
	return ourMember{m}, m.Start([]netip.AddrPort{gateway})
}

type ourMember struct{ *loopback.Member }

func (m ourMember) addr() netip.AddrPort     { return m.Addr }
func (m ourMember) alive() int               { return m.Alive() }
func (m ourMember) losses() *loopback.Losses { return &m.Losses }
func (m ourMember) crash() error             { return m.Crash() }
func (m ourMember) close() error             { return m.Close() }

func (m ourMember) sent() traffic {
	packets, bytes := m.Sent()
	return traffic{packets: packets, packetBytes: bytes}
}
