package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

func TestNamesKeepTheirAddressesWhileTheyCannotBeLookedUp(t *testing.T) {
	zone := map[string]string{}
	n := newNames(&pluginpb.Config{GatewayNames: []string{"a:7117", "b:7118", "10.0.0.9:7119"}, Gateways: []string{"10.0.0.1:7117"}},
		netip.MustParseAddrPort("10.0.0.5:7117"))
	n.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if ip, err := netip.ParseAddr(host); err == nil {
			return []netip.Addr{ip}, nil
		}
		if zone[host] == "" {
			return nil, errors.New("no such host " + host)
		}
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr(zone[host])}, nil
	}
	for _, step := range []struct{ host, addr, want, wrong string }{
		{"b", "10.0.0.2", "[10.0.0.1:7117 10.0.0.2:7118 10.0.0.9:7119]", "no such host a"}, // a as the host knew it
		{"a", "10.0.0.3", "[10.0.0.3:7117 10.0.0.2:7118 10.0.0.9:7119]", "<nil>"},
		{"b", "", "[10.0.0.3:7117 10.0.0.2:7118 10.0.0.9:7119]", "no such host b"},
		{"b", "10.0.0.4", "[10.0.0.3:7117 10.0.0.4:7118 10.0.0.9:7119]", "<nil>"},
	} {
		zone[step.host] = step.addr
		addrs, err := n.resolve(t.Context())
		if got := fmt.Sprint(addrs); got != step.want || fmt.Sprint(err) != step.wrong {
			t.Errorf("%s is %q: %s, %v, want %s, %s", step.host, step.addr, got, err, step.want, step.wrong)
		}
	}
	if newNames(&pluginpb.Config{GatewayNames: []string{"10.0.0.9:7119"}}, netip.MustParseAddrPort("10.0.0.5:7117")).resolver() != nil {
		t.Error("addresses are looked up although they are no names")
	}
}
