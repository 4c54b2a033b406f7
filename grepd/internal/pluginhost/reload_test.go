package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

var reloadCount = flag.Int("reloads", 5, "reloads that TestReloadsLeaveNothingBehind makes")

// owner runs f in the host's goroutine.
func (r *rig) owner(f func(h *Host) bool) (result bool) {
	r.Host.do(context.Background(), func() error { result = f(r.Host); return nil })
	return result
}

// checksum is that of the program in the plugin directory.
func (r *rig) checksum() string {
	r.t.Helper()
	content, err := os.ReadFile(r.Program())
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}

// count is how many lines of the log hold the words.
func (r *rig) count(word string) (n int) {
	for _, line := range r.lines() {
		if strings.Contains(line, word) {
			n++
		}
	}
	return n
}

// reloadInBackground begins a reload, and gives where its error will be.
func (r *rig) reloadInBackground() <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := r.Reload(context.Background())
		result <- err
	}()
	return result
}

func TestCrashIsRestartedWhileANewProgramHangs(t *testing.T) {
	r := newRig(t, hosttest.Works)
	r.Install(hosttest.HangsMute)
	reloaded := r.reloadInBackground()
	r.eventually("the new program hangs", func() bool {
		return r.owner(func(h *Host) bool { return h.reload.stage == launching })
	})
	for restarts := 1; restarts <= 2; restarts++ {
		pid := r.Info().PID
		syscall.Kill(pid, syscall.SIGKILL)
		r.eventually("a restart", func() bool {
			info := r.Info()
			return info.State == Running && info.PID != pid && info.Restarts == restarts
		})
	}
	select {
	case err := <-reloaded:
		t.Errorf("the reload has ended: %v", err)
	default:
	}
	if err := r.Retire(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-reloaded; !errors.Is(err, ErrEnded) {
		t.Errorf("the reload ends with %v, want ErrEnded", err)
	}
	if info := r.Info(); info.State != Stopped {
		t.Errorf("after Retire: %+v", info)
	}
}

// TestReloadComesBeforeARestartThatHangs has the last good program hang when it is restarted,
// and a new one in the plugin directory that does not.
func TestReloadComesBeforeARestartThatHangs(t *testing.T) {
	r := prepare(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r.Install(hosttest.WaitsFor + gate)
	if err := r.start(quick); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(r.Info().PID, syscall.SIGKILL)
	r.eventually("the restart hangs", func() bool {
		return r.owner(func(h *Host) bool { return h.stage == restarting })
	})
	r.Install(hosttest.Works)
	if info := r.reload(); info.State != Running || info.Checksum != r.checksum() {
		t.Errorf("after the reload: %+v", info)
	}
	r.row("it goes on as after a crash", func(m pluginpb.Member) bool { return m.Addr == "crashed" })
	if n := r.count("action=restart"); n != 0 {
		t.Errorf("the old program was restarted %d times", n)
	}
}

func TestStopEndsALaunch(t *testing.T) {
	r := newRig(t, hosttest.Works)
	r.Install(hosttest.HangsMute)
	reloaded := r.reloadInBackground()
	r.eventually("the new program hangs", func() bool {
		return r.owner(func(h *Host) bool { return h.reload.stage == launching })
	})
	r.Stop()
	if err := <-reloaded; !errors.Is(err, ErrEnded) {
		t.Errorf("the reload ends with %v, want ErrEnded", err)
	}
}

func TestReloadsThatWaitAreAnsweredTogether(t *testing.T) {
	const late = 9
	r := newRig(t, hosttest.Works)
	gate := filepath.Join(t.TempDir(), "gate")
	r.Install(hosttest.WaitsFor + gate)
	results := []<-chan error{r.reloadInBackground()}
	r.eventually("one is under way", func() bool {
		return r.owner(func(h *Host) bool { return h.reload.stage != noReload })
	})
	for range late {
		results = append(results, r.reloadInBackground())
	}
	r.eventually("the others wait", func() bool {
		return r.owner(func(h *Host) bool { return len(h.reload.calls)+len(h.queued) >= 1+late })
	})
	r.Build(filepath.Join(r.Path, "next"), hosttest.Works+";2")
	if err := os.Rename(filepath.Join(r.Path, "next"), r.Program()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	if n := r.count("action=reload"); n != 2 {
		t.Errorf("%d reloads were made, want 2: the one under way, and one for those that waited\n%s", n, strings.Join(r.lines(), "\n"))
	}
	if r.count("action=reload") == 2 && r.owner(func(h *Host) bool { return h.trial.lastGood == nil }) {
		t.Error("the program at work is not on trial")
	}
}

func TestProgramThatPanicsOnTrialIsRolledBack(t *testing.T) {
	r := newRig(t, hosttest.Works)
	good := r.Info().Checksum
	r.Install(hosttest.PanicsLater)
	bad := r.checksum()
	_, _ = r.Reload(context.Background()) // which may see it crash
	r.eventually("the good one is back", func() bool {
		info := r.Info()
		return info.State == Running && info.Checksum == good
	})
	if !r.logged("INFO PLUGIN", "action=rollback", "checksum="+good, "bad_checksum="+bad, "exit status 2", "stderr=panic: no mood to go on") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
	if exit := r.Info().LastExit; !strings.Contains(exit, "rolled back from checksum "+bad[:12]) {
		t.Errorf("last exit %q does not tell of it", exit)
	}
	r.row("it goes on from the state at the reload", func(m pluginpb.Member) bool {
		return m.Addr == "crashed" && m.Incarnation >= 2 // more if the watch has made a second reload of it
	})
	r.eventually("the copy of the bad one is removed", func() bool {
		copies, _ := filepath.Glob(filepath.Join(os.TempDir(), runDirPattern, "membership-*"))
		return len(copies) == 1 && strings.Contains(copies[0], good[:16])
	})

	// The same again in the plugin directory is left alone.
	r.Install(hosttest.PanicsLater)
	r.eventually("it is refused", func() bool { return r.logged("action=refuse", "refused or rolled back before") })
	if info := r.Info(); info.Checksum != good {
		t.Errorf("it was taken up: %+v", info)
	}
	// A person may try it.
	_, _ = r.Reload(context.Background())
	r.eventually("it is rolled back again", func() bool { return r.count("action=rollback") >= 2 })
	// After another program it is a new one.
	r.Install(hosttest.Works + ";2")
	r.eventually("another one is taken up", func() bool { return r.logged("action=reload", r.checksum()) })
	r.Install(hosttest.PanicsLater)
	r.eventually("and then the bad one", func() bool { return r.count("action=rollback") >= 3 })
}

// A file that was refused is noticed by the watch as well, perhaps several times; that is told once.
func TestRefusedFileIsToldOnce(t *testing.T) {
	r := newRig(t, hosttest.Works)
	notice := func() {
		again := newReloadCall(true)
		r.owner(func(h *Host) bool { h.ask(again); return true })
		if err := <-again.result; !errors.Is(err, errBanned) {
			t.Fatalf("a file that was refused is noticed again: %v", err)
		}
	}
	r.Install(hosttest.RefusesState)
	if _, err := r.Reload(context.Background()); err == nil {
		t.Fatal("it is taken up")
	}
	notice()
	notice()
	if n := r.count("action=refuse"); n != 1 {
		t.Errorf("told %d times: %q", n, r.lines())
	}
	r.Install(hosttest.RefusesState) // the same program, but a new file
	notice()
	if n := r.count("action=refuse"); n != 2 {
		t.Errorf("of two files told %d times: %q", n, r.lines())
	}
}

// TestReloadTellsOfACrashBeforeItsAnswer: the answer waits for the end of the old process,
// and the new one's may come first.
func TestReloadTellsOfACrashBeforeItsAnswer(t *testing.T) {
	timing := quick
	timing.Grace = time.Minute
	r := prepare(t)
	r.Install(hosttest.Works)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	replaced := &instance{ended: make(chan struct{}), cancelAttend: func() {}}
	replaced.attending.Go(func() { <-release })
	asked := newReloadCall(false)
	r.owner(func(h *Host) bool {
		h.reload.calls = []*reloadCall{asked}
		h.endReload(nil, replaced)
		return true
	})
	syscall.Kill(r.Info().PID, syscall.SIGKILL)
	r.eventually("a restart", func() bool { return r.Info().Restarts == 1 })
	close(release)
	if err := <-asked.result; err == nil || !strings.Contains(err.Error(), "it was put to work, and then: signal: killed") {
		t.Errorf("the reload ends with %v", err)
	}
}

func TestProgramThatHangsOnTrialIsRolledBack(t *testing.T) {
	timing := quick
	timing.Ping = 300 * time.Millisecond
	r := prepare(t)
	r.Install(hosttest.Works)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	good := r.Info().Checksum
	r.Install(hosttest.HangsLater)
	r.eventually("the good one is back", func() bool { return r.logged("action=rollback", "no sign of life") })
	if info := r.Info(); info.Checksum != good {
		t.Errorf("info %+v, want checksum %s", info, good)
	}
}

func TestLastGoodProgramIsTheOneBeforeAllThatAreOnTrial(t *testing.T) {
	r := newRig(t, hosttest.Works)
	good := r.Info().Checksum
	for _, what := range []string{hosttest.Works + ";2", hosttest.Works + ";3"} {
		r.Install(what)
		r.reload()
	}
	r.Install(hosttest.PanicsLater)
	_, _ = r.Reload(context.Background()) // which may see it crash
	r.eventually("a rollback", func() bool { return r.count("action=rollback") == 1 })
	if info := r.Info(); info.Checksum != good {
		t.Errorf("rolled back to %s, want %s", info.Checksum, good)
	}
}

func TestProgramThatHasProvedItselfIsRestarted(t *testing.T) {
	timing := quick
	timing.Stable = time.Millisecond
	r := prepare(t)
	r.Install(hosttest.Works)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	r.Install(hosttest.Works + ";2")
	checksum := r.checksum()
	r.reload()
	r.eventually("the trial ends", func() bool {
		return r.owner(func(h *Host) bool { return h.trial.lastGood == nil && h.program.hex() == checksum })
	})
	syscall.Kill(r.Info().PID, syscall.SIGKILL)
	r.eventually("a restart", func() bool { return r.Info().State == Running && r.Info().Restarts == 1 })
	if info := r.Info(); info.Checksum != checksum || r.count("action=rollback") > 0 {
		t.Errorf("info %+v, want checksum %s", info, checksum)
	}
}

func TestHandshakesThatAreNoneAreToldInOneLine(t *testing.T) {
	r := newRig(t, hosttest.Works)
	pid := r.Info().PID
	for _, test := range []struct{ what, want string }{
		{hosttest.ExitsAtOnce, "it ended with exit status 3; it wrote: fake: no mood to work"},
		{hosttest.WrongVersion, "incompatible API version with plugin. Plugin version: 9, Client versions: [1]"},
		{hosttest.Babbles, "it said nothing"},
		{hosttest.SaysNonsense, "Unrecognized remote plugin message: hello"},
	} {
		r.Install(test.what)
		_, err := r.Reload(context.Background())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("reload of one that %s: %v, want an error with %q", test.what, err, test.want)
			continue
		}
		if text := err.Error(); len(text) > 2*errorBytesMax || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
			t.Errorf("reload of one that %s: the error is no line for a terminal: %q", test.what, text)
		}
		if !r.logged("action=refuse", test.want) {
			t.Errorf("the log does not tell of one that %s: %q", test.what, r.lines())
		}
	}
	if info := r.Info(); info.PID != pid || info.Restarts != 0 {
		t.Errorf("info %+v, want process %d at work", info, pid)
	}
	r.Install(hosttest.ShakesTwice)
	if info := r.reload(); info.PID == pid {
		t.Error("one that talks after its handshake is not taken up")
	}
	r.row("it works", func(m pluginpb.Member) bool { return m.Addr == "frozen" })
}

func TestWhatAPluginLeavesBehindDelaysNothing(t *testing.T) {
	r := newRig(t, hosttest.LeavesChild)
	r.eventually("it tells of its child", func() bool {
		return r.owner(func(h *Host) bool { return strings.HasPrefix(h.current.stderr.Line(), "child ") })
	})
	var line string
	r.owner(func(h *Host) bool { line = h.current.stderr.Line(); return true })
	child, err := strconv.Atoi(strings.TrimPrefix(line, "child "))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(child, syscall.SIGKILL) })
	r.Install(hosttest.Works)
	r.reload()
	r.row("the next one works", func(m pluginpb.Member) bool { return m.Addr == "frozen" })
	if !running(child) {
		t.Error("the child has ended, so nothing was held open")
	}
	r.Stop()
}

func TestReplacedPluginDirectoryIsWatched(t *testing.T) {
	r := newRig(t, hosttest.Works)
	before := r.Info()
	aside := r.Path + ".old"
	if err := os.Rename(r.Path, aside); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(aside) })
	if err := os.Mkdir(r.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Install(hosttest.Works + ";2")
	r.eventually("the program in the new directory is taken up", func() bool {
		info := r.Info()
		return info.State == Running && info.Checksum != before.Checksum
	})
}

func TestFileThatIsBeingWrittenIsNotTakenUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	src, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	// Whoever opened the file has read a part of it, and the rest is not all.
	if _, err := src.Seek(2, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := copyFile(context.Background(), filepath.Join(dir, "copy"), src); !errors.Is(err, errWritten) {
		t.Errorf("a copy of a part: %v, want %v", err, errWritten)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := copyExecutable(ctx, path, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("a copy that nobody waits for: %v", err)
	}
}

// descriptors counts this process's.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the descriptors are counted in /proc")
	}
	return len(entries)
}

func TestReloadsLeaveNothingBehind(t *testing.T) {
	r := newRig(t, hosttest.Works)
	r.reload() // after which all is there that is made once
	r.row("it works", func(pluginpb.Member) bool { return true })
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	began := time.Now()
	for range *reloadCount {
		r.reload()
	}
	t.Logf("%d reloads in %v", *reloadCount, time.Since(began).Round(time.Millisecond))
	r.eventually("as many goroutines and descriptors as before", func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
	entries, err := os.ReadDir(r.Host.runDir.path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 { // the lock, the program, and the process's directory
		t.Errorf("the private directory holds %v", entries)
	}
	if info := r.Info(); info.Restarts != 0 || r.count("action=reload") != *reloadCount+1 {
		t.Errorf("info %+v after %d reloads", info, r.count("action=reload"))
	}
}
