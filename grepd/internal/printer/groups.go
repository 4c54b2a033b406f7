package printer

import (
	"strconv"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// countsCut says that there were more values than are counted apart.
const countsCut = "more different values than are counted apart: the counts may be too low, and lines with other values are the last count"

// printGroups prints a count and the values that it is of on each line, with tabs between
// them. The lines whose values are not counted apart come last, without values.
func (t *Text) printGroups(groups *greppb.Groups) error {
	for i := range groups.Groups {
		g := &groups.Groups[i]
		t.buf = strconv.AppendUint(t.buf, g.Count, 10)
		for _, value := range g.Values {
			t.buf = append(append(t.buf, '\t'), escaped(value)...) // it may be a file's name
		}
		t.buf = append(t.buf, '\n')
	}
	if groups.Other == 0 {
		return t.writeIfFull()
	}
	t.buf = append(strconv.AppendUint(t.buf, groups.Other, 10), '\n')
	return t.message(countsCut)
}

type countData struct {
	Count  uint64   `json:"count"`
	Values []string `json:"values,omitempty"`
	Other  bool     `json:"other,omitempty"`
}

// printGroups prints a record for each count.
func (p *JSON) printGroups(groups *greppb.Groups) error {
	for i := range groups.Groups {
		if err := p.record("count", countData{Count: groups.Groups[i].Count, Values: groups.Groups[i].Values}); err != nil {
			return err
		}
	}
	if groups.Other > 0 {
		return p.record("count", countData{Count: groups.Other, Other: true})
	}
	return nil
}
