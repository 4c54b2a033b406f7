// Command membership runs this project's membership protocol and hashicorp/memberlist in
// turn, each as a group of members with real sockets on 127.0.0.1 in this process, and
// prints how long a crash takes to reach the lists, and what the groups send when nothing
// happens. Through scripts/bench.sh, which also says on what machine this was.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	sizes  []int
	rounds int
	trials int
	quiet  time.Duration
	seed   uint64
}

// crashCounts are how many members crash at once: one, and as many as may.
var crashCounts = []int{1, 3}

// sizeMin leaves more survivors than monitors.
const sizeMin = 8

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("membership", flag.ContinueOnError)
	flags.SetOutput(output)
	sizes := flags.String("n", "10,50,200", "sizes of the groups")
	long := flags.Bool("long", false, "the run that is kept: -rounds 2 -trials 5 -quiet 2m (about 50 minutes)")
	flags.IntVar(&o.rounds, "rounds", 1, "times that each protocol has its turn at each size")
	flags.IntVar(&o.trials, "trials", 3, "crashes of one member, and of three, in a turn")
	flags.DurationVar(&o.quiet, "quiet", 15*time.Second, "how long the quiet phase is measured in a turn")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the choice of who crashes, and when")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *long {
		o.rounds, o.trials, o.quiet = 2, 5, 2*time.Minute
	}
	for _, field := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < sizeMin {
			return o, fmt.Errorf("-n %s: want numbers from %d on, with commas between them", *sizes, sizeMin)
		}
		o.sizes = append(o.sizes, n)
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.trials < 1 || o.quiet <= 0 {
		return o, fmt.Errorf("want flags only, and -rounds, -trials and -quiet above zero")
	}
	return o, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "membership:", err)
		return 2
	}
	r := newReport(o)
	r.printHead(stdout)
	for _, n := range o.sizes {
		for round := range o.rounds {
			for _, c := range contenders() {
				if err := r.turn(stdout, c, n, round); err != nil {
					fmt.Fprintln(stderr, "membership:", err)
					return 1
				}
			}
		}
	}
	r.printTables(stdout)
	return 0
}

func contenders() []contender { return []contender{ours{}, peer{}} }

// turn runs one group through all its trials. The quiet phase comes last, when the first
// minutes of a group, in which memberlist does not compare lists yet, are mostly over.
func (r *report) turn(w io.Writer, c contender, n, round int) error {
	random := rand.New(rand.NewPCG(r.options.seed, uint64(n)<<8|uint64(round))) // the same for each contender
	g, err := startGroup(c, n)
	if err != nil {
		return err
	}
	for range r.options.trials {
		for _, crashes := range crashCounts {
			outcome, err := g.crash(crashes, random)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "n=%d crashes=%d %s: first %v, all %v, false %d\n", n, crashes, c.name(),
				outcome.First.Round(time.Millisecond), outcome.All.Round(time.Millisecond), outcome.False)
			r.addOutcome(c, n, crashes, outcome)
		}
	}
	cost, err := g.quiet(r.options.quiet)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "n=%d quiet %s: %.2f packets/s, %.1f B/s in packets, %.1f B/s over TCP, %v of CPU/s\n", n, c.name(),
		cost.packets, cost.packetBytes, cost.streamedBytes, cost.cpu.Round(time.Microsecond))
	r.addCost(c, n, cost)
	return g.close()
}

// peerVersion is memberlist's, from go.mod.
func peerVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/hashicorp/memberlist" {
			return module.Version
		}
	}
	return "of unknown version"
}
