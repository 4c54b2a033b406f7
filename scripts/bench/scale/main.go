// Command scale runs a large group of members of this project's protocol in one process,
// each with a socket of its own on 127.0.0.1, and measures whether it holds its bounds: the
// joins, the quiet phase, crashes of three at once, and a burst of newcomers. Through
// scripts/bench.sh, which also says on what machine this was.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	n       int
	rate    int
	quiet   time.Duration
	trials  int
	burst   int
	seed    uint64
	profile string
}

// What must hold.
const (
	joinsWithin  = 10 * time.Second // after the last newcomer started, all lists are equal
	detectWithin = 2 * time.Second
	spreadWithin = 6 * time.Second
	coresMax     = 1.0 // in the quiet phase
	crashes      = 3   // at once
)

// sizeMin leaves survivors after all the crashes that are asked for by default.
const sizeMin = 30

func parse(args []string, output io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&o.n, "n", 1000, "members")
	flags.IntVar(&o.rate, "rate", 200, "members that are started in a second")
	flags.DurationVar(&o.quiet, "quiet", 20*time.Second, "how long the quiet phase is measured")
	flags.IntVar(&o.trials, "trials", 4, "crashes of three members at once: random ones and neighbours on the ring in turn")
	flags.IntVar(&o.burst, "burst", 200, "newcomers in one second, at the end")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the choice of who crashes")
	flags.StringVar(&o.profile, "profile", "", "directory for a processor profile of each phase")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	case o.n < sizeMin || o.n < crashes*(o.trials+2):
		return o, fmt.Errorf("-n %d: want at least %d, and %d more than crash", o.n, sizeMin, 2*crashes)
	case o.rate < 1 || o.trials < 0 || o.burst < 1 || o.quiet <= 0:
		return o, errors.New("want -rate, -burst and -quiet above zero")
	}
	return o, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "scale:", err)
		return 2
	}
	t := newTrial(o, stdout)
	err = t.run()
	if closeErr := t.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		fmt.Fprintln(stderr, "scale:", err)
		return 1
	}
	if t.missed > 0 {
		fmt.Fprintf(stdout, "\n%d bounds missed\n", t.missed)
		return 1
	}
	fmt.Fprintln(stdout, "\nall bounds held")
	return 0
}
