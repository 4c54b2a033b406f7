package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/sample"
)

// report collects what the turns have given.
type report struct {
	options  options
	outcomes map[outcomeKey][]loopback.Outcome
	costs    map[costKey][]quietCost
}

type outcomeKey struct {
	contender  string
	n, crashes int
}

type costKey struct {
	contender string
	n         int
}

func newReport(o options) *report {
	return &report{options: o, outcomes: map[outcomeKey][]loopback.Outcome{}, costs: map[costKey][]quietCost{}}
}

func (r *report) addOutcome(c contender, n, crashes int, o loopback.Outcome) {
	key := outcomeKey{c.name(), n, crashes}
	r.outcomes[key] = append(r.outcomes[key], o)
}

func (r *report) addCost(c contender, n int, q quietCost) {
	key := costKey{c.name(), n}
	r.costs[key] = append(r.costs[key], q)
}

func (r *report) printHead(w io.Writer) {
	fmt.Fprintf(w, `grepd's protocol beside hashicorp/memberlist %s with DefaultLANConfig, logs silenced
seed %d; in turns, %d a size; in each %d crashes of one member and %d of three at once, then %v of quiet
A crash: the member reads and writes nothing from then on, and its sockets stay open. Times begin
just before the first of the members is stopped.
first: each victim is missing in at least one list; all: in all lists
B/s: sent by a member in the quiet phase. Packets count with 28 bytes of IP and UDP headers, TCP
(memberlist's comparison of lists) without headers, acknowledgements and connection set-up
CPU: of the whole process, system calls included, a member and second, in the quiet phase

`, peerVersion(), r.options.seed, r.options.rounds, r.options.trials, r.options.trials, r.options.quiet)
}

func (r *report) printTables(w io.Writer) {
	r.printOutcomes(w)
	r.printCosts(w)
	r.printRatios(w)
}

func (r *report) printOutcomes(w io.Writer) {
	t := table(w, "\nseconds\tN\tcrashes\ttrials\tfirst median\tfirst max\tall median\tall max\tfalse\t")
	for _, n := range r.options.sizes {
		for _, crashes := range crashCounts {
			for _, c := range contenders() {
				outcomes := r.outcomes[outcomeKey{c.name(), n, crashes}]
				first, all := times(outcomes, firstOf), times(outcomes, allOf)
				fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t\n", c.name(), n, crashes, len(outcomes),
					sample.Median(first), slices.Max(first), sample.Median(all), slices.Max(all), falseLosses(outcomes))
			}
		}
	}
	t.Flush()
}

func (r *report) printCosts(w io.Writer) {
	t := table(w, "\nquiet, a member\tN\tpackets/s\tB/s in packets\tB/s over TCP\tB/s\tCPU us/s\t")
	for _, n := range r.options.sizes {
		for _, c := range contenders() {
			q := r.meanCost(c, n)
			fmt.Fprintf(t, "%s\t%d\t%.2f\t%.1f\t%.1f\t%.1f\t%d\t\n", c.name(), n,
				q.packets, q.packetBytes, q.streamedBytes, q.bytes(), q.cpu.Microseconds())
		}
	}
	t.Flush()
}

// printRatios compares the medians.
func (r *report) printRatios(w io.Writer) {
	t := table(w, "\nmemberlist / grepd\tN\tcrashes\tfirst\tall\tB/s\tCPU\t")
	for _, n := range r.options.sizes {
		our, theirs := r.meanCost(ours{}, n), r.meanCost(peer{}, n)
		for _, crashes := range crashCounts {
			fmt.Fprintf(t, "\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", n, crashes,
				r.timeRatio(n, crashes, firstOf), r.timeRatio(n, crashes, allOf),
				theirs.bytes()/our.bytes(), float64(theirs.cpu)/float64(our.cpu))
		}
	}
	t.Flush()
}

func table(w io.Writer, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, head)
	return t
}

func (r *report) timeRatio(n, crashes int, of func(loopback.Outcome) time.Duration) float64 {
	return sample.Median(times(r.outcomes[outcomeKey{peer{}.name(), n, crashes}], of)) /
		sample.Median(times(r.outcomes[outcomeKey{ours{}.name(), n, crashes}], of))
}

func (r *report) meanCost(c contender, n int) (mean quietCost) {
	costs := r.costs[costKey{c.name(), n}]
	for _, q := range costs {
		mean.packets += q.packets / float64(len(costs))
		mean.packetBytes += q.packetBytes / float64(len(costs))
		mean.streamedBytes += q.streamedBytes / float64(len(costs))
		mean.cpu += q.cpu / time.Duration(len(costs))
	}
	return mean
}

func firstOf(o loopback.Outcome) time.Duration { return o.First }
func allOf(o loopback.Outcome) time.Duration   { return o.All }

// times returns one of the times of each outcome in seconds.
func times(outcomes []loopback.Outcome, of func(loopback.Outcome) time.Duration) []float64 {
	var seconds []float64
	for _, o := range outcomes {
		seconds = append(seconds, of(o).Seconds())
	}
	return seconds
}

func falseLosses(outcomes []loopback.Outcome) (total int) {
	for _, o := range outcomes {
		total += o.False
	}
	return total
}
