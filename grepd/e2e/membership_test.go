package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFiveNodesJoin(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.start(c.nodes...)

	list, err := c.nodes[4].members()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		m := list.of(n.addr)
		if want := fmt.Sprintf("%s@%d", m.Addr, m.Incarnation); m.ID != want || m.Incarnation == 0 || m.Since.IsZero() {
			t.Errorf("row %+v: want id %q, an incarnation and a time", m, want)
		}
	}
}

func TestKilledMembersAreFoundWithinTheBounds(t *testing.T) {
	for _, victims := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d of 7", victims), func(t *testing.T) {
			c := newCluster(t, 7, 2)
			c.start(c.nodes...)
			// The last ones: the gateways stay, since a kill of both is another test.
			testKill(t, c, c.nodes[7-victims:])
		})
	}
}

func TestKilledGatewayIsFoundWithinTheBounds(t *testing.T) {
	c := newCluster(t, 4, 2)
	c.start(c.nodes...)
	testKill(t, c, c.nodes[:1])
}

// testKill kills nodes at once and compares what the others logged with the bounds.
func testKill(t *testing.T, c *cluster, victims []*node) {
	var addrs, ids []string
	list, err := c.nodes[0].members()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range victims {
		addrs = append(addrs, n.addr)
		ids = append(ids, list.of(n.addr).ID)
	}

	killed := c.kill(victims...)
	fails := c.awaitEvents(spreadWithin+boundSlack()+joinLimit, "FAIL", addrs...)
	fails = slices.DeleteFunc(fails, func(e event) bool { return e.Time.Before(killed) })

	first, last := map[string]time.Duration{}, map[string]time.Duration{}
	for _, e := range fails {
		if !slices.Contains(ids, e.Peer) {
			c.watch.Errorf(t, "%s declared %s failed, which was not killed", e.Node, e.Peer)
			continue
		}
		after := e.Time.Sub(killed)
		if f, known := first[e.Peer]; !known || after < f {
			first[e.Peer] = after
		}
		last[e.Peer] = max(last[e.Peer], after)
	}
	for _, id := range ids {
		t.Logf("%s: in the first list %.3f s after the kill, in all %.3f s", id, first[id].Seconds(), last[id].Seconds())
		if first[id] == 0 || first[id] > detectWithin+boundSlack() {
			c.watch.Errorf(t, "%s: in the first list after %v, want at most %v (and %v for the machine)", id, first[id], detectWithin, boundSlack())
		}
		if last[id] > spreadWithin+boundSlack() {
			c.watch.Errorf(t, "%s: in all lists after %v, want at most %v (and %v for the machine)", id, last[id], spreadWithin, boundSlack())
		}
	}
	c.awaitAgreement(joinLimit)
	for _, n := range c.running() {
		list, err := n.members()
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			if state := list.of(addr).State; state != "failed" {
				t.Errorf("%s shows %s as %q, want failed", n.addr, addr, state)
			}
		}
	}
	if want := len(c.running()) * len(victims); len(fails) != want {
		t.Errorf("%d FAIL events, want %d: one a survivor and victim", len(fails), want)
	}
}

func TestLeaverIsSeenToLeave(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, n *node){
		"by command": func(t *testing.T, n *node) {
			if r := command(t, "grepd", "leave", "--via", n.addr); r.status != 0 {
				t.Fatalf("grepd leave: %v", r)
			}
		},
		"by SIGTERM": func(t *testing.T, n *node) {
			if status := n.process.terminate(t); status != 0 {
				t.Errorf("grepd ended with status %d on SIGTERM, want 0: %s", status, tail(n.outputFile()))
			}
		},
		"by SIGINT": func(t *testing.T, n *node) {
			_ = n.process.os.Signal(syscall.SIGINT) // its end is awaited
			if status := n.process.wait(t); status != 0 {
				t.Errorf("grepd ended with status %d on SIGINT, want 0: %s", status, tail(n.outputFile()))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 4, 1)
			c.start(c.nodes...)
			leaver, others := c.nodes[3], c.nodes[:3]

			leave(t, leaver)
			began := time.Now()
			for _, n := range others {
				await(t, joinLimit, n.addr+" sees the leave", func() error {
					list, err := n.members()
					if state := list.of(leaver.addr).State; err == nil && state != "left" {
						err = fmt.Errorf("the leaver is %q", state)
					}
					return err
				})
			}
			if took := time.Since(began); took > spreadWithin {
				c.watch.Errorf(t, "all see the leave after %v, want at most %v", took, spreadWithin)
			}
			checkNoFail(t, c)
		})
	}
}

// checkNoFail fails the test where any running node has declared anyone failed.
func checkNoFail(t *testing.T, c *cluster) {
	t.Helper()
	fails, err := c.events("FAIL")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fails {
		c.watch.Errorf(t, "%s declared %s failed, %v after its last sign of life", e.Node, e.Peer, time.Duration(e.SilentMS)*time.Millisecond)
	}
}

func TestKilledMemberRejoinsUnderANewIncarnation(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.start(c.nodes...)
	back := c.nodes[3]
	before, err := c.nodes[0].members()
	if err != nil {
		t.Fatal(err)
	}

	c.kill(back)
	c.awaitEvents(spreadWithin+joinLimit, "FAIL", back.addr)
	c.start(back)

	for _, n := range c.nodes {
		after, err := n.members()
		if err != nil {
			t.Fatal(err)
		}
		old, now := before.of(back.addr), after.of(back.addr)
		if now.Incarnation <= old.Incarnation {
			t.Errorf("%s shows %s, want a higher incarnation than %s", n.addr, now.ID, old.ID)
		}
	}
}

func TestMemberThatRestartsAtOnceRejoins(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.start(c.nodes...)
	back := c.nodes[3]
	before, err := c.nodes[0].members()
	if err != nil {
		t.Fatal(err)
	}

	c.kill(back)
	back.start() // before anybody can have noticed
	await(t, joinLimit, "the lists have its new incarnation", func() error {
		for _, n := range c.nodes {
			list, err := n.members()
			if err != nil {
				return err
			}
			if m := list.of(back.addr); m.State != "alive" || m.Incarnation <= before.of(back.addr).Incarnation {
				return fmt.Errorf("%s has %s, %s", n.addr, m.ID, m.State)
			}
		}
		return nil
	})
	c.awaitAgreement(joinLimit)
}

// TestGatewayThatIsDownBlocksJoinsOnly kills the only gateway: a newcomer has to wait,
// and says so, while the others find a failure and see a leave. When the gateway is back
// it finds the group, and the newcomer gets in.
func TestGatewayThatIsDownBlocksJoinsOnly(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.start(c.nodes...)
	gateway, victim, leaver := c.nodes[0], c.nodes[3], c.nodes[4]
	c.kill(gateway)
	c.awaitEvents(spreadWithin+joinLimit, "FAIL", gateway.addr)

	newcomer := c.add(freeAddr(t))
	newcomer.start()
	await(t, joinLimit, "the newcomer says that it waits for a gateway", func() error {
		s, err := newcomer.status()
		if err == nil && (s.Phase != "joining" || s.Detail == "") {
			err = fmt.Errorf("its status is %+v", s)
		}
		return err
	})

	checkJoiningIsIncomplete(t, newcomer)
	follower := startFollowing(t, newcomer, "-h", "late news", "logs/app.log")

	insiders := &cluster{t: t, watch: c.watch, nodes: c.nodes[1:5]}
	testKill(t, insiders, []*node{victim})
	leaver.process.terminate(t)
	began := time.Now()
	insiders.awaitAgreement(joinLimit)
	if took := time.Since(began); took > spreadWithin {
		c.watch.Errorf(t, "all see the leave after %v, want at most %v", took, spreadWithin)
	}

	c.start(gateway)
	if r := command(t, "dgrep", "--via", newcomer.addr, "no such thing", "logs/*"); r.status != 1 || !strings.Contains(r.stderr, "4 of 4 members answered") {
		t.Errorf("a newcomer that is in: %v", r)
	}
	// What the newcomer did not know of is followed now that it does.
	follower.awaitMessage("dgrep: grepd at " + newcomer.addr + " has joined its group")
	late := time.Now().UTC().Format(time.RFC3339Nano) + " late news"
	if err := appendTo(filepath.Join(c.nodes[1].logDir(), "app.log"), late+"\n"); err != nil {
		t.Fatal(err)
	}
	follower.awaitLines([]string{late})
}

// checkJoiningIsIncomplete asks a node that knows nobody yet: that it found nothing proves nothing.
func checkJoiningIsIncomplete(t *testing.T, n *node) {
	t.Helper()
	const says = "1 of 1 member answered; the grepd that was asked is still joining"
	for _, test := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"no such thing"}, 2, says},
		{[]string{"--require=quorum", "no such thing"}, 2, says},
		{[]string{"--require=any", "no such thing"}, 1, says},
		{[]string{"-c", "."}, 2, says},
		{[]string{"--count-by", "event", "-e", "."}, 2, says},
		{[]string{"--nodes", n.addr, "no such thing"}, 1, "1 of 1 member answered\n"},
	} {
		args := append([]string{"--via", n.addr}, append(test.args, "logs/*")...)
		if r := command(t, "dgrep", args...); r.status != test.status || !strings.Contains(r.stderr, test.stderr) {
			t.Errorf("dgrep %q through a node that joins: %v", args, r)
		}
	}
	r := command(t, "dgrep", "--via", n.addr, "--json", "no such thing", "logs/*")
	if r.status != 2 || !strings.Contains(r.stdout, `"phase":"joining"`) || !strings.Contains(r.stdout, `"complete":false`) {
		t.Errorf("dgrep --json through a node that joins: %v", r)
	}
	if r := command(t, "grepd", "audit", "--via", n.addr); r.status != 2 {
		t.Errorf("an audit through a node that joins: %v", r)
	}
	if r := command(t, "grepd", "members", "--via", n.addr); !strings.Contains(r.stderr, "still joining") {
		t.Errorf("the list of a node that joins: %v", r)
	}
}
