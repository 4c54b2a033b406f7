package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// peer is hashicorp/memberlist with its defaults for a local network.
type peer struct{}

func (peer) name() string { return "memberlist" }

func (peer) start(addr netip.AddrPort, others []member) (member, error) {
	silent := log.New(io.Discard, "", 0)
	transport, err := listenPeer(addr, silent)
	if err != nil {
		return nil, err
	}
	m := &peerMember{transport: transport}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = m.addr().String()
	cfg.AdvertiseAddr, cfg.AdvertisePort = m.addr().Addr().String(), int(m.addr().Port())
	cfg.Transport, cfg.Logger, cfg.Events = transport, silent, m
	if m.list, err = memberlist.Create(cfg); err != nil {
		return nil, fmt.Errorf("start a memberlist member: %w", err)
	}
	if len(others) == 0 {
		return m, nil
	}
	_, err = m.list.Join([]string{others[0].addr().String()})
	return m, err
}

type peerMember struct {
	list      *memberlist.Memberlist
	transport *transport
	lost      loopback.Losses
}

var _ memberlist.EventDelegate = (*peerMember)(nil)

func (m *peerMember) NotifyJoin(*memberlist.Node)   {}
func (m *peerMember) NotifyUpdate(*memberlist.Node) {}

// NotifyLeave is called when a member leaves the list. Nobody leaves here but by a crash.
func (m *peerMember) NotifyLeave(n *memberlist.Node) {
	m.lost.Add(netip.MustParseAddrPort(n.Address()), time.Now())
}

func (m *peerMember) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(m.transport.GetAutoBindPort()))
}

func (m *peerMember) alive() int               { return m.list.NumMembers() }
func (m *peerMember) losses() *loopback.Losses { return &m.lost }

func (m *peerMember) sent() traffic {
	t := m.transport
	return traffic{packets: t.packets.Load(), packetBytes: t.packetBytes.Load(), streamedBytes: t.streamedBytes.Load()}
}

func (m *peerMember) crash() error {
	m.transport.silence()
	return m.list.Shutdown() // which sends nothing, and could not
}

func (m *peerMember) close() error {
	return errors.Join(m.list.Shutdown(), m.transport.close())
}

// transport is memberlist's own, counting what is sent, until it goes silent.
type transport struct {
	*memberlist.NetTransport
	incoming chan *memberlist.Packet
	streams  chan net.Conn

	silenced chan struct{} // closed when the member crashes or ends
	silence  func()        // closes it, once
	stopped  chan struct{} // closed when the sockets are
	forwards sync.WaitGroup

	packets, packetBytes, streamedBytes atomic.Uint64
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func listenPeer(addr netip.AddrPort, logger *log.Logger) (*transport, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{addr.Addr().String()}, BindPort: int(addr.Port()), Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("bind a memberlist member's sockets: %w", err)
	}
	t := &transport{
		NetTransport: inner, incoming: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		silenced: make(chan struct{}), stopped: make(chan struct{}),
	}
	t.silence = sync.OnceFunc(func() { close(t.silenced) })
	t.forwards.Go(t.forwardPackets)
	t.forwards.Go(t.forwardStreams)
	return t, nil
}

func (t *transport) silent() bool {
	select {
	case <-t.silenced:
		return true
	default:
		return false
	}
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.incoming }
func (t *transport) StreamCh() <-chan net.Conn           { return t.streams }

// forwardPackets hands on what comes in, and drops it once this member is silent.
func (t *transport) forwardPackets() {
	for {
		select {
		case p := <-t.NetTransport.PacketCh():
			select {
			case t.incoming <- p:
			case <-t.silenced:
			}
		case <-t.stopped:
			return
		}
	}
}

// forwardStreams does the same for connections. Those to a silent member stay open, unread.
func (t *transport) forwardStreams() {
	var unread []net.Conn
	for {
		select {
		case conn := <-t.NetTransport.StreamCh():
			select {
			case t.streams <- countedConn{conn, t}:
			case <-t.silenced:
				unread = append(unread, conn)
			}
		case <-t.stopped:
			for _, conn := range unread {
				conn.Close()
			}
			return
		}
	}
}

func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if t.silent() {
		return time.Now(), nil
	}
	t.packets.Add(1)
	t.packetBytes.Add(uint64(len(b)) + loopback.HeaderBytes)
	return t.NetTransport.WriteToAddress(b, to)
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

var errSilent = errors.New("this member has crashed")

func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.silent() {
		return nil, errSilent
	}
	conn, err := t.NetTransport.DialAddressTimeout(to, timeout)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, t}, nil
}

// Shutdown, which memberlist calls, leaves the sockets open, so that what is sent to a
// crashed member disappears, as it does where a machine has died.
func (t *transport) Shutdown() error { return nil }

func (t *transport) close() error {
	t.silence() // the listeners, which may be waiting to hand on what they have read, can end
	err := t.NetTransport.Shutdown()
	close(t.stopped)
	t.forwards.Wait()
	return err
}

// countedConn counts what is written to it.
type countedConn struct {
	net.Conn
	transport *transport
}

func (c countedConn) Write(b []byte) (int, error) {
	if c.transport.silent() {
		return 0, errSilent
	}
	n, err := c.Conn.Write(b)
	c.transport.streamedBytes.Add(uint64(n))
	return n, err
}
