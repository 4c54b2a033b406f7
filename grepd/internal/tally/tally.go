// Package tally counts lines by the values of their fields.
//
// Each node of a query counts its own lines, and the node that was asked adds the nodes'
// counts up. Both use a Tally:
//
//	var t tally.Tally
//	t.Add([]string{"FAIL", "10.0.0.5:7117"}, 1)
//	steps := t.Steps()
//
// # Memory
//
// A Tally holds [GroupsMax] different groups of values, and [BytesMax] of their text, of which one
// may have half a megabyte. What is counted beyond that, in groups that are not there yet, is one
// number: Other. The counts of groups are exact in the tally of a node. In a sum they may be too
// low where Other is not 0, as another node may have counted the same values among its others.
//
// # Concurrency
//
// A Tally serves one goroutine at a time.
package tally

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Names of values that are no fields of the lines.
const (
	NodeColumn = "@node" // the node that has the line, which the node that was asked fills in
	FileColumn = "@file" // the file, as mount/name
)

// LineColumns are those names that are fields of the lines.
func LineColumns(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == NodeColumn || name == FileColumn })
}

const (
	// GroupsMax bounds the groups that a Tally tells apart.
	GroupsMax = 10_000
	// BytesMax bounds the text of their values.
	BytesMax = 8 << 20
	// stepGroupsMax and stepBytesMax bound what is sent at once.
	stepGroupsMax = limits.GroupsMax
	stepBytesMax  = 1 << 20
	// groupBytesMax bounds the text of one group, so that each fits into a message. What is longer
	// is counted among the others.
	groupBytesMax = stepBytesMax / 2
)

// Tally is counts by groups of values. The zero value is empty.
type Tally struct {
	counts map[string]uint64 // by the values, separated by zero bytes
	bytes  int               // of the keys of counts
	Other  uint64            // what was counted beyond the bounds
}

// separator stands between values. In a value it is escaped, as all control characters are.
const separator = "\x00"

// Add counts n more lines with these values.
func (t *Tally) Add(values []string, n uint64) {
	key := strings.Join(values, separator)
	count, known := t.counts[key]
	if !known {
		if len(t.counts) == GroupsMax || t.bytes+len(key) > BytesMax || len(key) > groupBytesMax {
			t.Other += n
			return
		}
		if t.counts == nil {
			t.counts = make(map[string]uint64)
		}
		t.bytes += len(key)
	}
	t.counts[key] = count + n
}

// Merge adds what another tally has counted. value replaces the values at an index, unless that
// is below 0.
func (t *Tally) Merge(groups *greppb.Groups, index int, value string) {
	for i := range groups.Groups {
		values := groups.Groups[i].Values
		if index >= 0 && index < len(values) {
			values[index] = value
		}
		t.Add(values, groups.Groups[i].Count)
	}
	t.Other += groups.Other
}

// Steps gives all groups, the largest first and those of a size by their values, in messages
// of limited size. The last one has Other. There is none if nothing was counted.
func (t *Tally) Steps() []*greppb.Groups {
	groups := make([]greppb.Group, 0, len(t.counts))
	for key, count := range t.counts {
		groups = append(groups, greppb.Group{Values: strings.Split(key, separator), Count: count})
	}
	slices.SortFunc(groups, func(a, b greppb.Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), slices.Compare(a.Values, b.Values))
	})
	var steps []*greppb.Groups
	bytes := stepBytesMax
	for _, g := range groups {
		if bytes >= stepBytesMax || len(steps[len(steps)-1].Groups) == stepGroupsMax {
			steps = append(steps, &greppb.Groups{})
			bytes = 0
		}
		last := steps[len(steps)-1]
		last.Groups = append(last.Groups, g)
		for _, value := range g.Values {
			bytes += len(value)
		}
	}
	if t.Other > 0 {
		steps = append(steps, &greppb.Groups{Other: t.Other})
	}
	return steps
}
