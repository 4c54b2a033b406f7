package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/loopback"
)

// report collects what the cells have given.
type report struct {
	options    options
	contenders []contender
	rows       []row
}

// row is how a contender did in a cell.
type row struct {
	cell      cell
	contender string
	tally     tally
}

func (r *report) printHead(w io.Writer) {
	fmt.Fprintf(w, `%s, %d members each, with one network namespace a member
memberlist %s and serf %s with their defaults for a local network; grepd with its plugins
In each cell all contenders run at the same time. Member %d becomes gray for %v: it loses so
much of what it receives (in), sends (out) or both, UDP and TCP. %v before the end all
processes of another member are killed by SIGKILL. seed %d
verdicts: times that a healthy member was declared failed by anyone, the gray one included
  spread: those of them that reached the list of a healthy member
renewed: rejoins (grepd) or refutations of suspicion or death (the others) of healthy members
gray: times that the gray member was declared failed, and its own rejoins or refutations
notified: runs of grepd's notify command in the group, about whomever
crash: seconds until the killed member was missing in the first list of a healthy member, and
  in all of them; a false verdict that was under way shortens the first
missing: entries of living members that were missing in their %d lists at the end

`, strings.Join(r.options.only, ", "), groupSize, versionOf("memberlist"), versionOf("serf"),
		grayMember, r.options.span, crashBeforeEnd, r.options.seed, groupSize-1)
}

// add takes in the tallies of a cell, and says at once what is in them, and the load.
func (r *report) add(w io.Writer, c cell, tallies []tally) {
	for i, t := range tallies {
		name := r.contenders[i].name()
		r.rows = append(r.rows, row{c, name, t})
		fmt.Fprintf(w, "%v %s: %d verdicts, crash first %s, all %s\n",
			c, name, t.verdicts, first(t.crash), all(t.crash))
	}
	fmt.Fprintf(w, "%v: load average %s\n", c, loadAverage())
}

func (r *report) printTable(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\ngray\t\tverdicts\tan hour\tspread\trenewed\tgray failed\tgray renewed\t"+
		"notified\tcrash first\tcrash all\tmissing\t")
	for _, row := range r.rows {
		c := row.tally
		runs := "-"
		if row.contender == nameGrepd {
			runs = fmt.Sprint(c.notified)
		}
		fmt.Fprintf(t, "%v\t%s\t%d\t%.0f\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t\n", row.cell, row.contender,
			c.verdicts, anHour(c.verdicts, c.span), c.spread, c.renewed, c.grayFailed, c.grayRenewed,
			runs, first(c.crash), all(c.crash), c.missing)
	}
	t.Flush()
}

func anHour(count int, span time.Duration) float64 { return float64(count) / span.Hours() }

// first says when the first list lost the victim.
func first(o loopback.Outcome) string {
	if o.First == 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f", o.First.Seconds())
}

// all says when the last did.
func all(o loopback.Outcome) string {
	if o.Pending > 0 {
		return fmt.Sprintf("%d lists never", o.Pending)
	}
	return fmt.Sprintf("%.2f", o.All.Seconds())
}

// versionOf gives a library's version, from go.mod.
func versionOf(library string) string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/hashicorp/"+library {
			return module.Version
		}
	}
	return "of unknown version"
}

// loadAverage is the machine's, of the last 1, 5 and 15 minutes, where it says.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:3], ", ")
}
