// Command soak follows the logs of a group of daemons while all happens to them that happens in
// production, and checks by sequence numbers that each line was printed once. scripts/soak.sh
// builds what it needs and runs it.
//
// Six daemons on this machine have three logs each, to which lines with sequence numbers are
// written at a steady pace. The logs are rotated in the ways of logrotate: by renaming or by
// copytruncate, compressed at once or a rotation later. Meanwhile daemons are killed and started
// again, upgraded, and their plugins are replaced. Two dgreps follow all that: one by a glob that
// rotated files match too, one by a glob that only the logs match.
//
// It exits 0 where no line was lost or doubled and no gap was told, 1 where one was, and 2 on a bad
// flag.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// catchUpMax is how long lines may take to be printed after the last one was written.
const catchUpMax = 90 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// plan is what a run does.
type plan struct {
	bin       string
	check     bool // nothing but the flags
	duration  time.Duration
	seed      uint64
	nodes     int
	logs      int // of each node
	perSecond int // lines of each log
	rotate    time.Duration
	kills     int
	upgrades  int
	replaced  int // plugins
}

func parse(args []string) (plan, error) {
	p := plan{nodes: 6, logs: 3}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&p.bin, "bin", "bin", "`DIR` of grepd, dgrep and the plugins")
	flags.BoolVar(&p.check, "check", false, "do nothing but check the flags")
	minutes := flags.Float64("minutes", 20, "how long lines are written")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "what happens when is drawn from this")
	flags.IntVar(&p.perSecond, "lines", 20, "lines a second of each log")
	flags.DurationVar(&p.rotate, "rotate", 40*time.Second, "mean time between rotations of a log")
	flags.IntVar(&p.kills, "kills", 3, "daemons that are killed")
	flags.IntVar(&p.upgrades, "upgrades", 12, "daemons that are upgraded")
	flags.IntVar(&p.replaced, "plugins", 8, "plugins that are replaced")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	p.duration = time.Duration(*minutes * float64(time.Minute))
	switch {
	case flags.NArg() > 0:
		return p, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case p.duration <= 0 || p.perSecond <= 0 || p.perSecond > 1000 || p.rotate < 2*time.Second:
		return p, errors.New("-minutes and -lines are above 0, -lines at most 1000, -rotate at least 2s")
	case p.kills < 0 || p.upgrades < 0 || p.replaced < 0:
		return p, errors.New("-kills, -upgrades and -plugins are not below 0")
	}
	var err error
	p.bin, err = filepath.Abs(p.bin)
	return p, err
}

func run(args []string, out, complaints io.Writer) int {
	p, err := parse(args)
	if err != nil {
		fmt.Fprintf(complaints, "soak: %v; scripts/soak.sh -h lists the flags\n", err)
		return 2
	}
	if p.check {
		return 0
	}
	fmt.Fprintf(out, "  seed %d\n", p.seed)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ok, err := soak(ctx, p, out)
	switch {
	case err != nil:
		fmt.Fprintln(complaints, "soak:", err)
		return 1
	case !ok:
		return 1
	}
	return 0
}

// soak does what is planned, prints the report, and reports whether every line was printed once. It
// leaves nothing behind, whatever becomes of it.
func soak(ctx context.Context, p plan, out io.Writer) (ok bool, err error) {
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return false, fmt.Errorf("this needs Linux, to find the processes that it has to end: %w", err)
	}
	dir, err := os.MkdirTemp("", "grepd-soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	g, err := startGroup(ctx, p, dir)
	if err != nil {
		return false, err
	}
	defer g.stop()
	random := rand.New(rand.NewPCG(p.seed, 0))
	writers := newWriters(g, p, random)
	follows, err := startFollows(ctx, g, len(writers))
	defer func() {
		for _, f := range follows {
			f.stop()
		}
	}()
	if err != nil {
		return false, err
	}
	stopWriters := startWriting(writers, p)
	err = g.disturb(ctx, p, random, out)
	if endErr := stopWriters(); err == nil {
		err = endErr
	}
	if err != nil {
		return false, err
	}
	return report(ctx, p, writers, follows, out)
}

// report waits until all lines are printed, or none has come for long, and says what each follow
// has printed.
func report(ctx context.Context, p plan, writers []*writer, follows []*follow, out io.Writer) (ok bool, err error) {
	var counts rotations
	written := make([]int, len(writers))
	for i, w := range writers {
		written[i] = w.written
		counts.add(w.done)
	}
	fmt.Fprintf(out, "  %d rotations: %d by renaming, %d by copytruncate; %d files compressed, %d of them slowly\n",
		counts.renamed+counts.copied, counts.renamed, counts.copied, counts.compressed, counts.slowly)
	ok = true
	for _, f := range follows {
		if err := f.awaitAll(ctx, written); err != nil {
			return false, err
		}
		f.stop()
		v := f.tally.verdict(written)
		fmt.Fprintf(out, "  dgrep --follow '%s': %v\n", f.glob, v)
		for _, detail := range v.details {
			fmt.Fprintln(out, "    "+detail)
		}
		ok = ok && v.good()
	}
	return ok, nil
}
