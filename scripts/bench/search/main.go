// Command search measures how fast dgrep is beside GNU grep and ripgrep: its engine in one
// process, through one daemon, and through ten. Through scripts/bench.sh, which also says
// on what machine this was.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	mb       int
	runs     int
	parts    []string
	class    string
	dir      string
	mixed    string
	memoryMB int
	seed     uint64
}

// The parts of the benchmark.
const (
	partClasses = "classes" // of patterns, all contenders
	partDaemon  = "daemon"  // through one daemon
	partTen     = "ten"     // through ten daemons
	partFirst   = "first"   // the first line from ten daemons
	partMemory  = "memory"  // of a large answer to a slow reader
)

var partNames = []string{partClasses, partDaemon, partTen, partFirst, partMemory}

const (
	mbMin        = 10
	memoryMBLong = 10_000
)

func parse(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("search", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.IntVar(&o.mb, "mb", 500, "size of each corpus in MB; what ten daemons search is twice as large")
	flags.IntVar(&o.runs, "runs", 9, "runs of each contender, alternately")
	parts := flags.String("part", strings.Join(partNames, ","), "what is measured")
	flags.StringVar(&o.class, "class", "", "only classes of patterns whose names hold this")
	flags.StringVar(&o.dir, "dir", "", "directory that keeps the corpora for the next run; else they are temporary")
	flags.StringVar(&o.mixed, "mixed", "", "directory of logs that make a second corpus")
	flags.IntVar(&o.memoryMB, "memory-mb", 1000, "size of the answer whose memory is measured")
	long := flags.Bool("long", false, fmt.Sprintf("the run that is kept: -runs 15 -memory-mb %d", memoryMBLong))
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the simulated cluster whose log is searched")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *long {
		o.runs, o.memoryMB = 15, memoryMBLong
	}
	if o.dir != "" { // daemons run elsewhere
		var err error
		if o.dir, err = filepath.Abs(o.dir); err != nil {
			return o, fmt.Errorf("-dir %s: %w", o.dir, err)
		}
	}
	o.parts = strings.Split(*parts, ",")
	for _, part := range o.parts {
		if !slices.Contains(partNames, part) {
			return o, fmt.Errorf("-part %s: want some of %s, with commas between them", part, strings.Join(partNames, ", "))
		}
	}
	if flags.NArg() > 0 || o.mb < mbMin || o.runs < 1 || o.memoryMB < 1 {
		return o, fmt.Errorf("want flags only, -mb from %d on, -runs and -memory-mb above zero", mbMin)
	}
	return o, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "search:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "search:", err)
		return 1
	}
	return 0
}

// measure runs the parts that are asked for.
func measure(ctx context.Context, o options, w io.Writer) (err error) {
	scratch, err := os.MkdirTemp("", "grepd-bench.")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if o.dir == "" {
		o.dir = scratch
	}
	tools, err := findTools(ctx, scratch)
	if err != nil {
		return err
	}
	b := &bench{options: o, ctx: ctx, w: w, tools: tools, scratch: scratch}
	tools.print(w)
	fmt.Fprintf(w, "output into a pipe; medians of %d runs in turns, after one that compares the outputs\n", o.runs)
	corpora, err := b.corpora()
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		run  func([]corpus) error
	}{
		{partClasses, b.classes}, {partDaemon, b.daemon}, {partTen, b.ten}, {partFirst, b.first}, {partMemory, b.memory},
	} {
		if !slices.Contains(o.parts, part.name) {
			continue
		}
		if err := part.run(corpora); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// bench is a run of the benchmark.
type bench struct {
	options options
	ctx     context.Context
	w       io.Writer
	tools   tools
	scratch string // a temporary directory
}
