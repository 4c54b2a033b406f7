// Command gray measures what one sick machine does to a group. Twelve members of each
// contender run in a network namespace each, and one of them loses most packets that it
// receives, or sends, or both. A detector is judged by the healthy members that somebody
// declares failed meanwhile, and by how soon a true crash is found all the same. Through
// scripts/bench.sh, which also says on what machine this was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	cells []cell
	only  []string
	span  time.Duration
	seed  uint64
}

// spanMin leaves a while of grayness before the crash.
const spanMin = time.Minute

func parse(args []string, output io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("gray", flag.ContinueOnError)
	flags.SetOutput(output)
	cells := flags.String("cells", "in:90,in:95,out:95,both:80,both:90",
		"directions of the loss, in, out or both, and percentages; one cell of the table each")
	only := flags.String("only", strings.Join(contenderNames, ","), "contenders")
	minutes := flags.Float64("minutes", 3, "how long a member is gray in each cell")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the choice of who crashes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	if o.span = time.Duration(*minutes * float64(time.Minute)); o.span < spanMin {
		return o, fmt.Errorf("-minutes %v: want at least %v", *minutes, spanMin.Minutes())
	}
	o.only = strings.Split(*only, ",")
	for _, name := range o.only {
		if !slices.Contains(contenderNames, name) {
			return o, fmt.Errorf("-only %s: want some of %s, with commas between them",
				*only, strings.Join(contenderNames, ", "))
		}
	}
	o.cells, err = parseCells(*cells)
	return o, err
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == memberCommand {
		return runMember(args[1:], stdin, stdout, stderr)
	}
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "gray:", err)
		return 2
	}
	// SIGPIPE is among them so that a reader who goes away does not keep the namespaces here.
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err = measure(ctx, o, stdout); err == nil {
		err = ctx.Err() // the last of the report may have found no reader
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "gray: interrupted:", err)
		return 1
	case errors.Is(err, errUnable):
		fmt.Fprintln(stderr, "gray:", err)
		return 2
	case err != nil:
		fmt.Fprintln(stderr, "gray:", err)
		return 1
	}
	return 0
}

// measure runs all cells and prints the tables.
func measure(ctx context.Context, o options, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "grepd-gray.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	net := newNetwork()
	defer func() { err = errors.Join(err, net.down()) }()
	if err := net.up(ctx); err != nil {
		return err
	}
	contenders, err := newContenders(ctx, o.only, net, dir)
	if err != nil {
		return err
	}
	r := report{options: o, contenders: contenders}
	r.printHead(w)
	for i, c := range o.cells {
		run := cellRun{cell: c, index: i, options: o, net: net, contenders: contenders, dir: dir}
		tallies, err := run.run(ctx)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		r.add(w, c, tallies)
	}
	r.printTable(w)
	return nil
}
