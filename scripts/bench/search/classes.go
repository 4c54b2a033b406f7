package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aksinghdce/cluster-membership-service/scripts/bench/internal/sample"
)

// class is a kind of pattern, as extended regular expression, and how many times as fast as
// ripgrep the local engine is to be on two processors.
type class struct {
	name    string
	options []string
	target  float64
}

var classes = []class{
	{"literal", nil, 1.0},
	{"literal, -i", []string{"-i"}, 1.4},
	{"alternation", nil, 1.2},
	{"regex with a literal", nil, 1.1},
	{"regex without", nil, 2.0},
	{"dense, -c", []string{"-c"}, 1.5},
	{"dense", nil, 1.0},
}

var eventPatterns = map[string]string{
	"literal":              `FAIL`,
	"literal, -i":          `fail`,
	"alternation":          `FAIL|LEAVE|JOIN`,
	"regex with a literal": `"peer":"10\.0\.3\.[0-9]+:7117@`,
	"regex without":        `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+`,
	"dense, -c":            `HEARTBEAT`,
	"dense":                `HEARTBEAT`,
}

var mixedPatterns = map[string]string{
	"literal":              `Unexpected`,
	"literal, -i":          `unexpected`,
	"alternation":          `panic|refused|Unexpected`,
	"regex with a literal": `session opened for user [a-z]+ by \(uid=[0-9]+\)`,
	"regex without":        `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+`,
	"dense, -c":            `:`,
	"dense":                `:`,
}

// local is the engine in one process.
func (b *bench) local(c corpus, options []string, pattern string) command {
	args := append([]string{b.tools.dgrep, "-E"}, options...)
	if c.text {
		args = append(args, "-a")
	}
	return command{name: "dgrep", args: append(args, "-e", pattern), input: c.path}
}

// peers are those that dgrep is compared with.
func (b *bench) peers(c corpus, options []string, pattern string) []command {
	if c.text {
		options = append([]string{"-a"}, options...)
	}
	with := func(name, program string, args ...string) command {
		args = append(append([]string{program}, args...), options...)
		return command{name: name, args: append(args, "-e", pattern, c.path)}
	}
	var all []command
	if b.tools.rg != "" {
		all = append(all, with(nameMmap, b.tools.rg, "--no-config", "--no-filename", "--mmap"),
			with(nameNoMmap, b.tools.rg, "--no-config", "--no-filename", "--no-mmap"))
	}
	if b.tools.grep != "" {
		all = append(all, with(nameGrep, b.tools.grep, "-E"))
	}
	return all
}

const (
	nameMmap   = "rg --mmap"
	nameNoMmap = "rg --no-mmap"
	nameGrep   = "grep"
)

// classes measures the local engine beside its peers.
func (b *bench) classes(corpora []corpus) error {
	for _, c := range corpora {
		fmt.Fprintf(b.w, "\n%s, %d MB: wall and processor time in ms; rg/dgrep: of the faster rg, in brackets of each one's fastest run\n", c.name, c.bytes/mb)
		t := table(b.w, "class\tdgrep\trg --mmap\trg --no-mmap\tgrep\tdgrep CPU\trg CPU\trg/dgrep\ttarget\t\tpattern")
		for _, class := range classes {
			if !strings.Contains(class.name, b.options.class) {
				continue
			}
			pattern := c.patterns[class.name]
			all, err := b.alternate(false, append([]command{b.local(c, class.options, pattern)}, b.peers(c, class.options, pattern)...)...)
			if err != nil {
				return err
			}
			printClass(t, class, pattern, all)
		}
		t.Flush()
	}
	return nil
}

func printClass(t *tabwriter.Writer, class class, pattern string, all []*times) {
	wall, cpu, best := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, times := range all {
		wall[times.name], cpu[times.name], best[times.name] = sample.Median(times.wall), sample.Median(times.cpu), slices.Min(times.wall)
	}
	rg, rgCPU, rgBest := math.Inf(1), math.Inf(1), math.Inf(1)
	for _, name := range []string{nameMmap, nameNoMmap} {
		if wall[name] > 0 {
			rg, rgCPU, rgBest = min(rg, wall[name]), min(rgCPU, cpu[name]), min(rgBest, best[name])
		}
	}
	ratio, verdict := "-", ""
	if !math.IsInf(rg, 1) {
		ratio = fmt.Sprintf("%.2f (%.2f)", rg/wall["dgrep"], rgBest/best["dgrep"])
		verdict = verdictOf(rg/wall["dgrep"] >= class.target)
	}
	fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t%s\t%s\n", class.name, ms(wall["dgrep"]), ms(wall[nameMmap]),
		ms(wall[nameNoMmap]), ms(wall[nameGrep]), ms(cpu["dgrep"]), ms(rgCPU), ratio, class.target, verdict, pattern)
}

func table(w interface{ Write([]byte) (int, error) }, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	return t
}

// ms formats milliseconds, which are 0 or infinite where nothing was measured.
func ms(v float64) string {
	if v == 0 || math.IsInf(v, 1) {
		return "-"
	}
	return fmt.Sprintf("%.1f", v)
}

func verdictOf(held bool) string {
	if held {
		return "held"
	}
	return "SHORT"
}
