package membershiptest

import (
	"math/rand/v2"
	"time"
)

// How a Chaos goes.
const (
	chaosMembersMax = 40
	chaosFor        = time.Minute
	chaosEvery      = 3 * time.Second // between two faults, at the most
	chaosPauseMax   = 30 * time.Second
	peaceFor        = joinWithin + settleWithin + spreadWithin + dampedMax
	dampedMax       = 70 * time.Second // for a member that was declared failed again and again
)

// Chaos does whatever can be done to a small cluster for a minute, drawn from the seed: crashes of
// any number, restarts with stepped clocks, leaves, newcomers, long pauses, reloads, partitions,
// cut, slow and clogged links, gray members, loss, duplicates, replayed packets. Then it takes all
// faults away, and the cluster must become one group with equal lists. No time bounds hold
// meanwhile; everything else does.
func Chaos(seed uint64, adjust func(*Options)) Result {
	draw := newRand(seed, streamTrial)
	options := Options{
		Seed: seed, Gateways: 1 + draw.IntN(3), Clocks: WildClocks, Network: LAN, Unbounded: true, Record: true,
	}
	if adjust != nil {
		adjust(&options)
	}
	c := &chaos{sim: New(options), draw: draw}
	n := logUniform(draw, 2, chaosMembersMax)
	c.sim.Form(n)
	for c.sim.Now() < chaosFor {
		chaosFaults[draw.IntN(len(chaosFaults))](c)
		c.sim.Run(uniform(draw, 0, chaosEvery))
	}
	c.peace()
	c.sim.CheckLists()
	return Result{Seed: seed, Members: n, Report: c.sim.Report()}
}

type chaos struct {
	sim  *Sim
	draw *rand.Rand
}

// chaosFaults are what Chaos draws from.
var chaosFaults = []func(*chaos){
	func(c *chaos) { c.sim.Crash(c.some()...) },
	func(c *chaos) { c.sim.Restart(c.some()...) },
	func(c *chaos) { c.sim.Restart(c.all()...) },
	func(c *chaos) { c.sim.Leave(c.some()...) },
	(*chaos).start,
	(*chaos).pause,
	func(c *chaos) { c.sim.Reload(c.any(), uniform(c.draw, 0, 3*time.Second)) },
	func(c *chaos) { c.sim.StepWall(c.any(), uniform(c.draw, -time.Hour, time.Hour)) },
	func(c *chaos) { c.sim.Partition(c.some(), c.some()) },
	func(c *chaos) { c.sim.Heal() },
	func(c *chaos) { c.sim.Link(c.any(), c.any()).Cut = true },
	func(c *chaos) { c.sim.Link(c.any(), c.any()).Latency = uniform(c.draw, 0, 5*time.Second) },
	func(c *chaos) { c.sim.Clog(c.any(), c.any()) },
	func(c *chaos) { c.sim.Gray(c.any(), Gray{In: c.draw.Float64(), Out: c.draw.Float64()}) },
	func(c *chaos) { c.sim.Network.Loss = c.draw.Float64() * 0.5 },
	func(c *chaos) { c.sim.Network.Duplicate = c.draw.Float64() },
	func(c *chaos) { c.sim.Network.Reorder = c.draw.Float64() },
	func(c *chaos) { c.sim.Replay(uniform(c.draw, 0, 10*time.Second)) },
}

func (c *chaos) any() int { return c.draw.IntN(c.sim.Len()) }

// some draws one host, or more, or half of them.
func (c *chaos) some() []int {
	n := logUniform(c.draw, 1, 1+c.sim.Len()/2)
	return c.draw.Perm(c.sim.Len())[:min(n, c.sim.Len())]
}

func (c *chaos) all() []int { return c.draw.Perm(c.sim.Len()) }

func (c *chaos) start() {
	if c.sim.Len() < 2*chaosMembersMax {
		c.sim.Start(1 + c.draw.IntN(3))
	}
}

func (c *chaos) pause() {
	victims := c.some()
	c.sim.Pause(victims...)
	c.sim.After(uniform(c.draw, 0, chaosPauseMax), func() { c.sim.Resume(victims...) })
}

// peace takes all faults away, restarts who is down, and gives the cluster its time.
func (c *chaos) peace() {
	c.sim.Heal()
	for i := range c.sim.Len() {
		c.sim.Gray(i, Gray{})
	}
	c.sim.Network = LAN
	c.sim.Resume(c.all()...)
	c.sim.Restart(c.all()...)
	c.sim.Run(peaceFor)
}
