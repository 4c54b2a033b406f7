package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// onlyStarts is set for a copy of the tests' process that is there to be killed.
const onlyStarts = "GREPD_E2E_ONLY_STARTS"

// startAndWait is that copy: it starts a process as daemons are started, tells its id, and
// waits for the end.
func startAndWait() int {
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := start(cmd); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Println(cmd.Process.Pid)
	_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, that is the end
	return 0
}

func TestKilledTestsLeaveNoDaemonBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with the one that started it")
	}
	tests := exec.Command(os.Args[0])
	tests.Env = append(os.Environ(), onlyStarts+"=1")
	tests.Stderr = os.Stderr
	stdin, err := tests.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := tests.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tests.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, scanErr := fmt.Fscan(stdout, &pid)
	running := scanErr == nil && alive(pid)
	_ = tests.Process.Kill() // it may have ended by itself
	_ = tests.Wait()         // which says that it was killed
	if !running {
		t.Fatalf("nothing was started: process %d, %v", pid, scanErr)
	}
	await(t, stopLimit, "the daemon ends", func() error {
		if alive(pid) {
			return errors.New("it runs")
		}
		return nil
	})
}
