package pluginhost

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestStopwatch(t *testing.T) {
	const tick = stopwatchTick
	idle := func(time.Duration) threads { return threads{} }
	for _, test := range []struct {
		name    string
		every   time.Duration // between two looks
		threads func(since time.Duration) threads
		looks   int
		want    time.Duration
	}{
		{"punctual", tick, idle, 10, 10 * tick},
		{"a host that is starved or paused", 100 * tick, idle, 10, 10 * tick},
		{"a stopped plugin under a host that is starved", 3 * tick,
			func(time.Duration) threads { return threads{stopped: true} }, 10, 30 * tick},
		{"a stopped plugin under a host that was paused too", time.Minute,
			func(time.Duration) threads { return threads{stopped: true} }, 1, stoppedTick},
		{"a plugin that waited for a processor", tick,
			func(since time.Duration) threads { return threads{waited: since} }, 11, tick + 10*tick/busyWeight},
		{"a plugin that waits for a processor and gets none", tick,
			func(time.Duration) threads { return threads{runnable: true} }, 11, tick + 10*tick/busyWeight},
		{"a plugin that waits for a disk", tick,
			func(time.Duration) threads { return threads{onDisk: true} }, 8, tick},
		{"a plugin that runs in a circle", tick,
			func(since time.Duration) threads { return threads{runnable: true, ran: since} }, 10, 10 * tick},
		{"many threads that waited", tick,
			func(since time.Duration) threads { return threads{waited: 10 * since} }, 8, tick},
	} {
		began := time.Now()
		s := stopwatch{last: began}
		for i := range test.looks {
			since := time.Duration(i+1) * test.every
			s.read(began.Add(since), test.threads(since))
		}
		if got := s.elapsed(); got != test.want {
			t.Errorf("%s: %v elapsed, want %v", test.name, got, test.want)
		}
	}
}

func TestThreadsOfAProcess(t *testing.T) {
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleeper.Process.Kill(); sleeper.Wait() }()
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("this system does not tell")
	}
	if own := threadsOf(os.Getpid()); own.ran <= 0 || !own.runnable {
		t.Errorf("of this process, which runs: %+v", own)
	}
	pid := sleeper.Process.Pid
	syscall.Kill(pid, syscall.SIGSTOP)
	for deadline := time.Now().Add(10 * time.Second); describeStop(pid) == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is not seen to be stopped", pid)
		}
	}
	if stopped := threadsOf(pid); !stopped.stopped || stopped.runnable || stopped.onDisk {
		t.Errorf("of a stopped process: %+v", stopped)
	}
	if gone := threadsOf(1 << 30); gone != (threads{}) {
		t.Errorf("of no process: %+v", gone)
	}
}
