package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/membershiptest/explore"
)

const exploreUsage = `usage: sim.sh -explore [-n N] [-gateways G] [-forming] [-faults D] [-crashes C] [-pauses P] [-leaves L] [-restarts R]
                [-pause DURATION] [-window DURATION] [-quantum DURATION] [-seed S] [-inorder] [-states MAX] [-v]
       sim.sh -explore [the same flags] -path PATH [-packets]

Follows every way that a small group can take when so much goes wrong within the window, in
whatever order packets come, and checks the protocol's rules. Where one breaks, the shortest way
there is printed, and how to see it again. The second form replays one way.

`

// exploreFlags are the command line's after -explore.
type exploreFlags struct {
	options explore.Options
	verbose bool
	path    string
	packets bool
}

func parseExplore(args []string, stderr io.Writer) (*exploreFlags, error) {
	f := &exploreFlags{}
	o := &f.options
	set := flag.NewFlagSet("sim -explore", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.IntVar(&o.Members, "n", 3, "`members` of the group")
	set.IntVar(&o.Gateways, "gateways", 0, "how many of them are `gateways` (default: 2)")
	set.BoolVar(&o.Forming, "forming", false, "begin with members that join, not with a group")
	set.IntVar(&o.Messages, "faults", 0, "how many `messages` are lost, duplicated or delayed")
	set.IntVar(&o.Crashes, "crashes", 0, "how many `members` crash")
	set.IntVar(&o.Pauses, "pauses", 0, "how many `members` pause")
	set.IntVar(&o.Leaves, "leaves", 0, "how many `members` leave")
	set.IntVar(&o.Restarts, "restarts", 0, "how many `members` that are down come back")
	set.DurationVar(&o.PauseFor, "pause", time.Second, "how long a pause lasts")
	set.DurationVar(&o.Window, "window", 2*time.Second, "how long things may go wrong")
	set.DurationVar(&o.Quantum, "quantum", 50*time.Millisecond, "how long a packet takes, and the distance of two instants")
	set.Uint64Var(&o.Seed, "seed", 0, "draws how the members' timers stand to each other; 0: together, so that most packets meet")
	set.BoolVar(&o.InOrder, "inorder", false, "take packets that come at one instant in one order only")
	set.IntVar(&o.StatesMax, "states", 0, "give up after so many `states` (default: never)")
	set.BoolVar(&f.verbose, "v", false, "say now and then how far the search is")
	set.StringVar(&f.path, "path", "", "replay this `path` of a search with the same flags")
	set.BoolVar(&f.packets, "packets", false, "with -path: also print the packets, except heartbeats")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, exploreUsage)
			set.SetOutput(stderr)
			set.PrintDefaults()
		}
		return nil, err
	}
	switch {
	case set.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q, want only flags (see -explore -h)", set.Arg(0))
	case f.packets && f.path == "":
		return nil, errors.New("-packets needs -path")
	}
	return f, nil
}

// runExplore explores, or replays a path, and returns the exit status.
func runExplore(args []string, stdout, stderr io.Writer) int {
	f, err := parseExplore(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err == nil && f.path != "":
		err = f.replay(stdout)
	case err == nil:
		err = f.search(stdout, stderr)
	}
	switch {
	case errors.Is(err, errBroken):
		return exitBroken
	case err != nil:
		fmt.Fprintf(stderr, "sim: %v\n", err)
		return exitUsage
	}
	return exitOK
}

// errBroken says that a rule broke; what it was is printed already.
var errBroken = errors.New("a rule broke")

func (f *exploreFlags) replay(stdout io.Writer) error {
	path, err := explore.ParsePath(f.path)
	if err != nil {
		return err
	}
	broken, err := explore.Replay(f.options, path, stdout, f.packets)
	if err != nil {
		return err
	}
	if broken != nil {
		return errBroken
	}
	return nil
}

func (f *exploreFlags) search(stdout, stderr io.Writer) error {
	if f.verbose {
		f.options.Progress = progressTo(stderr)
	}
	result, err := explore.Run(f.options)
	if err != nil {
		return err
	}
	if v := result.Violation; v != nil {
		shortest := explore.Shrink(f.options, *v)
		if _, err := explore.Replay(f.options, shortest.Path, stdout, true); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s%v\n", shortest.Stack, shortest)
		fmt.Fprintf(stdout, "    replay: scripts/sim.sh -explore%s -path %v\n", f.fixed(), shortest.Path)
	}
	fmt.Fprintln(stdout, result)
	if result.Violation != nil {
		return errBroken
	}
	return nil
}

// fixed is what a replay needs of the command line.
func (f *exploreFlags) fixed() string {
	o := &f.options
	text := fmt.Sprintf(" -n %d -seed %d -window %v -pause %v -quantum %v",
		o.Members, o.Seed, o.Window, o.PauseFor, o.Quantum)
	if o.Gateways != 0 {
		text += fmt.Sprintf(" -gateways %d", o.Gateways)
	}
	if o.Forming {
		text += " -forming"
	}
	if o.InOrder {
		text += " -inorder"
	}
	return text
}

// progressTo says every few seconds how far a search is.
func progressTo(w io.Writer) func(explore.Progress) {
	const every = 5 * time.Second
	said := time.Now()
	return func(p explore.Progress) {
		if time.Since(said) >= every {
			said = time.Now()
			fmt.Fprintf(w, "%v of %v: %d states, %d at this instant\n", p.At, p.Lasts, p.States, p.Active)
		}
	}
}
