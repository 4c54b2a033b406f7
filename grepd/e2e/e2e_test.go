// Package e2e tests the product as its operators meet it: the binaries, started as
// processes on the loopback interface, spoken to through their command lines, and judged
// by what they print, by what they log and by how they exit. It imports nothing of the
// product; timetest judges the machine that the tests run on.
//
// A test makes a cluster with newCluster, starts some of its nodes, does something to
// them, and awaits a condition with a deadline. Every process is stopped when its test
// ends, on Linux also when the tests are killed; what the daemons wrote is printed when the
// test has failed.
//
// The deadline of a condition only ends a test that would hang, and no machine is too slow for
// it. What the product promises of times is another matter: where that does not hold, the
// cluster's watch fails the test, or skips it since the machine was busy with something else.
//
// With -short, TestPluginTorture is left out, and daemons are upgraded less often.
//
// # Concurrency
//
// The tests run one after the other, since they measure times and the machine has few
// cores. A cluster belongs to the goroutine of its test.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is the directory with the binaries, laid out as scripts/build.sh does it.
var bin string

func TestMain(m *testing.M) {
	if os.Getenv(onlyStarts) != "" {
		os.Exit(startAndWait())
	}
	if dir := os.Getenv(guardOf); dir != "" {
		os.Exit(watchOver(dir))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "grepd-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // one test runs a binary as another user
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}
	bin = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}
	// A program with the race detector sleeps for a second before it exits, each dgrep too.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	status := m.Run()
	if left := killLeftovers(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "e2e: processes were left behind:", left)
		return 1
	}
	return status
}

// build makes the binaries, with the race detector where the tests have it.
func build(dir string) error {
	for binary, pkg := range map[string]string{
		"grepd":              "grepd/cmd/grepd",
		"dgrep":              "grepd/cmd/dgrep",
		"plugins/membership": "plugins/membership",
		"plugins/notify":     "plugins/notify",
		"sim":                "membership/membershiptest/cmd/sim",
	} {
		args := []string{"build", "-o", filepath.Join(dir, binary)}
		if raceEnabled {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "../../"+pkg)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}
