// Package loopback runs members of this project's protocol in one process, each with a
// socket of its own on 127.0.0.1, and keeps the time at which each list lost whom.
//
// # Concurrency
//
// All of it may be called from any goroutine.
package loopback

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
)

// HeaderBytes are the IP and UDP headers of a datagram, without options.
const HeaderBytes = 28

// Member is one member of a group.
type Member struct {
	Addr   netip.AddrPort
	Losses Losses

	conn   *net.UDPConn
	driver *udp.Driver
	inList atomic.Bool
	digest atomic.Uint64
	kinds  [kindsMax]atomic.Uint64 // messages sent
}

// kindsMax is more than there are kinds of messages.
const kindsMax = 32

// Kinds counts messages by their kind.
type Kinds [kindsMax]uint64

// Listen binds a socket, at any port where addr has none, and returns the member to be.
func Listen(addr netip.AddrPort) (*Member, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("bind a member's socket: %w", err)
	}
	return &Member{Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), conn: conn}, nil
}

// AnyPort is the address that leaves the port to the kernel.
func AnyPort() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:0") }

// Start makes it join the group of these gateways, of which it may be one.
func (m *Member) Start(gateways []netip.AddrPort) (err error) {
	m.driver, err = udp.Start(udp.Config{
		Node:     membership.Config{Addr: m.Addr, Gateways: gateways},
		Conn:     m.conn,
		Observer: observer{m},
	})
	return err
}

// Crash stops it at once, without telling anyone. Its socket stays open: what is sent to it
// disappears, as it does where a machine has died.
func (m *Member) Crash() error { return m.driver.Close() }

// Close stops it if it runs, and closes the socket.
func (m *Member) Close() error {
	if m.driver != nil {
		if err := m.driver.Close(); err != nil {
			return err
		}
	}
	return m.conn.Close()
}

// Joined reports whether it is in the group, and if so the digest of its list.
func (m *Member) Joined() (digest uint64, joined bool) { return m.digest.Load(), m.inList.Load() }

// Alive is how many members its list holds to be alive.
func (m *Member) Alive() int { return m.status().Alive }

// Sent counts the datagrams that it has sent, and their bytes with IP and UDP headers.
func (m *Member) Sent() (packets, bytes uint64) {
	for _, c := range m.status().Counters {
		switch c.Name {
		case "packets_sent":
			packets = c.Value
		case "bytes_sent":
			bytes = c.Value
		}
	}
	return packets, bytes + packets*HeaderBytes
}

// AddKinds adds the messages that it has sent to k.
func (m *Member) AddKinds(k *Kinds) {
	for i := range m.kinds {
		k[i] += m.kinds[i].Load()
	}
}

// Since returns the messages counted since an earlier count.
func (k Kinds) Since(earlier Kinds) Kinds {
	for i := range k {
		k[i] -= earlier[i]
	}
	return k
}

// String names the kinds that were sent at all.
func (k Kinds) String() string {
	var parts []string
	for kind, count := range k {
		if count > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", count, membership.Kind(kind)))
		}
	}
	return strings.Join(parts, ", ")
}

func (m *Member) status() udp.Status {
	status, err := m.driver.Status(context.Background())
	if err != nil {
		panic(err) // only a context that ends makes it fail, and this one does not
	}
	return status
}

// observer takes down what the driver tells.
type observer struct{ member *Member }

var _ udp.Observer = observer{}

func (o observer) Sent(_ membership.ID, _ netip.AddrPort, m *membership.Message) {
	o.member.kinds[m.Kind].Add(1)
}

func (observer) Received(membership.ID, netip.AddrPort, *membership.Message) {}

func (o observer) Event(_ membership.ID, e membership.Event) {
	if e.Kind == membership.EventFail {
		o.member.Losses.Add(e.Peer.Addr, time.Now())
	}
}

func (observer) Dropped(membership.ID, uint64) {}

func (o observer) Changed(v udp.View) {
	o.member.digest.Store(v.Digest)
	o.member.inList.Store(v.Phase == membership.InGroup)
}

// Agree reports whether the lists of all these members are equal and hold them all.
func Agree(members []*Member) bool {
	first, _ := members[0].Joined()
	for _, m := range members {
		if digest, joined := m.Joined(); !joined || digest != first {
			return false
		}
	}
	return members[0].Alive() == len(members)
}
