package membership

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func testConfig() Config {
	return Config{
		Addr:     testAddr(1),
		Gateways: []netip.AddrPort{testAddr(2), testAddr(1)},
		Rand:     rand.New(rand.NewPCG(1, 1)),
	}
}

func TestConfigurationsThatCannotWorkAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"unspecified address": {func(c *Config) { c.Addr = netip.MustParseAddrPort("0.0.0.0:7117") }, "cannot be reached"},
		"no port":             {func(c *Config) { c.Addr = netip.MustParseAddrPort("10.0.0.1:0") }, "cannot be reached"},
		"no gateway":          {func(c *Config) { c.Gateways = nil }, "no gateway"},
		"too many failures":   {func(c *Config) { c.MaxFailures = 9 }, "1 to 8"},
		"detection too fast":  {func(c *Config) { c.DetectWithin = 900 * time.Millisecond }, "want 1s to 1m0s"},
		"spreading too fast":  {func(c *Config) { c.SpreadWithin = 3 * time.Second }, "= every change is in all live lists"},
		"spreading too slow":  {func(c *Config) { c.SpreadWithin = math.MaxInt64 }, "want at most 1h0m0s"},
		"detection too slow":  {func(c *Config) { c.DetectWithin = 5 * time.Second }, "cannot spread within 6s"},
		"no randomness":       {func(c *Config) { c.Rand = nil }, "randomness"},
	} {
		cfg := testConfig()
		c.change(&cfg)
		_, err := NewNode(cfg, Now{})
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrConfig with %q", name, err, c.want)
		}
	}
}

func TestDefaultBoundsAreThoseOfTheRequirements(t *testing.T) {
	b, err := BoundsOf(testConfig(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", b)
	if b.Detect > 2*time.Second || b.All > 6*time.Second {
		t.Errorf("first list within %v, all within %v, want 2 s and 6 s", b.Detect, b.All)
	}
	// R9: three heartbeats of 24 bytes and 28 bytes of headers an interval.
	if rate := 3 * (24 + 28) / b.Interval.Seconds(); rate > 135 {
		t.Errorf("%.0f B/s, want at most 135", rate)
	}
}

func TestBoundsAreThoseOfTheLiveConfiguration(t *testing.T) {
	cfg := testConfig()
	cfg.DetectWithin, cfg.SpreadWithin, cfg.MaxFailures = 3*time.Second, 9*time.Second, 2
	n, err := NewNode(cfg, Now{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Bounds(100)
	if err != nil || b.Members != 100 || b.MaxFailures != 2 || b.Detect != 3*time.Second || b.SpreadWithin != 9*time.Second {
		t.Errorf("%+v, %v", b, err)
	}
	if b, err = n.Bounds(0); err != nil || b.Members != n.Alive() {
		t.Errorf("for %d members, %v; the list has %d", b.Members, err, n.Alive())
	}
	for _, members := range []int{-1, membersMax + 1} {
		if _, err := n.Bounds(members); err == nil {
			t.Errorf("bounds for %d members", members)
		}
	}
}

func TestIntervalFollowsFromDetectWithin(t *testing.T) {
	cfg := testConfig()
	cfg.DetectWithin, cfg.SpreadWithin = 10*time.Second, 15*time.Second
	b, err := BoundsOf(cfg, 10)
	if err != nil {
		t.Fatal(err)
	}
	if b.Interval != 9200*time.Millisecond || b.Deadline != 9850*time.Millisecond {
		t.Errorf("interval %v, deadline %v, want 9.2 s and 9.85 s", b.Interval, b.Deadline)
	}
}

func TestAddressesThatNobodyCanReachAreRefused(t *testing.T) {
	real, self := netip.MustParseAddrPort("10.0.0.9:7117"), netip.MustParseAddrPort("127.0.0.1:7117")
	for _, addr := range []string{
		"0.0.0.0:7117", "[::]:7117", "224.0.0.1:7117", "[ff02::1]:7117", "255.255.255.255:7117", "0.1.2.3:7117",
		"[fe80::1]:7117", "10.0.0.1:0", "[::ffff:10.0.0.1]:7117", "127.0.1.1:7117", "127.0.0.1:7117", "[::1]:7117",
	} {
		a := netip.MustParseAddrPort(addr)
		cfg := Config{Addr: a, Gateways: []netip.AddrPort{real}, Rand: rand.New(rand.NewPCG(1, 1))}
		if _, err := NewNode(cfg, Now{Wall: time.Now()}); !errors.Is(err, ErrConfig) {
			t.Errorf("%s as a node's own: %v", addr, err)
		}
		cfg.Addr = netip.MustParseAddrPort("10.0.0.2:7117")
		n, err := NewNode(cfg, Now{Wall: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if n.plausible(Entry{ID: ID{Addr: a, Incarnation: 1}}) {
			t.Errorf("%s is believed to be another member's", addr)
		}
	}
	// A group on one machine may use them.
	cfg := Config{Addr: self, Gateways: []netip.AddrPort{self}, Rand: rand.New(rand.NewPCG(1, 1))}
	n, err := NewNode(cfg, Now{Wall: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if !n.plausible(Entry{ID: ID{Addr: netip.MustParseAddrPort("127.0.1.1:7117"), Incarnation: 1}}) {
		t.Error("another member on the same machine is not believed")
	}
}
