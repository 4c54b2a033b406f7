package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

var seed = flag.Uint64("seed", rand.Uint64(), "of the random tests")

// commandMode in the environment makes the test's program a plugin that runs a command, to
// be killed by a test; its value is the command.
const commandMode = "NOTIFY_TEST_COMMAND"

func TestMain(m *testing.M) {
	if path := os.Getenv(commandMode); path != "" {
		c := &command{argv: []string{path}, environment: []string{"PATH=" + os.Getenv("PATH")}, timeout: time.Hour}
		c.deliver(context.Background(), memberID(1), []event{fail(1, 2)})
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func random(t *testing.T) *rand.Rand {
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

var start = time.Unix(1763793600, 0)

func memberID(i int) string { return fmt.Sprintf("10.0.0.%d:7117@%d", i, 1763793600+i) }

// listOf is what a host tells the plugin of node self, all members being as old as the node.
func listOf(self int, members ...int) *notifypb.MembersRequest {
	request := &notifypb.MembersRequest{Self: memberID(self)}
	for _, i := range members {
		request.Alive = append(request.Alive, notifypb.Member{Id: memberID(i), SinceUnixNanos: start.UnixNano()})
	}
	return request
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func fail(node, peer int) event {
	line := fmt.Sprintf(`{"time":"2026-11-22T06:40:00.000000001Z","level":"WARN","event":"FAIL","node":"%s","peer":"%s","via":"update"}`, memberID(node), memberID(peer))
	e, ok := parse([]byte(line))
	if !ok {
		panic(line)
	}
	return e
}

// TestEachFailureIsToldByOneMember lets up to three members fail at the same time. The
// others hear of them in any order, before or after their list is told to the plugin.
func TestEachFailureIsToldByOneMember(t *testing.T) {
	r := random(t)
	const members = 12
	for round := range 300 {
		now := start.Add(time.Hour)
		dead := r.Perm(members)[:1+r.IntN(3)]
		isDead := map[int]bool{}
		var left []int
		for _, d := range dead {
			isDead[d] = true
		}
		for i := range members {
			if !isDead[i] {
				left = append(left, i)
			}
		}
		told := map[string]int{}
		tell := func(due []event) {
			for _, e := range due {
				told[e.key]++
			}
		}
		for _, node := range left {
			var c elector
			if r.IntN(4) > 0 { // else the list comes late
				tell(c.members(listOf(node, numbers(members)...), now))
			}
			for i, d := range r.Perm(len(dead)) {
				at := now.Add(time.Duration(i) * time.Second)
				tell(c.gone(memberID(dead[d]), false, at))
				tell(c.take(fail(node, dead[d]), at))
			}
			tell(c.members(listOf(node, left...), now.Add(3*time.Second)))
			tell(c.members(listOf(node, left...), now.Add(4*time.Second)))
		}
		for _, d := range dead {
			if n := told[fail(0, d).key]; n != 1 {
				t.Fatalf("round %d: of the deaths of %v, that of %d is told %d times", round, dead, d, n)
			}
		}
	}
}

func TestAnotherTakesOverWhereTheChosenOneIsGone(t *testing.T) {
	const members = 8
	now := start.Add(time.Hour)
	electors := map[int]*elector{}
	teller := -1
	for node := 1; node < members; node++ {
		electors[node] = new(elector)
		electors[node].members(listOf(node, numbers(members)...), now)
		if due := electors[node].take(fail(node, 0), now); len(due) > 0 {
			teller = node
		}
	}
	if teller < 0 {
		t.Fatal("nobody tells of the failure")
	}
	for _, test := range []struct {
		name  string
		left  bool
		after time.Duration
		want  int
	}{
		{"fails soon", false, takeOverFor - time.Second, 1}, {"fails late", false, takeOverFor + time.Second, 0},
		{"leaves soon", true, heardWithin - time.Second, 1}, {"leaves late", true, heardWithin + time.Second, 0},
	} {
		told := 0
		for node, c := range electors {
			if node == teller {
				continue
			}
			c := *c // each case has its own
			c.recent = append([]waiting(nil), c.recent...)
			c.departed = map[string]time.Time{}
			c.forget(now.Add(test.after))
			for _, e := range c.gone(memberID(teller), test.left, now.Add(test.after)) {
				if e.key != fail(node, 0).key {
					t.Errorf("%s: node %d tells of %s, which nobody wants", test.name, node, e.key)
				}
				told++
			}
		}
		if told != test.want {
			t.Errorf("the teller %s: %d others take over, want %d", test.name, told, test.want)
		}
	}
}

// TestNobodyCountsOnANewcomer: it may not have heard of the event.
func TestNobodyCountsOnANewcomer(t *testing.T) {
	now := start.Add(time.Hour)
	request := listOf(1, numbers(30)...)
	for i := range request.Alive {
		if i != 1 && i != 0 { // all but this node and the one that fails have just come
			request.Alive[i].SinceUnixNanos = now.Add(-youngFor / 2).UnixNano()
		}
	}
	var c elector
	c.members(request, now)
	if due := c.take(fail(1, 0), now); len(due) != 1 {
		t.Errorf("%d events are told by the only member that has been there for long", len(due))
	}
	told := 0
	for i := range 100 {
		told += len(c.take(fail(1, 100+i), now.Add(youngFor)))
	}
	if told > 30 {
		t.Errorf("it tells of %d of 100 events when the others are no newcomers any more", told)
	}
}

// TestNodeThatJoinsDoesNotTakeAllOthersForNewcomers: they come into its list just after it.
func TestNodeThatJoinsDoesNotTakeAllOthersForNewcomers(t *testing.T) {
	now := start.Add(time.Second)
	request := listOf(1, numbers(30)...)
	for i := range request.Alive {
		request.Alive[i].SinceUnixNanos += int64(pullFor / 2)
	}
	request.Alive[1].SinceUnixNanos = start.UnixNano()
	var c elector
	c.members(request, now)
	told := 0
	for i := range 100 {
		told += len(c.take(fail(1, 100+i), now))
	}
	if told > 30 {
		t.Errorf("it tells of %d of 100 events, beside 29 others", told)
	}
}

func TestChooserRemembersOnlySoMuch(t *testing.T) {
	var c elector
	for i := range recentMax + 10 {
		c.take(fail(1, i+2), start) // nobody says who there is
	}
	if len(c.recent) != recentMax || c.recent[0].event.Peer != memberID(12) {
		t.Errorf("it remembers %d events, from %s on", len(c.recent), c.recent[0].event.Peer)
	}
	due := c.members(listOf(1, 1), start)
	if len(due) != recentMax || len(c.recent) != 0 {
		t.Errorf("alone in the group it tells of %d events, and keeps %d", len(due), len(c.recent))
	}
}
