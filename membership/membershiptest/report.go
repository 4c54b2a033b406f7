package membershiptest

import (
	"fmt"
	"strings"
	"time"
)

// Report is what a simulation has shown so far.
type Report struct {
	Now        time.Duration
	Changes    []Change // by host, then in the order in which they began
	FalseFails int
	// Excused counts what nobody could know in time, since each way was a link with spikes:
	// that a member declared failed was up (changes of those seconds then have no bounds), or
	// what the last monitor of a crashed member knew, and left with.
	Excused    int
	Violations []Violation // the first violationsMax of them
	Broken     int         // how many there were
	Traffic    Traffic
}

// Report says what the simulation has shown so far.
func (s *Sim) Report() Report {
	r := Report{
		Now: s.now, FalseFails: s.checker.falseFails, Excused: s.checker.excused, Traffic: s.Traffic(),
		Violations: s.checker.violations, Broken: s.checker.broken,
	}
	for _, changes := range s.checker.changes {
		for _, change := range changes {
			r.Changes = append(r.Changes, *change)
		}
	}
	return r
}

// Crashes are the changes that began with a crash, that some list has, and for which the
// bounds hold.
func (r Report) Crashes() []Change {
	var crashes []Change
	for _, c := range r.Changes {
		if c.Crashed && c.Lists > 0 && !c.Unbounded {
			crashes = append(crashes, c)
		}
	}
	return crashes
}

// String gives a line for each change and each violation, and one for the traffic.
func (r Report) String() string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintln(&b, c)
	}
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	fmt.Fprintf(&b, "%v: %d violations, %d false failures, %.1f B/s and %.2f packets/s a member\n",
		r.Now, r.Broken, r.FalseFails, r.Traffic.BytesPerSecond(), r.Traffic.PacketsPerSecond())
	return b.String()
}

// String says how far the change has got.
func (c Change) String() string {
	text := fmt.Sprintf("%v %s", c.event(), nodeName(c.Host))
	if c.False {
		text += " though it is up"
	}
	if c.Unbounded {
		text += " (no bounds)"
	}
	if c.Lists == 0 {
		return text + ": in no list"
	}
	return fmt.Sprintf("%s: first after %s (%s, %v), %d lists after %s", text,
		c.First.Round(time.Millisecond), nodeName(c.FirstBy), c.FirstVia, c.Lists, c.Last.Round(time.Millisecond))
}
