package pluginhost

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// watch asks for signs of life until one fails to come or ctx ends. The state is one, and
// is asked for when the newest is old.
func (i *instance) watch(ctx context.Context, t Timing) {
	var taken time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(t.PingEvery):
		}
		sign := i.service.Ping
		if time.Since(taken) >= t.SnapshotEvery {
			taken, sign = time.Now(), i.takeSnapshot
		}
		err := i.ask(ctx, t.Ping, sign)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			i.sick <- fmt.Sprintf("no sign of life: %v", err)
			return
		}
	}
}

func (i *instance) takeSnapshot(ctx context.Context) error {
	state, err := i.service.Snapshot(ctx)
	if err == nil {
		i.latest.Store(&state)
	}
	return err
}

// exitTimeout is how much later than its connection's end a process's may be seen.
const exitTimeout = time.Second

// ask calls f, and breaks the call off when the plugin could have answered for as long as
// limit, and has not.
func (i *instance) ask(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- f(ctx) }()
	began := time.Now()
	s := stopwatch{last: began}
	ticker := time.NewTicker(stopwatchTick)
	defer ticker.Stop()
	for s.elapsed() < limit {
		select {
		case err := <-answer:
			if err != nil { // if its connection broke, how it ended tells more
				i.awaitExit(ctx)
			}
			return err
		case <-ticker.C:
			s.read(time.Now(), threadsOf(i.process.pid))
		}
	}
	cancel()
	if err := <-answer; err == nil {
		return nil // it came at last
	}
	return fmt.Errorf("no answer for %v%s", time.Since(began).Round(time.Millisecond), describeStop(i.process.pid))
}

func (i *instance) awaitExit(ctx context.Context) {
	select {
	case <-i.process.exited:
	case <-ctx.Done():
	case <-time.After(exitTimeout):
	}
}

const (
	// stopwatchTick is how often a stopwatch is read.
	stopwatchTick = 20 * time.Millisecond
	// stoppedTick is the longest that a tick counts while the plugin is stopped.
	stoppedTick = 100 * time.Millisecond
	// busyWeight is by how much longer a plugin is waited for that has to wait itself.
	busyWeight = 8
)

// stopwatch measures for how long a plugin could have answered, in ticks. A tick that comes
// late, since this process was starved or paused, counts no more than a punctual one. For a
// plugin that is stopped by a signal a busy machine is no excuse, so a tick counts up to
// stoppedTick; not more, since both may have been paused. Of the time, what the plugin's
// threads spent waiting for a processor or a disk counts an eighth: a plugin that hangs on a
// busy machine is to be found too. The system tells of that (Linux, /proc/PID/task/TID).
type stopwatch struct {
	last   time.Time
	ticks  time.Duration // that have passed
	waited time.Duration // by the plugin meanwhile
	threads
	looked bool // threads is valid
}

// read takes into account the time until now, when the threads have come to t.
func (s *stopwatch) read(now time.Time, t threads) {
	longest := stopwatchTick
	if t.stopped {
		longest = stoppedTick
	}
	counted := min(now.Sub(s.last), longest)
	s.ticks += counted
	if s.looked {
		s.waited += t.waited - s.threads.waited
	}
	// What waits now is counted by the system when it has come to an end.
	if t.onDisk || t.runnable && s.looked && t.ran == s.threads.ran {
		s.waited += counted
	}
	s.last, s.threads, s.looked = now, t, true
}

func (s *stopwatch) elapsed() time.Duration {
	waited := min(max(s.waited, 0), s.ticks)
	return s.ticks - waited + waited/busyWeight
}

// threads is what the threads of a process did so far, all in all, and do now. It is zero
// where the system does not tell.
type threads struct {
	ran, waited      time.Duration // on a processor, and for one
	runnable, onDisk bool          // one runs or waits for a processor; one waits for a disk
	stopped          bool          // by a signal or a debugger
}

func threadsOf(pid int) (t threads) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return t
	}
	for _, task := range tasks {
		// time on a processor, time waiting for one, both in nanoseconds, and a count
		schedstat, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			continue // it has ended, or this is not Linux
		}
		var ran, waited time.Duration
		if _, err := fmt.Sscan(string(schedstat), &ran, &waited); err != nil {
			continue
		}
		t.ran, t.waited = t.ran+ran, t.waited+waited
		state := taskState(task)
		t.runnable, t.onDisk = t.runnable || state == 'R', t.onDisk || state == 'D'
		t.stopped = t.stopped || state == 'T' || state == 't'
	}
	return t
}

// taskState is the letter for what a process or thread does, from its directory in /proc;
// 0 where the system does not tell.
func taskState(dir string) byte {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0
	}
	end := bytes.LastIndexByte(stat, ')') // of the name, which may hold anything
	if end < 0 || len(stat) < end+3 {
		return 0
	}
	return stat[end+2]
}

// describeStop says that a process was stopped by a signal, if it was.
func describeStop(pid int) string {
	switch taskState(fmt.Sprintf("/proc/%d", pid)) {
	case 'T':
		return "; it is stopped by a signal"
	case 't':
		return "; it is stopped by a debugger"
	}
	return ""
}
