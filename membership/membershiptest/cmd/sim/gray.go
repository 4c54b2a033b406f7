package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership/membershiptest"
)

// The table of what one gray member does.
const (
	grayMembers = 30
	grayHours   = 2
	grayRun     = 5 * time.Minute // of a cluster, at most
)

// grayLosses are those of the table, in percent.
var grayLosses = []percent{60, 70, 75, 80, 85, 90, 95, 98}

func (f *flags) checkGray(low, high int) error {
	if _, err := membershiptest.GrayIn(f.gray, 0); err != nil {
		return fmt.Errorf("-gray: %w", err)
	}
	switch {
	case f.given["n"] && low < 2:
		return fmt.Errorf("-n is %q: a gray member needs another one", f.members)
	case f.given["n"] && low != high && !f.given["trials"]:
		return fmt.Errorf("-n is %q, want one number of members with -gray, or -trials as well", f.members)
	case f.given["hours"] && f.given["trials"]:
		return errors.New("-hours and -trials are two ways to say how much to run (see -h)")
	case f.given["crashes"] && !f.given["trials"]:
		return errors.New("-crashes means nothing with -gray but for -trials (see -h)")
	}
	return nil
}

// runGray prints how many healthy members are declared failed in an hour, at each loss of the
// gray one, and returns the exit status.
func runGray(f *flags, stdout io.Writer) int {
	losses := grayLosses
	if f.loss >= 0 {
		losses = []percent{f.loss}
	}
	fmt.Fprintf(stdout, "%5s %6s %7s %8s %20s %20s %10s\n",
		"gray", "loss %", "members", "hours", "healthy declared", "an hour", "B/s")
	for _, loss := range losses {
		f.runGrayLoss(loss, stdout)
	}
	return exitOK
}

func (f *flags) runGrayLoss(loss percent, stdout io.Writer) {
	options := membershiptest.GrayOptions{Members: grayMembers}
	options.Gray, _ = membershiptest.GrayIn(f.gray, loss.share())
	if f.given["n"] {
		options.Members = f.options.MembersMin
	}
	hours := f.hours
	if !f.given["hours"] {
		hours = grayHours
	}
	runs := int(math.Ceil(hours / grayRun.Hours()))
	options.For = time.Duration(hours / float64(runs) * float64(time.Hour))
	if f.verbose && runs == 1 {
		options.Adjust = f.transcribe(stdout)
	}
	var summary membershiptest.Summary
	run := func(seed uint64) membershiptest.Result { return membershiptest.GrayFails(seed, options) }
	membershiptest.Each(f.seed, runs, runtime.GOMAXPROCS(0), run, summary.Add)
	fmt.Fprintf(stdout, "%5s %6g %7d %8.2f %20d %20.1f %10.1f\n", f.gray, float64(loss), options.Members, hours,
		summary.FalseFails, float64(summary.FalseFails)/hours, summary.Quiet().BytesPerSecond())
	for _, r := range summary.Broken[:min(shown, len(summary.Broken))] {
		fmt.Fprintf(stdout, "    seed %d: %v\n", r.Seed, r.Report.Violations[0])
	}
}

// grayTrial runs one trial in which members crash while another one is gray. What no flag fixes
// is drawn from the seed.
func (f *flags) grayTrial(seed uint64) membershiptest.Result {
	draw := rand.New(rand.NewPCG(seed, math.MaxUint32))
	loss := grayLosses[draw.IntN(len(grayLosses))]
	if f.loss >= 0 {
		loss = f.loss
	}
	options := membershiptest.GrayOptions{Members: grayMembers, Crashes: 1 + draw.IntN(crashesMax), Adjust: f.options.Adjust}
	options.Gray, _ = membershiptest.GrayIn(f.gray, loss.share())
	if f.given["n"] {
		options.Members = f.options.MembersMin + draw.IntN(f.options.MembersMax-f.options.MembersMin+1)
	}
	if f.crashes > 0 {
		options.Crashes = f.crashes
	}
	r := membershiptest.GrayCrash(seed, options)
	r.Loss = loss.share()
	return r
}
