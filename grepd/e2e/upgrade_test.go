package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var upgradesFlag = flag.Int("upgrades", 4, "how often TestUpgradesUnderLoad replaces the daemon; with -short half as often")

// upgradeLimit is when a test gives up on an upgrade.
const upgradeLimit = time.Minute

// upgradable gives the node a program of its own, which can be replaced.
func (n *node) upgradable() {
	n.t.Helper()
	if runtime.GOOS != "linux" {
		n.t.Skip("only Linux lets the tests wait for a daemon's successor")
	}
	if err := adoptOrphans(); err != nil {
		n.t.Fatal(err)
	}
	guard(n.t)
	dir, err := os.MkdirTemp(bin, "own-")
	if err != nil {
		n.t.Fatal(err)
	}
	n.program = filepath.Join(dir, "grepd")
	if err := os.Symlink(filepath.Join(bin, "plugins"), filepath.Join(dir, "plugins")); err != nil {
		n.t.Fatal(err)
	}
	n.newProgram(0)
}

// newProgram puts another edition of grepd in the place of the node's program. It differs
// by a number after the end, which no loader looks at.
func (n *node) newProgram(edition int) {
	n.t.Helper()
	program, err := os.ReadFile(filepath.Join(bin, "grepd"))
	if err != nil {
		n.t.Fatal(err)
	}
	n.install(fmt.Appendf(program, "edition %d", edition), 0o755)
}

// install moves a file into the place of the node's program.
func (n *node) install(content []byte, mode os.FileMode) {
	n.t.Helper()
	tmp := n.program + ".new"
	if err := os.WriteFile(tmp, content, mode); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(tmp, n.program); err != nil {
		n.t.Fatal(err)
	}
}

// edition is what newProgram has put after the end of a process's program.
func edition(pid int) (string, error) {
	program, err := os.ReadFile(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "", err
	}
	return string(program[bytes.LastIndex(program, []byte("edition ")):]), nil
}

// upgrade has the daemon replaced. The old process may still have queries to end.
func (n *node) upgrade() (old *process) {
	n.t.Helper()
	old = n.process
	if r := command(n.t, "grepd", "upgrade", "--via", n.addr); r.status != 0 {
		if strings.Contains(r.stderr, "no answer in time") {
			n.watch.Fatalf(n.t, "grepd upgrade: %v", r)
		}
		n.t.Fatalf("grepd upgrade: %v", r)
	}
	n.meet()
	return old
}

// meet waits until another process serves, and makes it the node's daemon.
func (n *node) meet() {
	n.t.Helper()
	var s status
	await(n.t, upgradeLimit, "another process serves", func() error {
		if err := n.ask(&s, "status"); err != nil {
			return err
		}
		if s.PID == n.process.pid() {
			return fmt.Errorf("process %d still does", s.PID)
		}
		return nil
	})
	n.adoptSuccessor(s.PID)
}

// adoptSuccessor makes a process that the daemon has started the node's daemon.
func (n *node) adoptSuccessor(pid int) {
	n.t.Helper()
	successor, err := os.FindProcess(pid)
	if err != nil {
		n.t.Fatal(err)
	}
	// It can be waited for when its parent has ended and this process has adopted it.
	parent := n.process
	n.process = &process{os: successor, output: n.outputFile(), ended: make(chan struct{})}
	go func(p *process) {
		defer close(p.ended)
		<-parent.ended
		p.state, _ = successor.Wait() // the error is that the parent has waited for it
	}(n.process)
}

// guardOf is set for a copy of the tests' process that ends the daemons of one that was
// killed: those that have taken over from others do not end with it by themselves. Its
// value is the directory of their programs.
const guardOf = "GREPD_E2E_GUARD_OF"

// guard starts that copy, for as long as the test runs.
func guard(t *testing.T) {
	t.Helper()
	end := startGuard(t, bin)
	t.Cleanup(func() { end("all is well") })
}

// startGuard returns what ends the guard. With an empty word it is what the end of this
// process would be to it.
func startGuard(t *testing.T, dir string) (end func(word string)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guardOf+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func(word string) {
		_, _ = io.WriteString(stdin, word)
		stdin.Close()
		_ = cmd.Wait()
	}
}

func TestGuardEndsWhatKilledTestsLeave(t *testing.T) {
	if !hasProc() {
		t.Skip("the guard finds processes in /proc")
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sleep"), string(program), 0o755)
	left := exec.Command(filepath.Join(dir, "sleep"), "600")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	startGuard(t, dir)("all is well")
	if !alive(left.Process.Pid) {
		t.Error("the guard ended a process although the tests ended well")
	}
	startGuard(t, dir)("")
	if err := left.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
}

// watchOver is the guard: its standard input ends with the tests, after a word if all is well.
func watchOver(dir string) int {
	bin = dir
	if word, _ := io.ReadAll(os.Stdin); len(word) == 0 {
		killLeftovers()
	}
	return 0
}

// logged reads a node's own log.
func (n *node) logged(file string) []event {
	n.t.Helper()
	content, err := os.ReadFile(filepath.Join(n.logDir(), file))
	if err != nil {
		n.t.Fatal(err)
	}
	var events []event
	for line := range bytes.Lines(content) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			n.t.Fatalf("%s holds %q, which is no line of an event log: %v", file, line, err)
		}
		events = append(events, e)
	}
	return events
}

// checkNobodyNoticed looks for signs of a pause in the logs of all.
func checkNobodyNoticed(t *testing.T, c *cluster) {
	t.Helper()
	count := map[string]int{}
	for _, n := range c.nodes {
		for _, e := range n.logged("membership.log") {
			count[e.Event]++
			if slices.Contains([]string{"FAIL", "REJOIN", "LEAVE"}, e.Event) {
				c.watch.Errorf(t, "%s logged %+v", n.addr, e)
			}
		}
	}
	t.Logf("events in all logs: %v", count)
}

// descriptors counts a process's open ones by kind. Connections to peers and clients come
// and go, and do not count.
func descriptors(t *testing.T, pid int) map[string]int {
	t.Helper()
	connections := map[string]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table)) // there may be no IPv6
		for line := range strings.Lines(string(content)) {
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] != "0A" { // not listening
				connections["socket:["+fields[9]+"]"] = true
			}
		}
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("descriptors of process %d: %v", pid, err)
	}
	count := map[string]int{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || connections[target] {
			continue
		}
		kind, _, numbered := strings.Cut(target, ":[")
		if !numbered {
			kind = filepath.Base(target)
		}
		count[kind]++
	}
	return count
}

// children lists the processes that a process has started and that run.
func children(t *testing.T, pid int) []int {
	t.Helper()
	var found []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] == strconv.Itoa(pid) && fields[0] != "Z" {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // the pattern is digits
			found = append(found, child)
		}
	}
	return found
}

// TestUpgradesUnderLoad replaces a daemon again and again, each time by another program,
// while it and the others are asked all the time. Nobody must notice.
func TestUpgradesUnderLoad(t *testing.T) {
	upgrades := *upgradesFlag
	if testing.Short() {
		upgrades = (upgrades + 1) / 2
	}
	c := newCluster(t, 5, 2)
	n := c.nodes[3]
	n.upgradable()
	for _, each := range c.nodes {
		each.writeLoad()
	}
	c.start(c.nodes...)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(t, len(c.nodes), time.Second/20, n)
	others := startLoad(t, len(c.nodes), time.Second/2, c.nodes[0], c.nodes[1], c.nodes[2], c.nodes[4])

	spanned := min(3, upgrades) // upgrades during a long query
	if raceEnabled {
		spanned = 1
	}
	var olds []*process
	var oldPlugins []int
	var long *longQuery
	var opened map[string]int
	for i := range upgrades {
		if i%5 == 0 {
			long = startLongQuery(t, n, c.nodes)
		}
		n.newProgram(i + 1)
		oldPlugins = append(oldPlugins, n.plugin().PID)
		olds = append(olds, n.upgrade())
		if got, err := edition(n.process.pid()); err != nil || got != fmt.Sprintf("edition %d", i+1) {
			t.Errorf("after upgrade %d process %d runs %q, %v", i+1, n.process.pid(), got, err)
		}
		l.awaitMore(t, 10)
		others.awaitMore(t, 5)
		if i%5 == spanned-1 {
			long.finish()
		}
		if i == 0 {
			opened = descriptors(t, n.process.pid())
		}
	}
	l.end()
	others.end()

	for i, old := range olds {
		// One that ended before the one that started it has been waited for by that.
		if status := old.wait(t); status != 0 && old.state != nil {
			t.Errorf("after upgrade %d the old daemon ended with status %d", i+1, status)
		}
		if alive(oldPlugins[i]) {
			t.Errorf("after upgrade %d the old plugin, process %d, still runs", i+1, oldPlugins[i])
		}
	}
	for _, wrong := range append(l.wrong, others.wrong...) {
		c.watch.Errorf(t, "not answered in full: %s", wrong)
	}
	after, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	if after.ID != before.ID || after.Upgrades != upgrades || !after.Since.Equal(before.Started) {
		t.Errorf("before %+v\nafter %+v: want the same id, and %d upgrades since the start", before, after, upgrades)
	}
	if running := children(t, n.process.pid()); len(running) != 1 || running[0] != n.plugin().PID {
		t.Errorf("the daemon has the children %v, and the plugin is %d", running, n.plugin().PID)
	}
	await(t, joinLimit, "no descriptor is left over", func() error { // a connection may be just coming or going
		now := descriptors(t, n.process.pid())
		for kind, count := range now {
			if count > opened[kind] {
				return fmt.Errorf("open descriptors: %v, and after the first upgrade %v", now, opened)
			}
		}
		return nil
	})
	c.awaitAgreement(joinLimit)
	checkNobodyNoticed(t, c)
	t.Logf("%d upgrades; %d queries to the upgraded node and %d to the others, %d of them not answered in full",
		upgrades, l.asked.Load(), others.asked.Load(), len(l.wrong)+len(others.wrong))
	reportGaps(t, n, upgrades)
}

// reportGaps prints how long the node's plugins and its heartbeats paused.
func reportGaps(t *testing.T, n *node, upgrades int) {
	t.Helper()
	var paused []time.Duration
	for _, e := range n.logged("grepd.log") {
		if e.Event == "PLUGIN" && e.Action == "take over" {
			paused = append(paused, time.Duration(e.GapUS)*time.Microsecond)
		}
	}
	slices.Sort(paused)
	if len(paused) != upgrades {
		t.Errorf("%d plugins have taken over, want %d", len(paused), upgrades)
		return
	}
	last := map[string]time.Time{}
	var beats []time.Duration
	for _, e := range n.logged("membership.log") {
		if e.Event == "HEARTBEAT" && e.Dir == "sent" {
			if before, ok := last[e.Peer]; ok {
				beats = append(beats, e.Time.Sub(before))
			}
			last[e.Peer] = e.Time
		}
	}
	slices.Sort(beats)
	t.Logf("no plugin at work: median %v, longest %v", paused[len(paused)/2], paused[len(paused)-1])
	t.Logf("between two heartbeats to one member: median %v, longest %v", beats[len(beats)/2], beats[len(beats)-1])
}
