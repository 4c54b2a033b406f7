// Sim runs the membership protocol in simulation: many trials, each with a cluster, a
// network and crashes drawn from a seed, on all cores. It prints a summary as its last
// line, and exits with status 1 if a bound broke, 2 if it cannot make sense of its flags.
// With -curve or -gray it measures, and no figure is wrong: it exits with 0. With -replay it runs
// the core over a recording of a live member, and exits with 1 if that did something else, 2 if
// the file cannot be used.
// With -explore it follows every way that a small group can take.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/membershiptest"
)

// Exit statuses.
const (
	exitOK     = 0
	exitBroken = 1
	exitUsage  = 2
)

func main() {
	// A cluster of 10,000 is a hundred million pointers, and hardly any garbage.
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// How much garbage is kept: for each byte in use so many percent, up to a limit of all.
const (
	gcPercent   = 800
	memoryLimit = 6 << 30
)

func run(args []string, stdout, stderr io.Writer) int {
	if i := slices.Index(args, "-explore"); i >= 0 {
		return runExplore(slices.Delete(slices.Clone(args), i, i+1), stdout, stderr)
	}
	f, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "sim: %v\n", err)
		return exitUsage
	case f.replay != "":
		return runReplay(f.replay, stdout, stderr)
	case f.curve:
		return runCurve(f, stdout)
	case f.gray != "" && !f.given["trials"]:
		return runGray(f, stdout)
	default:
		return runTrials(f, stdout)
	}
}

// flags are the command line's.
type flags struct {
	seed    uint64
	trials  int
	members string
	crashes int
	loss    percent
	spikes  percent
	verbose bool
	packets bool

	curve  bool
	gray   string
	hours  float64
	pauses time.Duration
	apart  bool

	replay string // the file

	given   map[string]bool             // the flags of the command line
	options membershiptest.TrialOptions // what follows from them
}

const usage = `usage: sim.sh [-seed S] [-trials T] [-n N|MIN-MAX] [-crashes K] [-loss PERCENT] [-spikes PERCENT] [-v [-packets]]
       sim.sh -curve [-seed S] [-n N] [-hours H] [-loss PERCENT] [-pauses DURATION [-apart]] [-v [-packets]]
       sim.sh -gray in|out|both [-seed S] [-n N] [-loss PERCENT] [-hours H | -trials T [-crashes K]] [-v [-packets]]
       sim.sh -replay FILE
       sim.sh -explore ...    every way that a small group can take; see sim.sh -explore -h

The first form runs trials in which members crash, and checks that each crash is in some
list within 2 s and in all within 6 s, and that nobody else is declared failed. What no
flag fixes, each trial draws from its seed. The second form runs clusters in which nobody
crashes, and prints how many members are declared failed at which loss. In the third form one
member is gray: its own links lose packets, those that come in, those that go out, or both.
It prints how many healthy members are declared failed in an hour of such a cluster; with
-trials, members crash meanwhile, and the bounds are checked. The last form runs the core over what grepd record has written of a live member, prints what the core does, and
compares that with what the member did. Exit status 1: it is something else; 2: the file is
damaged, breaks off, or is none.

`

func parse(args []string, stderr io.Writer) (*flags, error) {
	f := &flags{loss: -1, spikes: -1}
	set := flag.NewFlagSet("sim", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Uint64Var(&f.seed, "seed", 1, "the first trial's `seed`; each trial has the next one")
	set.IntVar(&f.trials, "trials", 100, "how many `trials` to run")
	set.StringVar(&f.members, "n", membersDefault, "`members` of the cluster, a number or a range to draw from; with -curve one number, 50 if none is given")
	set.IntVar(&f.crashes, "crashes", 0, "how many `members` crash (default: 1 to 3)")
	set.Var(&f.loss, "loss", "how many `percent` of the packets are lost (default: 0 to 10; with -curve: 0, 5, 10, 20 and 30)")
	set.Var(&f.spikes, "spikes", "how many `percent` of the links have latency spikes to 1.5 s (default: 0 to 10)")
	set.BoolVar(&f.verbose, "v", false, "print a line for each trial; of a single trial, the transcript")
	set.BoolVar(&f.packets, "packets", false, "with a transcript: also the packets, except heartbeats")
	set.BoolVar(&f.curve, "curve", false, "print the curve of false failures over loss")
	set.StringVar(&f.gray, "gray", "", "one member loses packets, in this `direction`: in, out or both; -loss says how many (default: 60 to 98)")
	set.Float64Var(&f.hours, "hours", 1000, "with -curve: member-`hours` at each loss; with -gray: hours of the cluster, 2 if not given")
	set.DurationVar(&f.pauses, "pauses", 0, "with -curve: every second or so, a random member pauses for up to this `duration`")
	f.addReplay(set)
	set.BoolVar(&f.apart, "apart", false, "with -pauses: no two members pause together that are near each other on the ring")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, usage)
			set.SetOutput(stderr)
			set.PrintDefaults()
		}
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q, want only flags (see -h)", set.Arg(0))
	}
	f.given = map[string]bool{}
	set.Visit(func(given *flag.Flag) { f.given[given.Name] = true })
	return f, cmp.Or(f.checkReplay(set), f.checkForms(), f.check())
}

// forms are those of the command that take a flag which not all of them take.
var forms = map[string][]string{
	"trials": {"", "gray"}, "crashes": {"", "gray"}, "spikes": {""},
	"hours": {"curve", "gray"}, "pauses": {"curve"}, "apart": {"curve"},
}

// form is the form that the command line has: the name of the flag that makes it.
func (f *flags) form() string {
	switch {
	case f.curve:
		return "curve"
	case f.given["gray"]:
		return "gray"
	default:
		return ""
	}
}

// checkForms looks for flags that mean nothing together.
func (f *flags) checkForms() error {
	if f.curve && f.given["gray"] {
		return errors.New("-curve and -gray are two commands (see -h)")
	}
	for _, name := range slices.Sorted(maps.Keys(f.given)) {
		in, some := forms[name]
		switch {
		case !some || slices.Contains(in, f.form()):
		case f.form() != "":
			return fmt.Errorf("-%s means nothing with -%s (see -h)", name, f.form())
		default:
			return fmt.Errorf("-%s means nothing without -%s (see -h)", name, strings.Join(in, " or -"))
		}
	}
	return nil
}

// Limits of the flags.
const (
	membersMin, membersMax = 2, 10_000
	membersDefault         = "2-1000"
	crashesMax             = 3
	hoursMax               = 1e9
)

func (f *flags) check() error {
	low, high, err := parseRange(f.members)
	switch {
	case err != nil || low < 1 || high > membersMax || low > high:
		return fmt.Errorf("-n is %q, want a number of members or a range like 2-1000, 1 to %d", f.members, membersMax)
	case f.trials < 1:
		return fmt.Errorf("-trials is %d, want at least 1", f.trials)
	case f.crashes < 0 || f.crashes > crashesMax:
		return fmt.Errorf("-crashes is %d, want 1 to %d: the protocol promises nothing beyond", f.crashes, crashesMax)
	case f.apart && f.pauses == 0:
		return errors.New("-apart means nothing without -pauses (see -h)")
	case f.pauses < 0:
		return fmt.Errorf("-pauses is %v, want more than 0", f.pauses)
	case !(f.hours > 0 && f.hours <= hoursMax):
		return fmt.Errorf("-hours is %v, want more than 0 and at most %v", f.hours, float64(hoursMax))
	case f.curve && low != high && f.members != membersDefault:
		return fmt.Errorf("-n is %q, want one number of members with -curve", f.members)
	case f.packets && (!f.verbose || f.trials != 1 && f.form() == ""):
		return errors.New("-packets needs -v, and -trials 1, -curve or -gray")
	case f.given["gray"]:
		err = f.checkGray(low, high)
	}
	f.options = membershiptest.FullRange
	f.options.MembersMin, f.options.MembersMax = low, high
	f.options.Crashes = f.crashes
	f.options.Loss, f.options.Spikes = f.loss.share(), f.spikes.share()
	return err
}

func parseRange(text string) (low, high int, err error) {
	if n, err := fmt.Sscanf(text+"\n", "%d-%d\n", &low, &high); n == 2 && err == nil {
		return low, high, nil
	}
	_, err = fmt.Sscanf(text+"\n", "%d\n", &low)
	return low, low, err
}

// percent is a flag's value from 0 to 100; less than 0 is none given.
type percent float64

func (p *percent) Set(text string) error {
	var value float64
	if _, err := fmt.Sscanf(text+"\n", "%g\n", &value); err != nil || !(value >= 0 && value <= 100) {
		return errors.New("want 0 to 100")
	}
	*p = percent(value)
	return nil
}

func (p *percent) String() string { return "" }

func (p percent) share() float64 { return float64(p) / 100 }

// runTrials runs the trials and returns the exit status.
func runTrials(f *flags, stdout io.Writer) int {
	if f.verbose && f.trials == 1 {
		f.options.Adjust = f.transcribe(stdout)
	}
	var summary membershiptest.Summary
	trial := func(seed uint64) membershiptest.Result { return membershiptest.Trial(seed, f.options) }
	if f.given["gray"] {
		trial = f.grayTrial
	}
	membershiptest.Each(f.seed, f.trials, runtime.GOMAXPROCS(0), trial, func(r membershiptest.Result) {
		summary.Add(r)
		if f.verbose || r.Broken() && summary.BrokenIn <= len(summary.Broken) {
			f.show(stdout, r)
		}
	})
	fmt.Fprintln(stdout, &summary)
	if summary.BrokenIn > 0 {
		return exitBroken
	}
	return exitOK
}

// transcribe makes a simulation print its transcript.
func (f *flags) transcribe(w io.Writer) func(*membershiptest.Options) {
	return func(o *membershiptest.Options) { o.Transcript, o.Messages = w, f.packets }
}

// shown is how many broken rules, or runs that broke one, are printed.
const shown = 3

// show prints a trial, and how to see it again if it broke a bound.
func (f *flags) show(w io.Writer, r membershiptest.Result) {
	fmt.Fprintln(w, r)
	for _, v := range r.Report.Violations[:min(shown, len(r.Report.Violations))] {
		fmt.Fprintln(w, "   ", v)
	}
	if r.Broken() {
		fmt.Fprintf(w, "    replay: scripts/sim.sh -seed %d -trials 1%s -v\n", r.Seed, f.fixed())
	}
}

// fixed is what the command line has fixed, for a command line that does the same.
func (f *flags) fixed() string {
	text := fmt.Sprintf(" -n %s", f.members)
	if f.given["gray"] {
		text += " -gray " + f.gray
	}
	if f.crashes > 0 {
		text += fmt.Sprintf(" -crashes %d", f.crashes)
	}
	if f.loss >= 0 {
		text += fmt.Sprintf(" -loss %g", float64(f.loss))
	}
	if f.spikes >= 0 {
		text += fmt.Sprintf(" -spikes %g", float64(f.spikes))
	}
	return text
}

// The clusters of the curve.
const (
	curveMembers = 50
	curveRun     = time.Hour // of a cluster, at most
	pausesEvery  = time.Second
)

// runCurve prints how many members are declared failed though nobody crashes, at each
// loss, and returns the exit status.
func runCurve(f *flags, stdout io.Writer) int {
	losses := []percent{0, 5, 10, 20, 30}
	if f.loss >= 0 {
		losses = []percent{f.loss}
	}
	fmt.Fprintf(stdout, "%6s %14s %12s %12s %10s %12s\n", "loss %", "member-hours", "false FAILs", "per 1,000 h", "B/s", "packets/s")
	for _, loss := range losses {
		f.runLoss(loss, stdout)
	}
	return exitOK
}

func (f *flags) runLoss(loss percent, stdout io.Writer) {
	options := membershiptest.FalseFailOptions{Members: curveMembers, Loss: loss.share()}
	if f.options.MembersMin == f.options.MembersMax {
		options.Members = f.options.MembersMin
	}
	if f.pauses > 0 {
		options.Pauses, options.PauseMax, options.Apart = pausesEvery, f.pauses, f.apart
	}
	each := float64(options.Members) * curveRun.Hours()
	runs := int(math.Ceil(f.hours / each))
	options.For = time.Duration(f.hours / each / float64(runs) * float64(curveRun))
	if f.verbose && runs == 1 {
		options.Adjust = f.transcribe(stdout)
	}
	var hours float64
	var summary membershiptest.Summary
	run := func(seed uint64) membershiptest.Result { return membershiptest.FalseFails(seed, options) }
	membershiptest.Each(f.seed, runs, runtime.GOMAXPROCS(0), run, func(r membershiptest.Result) {
		summary.Add(r)
		hours += r.MemberHours()
	})
	quiet := summary.Quiet()
	fmt.Fprintf(stdout, "%6g %14.0f %12d %12.2f %10.1f %12.2f\n", float64(loss), hours,
		summary.FalseFails, 1000*float64(summary.FalseFails)/hours, quiet.BytesPerSecond(), quiet.PacketsPerSecond())
	for _, r := range summary.Broken[:min(shown, len(summary.Broken))] {
		fmt.Fprintf(stdout, "    seed %d: %v\n", r.Seed, r.Report.Violations[0])
	}
}
