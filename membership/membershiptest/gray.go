package membershiptest

import (
	"fmt"
	"time"
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

func grayCluster(seed uint64, options GrayOptions) *Sim {
	simulated := Options{Seed: seed, Clocks: WildClocks, Network: LAN}
	if options.Adjust != nil {
		options.Adjust(&simulated)
	}
	sim := New(simulated)
	sim.Form(options.Members)
	return sim
}
