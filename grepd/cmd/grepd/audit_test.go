package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/audit"
)

func TestVerdictIsTheExitStatus(t *testing.T) {
	complete, incomplete := audit.Coverage{Complete: true}, audit.Coverage{Text: "4 of 5 members answered; one did not"}
	for _, c := range []struct {
		report audit.Report
		want   int
		says   string
	}{
		{audit.Report{Verdict: audit.Held, Coverage: complete}, exitOK, ""},
		{audit.Report{Verdict: audit.Broken, Coverage: complete}, exitBroken, ""},
		{audit.Report{Verdict: audit.Broken, Coverage: incomplete}, exitBroken, ""},
		{audit.Report{Verdict: audit.Open, Coverage: incomplete}, exitTrouble, "incomplete: 4 of 5 members answered; one did not"},
		{audit.Report{Verdict: audit.Open, Coverage: complete, Changes: []audit.Change{{Verdict: audit.Open}}}, exitTrouble, "cannot be told for 1"},
	} {
		var stderr bytes.Buffer
		got := finish(verdict(&c.report), &stderr)
		if got != c.want || !strings.Contains(stderr.String(), c.says) || (c.says == "") != (stderr.Len() == 0) {
			t.Errorf("%s, %+v: status %d, %q, want %d, %q", c.report.Verdict, c.report.Coverage, got, stderr.String(), c.want, c.says)
		}
	}
}

func TestSinceIsATimeOrHowLongAgo(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 40, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"10m":                       now.Add(-10 * time.Minute),
		"0s":                        now,
		"yesterday":                 now.Add(-30*time.Hour - 40*time.Minute),
		"2026-11-22T06:00:00Z":      now.Add(-40 * time.Minute),
		"2026-11-22T07:00:00+01:00": now.Add(-40 * time.Minute),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"10": `--since "10": want how long ago`, "-10m": "want how long ago",
		"2026-11-22T06:40:01Z": `--since "2026-11-22T06:40:01Z": that is yet to come`,
	} {
		if _, err := parseSince(text, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
