package main

import (
	"fmt"
	"strings"
	"testing"
)

// runSim returns the exit status and what was printed.
func runSim(args ...string) (status int, stdout, stderr string) {
	var out, err strings.Builder
	status = run(args, &out, &err)
	return status, out.String(), err.String()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestSummaryIsTheLastLine(t *testing.T) {
	status, stdout, _ := runSim("-trials", "5", "-n", "20", "-crashes", "2", "-loss", "0", "-spikes", "0")
	if status != exitOK {
		t.Errorf("exit status %d, want %d:\n%s", status, exitOK, stdout)
	}
	last := lastLine(stdout)
	for _, want := range []string{"5 trials, 10 crashes", "first detection median", "all lists median", "0 false FAILs", "B/s", "0 trials broke"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last line is %q, want it to say %q", last, want)
		}
	}
}

// TestBrokenBoundIsStatusOne loses so many packets that nothing can hold, and follows the
// advice on how to see it again.
func TestBrokenBoundIsStatusOne(t *testing.T) {
	status, stdout, _ := runSim("-seed", "7", "-trials", "1", "-n", "20", "-loss", "80")
	if status != exitBroken {
		t.Errorf("exit status %d, want %d:\n%s", status, exitBroken, stdout)
	}
	_, advice, ok := strings.Cut(stdout, "replay: scripts/sim.sh ")
	if !ok {
		t.Fatalf("no advice how to replay in:\n%s", stdout)
	}
	advice, _, _ = strings.Cut(advice, "\n")
	status, transcript, stderr := runSim(strings.Fields(advice)...)
	if status != exitBroken || lastLine(transcript) != lastLine(stdout) {
		t.Errorf("sim.sh %s: exit status %d, %s\n%q, want\n%q", advice, status, stderr, lastLine(transcript), lastLine(stdout))
	}
	if !strings.Contains(transcript, "-- VIOLATION") {
		t.Error("the transcript does not show what was broken")
	}
}

func TestSingleTrialPrintsTranscript(t *testing.T) {
	args := []string{"-seed", "3", "-trials", "1", "-n", "10", "-crashes", "1", "-v"}
	_, events, _ := runSim(args...)
	_, packets, _ := runSim(append(args, "-packets")...)
	if !strings.Contains(events, "-- crash") || !strings.Contains(events, "FAIL") || strings.Contains(events, " > n") {
		t.Errorf("the transcript lacks the crash, or shows packets:\n%s", events)
	}
	if !strings.Contains(packets, " > n") {
		t.Error("-packets shows no packets")
	}
}

func TestBadFlagsAreStatusTwo(t *testing.T) {
	for _, args := range [][]string{
		{"-n", "5-"}, {"-n", "0"}, {"-n", "9-3"}, {"-n", "10001"}, {"-n", "4x"}, {"-trials", "0"}, {"-crashes", "4"},
		{"-loss", "101"}, {"-loss", "-1"}, {"-loss", "5x"}, {"-spikes", "many"}, {"-seed", "-1"}, {"-packets"},
		{"-hours", "0", "-curve"}, {"-pauses", "-1s", "-curve"}, {"-nonsense"}, {"operand"},
		{"-hours", "NaN", "-curve"}, {"-hours", "Inf", "-curve"}, {"-n", "2-9", "-curve"}, {"-trials", "5", "-curve"},
		{"-crashes", "1", "-curve"}, {"-spikes", "1", "-curve"}, {"-pauses", "1s"}, {"-hours", "5"},
		{"-replay", ""}, {"-replay"}, {"-replay", "f", "-seed", "1"}, {"-replay", "f", "g"}, {"-replay", "/nowhere"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			status, stdout, stderr := runSim(args...)
			if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "sim: ") {
				t.Errorf("exit status %d, want %d; printed %q and %q", status, exitUsage, stdout, stderr)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	if status, _, stderr := runSim("-h"); status != exitOK || !strings.Contains(stderr, "usage: sim.sh") {
		t.Errorf("exit status %d, printed %q", status, stderr)
	}
}

func TestCurve(t *testing.T) {
	status, stdout, _ := runSim("-curve", "-n", "2", "-hours", "1", "-loss", "90")
	var loss, hours, fails float64
	_, rows, _ := strings.Cut(stdout, "\n")
	if _, err := fmt.Sscan(rows, &loss, &hours, &fails); err != nil || status != exitOK {
		t.Fatalf("exit status %d, %v in:\n%s", status, err, stdout)
	}
	if !strings.Contains(rows, "\n    seed 1: ") {
		t.Errorf("no seed named in:\n%s", stdout)
	}
	if loss != 90 || hours < 0.5 || fails == 0 {
		t.Errorf("loss %v, %v hours, %v false failures; want 90, nearly 1, more than 0", loss, hours, fails)
	}
}

// TestExplorationThatBreaksARuleIsStatusOne has a member pause for longer than the protocol allows,
// and follows the advice on how to see it again.
func TestExplorationThatBreaksARuleIsStatusOne(t *testing.T) {
	status, stdout, stderr := runSim("-explore", "-n", "3", "-pauses", "1", "-pause", "3s", "-window", "100ms")
	if status != exitBroken || !strings.Contains(lastLine(stdout), "a rule broke") {
		t.Fatalf("exit status %d, want %d: %s\n%s", status, exitBroken, stderr, stdout)
	}
	_, advice, ok := strings.Cut(stdout, "replay: scripts/sim.sh ")
	if !ok {
		t.Fatalf("no advice how to replay in:\n%s", stdout)
	}
	advice, _, _ = strings.Cut(advice, "\n")
	status, transcript, stderr := runSim(strings.Fields(advice)...)
	if status != exitBroken || !strings.Contains(transcript, "-- pause") || !strings.Contains(lastLine(transcript), "VIOLATION false-fail") {
		t.Errorf("sim.sh %s: exit status %d, %s\n%s", advice, status, stderr, transcript)
	}
}

func TestExplorationSaysHowMuchItSaw(t *testing.T) {
	status, stdout, _ := runSim("-explore", "-n", "3", "-faults", "1", "-window", "200ms")
	if status != exitOK {
		t.Errorf("exit status %d, want %d", status, exitOK)
	}
	for _, want := range []string{"3 members, 1 message within 200ms", "states", "transitions", "depth", "exhaustive, no rule broke"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("prints %q, want it to say %q", stdout, want)
		}
	}
}

func TestBadExplorationsAreStatusTwo(t *testing.T) {
	for _, args := range [][]string{
		{"-n", "6"}, {"-n", "x"}, {"-window", "1h"}, {"-packets"}, {"3"}, {"-path", "12s:crash"}, {"-path", "12s:crash:n9"}, {"-loss", "3"},
	} {
		status, _, stderr := runSim(append([]string{"-explore"}, args...)...)
		if status != exitUsage || !strings.Contains(stderr, "sim: ") {
			t.Errorf("-explore %v: exit status %d and %q, want %d and the reason", args, status, stderr, exitUsage)
		}
	}
}
