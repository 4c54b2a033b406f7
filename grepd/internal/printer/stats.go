package printer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// statsNodesMax is how many nodes the text of --stats has lines for.
const statsNodesMax = 20

// nodeStats is what a node has said of its search when that had ended.
type nodeStats struct {
	addr string
	*greppb.SearchEnd
	clock *greppb.NodeClock
}

func (s nodeStats) elapsed() time.Duration { return time.Duration(s.ElapsedNanos) }

// slowest gives the nodes whose searches have ended, the slowest first.
func (o *Outcome) slowest() []nodeStats {
	var all []nodeStats
	for i := range o.nodes {
		if o.nodes[i].searched != nil {
			all = append(all, nodeStats{o.nodes[i].addr, o.nodes[i].searched, o.nodes[i].clock})
		}
	}
	slices.SortStableFunc(all, func(a, b nodeStats) int { return cmp.Compare(b.ElapsedNanos, a.ElapsedNanos) })
	return all
}

// Stats says in some lines how much was searched, and how long that took each node by its own
// clock, the slowest first. The time of a node includes that in which it waited for its lines to be taken. Its clock is
// shown as what it is ahead of that of the node that was asked, where it said.
func (o *Outcome) Stats() string {
	var b bytes.Buffer
	nodes := o.slowest()
	if o.Follow { // nobody counts files that come and go
		fmt.Fprintf(&b, "%d matched lines\n%d bytes searched\n", o.Matches, o.Bytes)
		return b.String()
	}
	fmt.Fprintf(&b, "%d matched lines\n%d files searched\n%d bytes searched\n", o.Matches, o.Files, o.Bytes)
	if len(nodes) == 0 {
		return b.String()
	}
	if o.Local() {
		fmt.Fprintf(&b, "%.6f seconds\n", nodes[0].elapsed().Seconds())
		return b.String()
	}
	fmt.Fprintf(&b, "%.6f seconds on the slowest machine, %s\n", nodes[0].elapsed().Seconds(), nodes[0].addr)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MACHINE\tSECONDS\tFILES\tBYTES\tMATCHED LINES\tCLOCK")
	for _, n := range nodes[:min(len(nodes), statsNodesMax)] {
		fmt.Fprintf(table, "%s\t%.6f\t%d\t%d\t%d\t%s\n", n.addr, n.elapsed().Seconds(), n.Files, n.Bytes, n.Matches, describeClock(n.clock))
	}
	table.Flush()
	if more := len(nodes) - statsNodesMax; more > 0 {
		fmt.Fprintf(&b, "and %d faster machines\n%s", more, o.clockSpan())
	}
	return b.String()
}

// duration is how ripgrep writes one.
type duration struct {
	Seconds int64  `json:"secs"`
	Nanos   int64  `json:"nanos"`
	Human   string `json:"human"`
}

func durationOf(d time.Duration) *duration {
	return &duration{int64(d / time.Second), int64(d % time.Second), fmt.Sprintf("%.6fs", d.Seconds())}
}

// statsOf is what JSON says of a node's search.
func statsOf(end *greppb.SearchEnd) *stats {
	return &stats{
		Files: end.Files, MatchedLines: end.Matches, Bytes: end.Bytes, Elapsed: durationOf(time.Duration(end.ElapsedNanos)),
	}
}
