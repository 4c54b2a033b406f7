package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/audit"
)

const flagSince = "since"

var asksAudit = append(slices.Clip(asksJSON), &cli.StringFlag{
	Name: flagSince, Usage: "judge the changes since `TIME`: so long ago (10m), or RFC 3339 (default: all that the logs hold)",
})

func runAudit(c *cli.Context) error {
	if err := operands(c, 0); err != nil {
		return err
	}
	since, err := parseSince(c.String(flagSince), time.Now())
	if err != nil {
		return err
	}
	r, err := connect(c)
	if err != nil {
		return err
	}
	defer r.Close()
	report, err := audit.Read(c.Context, r.ClientConn, since)
	if err != nil {
		return r.explain(err)
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

// parseSince reads a time, or how long ago it was. An empty text is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	since, err := time.Parse(time.RFC3339, text)
	if ago, agoErr := time.ParseDuration(text); agoErr == nil {
		since, err = now.Add(-ago), nil
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("--%s %q: want so long ago, like 10m, or a time like %s", flagSince, text, now.UTC().Format(time.RFC3339))
	case since.After(now):
		return time.Time{}, errors.New("--" + flagSince + " " + text + ": that is yet to come")
	}
	return since, nil
}
