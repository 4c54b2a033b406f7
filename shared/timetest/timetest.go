// Package timetest is for tests that measure time. Where a bound does not hold, it tells
// whether that can be the code's fault: on a machine whose processors others keep busy it
// says nothing, and the test is skipped with that reason instead of failing.
//
//	watch := timetest.Begin(t)
//	...
//	if took > bound {
//		watch.Errorf(t, "took %v, want at most %v", took, bound)
//	}
//
// Others are all processes but the test's own and those that it has started. What the code
// under test uses itself is no excuse: code that keeps the machine busy fails its test. Where
// the system does not say how busy it is (/proc, on Linux), there is no excuse either.
//
// It is no help against deadlines that only keep a test from hanging. Those are to be so
// long that no machine is too slow for them.
//
// scripts/test.sh sets SkippedFile to a file, and prints at its end what was skipped.
//
// # Concurrency
//
// Errorf and Fatalf are for the goroutine of the test that they are given, which may be a
// subtest of the one that has begun the watch. The machine is watched by a goroutine that ends
// with the latter.
package timetest

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// SkippedFile is the variable of the environment that names a file to which a line is added
// for each test that was skipped here.
const SkippedFile = "GREPD_TEST_SKIPPED_FILE"

const (
	// sampleEvery is how often the machine is looked at. A pause of this length breaks the
	// tightest bounds that there are, and a look takes a few milliseconds.
	sampleEvery = 500 * time.Millisecond
	// busyShare is the share of the machine's processors that others have to use in one
	// sample for it to be too busy: on two processors, most of one.
	busyShare = 0.4
)

// Watch watches the machine during a test.
type Watch struct {
	read func() usage

	mu      sync.Mutex
	before  usage
	busiest float64 // the largest share that others had in a sample
}

// Begin watches the machine from now until the test ends.
func Begin(t testing.TB) *Watch {
	t.Helper()
	w := &Watch{read: readUsage, before: readUsage()}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.run(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return w
}

func (w *Watch) run(stop <-chan struct{}) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.sample()
		case <-stop:
			return
		}
	}
}

func (w *Watch) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.read()
	if now.total-w.before.total < ticksMin {
		return
	}
	w.busiest = max(w.busiest, now.othersShare(w.before))
	w.before = now
}

// Busy says why the machine has been too busy to tell since Begin, or "".
func (w *Watch) Busy() string {
	w.sample()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busiest < busyShare {
		return ""
	}
	return fmt.Sprintf("the machine is too busy to tell: other processes used %.0f %% of its processors for half a second",
		100*w.busiest)
}

// Errorf is for a bound that does not hold. It fails the test, or skips the rest of it where
// the machine was too busy to tell.
func (w *Watch) Errorf(t testing.TB, format string, args ...any) {
	t.Helper()
	w.skipIfBusy(t, format, args...)
	t.Errorf(format, args...)
}

// Fatalf is Errorf that ends the test.
func (w *Watch) Fatalf(t testing.TB, format string, args ...any) {
	t.Helper()
	w.skipIfBusy(t, format, args...)
	t.Fatalf(format, args...)
}

func (w *Watch) skipIfBusy(t testing.TB, format string, args ...any) {
	t.Helper()
	why := w.Busy()
	if why == "" {
		return
	}
	why += "; " + fmt.Sprintf(format, args...)
	if path := os.Getenv(SkippedFile); path != "" {
		if err := appendLine(path, t.Name()+": "+why); err != nil {
			t.Error(err)
		}
	}
	t.Skip(why)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line + "\n")
	return err
}
