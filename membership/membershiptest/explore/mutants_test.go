package explore

import (
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// A checker that never complains shows nothing. Each mutant breaks the protocol on purpose,
// between the network and one node or all of them; the search must find a way on which that
// matters, and must find nothing where the protocol is left alone.
var mutants = []struct {
	name      string
	options   Options
	interpose func(d *Delivery)
	want      Rule
	choices   int // of the shortest way there
}{
	{
		name:      "alive beats failed and left of the same incarnation",
		options:   Options{Budget: Budget{Leaves: 1}, Forming: true, Gateways: 1, Window: 500 * time.Millisecond},
		interpose: resurrect, want: RuleDead, choices: 3,
	},
	{
		name: "a gateway takes a join of one that has left for a new life of it",
		options: Options{
			Budget: Budget{Messages: 1, Leaves: 1}, Delays: []time.Duration{250 * time.Millisecond},
			Forming: true, Gateways: 1, Window: 450 * time.Millisecond, InOrder: true,
		},
		interpose: readmit, want: RuleGhost, choices: 2,
	},
	{
		name:      "nobody heeds the answers to a doubt",
		options:   Options{Members: 4, Budget: Budget{Messages: 1}},
		interpose: deafTo(membership.ProbeAck, membership.Report), want: RuleFalseFail, choices: 1,
	},
	{
		name:      "reports are taken for fresh, however old they say they are",
		options:   Options{Budget: Budget{Crashes: 1}},
		interpose: believeReports, want: RuleDetection, choices: 1,
	},
	{
		name:    "one member neither judges nor believes the verdicts of others",
		options: Options{Budget: Budget{Crashes: 1}},
		interpose: func(d *Delivery) {
			if d.Host == 2 {
				trustBlindly(d)
			}
		},
		want: RuleSpreading, choices: 1,
	},
	{
		name:    "a gateway does not hear the beats of the one that leads",
		options: Options{},
		interpose: func(d *Delivery) {
			d.Lost = d.Host == 1 && d.Message.Kind == membership.GatewayBeat
		},
		want: RuleLeaders, choices: 0,
	},
	{
		name:      "gateways admit nobody",
		options:   Options{Forming: true},
		interpose: deafTo(membership.Join), want: RuleLists, choices: 0,
	},
	{
		name:    "a node cannot bear to be probed",
		options: Options{Budget: Budget{Messages: 1}},
		interpose: func(d *Delivery) {
			if d.Message.Kind == membership.Probe && d.Now.Wall.After(epoch.Add(warmUp)) {
				panic("who, me?")
			}
		},
		want: RulePanic, choices: 1,
	},
}

func deafTo(kinds ...membership.Kind) func(*Delivery) {
	return func(d *Delivery) { d.Lost = slices.Contains(kinds, d.Message.Kind) }
}

// resurrect makes the node's list take an entry that says alive over one that says otherwise of
// the same incarnation, as a merge with the wrong order would.
func resurrect(d *Delivery) {
	s := d.Node.Snapshot()
	for i, row := range s.Rows {
		alive := membership.Entry{ID: row.ID, State: membership.Alive}
		joins := d.Message.Kind == membership.Join && d.Message.Sender == row.ID
		if s.Phase == membership.InGroup && !row.Live() && (joins || slices.Contains(d.Message.Entries, alive)) {
			s.Rows[i] = membership.NewMember(alive, row.Since)
			d.restore(s)
		}
	}
}

// readmit makes a gateway admit whoever is known to be gone, under the next incarnation.
func readmit(d *Delivery) {
	for row := range d.Node.All() {
		if d.Message.Kind == membership.Join && d.Message.Sender == row.ID && !row.Live() {
			d.Message.Sender.Incarnation++
		}
	}
}

// believeReports makes a monitor take what a co-monitor reports for the target's news of now.
func believeReports(d *Delivery) {
	if d.Message.Kind == membership.Report && d.Message.Stamp > 0 {
		d.Message.Stamp += d.Message.Age + time.Millisecond
		d.Message.Age = 0
	}
}

// trustBlindly makes the node take every member for heard of just now, and forget what the message
// says of those that are gone.
func trustBlindly(d *Delivery) {
	d.Message.Entries = slices.DeleteFunc(d.Message.Entries, func(e membership.Entry) bool {
		return e.State != membership.Alive
	})
	s := d.Node.Snapshot()
	for i := range s.Watched {
		s.Watched[i].Fresh, s.Watched[i].Doubt = d.Now.Mono, membership.Doubt{}
	}
	d.restore(s)
}

// restore is Delivery.Restore for a snapshot that must do.
func (d *Delivery) restore(s membership.Snapshot) {
	if err := d.Restore(s); err != nil {
		panic(err)
	}
}

func TestMutantsAreFound(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			o := m.options
			o.Interpose = m.interpose
			r, err := Run(o)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation == nil {
				t.Fatalf("nothing is found: %v", r)
			}
			v := Shrink(o, *r.Violation)
			t.Logf("%v\n%v\n%v", v, v.Path, r)
			if v.Rule != m.want || len(v.Path) != m.choices {
				t.Errorf("%v with %d choices is found, want %v with %d", v.Rule, len(v.Path), m.want, m.choices)
			}
			again, err := Replay(o, v.Path, nil, false)
			if err != nil || again == nil || again.Rule != v.Rule || again.At != v.At {
				t.Errorf("a replay comes to %v, %v", again, err)
			}
		})
	}
}

func TestProtocolHoldsWhereMutantsFail(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			r, err := Run(m.options)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation != nil || !r.Exhaustive {
				t.Errorf("without it: %v\n%v", r, r.Violation)
			}
		})
	}
}
