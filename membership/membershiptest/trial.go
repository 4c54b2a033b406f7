package membershiptest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// TrialOptions fixes what a trial would draw from its seed. A negative value, or zero for
// Members and Crashes, leaves it to the seed.
type TrialOptions struct {
	// Members is the size of the cluster; drawn from MembersMin to MembersMax, small ones
	// as often as large ones.
	Members                int
	MembersMin, MembersMax int
	// Crashes is how many members crash; drawn from 1 to 3.
	Crashes int
	// Loss is the share of packets lost; drawn from 0 to LossMax.
	Loss, LossMax float64
	// Spikes is the share of links with latency spikes up to 1.5 s; drawn from 0 to 0.1.
	Spikes float64
	// Adjust changes the options of the simulation before it begins, if not nil.
	Adjust func(*Options)
}

// FullRange is what the protocol must stand: 2 to 1,000 members, up to 10 % loss, spikes
// on up to a tenth of the links.
var FullRange = TrialOptions{MembersMin: 2, MembersMax: 1000, Loss: -1, LossMax: 0.10, Spikes: -1}

const (
	spikeMax    = 1500 * time.Millisecond
	spikesMax   = 0.10
	joinersMax  = 48 // a larger cluster is formed ready-made
	warmUp      = 3 * time.Second
	crashSpread = 700 * time.Millisecond // crashes that are not at the very same instant
	aftermath   = time.Second            // after spreadWithin, until lists are compared
)

// Result is what a trial has shown.
type Result struct {
	Seed    uint64
	Members int
	Loss    float64
	Spikes  float64
	Report  Report
	// Quiet is the traffic before the crashes.
	Quiet Traffic
}

// Trial draws a cluster, a network, and 1 to 3 crashes from the seed, and runs them.
func Trial(seed uint64, options TrialOptions) Result {
	t := newTrial(seed, options)
	t.form()
	t.quiet()
	t.crash()
	if t.draw.IntN(4) == 0 {
		t.churn()
	}
	t.sim.Run(crashSpread + spreadWithin + aftermath)
	if t.sim.hasGateway() {
		t.sim.RunUntilJoined(joinWithin)
	}
	t.sim.CheckLists()
	t.result.Report = t.sim.Report()
	return t.result
}

// trial is a Trial under way.
type trial struct {
	sim     *Sim
	draw    *rand.Rand
	crashes int
	result  Result
}

const streamTrial = math.MaxUint64

func newTrial(seed uint64, options TrialOptions) *trial {
	draw := newRand(seed, streamTrial)
	t := &trial{draw: draw, crashes: options.Crashes, result: Result{
		Seed: seed, Members: options.Members, Loss: options.Loss, Spikes: options.Spikes,
	}}
	if t.result.Members == 0 {
		t.result.Members = logUniform(draw, options.MembersMin, options.MembersMax)
	}
	if t.crashes == 0 {
		t.crashes = 1 + draw.IntN(failuresMax)
	}
	if t.result.Loss < 0 {
		t.result.Loss = draw.Float64() * options.LossMax
	}
	if t.result.Spikes < 0 {
		t.result.Spikes = draw.Float64() * spikesMax
	}
	simulated := Options{
		Seed:     seed,
		Gateways: 1 + draw.IntN(3),
		Clocks:   WildClocks,
		Network:  t.network(),
	}
	if options.Adjust != nil {
		options.Adjust(&simulated)
	}
	t.sim = New(simulated)
	return t
}

// network draws a data centre, a city, or a continent.
func (t *trial) network() Network {
	latencyMax := []time.Duration{time.Millisecond, 10 * time.Millisecond, 60 * time.Millisecond}[t.draw.IntN(3)]
	return Network{
		LatencyMin: latencyMax / 20,
		LatencyMax: latencyMax,
		Jitter:     latencyMax / 4,
		Loss:       t.result.Loss,
		Duplicate:  0.01,
		Reorder:    0.01,
		SpikeLinks: t.result.Spikes,
		SpikeMax:   spikeMax,
	}
}

// logUniform draws from low to high so that each doubling is as likely as the next.
func logUniform(r *rand.Rand, low, high int) int {
	x := float64(low) * math.Pow(float64(high+1)/float64(low), r.Float64())
	return min(int(x), high)
}

// form makes the cluster, by real joins or ready-made.
func (t *trial) form() {
	if n := t.result.Members; n > joinersMax || t.draw.IntN(2) == 0 {
		t.sim.Form(n)
		return
	}
	for t.sim.Len() < t.result.Members {
		t.sim.Start(1)
		t.sim.Run(uniform(t.draw, 0, 100*time.Millisecond))
	}
	const formWithin = 30 * time.Second
	if !t.sim.Settle(formWithin) {
		t.sim.checker.violate(RuleLists, "%d members are not a group after %v", t.result.Members, formWithin)
	}
}

// quiet lets a while pass in which nothing happens.
func (t *trial) quiet() {
	t.sim.Run(uniform(t.draw, 0, warmUp))
	t.sim.ResetTraffic()
	t.sim.Run(uniform(t.draw, warmUp, 2*warmUp))
	t.result.Quiet = t.sim.Traffic()
}

// crash stops members dead: neighbours on the ring or any, at one instant or nearly so.
func (t *trial) crash() {
	order := t.sim.Ring()
	if len(order) == 0 {
		return
	}
	if t.draw.IntN(2) == 0 {
		t.draw.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	first := t.draw.IntN(len(order))
	together := t.draw.IntN(2) == 0
	for i := range min(t.crashes, len(order)-1) {
		victim := order[(first+i)%len(order)]
		if together {
			t.sim.Crash(victim)
		} else {
			t.sim.After(uniform(t.draw, 0, crashSpread), func() { t.sim.Crash(victim) })
		}
	}
}

// churn has somebody join and somebody leave while the crashes are noticed.
func (t *trial) churn() {
	t.sim.After(uniform(t.draw, 0, detectWithin), func() { t.sim.Start(1) })
	leaver := t.draw.IntN(t.sim.Len())
	t.sim.After(uniform(t.draw, 0, detectWithin), func() { t.sim.Leave(leaver) })
}

// Broken reports whether the trial broke a rule.
func (r Result) Broken() bool { return r.Report.Broken > 0 }

// String describes the trial in one line.
func (r Result) String() string {
	first, last := r.worst()
	return fmt.Sprintf("seed %d: %d members, loss %.1f %%, spikes on %.1f %%: %d crashes noticed, first within %.3f s, all lists within %.3f s, %.1f B/s, %d violations",
		r.Seed, r.Members, 100*r.Loss, 100*r.Spikes, len(r.Report.Crashes()), first.Seconds(), last.Seconds(),
		r.Quiet.BytesPerSecond(), r.Report.Broken)
}

// worst is the latest first list and the latest last list of the trial's crashes.
func (r Result) worst() (first, last time.Duration) {
	for _, c := range r.Report.Crashes() {
		first, last = max(first, c.First), max(last, c.Last)
	}
	return first, last
}

// FalseFailOptions says how to look for false failures: a cluster in which nobody
// crashes.
type FalseFailOptions struct {
	Members int
	Loss    float64
	For     time.Duration
	// Pauses has a host drawn at random pause, each so often on average, for up to PauseMax,
	// unless it is zero, and pausesApart at least. In half of the pauses its clocks stand still.
	Pauses, PauseMax time.Duration
	// Apart lets no two members pause together of which one monitors the other, or that have a
	// monitor in common.
	Apart bool
	// Adjust changes the options of the simulation before it begins, if not nil.
	Adjust func(*Options)
}

// FalseFails runs a cluster in which nobody crashes.
func FalseFails(seed uint64, options FalseFailOptions) Result {
	network := LAN
	network.Loss = options.Loss
	simulated := Options{Seed: seed, Clocks: WildClocks, Network: network}
	if options.Adjust != nil {
		options.Adjust(&simulated)
	}
	sim := New(simulated)
	sim.Form(options.Members)
	if options.Pauses > 0 {
		sim.pauseNow(options)
	}
	sim.Run(options.For)
	report := sim.Report()
	return Result{Seed: seed, Members: options.Members, Loss: options.Loss, Report: report, Quiet: report.Traffic}
}

// pausesApart is the least time from the end of a host's pause until its next one. Two in
// close succession are one long pause: the others must hear of the host in between.
const pausesApart = 3 * time.Second

// pauseNow pauses a host now, and arranges for the next one to pause.
func (s *Sim) pauseNow(options FalseFailOptions) {
	victim, d := s.rand.IntN(len(s.hosts)), uniform(s.rand, 0, options.PauseMax)
	switch stands := s.rand.IntN(2) == 0; {
	case s.now-s.hosts[victim].pausedAt < options.PauseMax+pausesApart:
	case options.Apart && s.pausedNear(victim, options.PauseMax+pausesApart):
	case stands:
		s.Freeze(victim, d)
	default:
		s.Pause(victim)
		s.After(d, func() { s.Resume(victim) })
	}
	s.After(uniform(s.rand, 0, 2*options.Pauses), func() { s.pauseNow(options) })
}

// pausedNear reports whether a host has paused lately that is less than two neighbourhoods away on
// the ring.
func (s *Sim) pausedNear(victim int, lately time.Duration) bool {
	order := s.ringBefore(victim)
	near := slices.Concat(order[:min(2*failuresMax, len(order))], order[max(0, len(order)-2*failuresMax):])
	return slices.ContainsFunc(near, func(i int) bool {
		h := s.hosts[i]
		return h.pausedAt > 0 && s.now-h.pausedAt < lately
	})
}

// MemberHours is how long members were up, summed.
func (r Result) MemberHours() float64 { return r.Report.Traffic.MemberTime.Hours() }
