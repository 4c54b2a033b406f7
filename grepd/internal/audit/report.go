package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// Verdict is what an audit came to.
type Verdict string

// The verdicts.
const (
	Held   Verdict = "held"
	Broken Verdict = "broken"
	// Open is neither: the time is not over yet, or the evidence is gone.
	Open Verdict = "open"
)

// Report is what the logs say. As JSON it is what grepd audit --json prints; names and
// meanings of its fields stay. Times are RFC 3339, quantities of time are in milliseconds.
type Report struct {
	// Verdict is Broken where a bound did not hold, whatever else is unknown; Open where
	// something is not known, the coverage included.
	Verdict Verdict   `json:"verdict"`
	Asked   time.Time `json:"asked"`
	Since   time.Time `json:"since,omitzero"`

	DetectWithinMS float64 `json:"detect_within_ms"`
	SpreadWithinMS float64 `json:"spread_within_ms"`

	Coverage Coverage `json:"coverage"`
	Changes  []Change `json:"changes"` // in the order of First
	Clocks   []Clock  `json:"clocks"`
	// Malformed lines looked like changes and could not be read.
	Malformed int `json:"malformed_lines"`
}

// Coverage says whose logs were read.
type Coverage struct {
	Complete bool   `json:"complete"`
	Text     string `json:"text"` // for people: who answered, who did not, and why
	// Unread are the addresses whose logs could not be read, or not in full.
	Unread []string `json:"unread"`
}

// Change is one change of the member list.
type Change struct {
	Event   string  `json:"event"`  // JOIN, LEAVE or FAIL
	Member  string  `json:"member"` // ip:port@incarnation
	Verdict Verdict `json:"verdict"`
	// Reasons say in words why the verdict is not Held.
	Reasons []string `json:"reasons"`

	First    time.Time `json:"first"`     // when it was in a list
	FirstIn  string    `json:"first_in"`  // whose list that is
	FirstVia string    `json:"first_via"` // how that member learnt of it: self, monitor, update, sync

	// Declared has for a FAIL the monitors that concluded it, each with its evidence.
	Declared []Declaration `json:"declared,omitempty"`
	// DetectMS is how long after the crash a FAIL was in a list, at the most: the silent_ms of
	// the first declaration. Absent where no log that was read has one.
	DetectMS *float64 `json:"detect_ms,omitempty"`
	// SpreadMS is how long after the change it was in all lists, at the most: counted from
	// First, for a FAIL from DetectMS before. Absent while some list lacks it, and where
	// no list was due.
	SpreadMS *float64  `json:"spread_ms,omitempty"`
	All      time.Time `json:"all,omitzero"`
	LastIn   string    `json:"last_in,omitempty"` // whose list was the last so far

	Lists Lists `json:"lists"`
	// Via counts how those lists learnt of it.
	Via map[string]int `json:"via"`

	// RejoinedAs is set where a FAIL was false: the member went on under this id.
	RejoinedAs string `json:"rejoined_as,omitempty"`
}

// Lists counts the lists that were due to have a change; see the package comment.
type Lists struct {
	Have    int      `json:"have"`
	Missing []string `json:"missing"` // the ids of those that were read and lack it
	Unread  int      `json:"unread"`  // of members that cannot be asked any more
}

// Declaration is a monitor's verdict and its evidence.
type Declaration struct {
	By       string    `json:"by"`
	Time     time.Time `json:"time"`
	SilentMS float64   `json:"silent_ms"` // since the freshest sign of life was sent
	Probes   int       `json:"probes"`    // that went unanswered
	Answers  int       `json:"answers"`   // of other monitors that knew nothing newer
}

// Clock is how far a member's clock was ahead of its gateway's when it joined: at least
// LowMS and at most HighMS, either of which may be negative. Both allow for lineLag.
type Clock struct {
	Member  string  `json:"member"`
	Gateway string  `json:"gateway"` // ip:port
	LowMS   float64 `json:"low_ms"`
	HighMS  float64 `json:"high_ms"`
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// shownMax is how many members are named in a text.
const shownMax = 5

// naming joins the addresses of some ids.
func naming(ids []string) string {
	var addrs []string
	for _, id := range ids[:min(len(ids), shownMax)] {
		addrs = append(addrs, eventlog.AddrOf(id))
	}
	text := strings.Join(addrs, ", ")
	if more := len(ids) - shownMax; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// WriteText prints the report for people: a table of the changes, and what they come to.
func (r *Report) WriteText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Changes) > 0 {
		fmt.Fprintln(table, "FIRST IN A LIST\tEVENT\tMEMBER\tBY\tEVIDENCE\tFIRST\tALL\tLISTS\tVIA\tBOUNDS")
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			c.First.Format("2006-01-02T15:04:05.000Z"), c.Event, eventlog.AddrOf(c.Member), eventlog.AddrOf(c.author()), c.evidence(),
			seconds(c.DetectMS), seconds(c.SpreadMS), c.lists(), c.vias(), c.bounds())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.summary())
	return err
}

// author is who stands for the change: the monitor whose evidence is shown, which need not
// have been the first to write it down.
func (c *Change) author() string {
	if len(c.Declared) > 0 {
		return c.Declared[0].By
	}
	return c.FirstIn
}

func (c *Change) evidence() string {
	if len(c.Declared) == 0 {
		return "-"
	}
	d := c.Declared[0]
	return fmt.Sprintf("silent %.0f ms, %d probes, %d answers", d.SilentMS, d.Probes, d.Answers)
}

func seconds(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return fmt.Sprintf("%.3fs", *ms/1000)
}

func (c *Change) lists() string {
	text := fmt.Sprintf("%d/%d", c.Lists.Have, c.Lists.Have+len(c.Lists.Missing))
	if c.Lists.Unread > 0 {
		text += fmt.Sprintf(" (%d unread)", c.Lists.Unread)
	}
	return text
}

// vias lists how many lists learnt how, in the order of the ways.
func (c *Change) vias() string {
	var words []string
	for _, name := range viaNames {
		if count := c.Via[name]; count > 0 {
			words = append(words, fmt.Sprintf("%s %d", name, count))
		}
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}

func (c *Change) bounds() string {
	text := string(c.Verdict)
	if c.Verdict == Broken {
		text = "BROKEN"
	}
	if len(c.Reasons) > 0 {
		text += ": " + strings.Join(c.Reasons, "; ")
	}
	if c.RejoinedAs != "" {
		text += "; false: it was alive, and rejoined"
	}
	return text
}

// Count is how many changes have the verdict.
func (r *Report) Count(v Verdict) (count int) {
	for i := range r.Changes {
		if r.Changes[i].Verdict == v {
			count++
		}
	}
	return count
}

// Brief says in a line what the report comes to.
func (r *Report) Brief() string {
	broken, open := r.Count(Broken), r.Count(Open)
	within := fmt.Sprintf("a failure in a list within %v, a change in all within %v",
		duration(r.DetectWithinMS), duration(r.SpreadWithinMS))
	changes := plural(len(r.Changes), "change")
	switch {
	case len(r.Changes) == 0:
		return "no changes"
	case broken > 0:
		return fmt.Sprintf("%s; a bound did not hold for %d (%s)", changes, broken, within)
	case open > 0:
		return fmt.Sprintf("%s; it cannot be told for %d whether the bounds held (%s)", changes, open, within)
	}
	return fmt.Sprintf("%s; all bounds held (%s)", changes, within)
}

func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// summary is what stands below the table.
func (r *Report) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", r.Brief())
	if slices.ContainsFunc(r.Changes, func(c Change) bool { return c.RejoinedAs != "" }) {
		b.WriteString("Some failures were false: the member was alive, and rejoined under a new incarnation.\n")
	}
	if slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Lists.Unread > 0 }) {
		b.WriteString("Some lists are unread: their members are not alive today, or their logs do not go back so far.\n")
	}
	if r.Malformed > 0 {
		fmt.Fprintf(&b, "%s could not be read.\n", plural(r.Malformed, "line"))
	}
	fmt.Fprintf(&b, "Times are those of each machine's own clock. %s\n", r.clockText())
	if r.Coverage.Text != "" {
		fmt.Fprintf(&b, "%s.\n", r.Coverage.Text)
	}
	return b.String()
}

// clockText says how far the clocks are apart, where the logs tell.
func (r *Report) clockText() string {
	if len(r.Clocks) == 0 {
		return "The logs do not tell how far the clocks are apart."
	}
	var least, most float64
	for _, c := range r.Clocks {
		least = max(least, c.LowMS, -c.HighMS)
		most = max(most, -c.LowMS, c.HighMS)
	}
	between := fmt.Sprintf("by less than %v", (duration(most) + time.Millisecond).Truncate(time.Millisecond))
	if least > 0 {
		between = fmt.Sprintf("by at least %v and %s", duration(least).Truncate(time.Millisecond), between[len("by "):])
	}
	return fmt.Sprintf("Clocks differed from the gateway's %s, as %s joined.", between, plural(len(r.Clocks), "member"))
}
