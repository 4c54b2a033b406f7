package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How hard TestPluginTorture is. scripts/torture.sh sets these.
var (
	reloadsFlag = flag.Int("reloads", 12, "how often TestPluginTorture reloads the plugin")
	killsFlag   = flag.Int("kills", 3, "how often it kills the plugin")
	stopsFlag   = flag.Int("stops", 1, "how often it stops the plugin with SIGSTOP")
	busyFlag    = flag.Duration("busy", 0, "for how long it keeps the machine busy")
	burnersFlag = flag.Int("burners", 20, "with how many processes")
	gapFlag     = flag.Duration("gap", time.Second, "the longest that 99 % of the reloads may keep the plugin from its work")
	replaceFlag = flag.Duration("replace", 10*time.Second, "the longest that it may take to replace a stopped plugin")
)

const (
	// tortured is the node of the cluster whose plugin has to bear it all.
	tortured = 3
	// queryPace is the time between two queries to it.
	queryPace = time.Second / 20
	// steadyAfter is how long a plugin has to work for its crash to count as a first one,
	// and a little.
	steadyAfter = 5500 * time.Millisecond
	// quickKills is how many kills come one after the other. The waits before the restarts
	// grow, and would come to what the others take for a failure.
	quickKills = 4
	// mayBeAway is how long a plugin may be away for certain before the others declare the
	// node failed: the silence at which they agree, without the time since the last heartbeat.
	mayBeAway = 1150 * time.Millisecond
)

// ownPlugins gives the node a plugin directory of its own, with the membership plugin.
func (n *node) ownPlugins() {
	n.t.Helper()
	dir, err := os.MkdirTemp(bin, "plugins-")
	if err != nil {
		n.t.Fatal(err)
	}
	n.args = append(n.args, "--plugin-dir", dir)
	n.plugins = dir
	n.installPlugin("")
}

// installPlugin moves the membership plugin into the node's plugin directory. It differs
// from others by what stands after its end, which no loader looks at.
func (n *node) installPlugin(edition string) {
	n.t.Helper()
	program, err := os.ReadFile(filepath.Join(bin, "plugins", "membership"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.installFile(append(program, edition...), 0o755)
}

func (n *node) installFile(content []byte, mode os.FileMode) {
	n.t.Helper()
	tmp := filepath.Join(n.plugins, "incoming")
	err := os.WriteFile(tmp, content, mode)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(n.plugins, "membership"))
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// reload has the node's plugin reloaded.
func (n *node) reload() result {
	n.t.Helper()
	return command(n.t, "grepd", "plugin", "reload", "--via", n.addr, "membership")
}

// runDir is the host's private directory, from which it runs the plugin.
func (n *node) runDir() string {
	n.t.Helper()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.plugin().PID))
	if err != nil {
		n.t.Skip("where a process's program is stands in /proc")
	}
	return filepath.Dir(exe)
}

// TestPluginTorture does to the plugin of one of five nodes what can be done to it, while
// the node is asked all the time and the others watch it. Nobody must notice.
func TestPluginTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and a quiet machine: scripts/test.sh -long")
	}
	c := newCluster(t, 5, 2)
	n := c.nodes[tortured]
	n.ownPlugins()
	for _, each := range c.nodes {
		each.writeLoad()
	}
	c.start(c.nodes...)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, len(c.nodes), queryPace, n)
	l.awaitMore(t, 5)

	t.Run("reloads", func(t *testing.T) { tortureReloads(t, n, l) })
	t.Run("broken programs", func(t *testing.T) { tortureBrokenPrograms(t, n) })
	if !raceEnabled { // which makes a launch last several times as long
		t.Run("stops", func(t *testing.T) { tortureStops(t, n, l) })
		t.Run("kills", func(t *testing.T) { tortureKills(t, n, l) })
	}
	if *busyFlag > 0 {
		t.Run("busy machine", func(t *testing.T) { tortureByLoad(t, n) })
	}

	l.end()
	c.awaitAgreement(joinLimit)
	if n.away > mayBeAway {
		t.Skipf("the node's plugin was away for %v: on so slow a machine the others are right to notice", n.away)
	}
	for _, wrong := range l.wrong {
		c.watch.Errorf(t, "not answered in full: %s", wrong)
	}
	checkNobodyNoticed(t, c)
	if after, err := n.status(); err != nil || after.ID != before.ID {
		t.Errorf("the node was %s and is %s, %v", before.ID, after.ID, err)
	}
	t.Logf("%d queries to the tortured node, %d of them not answered in full", l.asked.Load(), len(l.wrong))
}

// tortureReloads goes back and forth between two editions of the plugin, each tenth time
// by the watch over the plugin directory.
func tortureReloads(t *testing.T, n *node, l *load) {
	first := n.plugin()
	daemon := n.process.pid()
	editions := []string{"edition 1", "edition 2"}
	var opened map[string]int
	began := time.Now()
	for i := range *reloadsFlag {
		before := n.plugin()
		n.installPlugin(editions[i%2])
		if i%10 == 9 {
			await(t, joinLimit, "the watch takes up the plugin", func() error {
				if now := n.plugin(); now.PID == before.PID {
					return fmt.Errorf("process %d still runs", now.PID)
				}
				return nil
			})
		} else if r := n.reload(); r.status != 0 {
			n.watch.Fatalf(t, "reload %d: %v", i+1, r)
		}
		l.awaitMore(t, 1)
		if i == 1 {
			opened = descriptors(t, daemon)
		}
	}
	took := time.Since(began)
	now := n.plugin()
	if now.Restarts != first.Restarts {
		n.watch.Errorf(t, "the plugin was %+v and is %+v", first, now)
	}
	if running := children(t, daemon); len(running) != 1 || running[0] != now.PID {
		t.Errorf("the daemon has the children %v, and the plugin is %d", running, now.PID)
	}
	await(t, joinLimit, "as many descriptors as before", func() error {
		if open := descriptors(t, daemon); opened != nil && fmt.Sprint(open) != fmt.Sprint(opened) {
			return fmt.Errorf("open descriptors: %v, and after the second reload %v", open, opened)
		}
		return nil
	})
	// The lock, the plugin's directory, and the programs: the one at work, and the one to go
	// back to.
	if entries, err := os.ReadDir(n.runDir()); err != nil || len(entries) > 4 {
		t.Errorf("the private directory holds %v, %v", entries, err)
	}
	var gaps []time.Duration
	for _, e := range n.logged("grepd.log") {
		if e.Event == "PLUGIN" && e.Action == "reload" {
			gaps = append(gaps, time.Duration(e.GapUS)*time.Microsecond)
		}
	}
	if len(gaps) < *reloadsFlag {
		t.Fatalf("%d reloads are in the log, want %d", len(gaps), *reloadsFlag)
	}
	t.Logf("%d reloads in %v; no plugin at work for %s", *reloadsFlag, took.Round(time.Millisecond), describeTimes(gaps))
	if p99 := percentile(gaps, 99); p99 > *gapFlag {
		n.watch.Errorf(t, "in 1 of 100 reloads no plugin was at work for %v and more, want %v at most", p99, *gapFlag)
	}
}

// percentile sorts the times, and gives the one that so many percent do not exceed.
func percentile(times []time.Duration, percent int) time.Duration {
	slices.Sort(times)
	return times[(len(times)*percent+99)/100-1]
}

func describeTimes(times []time.Duration) string {
	return fmt.Sprintf("median %v, p99 %v, longest %v", percentile(times, 50), percentile(times, 99), percentile(times, 100))
}

// tortureKills kills the plugin, some times one after the other and then again when it
// has worked for a while.
func tortureKills(t *testing.T, n *node, l *load) {
	var times []time.Duration
	for i := range *killsFlag {
		if i > 0 && i%quickKills == 0 {
			n.awaitSteady()
		}
		killed := n.hit(syscall.SIGKILL)
		times = append(times, n.awaitReplaced(killed))
		l.awaitMore(t, 2)
	}
	if len(times) == 0 {
		return
	}
	t.Logf("%d times killed; at work again after %s", *killsFlag, describeTimes(times))
}

// tortureStops stops the plugin as a debugger would, or a deadlock.
func tortureStops(t *testing.T, n *node, l *load) {
	var times []time.Duration
	for i := range *stopsFlag {
		if i > 0 {
			n.awaitSteady()
		}
		stopped := n.hit(syscall.SIGSTOP)
		times = append(times, n.awaitReplaced(stopped))
		l.awaitMore(t, 2)
	}
	if len(times) == 0 {
		return
	}
	t.Logf("%d times stopped; another at work after %s", *stopsFlag, describeTimes(times))
	if longest := percentile(times, 100); longest > *replaceFlag {
		n.watch.Errorf(t, "a stopped plugin was replaced after %v, want %v at most", longest, *replaceFlag)
	}
}

// blow is a signal that the node's plugin was sent.
type blow struct {
	at     time.Time
	before pluginStatus
}

func (n *node) hit(signal syscall.Signal) blow {
	n.t.Helper()
	b := blow{before: n.plugin(), at: time.Now()}
	if err := syscall.Kill(b.before.PID, signal); err != nil {
		n.t.Fatal(err)
	}
	return b
}

// awaitReplaced waits until another process is at work, and gives how long the node was
// without, as its log says.
func (n *node) awaitReplaced(b blow) time.Duration {
	n.t.Helper()
	await(n.t, joinLimit, "another plugin is in the group", func() error {
		s, err := n.status()
		if err == nil && (len(s.Plugins) == 0 || s.Plugins[0].PID == b.before.PID || s.Phase != "member") {
			err = fmt.Errorf("the node is %+v", s)
		}
		return err
	})
	for _, e := range n.logged("grepd.log") {
		if e.Event == "PLUGIN" && (e.Action == "restart" || e.Action == "rollback") && e.PID > 0 && e.Time.After(b.at) {
			away := e.Time.Sub(b.at)
			n.away = max(n.away, away)
			return away
		}
	}
	n.t.Fatal("the log does not tell of the restart")
	return 0
}

// awaitSteady waits until the plugin has worked for so long that its crash is a first one.
func (n *node) awaitSteady() {
	n.t.Helper()
	await(n.t, steadyAfter+joinLimit, "the plugin has worked for a while", func() error {
		if p := n.plugin(); time.Since(p.Since) < steadyAfter {
			return fmt.Errorf("it works since %v", p.Since)
		}
		return nil
	})
}

// tortureByLoad keeps the machine busy. A plugin that has to wait for a processor works,
// and is not to be restarted.
func tortureByLoad(t *testing.T, n *node) {
	before := n.plugin()
	for range *burnersFlag {
		burner := exec.Command("sh", "-c", "while :; do :; done")
		burner.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := start(burner); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = burner.Process.Kill(); _ = burner.Wait() }()
	}
	until := time.Now().Add(*busyFlag)
	reloads := 0
	await(t, *busyFlag+joinLimit, "the load is over", func() error {
		if reloads++; reloads%5 == 0 {
			if r := n.reload(); r.status != 0 {
				n.watch.Errorf(t, "reload on a busy machine: %v", r)
			}
		}
		if left := time.Until(until); left > 0 {
			return fmt.Errorf("%v are left", left)
		}
		return nil
	})
	var gaps []time.Duration
	for _, e := range n.logged("grepd.log") {
		if e.Event == "PLUGIN" && e.Action == "reload" && e.Time.After(until.Add(-*busyFlag)) {
			gaps = append(gaps, time.Duration(e.GapUS)*time.Microsecond)
		}
	}
	if now := n.plugin(); now.Restarts != before.Restarts {
		t.Errorf("on a busy machine the plugin was restarted: before %+v, after %+v", before, now)
	}
	if len(gaps) > 0 {
		t.Logf("%v with %d busy processes: no restart; %d reloads, no plugin at work for %s", *busyFlag, *burnersFlag, len(gaps), describeTimes(gaps))
	}
}

// brokenPlugin is a program that is no good, or none.
type brokenPlugin struct {
	name    string
	install func(n *node)
	want    string // in the error
}

// script is a program in the shell's language; it has no PATH.
func script(lines string) func(n *node) {
	return func(n *node) { n.installFile([]byte("#!/bin/sh\n"+lines), 0o755) }
}

var brokenPlugins = []brokenPlugin{
	{"exits at once", script("echo no mood to work >&2; exit 3"), "it ended with exit status 3; it wrote: no mood to work"},
	{"another version", script("echo '1|9|unix|/nowhere|grpc'; exec /bin/sleep 60"), "incompatible API version with plugin. Plugin version: 9"},
	{"no plugin", script("echo hello; exec /bin/sleep 60"), "Unrecognized remote plugin message: hello"},
	{"no program", func(n *node) { n.installFile([]byte("text\n"), 0o755) }, "not a program for this machine"},
	{"half a program", func(n *node) {
		program, err := os.ReadFile(filepath.Join(bin, "plugins", "membership"))
		if err != nil {
			n.t.Fatal(err)
		}
		n.installFile(program[:len(program)/2], 0o755)
	}, "membership"},
	{"not executable", func(n *node) { n.installFile([]byte("#!/bin/sh\n"), 0o644) }, "not executable; chmod +x it"},
	{"empty", func(n *node) { n.installFile(nil, 0o755) }, "empty"},
	{"a directory", func(n *node) {
		path := filepath.Join(n.plugins, "membership")
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
			n.t.Fatal(err)
		}
	}, "not a regular file"},
	{"nothing", func(n *node) {
		if err := os.Remove(filepath.Join(n.plugins, "membership")); err != nil {
			n.t.Fatal(err)
		}
	}, "no such file"},
	{"a link to nothing", func(n *node) {
		if err := os.Symlink("nowhere", filepath.Join(n.plugins, "membership")); err != nil {
			n.t.Fatal(err)
		}
	}, "no such file"},
}

// tortureBrokenPrograms offers the node what is no good. The plugin at work is to go on,
// and the operator to be told why.
func tortureBrokenPrograms(t *testing.T, n *node) {
	before := n.plugin()
	for _, broken := range brokenPlugins {
		broken.install(n)
		r := n.reload()
		if r.status != 2 || !strings.Contains(r.stderr, broken.want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %v\nwant status 2 and one line with %q", broken.name, r, broken.want)
		}
		if !n.refused(broken.want) {
			t.Errorf("%s: grepd.log does not say %q", broken.name, broken.want)
		}
		if now := n.plugin(); now.PID != before.PID || now.Restarts != before.Restarts {
			t.Errorf("%s: the plugin was %+v and is %+v", broken.name, before, now)
		}
	}
	tortureHangingProgram(t, n)
	tortureCrashingProgram(t, n)

	// A link that is swapped is taken up by the watch.
	before = n.plugin()
	elsewhere := filepath.Join(n.plugins, "elsewhere")
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(n.plugins, "membership")
	n.installPlugin("edition 3")
	target, link := filepath.Join(elsewhere, "membership-3"), filepath.Join(n.plugins, "link")
	if err := errors.Join(os.Rename(program, target), os.Symlink(target, link), os.Rename(link, program)); err != nil {
		t.Fatal(err)
	}
	await(t, joinLimit, "the plugin behind the link is taken up", func() error {
		if now := n.plugin(); now.PID == before.PID {
			return fmt.Errorf("process %d still runs", now.PID)
		}
		return nil
	})
}

// refused says whether the node's log tells of a refusal with these words.
func (n *node) refused(words string) bool {
	n.t.Helper()
	return slices.ContainsFunc(n.logged("grepd.log"), func(e event) bool {
		return e.Event == "PLUGIN" && e.Action == "refuse" && strings.Contains(e.Error, words)
	})
}

// tortureHangingProgram has a program hang in its handshake, and kills the plugin at work
// meanwhile.
func tortureHangingProgram(t *testing.T, n *node) {
	script("exec /bin/sleep 60")(n)
	reload := exec.Command(filepath.Join(bin, "grepd"), "plugin", "reload", "--via", n.addr, "membership")
	var stderr bytes.Buffer
	reload.Stderr = &stderr
	if err := reload.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reload.Process.Kill() }() // it has ended, if all is well
	working, hanging := n.plugin().PID, 0
	await(t, joinLimit, "the program hangs", func() error {
		for _, pid := range children(t, n.process.pid()) {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "sleep\n" {
				hanging = pid
				return nil
			}
		}
		return errors.New("there is none")
	})
	took := n.awaitReplaced(n.hit(syscall.SIGKILL))
	t.Logf("while a new program hangs in its handshake, a killed plugin is replaced after %v", took)
	if !alive(hanging) || alive(working) {
		t.Errorf("the hanging program, %d, runs: %t; the killed one, %d: %t", hanging, alive(hanging), working, alive(working))
	}
	if err := syscall.Kill(hanging, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	err := reload.Wait()
	if want := "it ended with signal: aborted"; err == nil || !strings.Contains(stderr.String(), want) || !n.refused(want) {
		t.Errorf("the reload ends with %v, %q; want %q there and in the log", err, stderr.String(), want)
	}
}

// tortureCrashingProgram puts in a program that works for a second and crashes then.
func tortureCrashingProgram(t *testing.T, n *node) {
	good := n.plugin()
	script("(/bin/sleep 1; kill -ABRT $$) & exec " + filepath.Join(bin, "plugins", "membership"))(n)
	// On a slow machine a second is over before the reload is.
	if r := n.reload(); r.status != 0 && !strings.Contains(r.stderr, "it was put to work, and then: exit status 2") {
		t.Errorf("reload: %v", r)
	}
	await(t, joinLimit, "the good one is back", func() error {
		if now := n.plugin(); now.Checksum != good.Checksum || now.PID == good.PID {
			return fmt.Errorf("the plugin is %+v", now)
		}
		return nil
	})
	var crash, back event
	for _, e := range n.logged("grepd.log") {
		switch e.Action {
		case "exit":
			crash = e
		case "rollback":
			back = e
		}
	}
	if back.BadChecksum == "" || back.Checksum != good.Checksum || back.Time.Before(crash.Time) {
		t.Fatalf("the log tells of the rollback: %+v", back)
	}
	line := "rolled back from checksum " + back.BadChecksum[:12]
	if !strings.HasPrefix(back.Detail, "exit status 2, after ") || !strings.HasSuffix(back.Detail, line) || back.Stderr != "SIGABRT: abort" {
		t.Errorf("the log says of the rollback: %+v", back)
	}
	if r := command(t, "grepd", "plugins", "--via", n.addr); !strings.Contains(r.stdout, line) {
		t.Errorf("grepd plugins does not say %q: %v", line, r)
	}
	away := back.Time.Sub(crash.Time)
	n.away = max(n.away, away)
	t.Logf("a program that crashed after a second was rolled back in %v", away)
}

// TestKilledDaemonLeavesNothingBehind looks for what a daemon that was killed cannot remove.
func TestKilledDaemonLeavesNothingBehind(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	c.start(n)
	dir, plugin := n.runDir(), n.plugin().PID
	if sockets(t, dir) == 0 {
		t.Fatalf("there is no socket under %s", dir)
	}
	n.process.kill()
	await(t, stopLimit, "plugin and socket are gone", func() error {
		if left := sockets(t, dir); left > 0 || alive(plugin) {
			return fmt.Errorf("%d sockets are left; the plugin's process runs: %t", left, alive(plugin))
		}
		return nil
	})
	c.start(n)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the next daemon does not remove %s: %v", dir, err)
	}
}

// sockets counts those under a directory.
func sockets(t *testing.T, dir string) (count int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // it is just being removed
		}
		if err == nil && entry.Type()&os.ModeSocket != 0 {
			count++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}
