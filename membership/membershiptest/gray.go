package membershiptest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// Gray is how many of a host's packets are lost on its own links, as shares from 0 to 1:
// of those that come to it, and of those that it sends. Nobody else loses any by it.
type Gray struct{ In, Out float64 }

// GrayDirections are the words for where a gray host loses packets.
var GrayDirections = []string{"in", "out", "both"}

// GrayIn is a Gray that loses this share of the packets in one of the GrayDirections.
func GrayIn(direction string, loss float64) (Gray, error) {
	switch direction {
	case "in":
		return Gray{In: loss}, nil
	case "out":
		return Gray{Out: loss}, nil
	case "both":
		return Gray{In: loss, Out: loss}, nil
	default:
		return Gray{}, fmt.Errorf("%q is no direction, want in, out or both", direction)
	}
}

// Gray makes the links of a host lossy, or well again with the zero Gray. The protocol promises
// nothing for the host itself meanwhile; what it makes of the others is no excuse.
func (s *Sim) Gray(index int, gray Gray) {
	h := s.hosts[index]
	s.note("gray %s in=%.0f%% out=%.0f%%", nodeName(index), 100*gray.In, 100*gray.Out)
	h.gray = gray
	if gray != (Gray{}) {
		h.disturbedUntil = never
	} else if s.partition == nil {
		h.disturbedUntil = s.now + settleWithin
	}
}

// GrayOptions says how to look for what one gray member does to the others.
type GrayOptions struct {
	Members int
	Gray    Gray
	For     time.Duration
	Crashes int // with GrayCrash
	// Adjust changes the options of the simulation before it begins, if not nil.
	Adjust func(*Options)
}

// grayAfter is for how long all members are well before one turns gray.
const grayAfter = 10 * time.Second

// GrayFails runs a cluster in which nobody crashes, and one member is gray. What is false in
// the result are failures of healthy members: those of the gray one are not, since nobody
// could tell it from one that is cut off.
func GrayFails(seed uint64, options GrayOptions) Result {
	sim := grayCluster(seed, options)
	sim.Run(grayAfter)
	sim.Gray(sim.rand.IntN(options.Members), options.Gray)
	sim.ResetTraffic()
	sim.Run(options.For)
	report := sim.Report()
	return Result{Seed: seed, Members: options.Members, Report: report, Quiet: report.Traffic}
}

// grayNoticed is how long a member has been gray when others crash: what a gray member cannot
// do, another one takes over only when it is known.
const grayNoticed = 40 * time.Second

// GrayCrash has healthy members crash while one member is gray: in half of the trials those that
// the gray one watches, so that it may be their last monitor. The bounds hold, but for what the
// gray one itself knows.
func GrayCrash(seed uint64, options GrayOptions) Result {
	sim := grayCluster(seed, options)
	draw := newRand(seed, streamTrial)
	sim.Run(grayAfter)
	gray := draw.IntN(options.Members)
	sim.Gray(gray, options.Gray)
	sim.Run(grayNoticed + uniform(draw, 0, grayAfter))
	order := slices.DeleteFunc(sim.Ring(), func(i int) bool { return i == gray })
	if draw.IntN(2) == 0 {
		draw.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	} else {
		order = sim.ringBefore(gray)
	}
	sim.Crash(order[:min(options.Crashes, len(order))]...)
	sim.Run(spreadWithin + aftermath)
	return Result{Seed: seed, Members: options.Members, Report: sim.Report()}
}

// ringBefore is the order of the other hosts on the ring, backwards from one.
func (s *Sim) ringBefore(index int) []int {
	position := func(i int) ring.Position { return ring.PositionOf(addrOf(i)) }
	order := slices.DeleteFunc(s.Ring(), func(i int) bool { return i == index })
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(position(index)-position(a), position(index)-position(b))
	})
	return order
}

func grayCluster(seed uint64, options GrayOptions) *Sim {
	simulated := Options{Seed: seed, Clocks: WildClocks, Network: LAN}
	if options.Adjust != nil {
		options.Adjust(&simulated)
	}
	sim := New(simulated)
	sim.Form(options.Members)
	return sim
}
