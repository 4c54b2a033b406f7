package main

import (
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// timeline is what was done to the groups of a cell, and when.
type timeline struct {
	gray   time.Time // a member became gray
	crash  time.Time // another was killed
	end    time.Time // of the measurement
	victim int       // the killed one
}

// span is how long a member was gray.
func (t timeline) span() time.Duration { return t.end.Sub(t.gray) }

// tally is how a contender did in a cell.
type tally struct {
	span     time.Duration
	verdicts int // healthy members that were declared failed, each time that they were
	spread   int // of these, those that reached the list of a healthy member

	renewed  int // rejoins and refutations of healthy members
	notified int // runs of the command that is to be run on failures

	grayFailed  int // times that the gray member was declared failed
	grayRenewed int // rejoins and refutations of it

	crash   loopback.Outcome // in the lists of healthy members
	missing int              // entries of living members, in their lists, at the end
}

// count sums up the events of a contender's members, which are in the order of their times.
func count(events []event, t timeline) tally {
	result := tally{
		span: t.span(), crash: outcome(events, t), missing: missingEntries(events, t.victim),
	}
	for _, v := range verdicts(events, t) {
		switch {
		case v.about == grayMember:
			result.grayFailed++
		case v.healthyList:
			result.spread++
			fallthrough
		default:
			result.verdicts++
		}
	}
	for _, e := range events {
		switch {
		case e.at.Before(t.gray):
		case e.what == notified:
			result.notified++
		case e.what == renewed && e.member == grayMember:
			result.grayRenewed++
		case e.what == renewed:
			result.renewed++
		}
	}
	return result
}

// verdict is that a living member was declared failed, in however many lists.
type verdict struct {
	about       int
	healthyList bool // it reached one
}

// verdicts tells apart the times at which a member was declared failed. The loss of it in
// one list and then in others is the same verdict; a new one begins when all lists have held
// it again, or when a list loses it for the second time.
func verdicts(events []event, t timeline) (all []verdict) {
	type state struct {
		lists   map[int]bool // that have been reached by the verdict
		missing map[int]bool // lists that do not hold it
		verdict int
	}
	states := map[identity]*state{}
	for _, e := range events {
		s := states[e.about]
		switch {
		case e.what == held && s != nil:
			delete(s.missing, e.member)
		case e.what != lost, e.at.Before(t.gray), t.dead(e.about.member(), e.at):
		default:
			if s == nil {
				s = &state{missing: map[int]bool{}}
				states[e.about] = s
			}
			if len(s.missing) == 0 || s.lists[e.member] {
				s.lists, s.verdict = map[int]bool{}, len(all)
				all = append(all, verdict{about: e.about.member()})
			}
			s.lists[e.member], s.missing[e.member] = true, true
			if e.member != grayMember {
				all[s.verdict].healthyList = true
			}
		}
	}
	return all
}

// dead reports whether a member had been killed by then.
func (t timeline) dead(member int, at time.Time) bool {
	return member == t.victim && !at.Before(t.crash)
}

// outcome is how the crash reached the lists of the healthy members.
func outcome(events []event, t timeline) loopback.Outcome {
	lists := map[int]*loopback.Losses{}
	var healthy []*loopback.Losses
	for member := 1; member < grayMember; member++ {
		if member != t.victim {
			lists[member] = &loopback.Losses{}
			healthy = append(healthy, lists[member])
		}
	}
	at := func(member int) netip.AddrPort { return netip.AddrPortFrom(addrOf(member), 0) }
	for _, e := range events {
		if list := lists[e.member]; list != nil && e.what == lost {
			list.Add(at(e.about.member()), e.at)
		}
	}
	return loopback.OutcomeOf(healthy, []netip.AddrPort{at(t.victim)}, t.crash)
}

// missingEntries counts the living members that are missing in lists of living members.
func missingEntries(events []event, dead int) (missing int) {
	type entry struct{ list, about int }
	entries := map[entry]identity{}
	for _, e := range events {
		at := entry{e.member, e.about.member()}
		switch {
		case e.what == held:
			entries[at] = e.about
		case e.what == lost && entries[at] == e.about:
			delete(entries, at)
		}
	}
	for list := 1; list <= groupSize; list++ {
		for about := 1; about <= groupSize; about++ {
			_, holds := entries[entry{list, about}]
			if list != about && list != dead && about != dead && !holds {
				missing++
			}
		}
	}
	return missing
}
