package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually polls until the condition holds; what it waits for says so on failure.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func listen(t testing.TB) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func addrOf(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func status(t *testing.T, d *Driver) Status {
	t.Helper()
	s, err := d.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type member struct {
	*Driver
	conn *net.UDPConn
	cfg  Config
}

func startGroup(t *testing.T, n int) []member {
	t.Helper()
	var group []member
	var gateway netip.AddrPort
	for i := range n {
		conn := listen(t)
		if i == 0 {
			gateway = addrOf(conn)
		}
		cfg := Config{Conn: conn, Node: membership.Config{Addr: addrOf(conn), Gateways: []netip.AddrPort{gateway}}}
		d, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		group = append(group, member{d, conn, cfg})
	}
	for _, m := range group {
		eventually(t, "everyone in every list", func() bool { return status(t, m.Driver).Alive == n })
	}
	return group
}

func TestJoinLeaveAndCrashReachEveryList(t *testing.T) {
	group := startGroup(t, 7)
	if err := group[6].Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, m := range group[:6] {
		eventually(t, "the leaver gone from every list", func() bool { return status(t, m.Driver).Alive == 6 })
	}
	began := time.Now()
	group[5].Close()
	for _, m := range group[:5] {
		eventually(t, "the crashed member gone from every list", func() bool { return status(t, m.Driver).Alive == 5 })
	}
	t.Logf("all lists had the crash after %v", time.Since(began))
	cfg := group[0].cfg.Node
	cfg.Rand = newRand()
	bounds, err := membership.BoundsOf(cfg, len(group))
	if err != nil {
		t.Fatal(err)
	}
	// It may have crashed just when its next heartbeat was due.
	soonest := bounds.Deadline - bounds.Doubt
	if late := time.Since(began); late < soonest {
		t.Errorf("a member was declared failed after only %v, want at least %v", late, soonest)
	}
}

func TestFrozenMemberGoesOnInAnotherDriverUnnoticed(t *testing.T) {
	group := startGroup(t, 4)
	before := status(t, group[1].Driver)
	for range 20 {
		snapshot, err := group[1].Freeze(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		cfg := group[1].cfg
		cfg.Snapshot = snapshot
		next, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		group[1].Driver = next
	}
	t.Cleanup(func() { group[1].Close() })
	after := status(t, group[1].Driver)
	if was, is := listVersion(before), listVersion(after); is < was {
		t.Errorf("the list's version fell from %d to %d", was, is)
	}
	if after.Self != before.Self || after.Alive != 4 {
		t.Errorf("went on as %v with %d alive, want %v with 4", after.Self, after.Alive, before.Self)
	}
	// The others go on to hear its heartbeats for longer than they would forgive silence.
	start := counter(t, group[1].Driver, "packets_sent")
	eventually(t, "two more rounds of heartbeats", func() bool {
		return counter(t, group[1].Driver, "packets_sent") >= start+6
	})
	for _, m := range group {
		if s := status(t, m.Driver); s.Alive != 4 {
			t.Errorf("%v holds %d to be alive, want 4", s.Self, s.Alive)
		}
	}
}

func listVersion(s Status) uint64 {
	i := slices.IndexFunc(s.Counters, func(c Counter) bool { return c.Name == "list_version" })
	return s.Counters[i].Value
}

func counter(t *testing.T, d *Driver, name string) uint64 {
	t.Helper()
	for _, c := range status(t, d).Counters {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no counter %q", name)
	return 0
}

func TestMalformedPacketsAreCountedAndDropped(t *testing.T) {
	group := startGroup(t, 1)
	sender := listen(t)
	for _, packet := range [][]byte{{}, {0xff}, []byte("GET / HTTP/1.1\r\n"), make([]byte, 4000)} {
		if _, err := sender.WriteToUDPAddrPort(packet, addrOf(group[0].conn)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "four malformed packets", func() bool { return counter(t, group[0].Driver, "packets_malformed") == 4 })
}

func TestStoppedDriverAnswersWithItsLastStatus(t *testing.T) {
	group := startGroup(t, 1)
	if err := group[0].Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	if s := status(t, group[0].Driver); s.Phase != membership.Gone {
		t.Errorf("phase %v, want left", s.Phase)
	}
	if _, err := group[0].Snapshot(context.Background()); err != ErrStopped {
		t.Errorf("Snapshot: %v, want ErrStopped", err)
	}
}

// From its first moment on a node says what it is doing to join, for it may take a while.
func TestJoiningNodeSaysWhomItAsks(t *testing.T) {
	mute, conn := listen(t), listen(t)
	for _, test := range []struct {
		name     string
		gateways []netip.AddrPort
		want     string
	}{
		{"a member", []netip.AddrPort{addrOf(mute)}, fmt.Sprintf("looking for a group: asking [%v]", addrOf(mute))},
		{"a gateway", []netip.AddrPort{addrOf(conn), addrOf(mute)},
			fmt.Sprintf("looking for a group: asking [%v], and founding one if there is none", addrOf(mute))},
	} {
		d, err := Start(Config{Conn: conn, Node: membership.Config{Addr: addrOf(conn), Gateways: test.gateways}})
		if err != nil {
			t.Fatal(err)
		}
		s := status(t, d)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if s.Phase != membership.Joining || s.Waiting != test.want {
			t.Errorf("%s is %v: %q, want joining: %q", test.name, s.Phase, s.Waiting, test.want)
		}
	}
	group := startGroup(t, 1)
	if s := status(t, group[0].Driver); s.Phase != membership.InGroup || s.Waiting != "" {
		t.Errorf("in a group it is %v: %q, want nothing to wait for", s.Phase, s.Waiting)
	}
}

func TestGatewayFindsItsOldGroupThroughTheStateFile(t *testing.T) {
	path := t.TempDir() + "/known"
	group := startGroup(t, 1)
	gateway := group[0]
	gateway.Close()
	gateway.cfg.StateFile = path
	var err error
	if gateway.Driver, err = Start(gateway.cfg); err != nil {
		t.Fatal(err)
	}
	conn := listen(t)
	other, err := Start(Config{Conn: conn, Node: membership.Config{Addr: addrOf(conn), Gateways: gateway.cfg.Node.Gateways}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	eventually(t, "two members", func() bool { return status(t, other).Alive == 2 })
	eventually(t, "the gateway knows", func() bool { return status(t, gateway.Driver).Alive == 2 })
	gateway.Close()
	if gateway.Driver, err = Start(gateway.cfg); err != nil {
		t.Fatal(err)
	}
	defer gateway.Close()
	eventually(t, "the old group, not a new one", func() bool {
		s := status(t, gateway.Driver)
		return s.Phase == membership.InGroup && s.Alive == 2
	})
}

// A name that cannot be looked up is said, and one that stands for another address is followed
// there.
func TestGatewaysAreLookedForWhereTheirNamesPoint(t *testing.T) {
	gateway, dead := startGroup(t, 1)[0], listen(t)
	events := make(chan membership.Event, 100)
	conn, tries := listen(t), 0
	d, err := Start(Config{
		Conn: conn, Node: membership.Config{Addr: addrOf(conn), Gateways: []netip.AddrPort{addrOf(dead)}},
		Observer: toldGateways{events: events},
		Resolve: func(context.Context) ([]netip.AddrPort, error) {
			if tries++; tries <= 2 {
				return []netip.AddrPort{addrOf(dead)}, errors.New("no such host")
			}
			return []netip.AddrPort{addrOf(gateway.conn)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	eventually(t, "the status says what cannot be looked up", func() bool {
		return strings.Contains(status(t, d).Waiting, "no such host")
	})
	eventually(t, "it is a member", func() bool { return status(t, d).Phase == membership.InGroup })
	if first, second := <-events, <-events; !strings.Contains(first.Detail, "no such host") || !strings.Contains(second.Detail, addrOf(gateway.conn).String()) {
		t.Errorf("told %q and %q", first.Detail, second.Detail)
	}
	if len(events) > 0 {
		t.Errorf("told besides %v", <-events)
	}
}

// toldGateways is told of the gateways.
type toldGateways struct {
	deaf
	events chan membership.Event
}

func (o toldGateways) Event(_ membership.ID, e membership.Event) {
	if e.Kind == membership.EventGateways {
		o.events <- e
	}
}
