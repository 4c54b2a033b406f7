package membershiptest

import (
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// forge gives a host a packet that seems to come from a member.
func (s *Sim) forge(to int, from membership.ID, m *membership.Message) {
	m.Sender = from
	h := s.hosts[to]
	h.node.Step(h.clock.now(s.now), from.Addr, m)
	s.afterStep(h)
}

func listsAs(n *membership.Node, id membership.ID, state membership.State) bool {
	for m := range n.All() {
		if m.Addr == id.Addr && m.State == state {
			return true
		}
	}
	return false
}

// Members that somebody has made up answer nothing. That must not make the real ones of a small
// group believe that they are deaf: they find a crash among themselves, and the others out.
func TestMadeUpMembersHideNoCrash(t *testing.T) {
	const realMembers, madeUp = 5, 96
	for seed := range uint64(5) {
		s := New(Options{Seed: seed, Network: LAN, Clocks: WildClocks, Unbounded: true})
		s.Form(realMembers)
		s.Run(20 * time.Second)
		var entries []membership.Entry
		for i := range madeUp {
			entries = append(entries, membership.Entry{ID: membership.ID{Addr: addrOf(1000 + i), Incarnation: 5}})
		}
		for i := 0; i < madeUp; i += membership.EntriesMax {
			s.forge(0, s.Node(1).Self(), &membership.Message{
				Kind: membership.Entries, Flood: true, To: ^s.Node(0).Members()[0].Position(),
				Entries: entries[i : i+membership.EntriesMax],
			})
		}
		s.Run(3 * time.Second)
		if got := s.Node(2).Alive(); got < 2*realMembers {
			t.Fatalf("seed %d: the list has %d members, so hardly anybody was made up", seed, got)
		}
		crashed := s.Node(4).Self()
		s.Crash(4)
		s.Run(6 * time.Second)
		for i := range realMembers - 1 {
			if !listsAs(s.Node(i), crashed, membership.Failed) {
				t.Errorf("seed %d: n%d has not heard of the crash after 6 s", seed, i)
			}
			if gray, _, answers, questions := s.Node(i).Gray(); gray {
				t.Errorf("seed %d: n%d is gray, with %d of %d answers", seed, i, answers, questions)
			}
		}
		s.Run(time.Minute)
		for i := range realMembers - 1 {
			if got := s.Node(i).Alive(); got != realMembers-1 {
				t.Errorf("seed %d: n%d still lists %d members", seed, i, got)
			}
		}
	}
}

// A heartbeat with a stamp far ahead of the member's clock makes what the member really sends look
// old; but the member answers.
func TestForgedStampCondemnsNobody(t *testing.T) {
	s := New(Options{Seed: 1, Network: LAN, Unbounded: true})
	s.Form(12)
	s.Run(20 * time.Second)
	victim := s.Node(5).Self()
	for i := range 12 {
		if i != 5 {
			s.forge(i, victim, &membership.Message{
				Kind: membership.Heartbeat, Short: victim.Short(), Stamp: 100 * 24 * time.Hour,
			})
		}
	}
	s.Run(30 * time.Second)
	if got := s.Node(5).Self(); got != victim {
		t.Errorf("the member had to rejoin as %v", got)
	}
}

// Of three or four members one is gray and one crashes. The healthy ones that are left ask the gray
// one more than anybody, and do not hold themselves to be deaf for that.
func TestFewMembersFindACrashBesideAGrayOne(t *testing.T) {
	for _, members := range []int{3, 4} {
		for _, direction := range GrayDirections {
			for seed := range uint64(6) {
				s := New(Options{Seed: seed, Network: LAN, Unbounded: true})
				s.Form(members)
				s.Run(10 * time.Second)
				gray, _ := GrayIn(direction, 0.7)
				s.Gray(0, gray)
				s.Run(time.Minute)
				crashed := s.Node(1).Self()
				s.Crash(1)
				s.Run(2 * time.Second)
				found := false
				for i := 2; i < members; i++ {
					found = found || listsAs(s.Node(i), crashed, membership.Failed)
				}
				if !found {
					t.Errorf("%d members, gray %s, seed %d: nobody has found the crash after 2 s", members, direction, seed)
				}
			}
		}
	}
}
