package main

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// trial is one run through all phases.
type trial struct {
	options  options
	out      io.Writer
	random   *rand.Rand
	gateways []netip.AddrPort
	running  []*loopback.Member
	crashed  []*loopback.Member
	missed   int // bounds that did not hold
}

const (
	gatewayCount = 2
	settle       = 5 * time.Second // between two phases
	agreeMax     = time.Minute     // after which a phase is given up
	pollEvery    = 5 * time.Millisecond
)

func newTrial(o options, out io.Writer) *trial {
	return &trial{options: o, out: out, random: rand.New(rand.NewPCG(o.seed, 0))}
}

func (t *trial) run() error {
	if err := t.phase("joins", func() error { return t.join(t.options.n-gatewayCount, t.options.rate) }); err != nil {
		return err
	}
	time.Sleep(settle)
	if err := t.phase("quiet", t.quiet); err != nil {
		return err
	}
	for i := range t.options.trials {
		time.Sleep(settle + time.Duration(t.random.Int64N(int64(settle)))) // anywhere in an interval
		choose, kind := t.anyThree, "random"
		if i%2 == 1 {
			choose, kind = t.threeNeighbours, "neighbours"
		}
		if err := t.phase("crash of three, "+kind, func() error { return t.crash(choose()) }); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	return t.phase("burst", func() error { return t.join(t.options.burst, t.options.burst) })
}

// phase prints what f does and what it costs. Nobody may be taken for dead who is not.
func (t *trial) phase(name string, f func() error) error {
	stop, err := t.startProfile(name)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(t.out, "%s\n", name)
	began := time.Now()
	before, err := t.measure()
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := t.measure()
	if err != nil {
		return err
	}
	span := time.Since(began).Seconds()
	t.note("processors busy", "%.2f for %.1f s, %.2f GB allocated", (after.cpu-before.cpu).Seconds()/span, span, float64(after.allocated-before.allocated)/1e9)
	t.note("sent", "%v", after.sent.Since(before.sent))
	t.check("false failures", t.falseLosses(began) == 0, "%d", t.falseLosses(began))
	return nil
}

func (t *trial) startProfile(phase string) (stop func(), err error) {
	if t.options.profile == "" {
		return func() {}, nil
	}
	file, err := os.Create(filepath.Join(t.options.profile, phase+".prof"))
	if err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); file.Close() }, nil
}

// sample is what the process and all members have used so far.
type sample struct {
	cpu                  time.Duration
	allocated, allocates uint64 // bytes and objects on the heap
	sent                 loopback.Kinds
}

func (t *trial) measure() (s sample, err error) {
	s.cpu, err = loopback.CPU()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s.allocated, s.allocates = memory.TotalAlloc, memory.Mallocs
	for _, m := range slices.Concat(t.running, t.crashed) {
		m.AddKinds(&s.sent)
	}
	return s, err
}

// traffic adds up what the members have sent. Asking them costs something, so it is no part
// of measure.
func (t *trial) traffic() (packets, bytes uint64) {
	for _, m := range t.running {
		p, b := m.Sent()
		packets, bytes = packets+p, bytes+b
	}
	return packets, bytes
}

// join starts newcomers at a rate, and waits until all lists are equal.
func (t *trial) join(count, rate int) error {
	if err := t.startGateways(); err != nil {
		return err
	}
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	began := time.Now()
	for range count {
		if err := t.startMember(); err != nil {
			return err
		}
		<-ticker.C
	}
	last := time.Now()
	for !loopback.Agree(t.running) {
		if time.Since(last) > agreeMax {
			return fmt.Errorf("the lists are not equal %v after the last join: %s", agreeMax, t.describe())
		}
		time.Sleep(pollEvery)
	}
	took := time.Since(last)
	t.check("all lists equal", took <= joinsWithin, "%.2f s after the last of %d was started, which took %.2f s",
		took.Seconds(), count, last.Sub(began).Seconds())
	return nil
}

// startGateways starts the group, once. The gateways have to know each other's address.
func (t *trial) startGateways() error {
	if t.gateways != nil {
		return nil
	}
	for range gatewayCount {
		m, err := loopback.Listen(loopback.AnyPort())
		if err != nil {
			return err
		}
		t.gateways, t.running = append(t.gateways, m.Addr), append(t.running, m)
	}
	for _, m := range t.running {
		if err := m.Start(t.gateways); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) startMember() error {
	m, err := loopback.Listen(loopback.AnyPort())
	if err != nil {
		return err
	}
	t.running = append(t.running, m)
	return m.Start(t.gateways)
}

// describe says how far the lists are from being equal.
func (t *trial) describe() string {
	joined := 0
	digests := map[uint64]int{}
	for _, m := range t.running {
		if digest, in := m.Joined(); in {
			joined++
			digests[digest]++
		}
	}
	return fmt.Sprintf("%d of %d have joined, with %d different lists", joined, len(t.running), len(digests))
}

// quiet watches the group do nothing.
func (t *trial) quiet() error {
	packets, bytes := t.traffic()
	before, err := t.measure()
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(t.options.quiet)
	after, err := t.measure()
	span := time.Since(began).Seconds()
	if err != nil {
		return err
	}
	packetsAfter, bytesAfter := t.traffic()
	perMember := 1 / (span * float64(len(t.running)))
	cores := (after.cpu - before.cpu).Seconds() / span
	t.check("cores", cores < coresMax, "%.3f", cores)
	t.note("a member and second", "%.0f us of processor, %.1f allocations, %.2f packets, %.1f B with IP and UDP headers",
		cores*1e6/float64(len(t.running)), float64(after.allocates-before.allocates)*perMember,
		float64(packetsAfter-packets)*perMember, float64(bytesAfter-bytes)*perMember)
	return nil
}

// anyThree and threeNeighbours choose who crashes. Gateways stay: newcomers need one.
func (t *trial) anyThree() []*loopback.Member {
	candidates := slices.Clone(t.running[gatewayCount:])
	t.random.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	return candidates[:crashes]
}

func (t *trial) threeNeighbours() []*loopback.Member {
	candidates := slices.Clone(t.running[gatewayCount:])
	slices.SortFunc(candidates, func(a, b *loopback.Member) int {
		return cmp.Compare(ring.PositionOf(a.Addr), ring.PositionOf(b.Addr))
	})
	first := t.random.IntN(len(candidates) - crashes)
	return candidates[first : first+crashes]
}

// crash stops the victims together, and waits until all other lists have lost them.
func (t *trial) crash(victims []*loopback.Member) error {
	crashed := time.Now()
	var crashes errgroup.Group
	for _, v := range victims {
		crashes.Go(v.Crash)
	}
	if err := crashes.Wait(); err != nil {
		return err
	}
	t.crashed = append(t.crashed, victims...)
	t.running = slices.DeleteFunc(t.running, func(m *loopback.Member) bool { return slices.Contains(victims, m) })
	outcome := t.outcome(victims, crashed)
	for outcome.Pending > 0 {
		if time.Since(crashed) > agreeMax {
			return fmt.Errorf("%d lists still hold a crashed member after %v", outcome.Pending, agreeMax)
		}
		time.Sleep(50 * pollEvery) // looking costs something, and changes no time
		outcome = t.outcome(victims, crashed)
	}
	t.check("first list", outcome.First <= detectWithin, "%.3f s", outcome.First.Seconds())
	t.check("all lists", outcome.All <= spreadWithin, "%.3f s", outcome.All.Seconds())
	return nil
}

func (t *trial) outcome(victims []*loopback.Member, crashed time.Time) loopback.Outcome {
	var lists []*loopback.Losses
	for _, m := range t.running {
		lists = append(lists, &m.Losses)
	}
	var addrs []netip.AddrPort
	for _, v := range victims {
		addrs = append(addrs, v.Addr)
	}
	return loopback.OutcomeOf(lists, addrs, crashed)
}

// falseLosses counts the losses of members that run.
func (t *trial) falseLosses(since time.Time) (count int) {
	for _, m := range t.running {
		for _, x := range m.Losses.Since(since) {
			if !slices.ContainsFunc(t.crashed, func(c *loopback.Member) bool { return c.Addr == x.Addr }) {
				count++
			}
		}
	}
	return count
}

func (t *trial) note(what, format string, args ...any) {
	fmt.Fprintf(t.out, "  %-20s %s\n", what, fmt.Sprintf(format, args...))
}

func (t *trial) check(what string, held bool, format string, args ...any) {
	if !held {
		t.missed++
		format += "   MISSED"
	}
	t.note(what, format, args...)
}

func (t *trial) close() error {
	for _, m := range slices.Concat(t.running, t.crashed) {
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}
