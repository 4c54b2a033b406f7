package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// Limits of the waiting. What takes longer is reported as a failure of the run.
const (
	agreeWithin  = 2 * time.Minute
	spreadWithin = 3 * time.Minute
	pollEvery    = 10 * time.Millisecond
)

// settle is how long a group that agrees is left alone before something is measured: several
// intervals of either protocol. Up to settleJitter more puts a crash anywhere in them.
const (
	settle       = 5 * time.Second
	settleJitter = 2 * time.Second
)

// group is a group of members of one protocol.
type group struct {
	contender contender
	members   []member
}

// startGroup returns n members that all know each other.
func startGroup(c contender, n int) (*group, error) {
	g := &group{contender: c}
	for range n {
		m, err := c.start(loopback.AnyPort(), g.members)
		if err != nil {
			return nil, err
		}
		g.members = append(g.members, m)
	}
	return g, g.await()
}

// await waits until every list holds all members.
func (g *group) await() error {
	deadline := time.Now().Add(agreeWithin)
	for _, m := range g.members {
		for m.alive() != len(g.members) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: a list of %d holds %d members after %v", g.contender.name(), len(g.members), m.alive(), agreeWithin)
			}
			time.Sleep(pollEvery)
		}
	}
	return nil
}

// quietCost is what a member sends and computes while nothing happens.
type quietCost struct {
	packets, packetBytes, streamedBytes float64       // a second
	cpu                                 time.Duration // a second; of both ends, as they share the process
}

func (q quietCost) bytes() float64 { return q.packetBytes + q.streamedBytes }

// quiet watches the group do nothing.
func (g *group) quiet(span time.Duration) (quietCost, error) {
	time.Sleep(settle)
	began, sent := time.Now(), g.sent()
	cpu, err := loopback.CPU()
	if err != nil {
		return quietCost{}, err
	}
	time.Sleep(span)
	cpuAfter, err := loopback.CPU()
	delta := g.sent().minus(sent)
	perMember := 1 / (time.Since(began).Seconds() * float64(len(g.members)))
	return quietCost{
		packets:       float64(delta.packets) * perMember,
		packetBytes:   float64(delta.packetBytes) * perMember,
		streamedBytes: float64(delta.streamedBytes) * perMember,
		cpu:           time.Duration(float64(cpuAfter-cpu) * perMember),
	}, err
}

func (g *group) sent() (total traffic) {
	for _, m := range g.members {
		total = total.plus(m.sent())
	}
	return total
}

// crash makes so many random members crash, waits until all other lists have lost them, and
// starts them again.
func (g *group) crash(count int, random *rand.Rand) (loopback.Outcome, error) {
	time.Sleep(settle + time.Duration(random.Int64N(int64(settleJitter))))
	// The first member stays: those that start again need someone to ask.
	order := random.Perm(len(g.members) - 1)
	for i := range order {
		order[i]++
	}
	victims := order[:count]
	lists := []*loopback.Losses{g.members[0].losses()}
	for _, i := range order[count:] {
		lists = append(lists, g.members[i].losses())
	}
	crashed := time.Now()
	var addrs []netip.AddrPort
	var crashes errgroup.Group
	for _, i := range victims {
		addrs = append(addrs, g.members[i].addr())
		crashes.Go(g.members[i].crash)
	}
	if err := crashes.Wait(); err != nil {
		return loopback.Outcome{}, err
	}
	outcome, err := awaitOutcome(lists, addrs, crashed)
	if err != nil {
		return outcome, fmt.Errorf("%s: %w", g.contender.name(), err)
	}
	return outcome, g.restart(victims)
}

func awaitOutcome(lists []*loopback.Losses, victims []netip.AddrPort, crashed time.Time) (loopback.Outcome, error) {
	for {
		outcome := loopback.OutcomeOf(lists, victims, crashed)
		if outcome.Pending == 0 {
			return outcome, nil
		}
		if time.Since(crashed) > spreadWithin {
			return outcome, fmt.Errorf("%d lists still hold a crashed member after %v", outcome.Pending, spreadWithin)
		}
		time.Sleep(pollEvery)
	}
}

// restart puts new members into the places of crashed ones.
func (g *group) restart(victims []int) error {
	for _, i := range victims {
		addr := g.members[i].addr()
		if err := g.members[i].close(); err != nil {
			return fmt.Errorf("free the sockets of %v: %w", addr, err)
		}
		m, err := g.contender.start(addr, g.members[:1])
		if err != nil {
			return fmt.Errorf("start %v again: %w", addr, err)
		}
		g.members[i] = m
	}
	return g.await()
}

func (g *group) close() error {
	for _, m := range g.members {
		if err := m.close(); err != nil {
			return fmt.Errorf("stop %v: %w", m.addr(), err)
		}
	}
	return nil
}
