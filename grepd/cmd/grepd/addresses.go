package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// resolveTimeout bounds looking up a name.
	resolveTimeout = 5 * time.Second
	// portTries is how often a free port is looked for that is free for TCP and UDP.
	portTries = 20
)

// resolve returns the addresses of host:port. An empty host is any address of this machine.
func resolve(ctx context.Context, hostPort string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("%q: want host:port", hostPort)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q: %q is not a port", hostPort, portText)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", hostPort, err)
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return addrs, nil
}

// resolveOne returns the first address of host:port, an IPv4 one where there is any.
func resolveOne(ctx context.Context, hostPort string) (netip.AddrPort, error) {
	addrs, err := resolve(ctx, hostPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, addr := range addrs {
		if addr.Addr().Is4() {
			return addr, nil
		}
	}
	if len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q: no address", hostPort)
	}
	return addrs[0], nil
}

// resolveGateways returns all addresses of all gateways that a node with the address self
// can send to.
//
// A name that cannot be looked up is left to the membership service, which tries again, if there are other gateways to ask.
func resolveGateways(ctx context.Context, gateways []string, self netip.AddrPort, stderr io.Writer) ([]string, error) {
	var out []string
	var unknown []error
	for _, gateway := range gateways {
		addrs, err := resolve(ctx, gateway)
		var lookup *net.DNSError
		if errors.As(err, &lookup) {
			unknown = append(unknown, fmt.Errorf("--%s %w", flagGateway, err))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("--%s %w", flagGateway, err)
		}
		usable := 0
		for _, addr := range addrs {
			if addr.Addr().Is4() == self.Addr().Is4() && addr.Port() != 0 && !addr.Addr().IsUnspecified() {
				out = append(out, addr.String())
				usable++
			}
		}
		if usable == 0 {
			return nil, fmt.Errorf("--%s %q: no address that %v can send to among %v", flagGateway, gateway, self, addrs)
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(unknown...)
	}
	for _, err := range unknown {
		fmt.Fprintf(stderr, "grepd: %v; it is looked up again and again\n", err)
	}
	return out, nil
}

// onThisMachine reports whether all addresses of all gateways that can be resolved are loopback ones.
func onThisMachine(ctx context.Context, gateways []string) bool {
	for _, gateway := range gateways {
		addrs, _ := resolve(ctx, gateway) // what is wrong with it is said where the gateways are used
		if slices.ContainsFunc(addrs, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() }) {
			return false
		}
	}
	return true
}

// chooseReachable gives the address among those of a name under which other machines can reach this one, IPv4 first. The error
// says of each why it is none.
func chooseReachable(addrs []netip.AddrPort, loopback bool) (netip.AddrPort, error) {
	var chosen netip.AddrPort
	var refused []string
	for _, addr := range addrs {
		switch reason := unreachable(addr, loopback); {
		case reason != "":
			refused = append(refused, fmt.Sprintf("%v %s", addr, reason))
		case !chosen.IsValid() || addr.Addr().Is4() && !chosen.Addr().Is4():
			chosen = addr
		}
	}
	if !chosen.IsValid() {
		return chosen, errors.New(strings.Join(refused, ", "))
	}
	return chosen, nil
}

// unreachable says why others cannot reach an address; "" where they may. A loopback address will do where loopback says so.
// The membership service refuses the same ones, but cannot say what to do.
func unreachable(addr netip.AddrPort, loopback bool) string {
	ip := addr.Addr()
	switch {
	case addr.Port() == 0:
		return "has no port"
	case ip.IsUnspecified() || ip.Is4() && ip.As4()[0] == 0:
		return "stands for any address of a machine"
	case ip.IsMulticast():
		return "is a multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return "is a link-local address, which means something on one link only"
	case ip.IsLoopback() && !loopback:
		return "is a loopback address, which is every machine's own, and not every gateway is on this machine"
	}
	return ""
}

// listenTCPAndUDP binds both on one port; with port 0, on one that is free for both.
func listenTCPAndUDP(addr netip.AddrPort) (*net.TCPListener, *net.UDPConn, error) {
	for try := 1; ; try++ {
		listener, err := listenTCP(addr)
		if err != nil {
			return nil, nil, err
		}
		chosen := netip.AddrPortFrom(addr.Addr(), portOf(listener))
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(chosen))
		if err == nil {
			return listener, conn, nil
		}
		listener.Close()
		if addr.Port() != 0 || try == portTries {
			return nil, nil, explainBind("UDP", chosen, err)
		}
	}
}

func listenTCP(addr netip.AddrPort) (*net.TCPListener, error) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, explainBind("TCP", addr, err)
	}
	return listener, nil
}

func portOf(listener net.Listener) uint16 {
	return listener.Addr().(*net.TCPAddr).AddrPort().Port()
}

func explainBind(protocol string, addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s port %v is taken: another grepd may be running; choose another with --%s", protocol, addr, flagListen)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--%s %v: this machine does not have that address", flagListen, addr)
	}
	return err
}
