package membershiptest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Summary puts many results together.
type Summary struct {
	Trials     int
	Crashes    int // that were noticed
	FalseFails int
	Excused    int
	Broken     []Result // those that broke a rule, brokenMax at most
	BrokenIn   int      // how many there were

	first, last sample
	quiet       Traffic
}

// brokenMax is how many broken trials a Summary keeps.
const brokenMax = 20

// sample is a set of durations, each with the seed of its trial.
type sample struct {
	all       []time.Duration
	worst     time.Duration
	worstSeed uint64
}

func (s *sample) add(d time.Duration, seed uint64) {
	s.all = append(s.all, d)
	if d > s.worst {
		s.worst, s.worstSeed = d, seed
	}
}

// quantile is the least duration that a share q of all do not exceed.
func (s *sample) quantile(q float64) time.Duration {
	if len(s.all) == 0 {
		return 0
	}
	slices.Sort(s.all)
	return s.all[min(len(s.all)-1, int(q*float64(len(s.all))))]
}

// Add takes a result in.
func (s *Summary) Add(r Result) {
	s.Trials++
	for _, c := range r.Report.Crashes() {
		s.Crashes++
		s.first.add(c.First, r.Seed)
		s.last.add(c.Last, r.Seed)
	}
	s.FalseFails += r.Report.FalseFails
	s.Excused += r.Report.Excused
	s.quiet.add(r.Quiet)
	if !r.Broken() {
		return
	}
	if s.BrokenIn++; len(s.Broken) < brokenMax {
		s.Broken = append(s.Broken, r)
	}
}

// String is the line that ends a run.
func (s *Summary) String() string {
	return fmt.Sprintf("%d trials, %d crashes: first detection median %.3f s, p99.9 %.3f s, worst %.3f s (seed %d); all lists median %.3f s, p99.9 %.3f s, worst %.3f s (seed %d); %d false FAILs, %d excused; %.1f B/s, %.2f packets/s a member; %d trials broke a bound",
		s.Trials, s.Crashes,
		s.first.quantile(0.5).Seconds(), s.first.quantile(0.999).Seconds(), s.first.worst.Seconds(), s.first.worstSeed,
		s.last.quantile(0.5).Seconds(), s.last.quantile(0.999).Seconds(), s.last.worst.Seconds(), s.last.worstSeed,
		s.FalseFails, s.Excused, s.quiet.BytesPerSecond(), s.quiet.PacketsPerSecond(), s.BrokenIn)
}

// Each runs n experiments, the first with the seed given, the next with the next, on as
// many goroutines as workers says, and hands their results to collect in the order of
// their seeds. It returns when all are done.
func Each(seed uint64, n, workers int, experiment func(seed uint64) Result, collect func(Result)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	results := make(chan Result)
	for range workers {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				results <- experiment(seed + uint64(i))
			}
		})
	}
	go func() {
		wait.Wait()
		close(results)
	}()
	early := map[uint64]Result{} // results that wait for one before them
	due := seed
	for r := range results {
		early[r.Seed] = r
		for r, ok := early[due]; ok; r, ok = early[due] {
			delete(early, due)
			collect(r)
			due++
		}
	}
}

// Quiet is the traffic of all trials before the crashes.
func (s *Summary) Quiet() Traffic { return s.quiet }
