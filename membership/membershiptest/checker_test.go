package membershiptest

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// A check that cannot fail is worth nothing. These tests break the protocol, or lie to the
// checker, and want to be told so.

func wantRule(t *testing.T, sim *Sim, rule Rule) {
	t.Helper()
	r := sim.Report()
	if !slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Rule == rule }) {
		t.Errorf("the rule %q was not broken:\n%v", rule, r)
	}
}

func wantNone(t *testing.T, sim *Sim) {
	t.Helper()
	if r := sim.Report(); r.Broken > 0 {
		t.Error(r)
	}
}

// formed returns a cluster that has been quiet for a while.
func formed(n int, options Options) *Sim {
	sim := New(options)
	sim.Form(n)
	sim.Run(5 * time.Second)
	return sim
}

func TestSlowDetectorBreaksDetection(t *testing.T) {
	sim := formed(10, Options{Seed: 1, Configure: func(_ int, cfg *membership.Config) {
		cfg.DetectWithin, cfg.SpreadWithin = 4*time.Second, 10*time.Second
	}})
	sim.Crash(4)
	sim.Run(spreadWithin)
	wantRule(t, sim, RuleDetection)
}

// TestLostUpdatesBreakSpreading loses the multicast and the digests' repairs.
func TestLostUpdatesBreakSpreading(t *testing.T) {
	sim := formed(100, Options{Seed: 1, Drop: func(_, _ int, m *membership.Message) bool {
		return m.Kind == membership.Update || m.Kind == membership.Ranges
	}})
	sim.Crash(4)
	sim.Run(spreadWithin)
	wantRule(t, sim, RuleSpreading)
	sim.CheckLists()
	wantRule(t, sim, RuleLists)
}

func TestHeavyLossBreaksFalseFail(t *testing.T) {
	sim := formed(50, Options{Seed: 1})
	sim.Network.Loss = 0.7
	sim.Run(10 * time.Second)
	wantRule(t, sim, RuleFalseFail)
}

// TestSilencedMemberBreaksFalseFail cuts one member off, which is no fault that the rule
// excuses: it is not a partition that has been declared.
func TestSilencedMemberBreaksFalseFail(t *testing.T) {
	sim := formed(10, Options{Seed: 1})
	for to := range sim.Len() {
		if to != 4 {
			sim.Link(4, to).Cut = true
		}
	}
	sim.Run(spreadWithin)
	wantRule(t, sim, RuleFalseFail)
}

func TestPartitionExcusesFalseFail(t *testing.T) {
	sim := formed(10, Options{Seed: 1})
	sim.Partition([]int{4})
	sim.Run(spreadWithin)
	sim.Heal()
	sim.Run(settleWithin + spreadWithin)
	sim.CheckLists()
	wantNone(t, sim)
}

func TestStrandedNewcomerBreaksLists(t *testing.T) {
	sim := formed(10, Options{Seed: 1, Drop: func(_, _ int, m *membership.Message) bool {
		return m.Kind == membership.Join
	}})
	sim.Start(1)
	sim.Run(joinWithin)
	sim.CheckLists()
	wantRule(t, sim, RuleLists)
}

func TestManyPacketsBreakTraffic(t *testing.T) {
	wantNone(t, formed(10, Options{Seed: 1, PacketsMax: 30}))
	wantRule(t, formed(10, Options{Seed: 1, PacketsMax: 2}), RuleTraffic)
}

func TestImpossibleConfigurationBreaksDriver(t *testing.T) {
	sim := New(Options{Seed: 1, Configure: func(_ int, cfg *membership.Config) { cfg.DetectWithin = time.Millisecond }})
	sim.Start(1)
	wantRule(t, sim, RuleDriver)
}

func TestGarbageBreaksCodec(t *testing.T) {
	sim := formed(2, Options{Seed: 1})
	p := sim.newPacket()
	sim.packets[p] = packet{from: 0, to: 1, data: []byte{0xff}}
	sim.dispatch(p)
	sim.Run(time.Second)
	wantRule(t, sim, RuleCodec)
}

// TestCheckerSeesThroughLies feeds the checker events as a broken node would emit them.
func TestCheckerSeesThroughLies(t *testing.T) {
	join, fail, leave := membership.EventJoin, membership.EventFail, membership.EventLeave
	type said struct {
		kind membership.EventKind
		life int // 1: the one that the host lives; 0: the one before; 2: one that never was
	}
	for _, tt := range []struct {
		name string
		says []said
		want Rule // none: nothing is wrong
	}{
		{"nothing new", []said{{join, 1}}, RuleTerminal},
		{"back to an earlier life", []said{{join, 0}}, RuleIncarnation},
		{"failed in an earlier life", []said{{fail, 0}}, RuleIncarnation},
		{"failed while up", []said{{fail, 1}}, RuleFalseFail},
		{"alive again", []said{{leave, 1}, {join, 1}}, RuleTerminal},
		{"failed after it left", []said{{leave, 1}, {fail, 1}}, RuleTerminal},
		{"left twice", []said{{leave, 1}, {leave, 1}}, RuleTerminal},
		{"a life that never was", []said{{join, 2}}, RuleGhost},
		{"left", []said{{leave, 1}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := formed(3, Options{Seed: 1})
			subject, observer := sim.hosts[2], sim.hosts[0]
			lives := []uint64{subject.formed - 1, subject.formed, math.MaxUint64}
			subject.incarnations = append(subject.incarnations, lives[0])
			for _, s := range tt.says {
				peer := membership.ID{Addr: subject.addr, Incarnation: lives[s.life]}
				sim.checker.event(observer, &membership.Event{Kind: s.kind, Peer: peer})
			}
			if tt.want == "" {
				wantNone(t, sim)
			} else {
				wantRule(t, sim, tt.want)
			}
		})
	}
}

// TestEventWithoutChangeBreaksEvents: a node says that somebody left, and lists it still.
func TestEventWithoutChangeBreaksEvents(t *testing.T) {
	sim := formed(3, Options{Seed: 1})
	sim.checker.event(sim.hosts[0], &membership.Event{Kind: membership.EventLeave, Peer: sim.hosts[2].id})
	sim.CheckLists()
	wantRule(t, sim, RuleEvents)
}

// TestMoreCrashesThanPromisedHaveNoBounds: with four neighbours dead at once, nobody may be
// left to notice the first one.
func TestMoreCrashesThanPromisedHaveNoBounds(t *testing.T) {
	sim := formed(10, Options{Seed: 1})
	order := sim.Ring()
	sim.Crash(order[:4]...)
	unbounded := 0
	for _, c := range sim.Report().Changes {
		if c.Unbounded {
			unbounded++
		}
	}
	if unbounded != 1 {
		t.Errorf("%d of four crashes have no bounds, want the fourth only", unbounded)
	}
}

func TestReportTimesChanges(t *testing.T) {
	sim := formed(20, Options{Seed: 1})
	sim.Crash(7)
	sim.Run(spreadWithin)
	crashes := sim.Report().Crashes()
	if len(crashes) != 1 {
		t.Fatalf("%d crashes are reported, want 1:\n%v", len(crashes), sim.Report())
	}
	c := crashes[0]
	if c.Host != 7 || c.Lists != 19 || c.First < 500*time.Millisecond || c.First > c.Last || c.Last > detectWithin+time.Second {
		t.Errorf("the crash of n7 is reported as %v", c)
	}
}
