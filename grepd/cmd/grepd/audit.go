package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/audit"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/when"
)

const flagSince = "since"

var asksAudit = append(slices.Clip(asksJSON), &cli.StringFlag{
	Name: flagSince, Usage: "judge the changes since `TIME`: how long ago (10m, 3d), a time (06:40, 2026-11-22T06:40), today or yesterday", DefaultText: "all that the logs hold",
})

const auditDescription = `Reads the JOIN, LEAVE and FAIL events in the logs of all live members, and prints for each
change: when it was first in a list; by whom, and a monitor's evidence; how long after the
crash it was in that list (FIRST) and how long after crash or change in all (ALL), at the
most; how many lists have it, of those that should; and how they learnt of it.

Should have it: the lists of other members that had joined before, and did not leave or fail
until the bound was over; "unread" are those of them that cannot be asked today. The times
are the machines' own, so differences between their clocks are in ALL.

Exit status: 0 if all bounds held, 1 if one did not, 2 if that cannot be told: a member did
not answer, the time is not over, or whoever declared a failure is gone, and its log too.`

func auditCommand() *cli.Command {
	c := command("audit", "judge from all members' logs whether the bounds held", asksAudit, runAudit)
	c.Description = auditDescription
	return c
}

func runAudit(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	since, err := parseSince(c.String(flagSince), time.Now())
	if err != nil {
		return err
	}
	conn, err := connect(c)
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := audit.Read(c.Context, conn, since)
	if err != nil {
		return explain(c, conn.Explain(err, false))
	}
	if c.Bool(flagJSON) {
		err = printJSON(c.App.Writer, report)
	} else {
		err = report.WriteText(c.App.Writer)
	}
	if err != nil {
		return err
	}
	return verdict(report)
}

// verdict turns the report into an exit status. A bound that did not hold is what matters
// most: it did not, whatever else is unknown.
func verdict(report *audit.Report) error {
	switch {
	case report.Verdict == audit.Broken:
		return exitStatus(exitBroken)
	case report.Verdict == audit.Held:
		return nil
	case !report.Coverage.Complete:
		return fmt.Errorf("the audit is incomplete: %s", report.Coverage.Text)
	}
	return fmt.Errorf("the audit is open: %s", report.Brief())
}

// parseSince reads the time after --since. An empty text is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	since, err := when.Parse(text, now)
	if err == nil && since.After(now) {
		err = errors.New("that is yet to come")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("--%s %q: %w", flagSince, text, err)
	}
	return since, nil
}
