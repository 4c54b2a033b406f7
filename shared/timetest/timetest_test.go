package timetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// fakeT is a test that notes what becomes of it.
type fakeT struct {
	testing.TB
	verdict string
}

func (f *fakeT) Helper()                         {}
func (f *fakeT) Name() string                    { return "TestFake" }
func (f *fakeT) Skip(args ...any)                { f.verdict += "skip: " + fmt.Sprint(args...); panic(f) }
func (f *fakeT) Errorf(form string, args ...any) { f.verdict += "error: " + fmt.Sprintf(form, args...) }

// judge gives what becomes of a test whose bound does not hold when others had that share.
func judge(t *testing.T, share float64) string {
	fake := &fakeT{TB: t}
	w := &Watch{read: func() usage { return usage{} }, busiest: share}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(fake) {
				panic(r)
			}
		}()
		w.Errorf(fake, "took %d s", 3)
	}()
	return fake.verdict
}

func TestABoundThatDoesNotHoldIsJudgedByTheMachine(t *testing.T) {
	skipped := filepath.Join(t.TempDir(), "skipped")
	t.Setenv(SkippedFile, skipped)
	const busy = "the machine is too busy to tell: other processes used 93 % of its processors for half a second; took 3 s"
	if got, want := judge(t, 0.93), "skip: "+busy; got != want {
		t.Errorf("on a busy machine: %q, want %q", got, want)
	}
	if got, err := os.ReadFile(skipped); err != nil || string(got) != "TestFake: "+busy+"\n" {
		t.Errorf("noted is %q, %v", got, err)
	}
	if got, want := judge(t, 0), "error: took 3 s"; got != want {
		t.Errorf("on an idle machine: %q, want %q", got, want)
	}
}

func TestMachineIsRead(t *testing.T) {
	for stat, want := range map[string]usage{
		"cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n": {total: 621, idle: 450},
		"cpu  1 2 3":           {},
		"intr 1 2 3 4 5 6 7 8": {},
		"":                     {},
	} {
		if got, err := parseMachine([]byte(stat)); got != want || (err == nil) != (want != usage{}) {
			t.Errorf("of %q: %+v, %v; want %+v", stat, got, err, want)
		}
	}
}

func TestProcessesAreRead(t *testing.T) {
	const tail = " 1 1 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 55"
	for stat, want := range map[string]processTicks{
		"12 (a name) S 3" + tail:      {12, 3, 110},
		"12 (S 9 (odd) 8) R 3" + tail: {12, 3, 110},
	} {
		if got, err := parseProcess([]byte(stat)); err != nil || got != want {
			t.Errorf("of %q: %+v, %v; want %+v", stat, got, err, want)
		}
	}
	for _, stat := range []string{"", "12", "12 (a) S 3", "x (a) S 3" + tail} {
		if got, err := parseProcess([]byte(stat)); err == nil {
			t.Errorf("of %q: %+v", stat, got)
		}
	}
}

func TestOwnProcessesAreNoOthers(t *testing.T) {
	all := []processTicks{{1, 0, 1000}, {10, 1, 5}, {11, 10, 7}, {12, 11, 9}, {20, 1, 500}, {30, 31, 3}, {31, 30, 3}}
	if got := ownTicks(10, all); got != 5+7+9 {
		t.Errorf("%d ticks, want those of 10, 11 and 12", got)
	}
	for _, test := range []struct {
		before, now usage
		want        float64
	}{
		{usage{100, 50, 10}, usage{200, 50, 10}, 1},
		{usage{100, 50, 10}, usage{200, 75, 60}, 0.25},
		{usage{100, 50, 10}, usage{200, 75, 5}, 0.75}, // a child has ended that nobody waits for
		{usage{100, 50, 10}, usage{200, 150, 20}, 0},
		{usage{}, usage{}, 0},
	} {
		if got := test.now.othersShare(test.before); got != test.want {
			t.Errorf("from %+v to %+v others had %v, want %v", test.before, test.now, got, test.want)
		}
	}
}

// TestWorkOfTheTestItselfIsFound has a child use a processor.
func TestWorkOfTheTestItselfIsFound(t *testing.T) {
	if readUsage() == (usage{}) {
		t.Skip("this system does not say how busy it is")
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	before := readUsage()
	child := exec.Command(shell, "-c", "while :; do :; done")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		now := readUsage()
		if now.own >= before.own+20 && now.total >= before.total+20 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v at first, and %+v after a minute of a child's work", before, now)
		}
	}
}

// TestWatchEndsWithItsTest leaves no goroutine, also where the test is short.
func TestWatchEndsWithItsTest(t *testing.T) {
	t.Run("short", func(t *testing.T) {
		if why := Begin(t).Busy(); why != "" && !strings.Contains(why, "other processes used") {
			t.Errorf("the machine is %q", why)
		}
	})
	goleak.VerifyNone(t)
}
