package tally

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// shown is a tally's groups as text.
func shown(t *Tally) (lines []string) {
	for _, step := range t.Steps() {
		for _, g := range step.Groups {
			lines = append(lines, fmt.Sprintf("%d%q", g.Count, g.Values))
		}
		if step.Other > 0 {
			lines = append(lines, fmt.Sprint(step.Other, " other"))
		}
	}
	return lines
}

func TestLargestFirst(t *testing.T) {
	var a Tally
	for _, values := range [][]string{{"b", "x"}, {"a", ""}, {"", "a"}, {"b", "x"}} {
		a.Add(values, 1)
	}
	want := []string{`2["b" "x"]`, `1["" "a"]`, `1["a" ""]`}
	if got := shown(&a); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (&Tally{}).Steps(); len(got) > 0 {
		t.Errorf("an empty tally has %v", got)
	}
}

// However lines are spread over nodes, the sum is as if one had counted them all.
func TestSumOfNodesEqualsOneCount(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	var all, sum Tally
	nodes := make([]Tally, 5)
	for range 5000 {
		values := []string{fmt.Sprint(random.IntN(50)), strings.Repeat("x", random.IntN(3))}
		n := random.Uint64N(9)
		all.Add(values, n)
		nodes[random.IntN(len(nodes))].Add(values, n)
	}
	for i := range nodes {
		for _, step := range nodes[i].Steps() {
			sum.Merge(step, -1, "")
		}
	}
	if got, want := shown(&sum), shown(&all); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNodeIsFilledIn(t *testing.T) {
	var sum Tally
	for _, node := range []string{"n1", "n2"} {
		sum.Merge(&greppb.Groups{Groups: []greppb.Group{{Values: []string{"FAIL", ""}, Count: 2}}}, 1, node)
		sum.Merge(&greppb.Groups{Groups: []greppb.Group{{Values: []string{"short"}, Count: 1}}}, 1, node)
	}
	want := []string{`2["FAIL" "n1"]`, `2["FAIL" "n2"]`, `2["short"]`}
	if got := shown(&sum); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of more values than there is room for, all lines are counted, and no count is too high.
func TestBounds(t *testing.T) {
	for name, value := range map[string]func(i int) string{
		"groups": func(i int) string { return fmt.Sprint(i) },
		"bytes":  func(i int) string { return fmt.Sprint(i) + strings.Repeat("x", BytesMax/100) },
	} {
		var a Tally
		lines := GroupsMax + 100
		if name == "bytes" {
			lines = 120
		}
		for i := range lines {
			a.Add([]string{value(i)}, 1)
		}
		a.Add([]string{value(0)}, 1) // known already
		counted, groups := a.Other, 0
		for _, step := range a.Steps() {
			if len(step.Groups) > stepGroupsMax || step.Size() > stepBytesMax+BytesMax/50 {
				t.Errorf("%s: a step of %d groups and %d bytes", name, len(step.Groups), step.Size())
			}
			for _, g := range step.Groups {
				counted += g.Count
				groups++
			}
		}
		if counted != uint64(lines+1) || a.Other == 0 || groups > GroupsMax || a.bytes > BytesMax {
			t.Errorf("%s: %d lines of %d counted in %d groups of %d bytes, %d of them others", name, counted, lines+1, groups, a.bytes, a.Other)
		}
	}
}
