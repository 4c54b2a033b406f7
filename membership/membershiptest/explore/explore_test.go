package explore

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// TestNoRuleBreaks follows every way within small budgets. PROTOCOL.md has the larger ones.
func TestNoRuleBreaks(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		states  int // at least
	}{
		{"a message goes wrong among three", Options{Budget: Budget{Messages: 1}}, 1000},
		{"two messages go wrong", Options{Budget: Budget{Messages: 2}, Window: 600 * time.Millisecond}, 10_000},
		{"a message goes wrong among four", Options{Members: 4, Budget: Budget{Messages: 1}}, 1000},
		{"one crashes", Options{Budget: Budget{Crashes: 1}}, 1000},
		{"one crashes, with timers apart", Options{Budget: Budget{Crashes: 1}, Seed: 1}, 1000},
		{"one leaves", Options{Budget: Budget{Leaves: 1}}, 1000},
		{"one pauses", Options{Budget: Budget{Pauses: 1}, Window: 500 * time.Millisecond}, 1000},
		{"one crashes and a message goes wrong", Options{Budget: Budget{Crashes: 1, Messages: 1}, Window: 400 * time.Millisecond}, 1000},
		{"one crashes and comes back", Options{Budget: Budget{Crashes: 1, Restarts: 1}, Window: 200 * time.Millisecond}, 1000},
		{"one leaves and comes back", Options{Budget: Budget{Leaves: 1, Restarts: 1}, Window: 300 * time.Millisecond}, 1000},
		{"one crashes, one leaves, and one pauses", Options{Budget: Budget{Crashes: 1, Leaves: 1, Pauses: 1}, Window: 100 * time.Millisecond}, 1000},
		{"three form a group", Options{Forming: true}, 300},
		{"three form a group, and a message goes wrong", Options{Forming: true, Budget: Budget{Messages: 1}, Window: time.Second}, 1000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := Run(test.options)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(r)
			if r.Violation != nil {
				t.Errorf("%v\n%v", r.Violation, Shrink(test.options, *r.Violation).Path)
			}
			if !r.Exhaustive || r.States < test.states {
				t.Errorf("looked at %d states, exhaustive %t, want %d at least, and all", r.States, r.Exhaustive, test.states)
			}
		})
	}
}

func TestSearchRepeats(t *testing.T) {
	o := Options{Budget: Budget{Messages: 1, Crashes: 1}, Window: 200 * time.Millisecond}
	first, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	if first.String() != again.String() {
		t.Errorf("one search says %v, the same one again %v", first, again)
	}
}

func TestSearchThatGivesUpIsNotExhaustive(t *testing.T) {
	r, err := Run(Options{Budget: Budget{Messages: 2}, StatesMax: 1000})
	if err != nil || r.Exhaustive || !strings.Contains(r.String(), "NOT exhaustive") {
		t.Errorf("gives up with %v, %v", r, err)
	}
}

// TestCopiedNodesGoOnLikeNodesThatAreDriven compares the search, which copies a node for each of
// its steps, with nodes that are driven the simple way, by a path with a crash and a lost message.
func TestCopiedNodesGoOnLikeNodesThatAreDriven(t *testing.T) {
	for seed := range uint64(8) {
		o := Options{Members: 4, Seed: seed, Budget: Budget{Crashes: 1}}
		s, err := newSearch(o)
		if err != nil {
			t.Fatal(err)
		}
		victim := int(seed % 4)
		crash := s.choice(s.options.steps(s.options.begin()), verbCrash, nameOf(victim))
		end, broken, err := s.walk(Path{crash}, func(*draft, step, Path) {})
		if err != nil || broken != nil {
			t.Fatal(err, broken)
		}
		keys := driven(t, s, victim)
		for i, want := range keys[:o.Members] {
			if h := &end.hosts[i]; i != victim && h.local.key != want {
				t.Errorf("seed %d: %s has come to another state than the one that was driven", seed, nameOf(i))
			}
		}
	}
}

// driven drives nodes as a simulator does, and returns the states that they come to.
func driven(t *testing.T, s *search, victim int) (keys [membersMax]key) {
	var nodes [membersMax]*membership.Node
	var dice [membersMax]die
	var flight []packet
	m := s.machine
	for at := step(0); at <= s.options.end(); at++ {
		m.at = at
		slices.SortFunc(flight, comparePackets)
		due := flight
		flight = nil
		for i := range s.options.Members {
			if at == s.boots[i] {
				node, err := s.formed(m.config(i, &dice[i]), m.now(i))
				if err != nil {
					t.Fatal(err)
				}
				nodes[i] = node
				node.Tick(m.now(i))
			}
			if i == victim && at == s.options.steps(s.options.begin()) {
				nodes[i] = nil
			}
			if nodes[i] == nil {
				continue
			}
			for _, p := range due {
				if int(p.to) == i {
					nodes[i].Step(m.now(i), addrOf(int(p.from)), decoded(p))
				}
			}
			for nodes[i].Wake() <= m.now(i).Mono {
				nodes[i].Tick(m.now(i))
			}
			for _, e := range nodes[i].Ready().Messages {
				data := string(wire.Append(nil, &e.Message))
				flight = append(flight, packet{due: at + 1, to: int8(indexOf(e.To)), from: int8(i), data: data})
			}
		}
	}
	for i, node := range nodes {
		if node != nil {
			keys[i] = m.copier.keyOf(node, dice[i])
		}
	}
	return keys
}

// someLocal is the state of a member of a group that has been up for a while, and has just
// lost one.
func someLocal(t *testing.T) (*search, *local) {
	s, err := newSearch(Options{Members: 4, Budget: Budget{Crashes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	at := s.options.steps(s.options.begin() + 1200*time.Millisecond)
	crash := s.choice(s.options.steps(s.options.begin()), verbCrash, "n3")
	var l *local
	if _, _, err := s.walk(Path{crash}, func(d *draft, t step, _ Path) {
		if t <= at {
			l = d.hosts[0].local
		}
	}); err != nil {
		t.Fatal(err)
	}
	s.machine.known = nil
	s.machine.setTime(at + 1)
	return s, l
}

func TestACopyIsIndependent(t *testing.T) {
	s, l := someLocal(t)
	before := s.machine.copier.keyOf(l.node, l.die)
	d := l.die
	other := s.machine.copier.clone(l.node, &d)
	for i := range 40 {
		now := s.machine.now(0)
		now.Mono += time.Duration(i) * 100 * time.Millisecond
		other.Tick(now)
		other.Ready()
	}
	if s.machine.copier.keyOf(other, d) == before {
		t.Error("nothing has happened to the copy")
	}
	if s.machine.copier.keyOf(l.node, l.die) != before {
		t.Error("what happens to the copy happens to the node")
	}
}

// TestEveryOrderIsTaken compares live with all orders, one by one.
func TestEveryOrderIsTaken(t *testing.T) {
	s, l := someLocal(t)
	var batch []packet
	for i, message := range []membership.Message{
		{Kind: membership.Update, Seq: 900, Hops: 1, Entries: []membership.Entry{{ID: s.first(3), State: membership.Failed}}},
		{Kind: membership.Query, Seq: 901, Target: s.first(3)},
		{Kind: membership.Query, Seq: 902, Target: s.first(2)},
		{Kind: membership.Probe, Seq: 903},
	} {
		from := 1 + i%2
		message.Sender = s.first(from)
		batch = append(batch, packet{due: s.machine.at, from: int8(from), data: string(wire.Append(nil, &message))})
	}
	want := map[string]bool{}
	permute(batch, 0, func(order []packet) {
		o := &outcome{local: l}
		for _, p := range order {
			o = o.then(s.machine.take(o.local, p))
		}
		if o.local.wake <= s.machine.at {
			o = o.then(s.machine.tick(o.local))
		}
		want[o.name()] = true
	})
	got := map[string]bool{}
	for _, o := range s.machine.live(l, [][]packet{batch}, true) {
		got[o.name()] = true
	}
	if len(want) < 3 || len(got) != len(want) {
		t.Errorf("comes to %d outcomes, want %d, and more than 2", len(got), len(want))
	}
	for name := range want {
		if !got[name] {
			t.Error("an order is left out")
		}
	}
}

func permute(batch []packet, from int, visit func([]packet)) {
	if from == len(batch) {
		visit(batch)
	}
	for i := from; i < len(batch); i++ {
		batch[from], batch[i] = batch[i], batch[from]
		permute(batch, from+1, visit)
		batch[from], batch[i] = batch[i], batch[from]
	}
}

// TestSequenceNumbersOfBeatsDoNotMatter: the search takes nodes for equal that differ in those.
func TestSequenceNumbersOfBeatsDoNotMatter(t *testing.T) {
	s, l := someLocal(t)
	for _, m := range []membership.Message{
		{Kind: membership.Heartbeat, Short: s.first(1).Short(), Stamp: 13 * time.Second, Digest: 5},
		{Kind: membership.GatewayBeat, Sender: s.first(1), Digest: 5, Count: 3},
	} {
		keys := map[key]bool{}
		for _, seq := range []uint64{1, 40, 1 << 40} {
			m.Seq = seq
			o := s.machine.take(l, packet{from: 1, data: string(wire.Append(nil, &m))})
			keys[o.local.key] = true
		}
		if len(keys) != 1 || keys[l.key] {
			t.Errorf("%v makes %d different states of three numbers, want one, another than before", m.Kind, len(keys))
		}
	}
}

// TestTablesNameFieldsThatAre: a field that was renamed would count again, unnoticed.
func TestTablesNameFieldsThatAre(t *testing.T) {
	used := newCopier().shapes.used
	for _, table := range []map[string]string{ignored, yesNo, ageless} {
		for field := range table {
			if !used[field] {
				t.Errorf("a node has no field %s any more", field)
			}
		}
	}
}

func TestDieShowsEverySide(t *testing.T) {
	for n := 1; n <= membersMax; n++ {
		r := rand.New(&die{})
		seen := map[int]bool{}
		for range dieSides {
			seen[r.IntN(n)] = true
		}
		if len(seen) != n {
			t.Errorf("of %d, %d come up in %d throws", n, len(seen), dieSides)
		}
	}
}

func TestPathsAreReadAsWritten(t *testing.T) {
	p := Path{
		{12 * time.Second, verbCrash, "n1"}, {12050 * time.Millisecond, verbTwice + "250ms", "n0>n2.1"},
		{12050 * time.Millisecond, verbOrder, "n2.10."},
	}
	got, err := ParsePath(p.String())
	if err != nil || !slices.Equal(got, p) {
		t.Errorf("%v is read as %v, %v", p, got, err)
	}
}

func TestPathsThatAreNoneAreRefused(t *testing.T) {
	for _, text := range []string{
		"crash", "12s:crash", "x:crash:n1", "13s:crash:n1,12s:crash:n2", "12s:explode:n1", "12s:late3x:n0>n1.0",
		"12s:crash:n7", "1s:crash:n1", "12.01s:crash:n1", "12s:lose:n0>n1.9", "12s:crash:n1,12.05s:crash:n1",
	} {
		p, err := ParsePath(text)
		if err == nil {
			_, err = Replay(Options{}, p, nil, false)
		}
		if !errors.Is(err, ErrPath) {
			t.Errorf("%q: error is %v, want %v", text, err, ErrPath)
		}
	}
}

func TestOptionsThatCannotBeExploredAreRefused(t *testing.T) {
	for _, o := range []Options{
		{Members: 6}, {Members: -1}, {Gateways: 4}, {Window: time.Minute}, {Quantum: time.Second},
		{Budget: Budget{Crashes: -1}}, {PauseFor: time.Millisecond}, {Delays: []time.Duration{0}},
	} {
		if _, err := Run(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: error is %v, want %v", o, err, ErrOptions)
		}
	}
}

// TestPathsThatBrokeARule replays what searches have found.
func TestPathsThatBrokeARule(t *testing.T) {
	tests := []struct{ name, path string }{
		{
			name: "who leaves condemns who no longer owes it heartbeats",
			path: "12s:leave:n0,12.05s:crash:n2,12.15s:pause:n1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := ParsePath(test.path)
			if err != nil {
				t.Fatal(err)
			}
			broken, err := Replay(Options{}, p, nil, false)
			if err != nil || broken != nil {
				t.Errorf("comes to %v, %v", broken, err)
			}
		})
	}
}
