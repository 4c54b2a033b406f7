package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// names are the gateways as they were given, which may be names that come to stand for other
// addresses.
type names struct {
	given  []string // host:port
	is4    bool     // addresses are wanted of this family
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	last   map[string][]netip.AddrPort // what each stood for last
	first  []netip.AddrPort            // what all stood for when the host began
}

func newNames(c *pluginpb.Config, self netip.AddrPort) *names {
	n := &names{
		given: c.GatewayNames, is4: self.Addr().Is4(), lookup: net.DefaultResolver.LookupNetIP,
		last: make(map[string][]netip.AddrPort),
	}
	for _, text := range c.Gateways {
		if addr, err := netip.ParseAddrPort(text); err == nil { // else the service has refused it
			n.first = append(n.first, addr)
		}
	}
	return n
}

// resolver gives what resolves the names, or nil if all are addresses already.
func (n *names) resolver() func(context.Context) ([]netip.AddrPort, error) {
	for _, name := range n.given {
		if _, err := netip.ParseAddrPort(name); err != nil {
			return n.resolve
		}
	}
	return nil
}

// resolve gives the addresses of all names. One that cannot be looked up now keeps the addresses
// that it had, and of it the error tells; if it never could, it may have had any of those that
// there were at first.
func (n *names) resolve(ctx context.Context) ([]netip.AddrPort, error) {
	var addrs []netip.AddrPort
	var errs []error
	for _, name := range n.given {
		found, err := n.resolveOne(ctx, name)
		if err != nil {
			errs = append(errs, err)
			known, ok := n.last[name]
			if !ok {
				known = n.first
			}
			addrs = append(addrs, known...)
			continue
		}
		n.last[name] = found
		addrs = append(addrs, found...)
	}
	return addrs, errors.Join(errs...)
}

func (n *names) resolveOne(ctx context.Context, name string) (addrs []netip.AddrPort, err error) {
	host, portText, err := net.SplitHostPort(name)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	ips, err := n.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() == n.is4 {
			addrs = append(addrs, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("lookup %s: no address that this node can send to among %v", host, ips)
	}
	return addrs, nil
}
