package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

// newUpgradable starts a small cluster, of which the last node can be upgraded.
func newUpgradable(t *testing.T) (*cluster, *node) {
	t.Helper()
	c := newCluster(t, 3, 1)
	n := c.nodes[2]
	n.upgradable()
	c.start(c.nodes...)
	return c, n
}

// identity is what an upgrade must not change.
func (n *node) identity() string {
	n.t.Helper()
	s, err := n.status()
	if err != nil {
		n.t.Fatal(err)
	}
	return s.ID
}

// checkGoesOn checks that a daemon is what it was before an upgrade that failed.
func checkGoesOn(t *testing.T, c *cluster, n *node, before status, plugin int) {
	t.Helper()
	after, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	if after.ID != before.ID || after.PID != before.PID || after.Phase != "member" {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if now := n.plugin().PID; now != plugin {
		t.Errorf("the plugin was process %d and is %d", plugin, now)
	}
	await(t, upgradeLimit, "nobody of the new side is left", func() error {
		if running := children(t, n.process.pid()); len(running) != 1 {
			return fmt.Errorf("the daemon has the children %v, and the plugin is %d", running, plugin)
		}
		return nil
	})
	c.awaitAgreement(joinLimit)
	checkNobodyNoticed(t, c)
}

// TestUpgradeToBrokenProgramIsRefused tries programs that cannot take over. The operator
// has to be told why in one line, and the daemon has to go on as if nothing had happened.
func TestUpgradeToBrokenProgramIsRefused(t *testing.T) {
	c, n := newUpgradable(t)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	plugin := n.plugin().PID
	current, err := os.ReadFile(n.program)
	if err != nil {
		t.Fatal(err)
	}
	older := fmt.Sprintf("#!/bin/sh\nunset GREPD_HANDOVER\nexec %s \"$@\"\n", filepath.Join(bin, "grepd"))
	tests := []struct {
		name    string
		content string
		mode    os.FileMode
		want    string
	}{
		{"not executable", string(current), 0o644, "permission denied"},
		{"not a program", "data\n", 0o755, "not a program for this machine"},
		{"exits at once", "#!/bin/sh\necho no mood to serve >&2\nexit 3\n", 0o755, "it ended: exit status 3; it wrote: no mood to serve"},
		{"exits silently", "#!/bin/sh\nexit 0\n", 0o755, "it ended: exit status 0"},
		{"is older than upgrades", older, 0o755, "is taken: another grepd may be running"},
		{"does not know an option", "#!/bin/sh\nexec " + filepath.Join(bin, "grepd") + " --no-such-flag \"$@\"\n", 0o755, "no-such-flag"},
		{"does not find its plugin", "#!/bin/sh\nexec " + filepath.Join(bin, "grepd") + " --plugin-dir /no/such/dir \"$@\"\n", 0o755, "/no/such/dir"},
		{"is a wrapper that stays", "#!/bin/sh\n" + filepath.Join(bin, "grepd") + " \"$@\"\n", 0o755, "is the one that started this"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n.install([]byte(test.content), test.mode)
			r := command(t, "grepd", "upgrade", "--via", n.addr)
			if r.status != 2 || !strings.Contains(r.stderr, test.want) || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%v\nwant status 2 and one line with %q", r, test.want)
			}
			t.Log(r.stderr)
		})
	}
	t.Run("is missing", func(t *testing.T) {
		if err := os.Remove(n.program); err != nil {
			t.Fatal(err)
		}
		if r := command(t, "grepd", "upgrade", "--via", n.addr); r.status != 2 || !strings.Contains(r.stderr, "no such file") {
			t.Errorf("%v", r)
		}
	})
	if refused := n.upgradeEvents("refuse"); len(refused) != len(tests)+1 {
		t.Errorf("%d refusals in grepd.log, want %d", len(refused), len(tests)+1)
	}
	checkGoesOn(t, c, n, before, plugin)
	n.newProgram(1)
	n.upgrade() // at last
}

func (n *node) upgradeEvents(action string) []event {
	n.t.Helper()
	var found []event
	for _, e := range n.logged("grepd.log") {
		if e.Event == "UPGRADE" && e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

// TestUpgradeThatHangs has a new program that never says anything, and one that comes to
// its plugin, which never does. While it hangs the daemon serves; when it is killed all is
// as before.
func TestUpgradeThatHangs(t *testing.T) {
	c, n := newUpgradable(t)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	plugin := n.plugin().PID
	for name, script := range map[string]string{
		"before it is a grepd": "echo $$ > %s/hangs\nexec sleep 600\n",
		"in its plugin": "mkdir -p %[1]s/plugins && printf '#!/bin/sh\\necho $PPID > %[1]s/hangs\\nexec sleep 600\\n' > %[1]s/plugins/membership\n" +
			"chmod +x %[1]s/plugins/membership\nexec " + filepath.Join(bin, "grepd") + " --plugin-dir %[1]s/plugins \"$@\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n.install(fmt.Appendf(nil, "#!/bin/sh\n"+script, dir), 0o755)
			outcome := make(chan result, 1)
			go func() { outcome <- n.tryUpgrade() }()
			hanging := awaitPID(t, filepath.Join(dir, "hangs"))
			if r := n.tryUpgrade(); r.status != 2 || !strings.Contains(r.stderr, "under way already") {
				t.Errorf("a second upgrade: %v", r)
			}
			refused := len(n.upgradeEvents("refuse"))
			if err := n.process.os.Signal(syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
			await(t, upgradeLimit, "the log says that a third one was refused", func() error {
				if now := len(n.upgradeEvents("refuse")); now != refused+1 {
					return fmt.Errorf("%d refusals, and %d before", now, refused)
				}
				return nil
			})
			if r := command(t, "dgrep", "--via", n.addr, "-c", "JOIN", "logs/*"); r.status != 0 {
				t.Errorf("a query meanwhile: %v", r)
			}
			killGroupOf(t, hanging)
			if r := <-outcome; r.status != 2 || !strings.Contains(r.stderr, "it ended: signal: killed") {
				t.Errorf("the upgrade: %v", r)
			}
			checkGoesOn(t, c, n, before, plugin)
		})
	}
}

// tryUpgrade may be called from any goroutine.
func (n *node) tryUpgrade() result {
	cmd := exec.Command(filepath.Join(bin, "grepd"), "upgrade", "--via", n.addr)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the status stays in ProcessState
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// awaitPID reads the process id that a script writes.
func awaitPID(t *testing.T, path string) int {
	t.Helper()
	var pid int
	await(t, upgradeLimit, path+" is written", func() error {
		content, err := os.ReadFile(path)
		if err == nil {
			_, err = fmt.Sscanf(string(content), "%d\n", &pid)
		}
		return err
	})
	return pid
}

func killGroupOf(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// newHoldable is newUpgradable with a plugin that holdStart can hold.
func newHoldable(t *testing.T) (*cluster, *node) {
	t.Helper()
	c := newCluster(t, 3, 1)
	n := c.nodes[2]
	n.upgradable()
	plugins := filepath.Join(filepath.Dir(n.program), "plugins")
	err := os.Remove(plugins) // a link to those that all have
	if err == nil {
		err = os.Mkdir(plugins, 0o755)
	}
	if err == nil {
		err = buildPatient(t.TempDir(), filepath.Join(plugins, "membership"))
	}
	if err != nil {
		t.Fatal(err)
	}
	c.start(c.nodes...)
	return c, n
}

// buildPatient builds a membership plugin that waits where the file of the last known members is a
// named pipe, as ours does not.
func buildPatient(dir, plugin string) error {
	path, err := filepath.Abs("../../membership/udp/state.go")
	if err != nil {
		return err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	patient := string(source)
	for old, new := range map[string]string{"|unix.O_NONBLOCK": "", "!info.Mode().IsRegular()": "info == nil"} {
		if strings.Count(patient, old) != 1 {
			return fmt.Errorf("%s opens the file in another way than it did: there is no %q", path, old)
		}
		patient = strings.ReplaceAll(patient, old, new)
	}
	overlay, changed := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "state.go")
	if err := os.WriteFile(changed, []byte(patient), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, path, changed), 0o600); err != nil {
		return err
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", plugin, "../../plugins/membership").CombinedOutput(); err != nil {
		return fmt.Errorf("build a patient plugin: %w\n%s", err, out)
	}
	return nil
}

// holdStart has the next plugin of the node hang when it is set to work, after the state
// has been handed over: it reads the file of the last known members, and that is a pipe
// now. held waits until it does; release lets it go on. The node is from newHoldable.
func (n *node) holdStart() (held func() (release func())) {
	n.t.Helper()
	pipe := filepath.Join(n.logDir(), ".members")
	if err := os.Remove(pipe); err != nil && !os.IsNotExist(err) {
		n.t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		n.t.Fatal(err)
	}
	return func() func() {
		n.t.Helper()
		fd := -1
		awaitWatched(n.t, n.watch, upgradeLimit, "the new plugin starts", func() (err error) {
			fd, err = syscall.Open(pipe, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
			return err // ENXIO as long as nobody reads
		})
		if err := os.Remove(pipe); err != nil { // the old plugin must not hang when it resumes
			n.t.Fatal(err)
		}
		return func() { syscall.Close(fd) }
	}
}

// pidOfSuccessor finds the daemon that is to take over: the child that is not the plugin.
func (n *node) pidOfSuccessor(plugin int) int {
	n.t.Helper()
	found := 0
	awaitWatched(n.t, n.watch, upgradeLimit, "there is a successor", func() error {
		for _, pid := range children(n.t, n.process.pid()) {
			if pid != plugin {
				found = pid
				return nil
			}
		}
		return errors.New("there is none")
	})
	return found
}

// TestSuccessorKilledWithTheState kills the new daemon when the old one has frozen its
// plugin and given the state away. The old one has to resume.
func TestSuccessorKilledWithTheState(t *testing.T) {
	c, n := newHoldable(t)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	plugin := n.plugin().PID
	held := n.holdStart()
	outcome := make(chan result, 1)
	go func() { outcome <- n.tryUpgrade() }()
	release := held()
	defer release()
	if err := syscall.Kill(n.pidOfSuccessor(plugin), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := <-outcome; r.status != 2 || !strings.Contains(r.stderr, "signal: killed") {
		c.watch.Errorf(t, "the upgrade: %v", r) // the successor gives up after half a second
	} else {
		t.Log(r.stderr)
	}
	checkGoesOn(t, c, n, before, plugin)
}

// TestSuccessorWhosePluginHangsIsGivenUp lets the new daemon's plugin hang with the state.
func TestSuccessorWhosePluginHangsIsGivenUp(t *testing.T) {
	c, n := newHoldable(t)
	before, err := n.status()
	if err != nil {
		t.Fatal(err)
	}
	plugin := n.plugin().PID
	held := n.holdStart()
	outcome := make(chan result, 1)
	go func() { outcome <- n.tryUpgrade() }()
	release := held()
	defer release()
	if r := <-outcome; r.status != 2 || !strings.Contains(r.stderr, "no answer in time") {
		c.watch.Fatalf(t, "the upgrade: %v", r) // the plugin was held too late
	} else {
		t.Log(r.stderr)
	}
	checkGoesOn(t, c, n, before, plugin)
}

// TestPredecessorKilledWithoutTheState kills the old daemon while the new one gets ready.
// The new one must not serve: it does not know where the member was.
func TestPredecessorKilledWithoutTheState(t *testing.T) {
	_, n := newUpgradable(t)
	dir := t.TempDir()
	script := "#!/bin/sh\nmkdir -p %[1]s/plugins && printf '#!/bin/sh\\necho $PPID > %[1]s/hangs\\nwhile [ ! -e %[1]s/go ]; do sleep 0.05; done\\nexec %[2]s/plugins/membership\\n' > %[1]s/plugins/membership\n" +
		"chmod +x %[1]s/plugins/membership\nexec %[2]s/grepd --plugin-dir %[1]s/plugins \"$@\"\n"
	n.install(fmt.Appendf(nil, script, dir, bin), 0o755)
	go n.tryUpgrade() // whose daemon is killed
	successor := awaitPID(t, filepath.Join(dir, "hangs"))
	plugin := n.plugin().PID
	if !alive(successor) {
		t.Fatalf("process %d does not run", successor)
	}
	n.process.kill()
	writeFile(t, filepath.Join(dir, "go"), "", 0o644)
	await(t, upgradeLimit, "the new daemon and the old plugin end", func() error {
		for _, pid := range []int{successor, plugin} {
			if alive(pid) {
				return fmt.Errorf("process %d runs", pid)
			}
		}
		return nil
	})
	if out := tail(n.outputFile()); !strings.Contains(out, "the other side has ended") {
		t.Errorf("it does not say why:\n%s", out)
	}
	if len(n.upgradeEvents("take over")) != 0 {
		t.Error("it has taken over")
	}
}

// TestPredecessorKilledWithTheStateSent kills the old daemon when its state has been handed
// over, and the new one has not started from it. The new one has to.
func TestPredecessorKilledWithTheStateSent(t *testing.T) {
	c, n := newHoldable(t)
	before, plugin := n.identity(), n.plugin().PID
	held := n.holdStart()
	go n.tryUpgrade() // whose daemon is killed
	release := held()
	successor := n.pidOfSuccessor(plugin)
	n.process.kill()
	release()
	n.adoptSuccessor(successor)
	awaitWatched(t, c.watch, upgradeLimit, "the new daemon serves", func() error {
		s, err := n.status()
		if err == nil && s.PID != successor {
			err = fmt.Errorf("process %d serves, want %d", s.PID, successor)
		}
		return err
	})
	if after := n.identity(); after != before {
		t.Errorf("it was %s and is %s", before, after)
	}
	await(t, stopLimit, "the old plugin ends", func() error {
		if alive(plugin) {
			return fmt.Errorf("process %d runs", plugin)
		}
		return nil
	})
	c.awaitAgreement(joinLimit)
	checkNobodyNoticed(t, c)
}

func TestUpgradeBySignal(t *testing.T) {
	_, n := newUpgradable(t)
	before, old := n.identity(), n.process
	n.newProgram(1)
	if err := old.os.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	n.meet()
	if status := old.wait(t); status != 0 {
		t.Errorf("the old daemon ended with status %d", status)
	}
	if after := n.identity(); after != before {
		t.Errorf("it was %s and is %s", before, after)
	}
	// What the signal did to the first, it does to the second.
	if err := n.process.os.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	n.meet()
}

// TestUpgradeAfterLeaving upgrades a node that has left the group. It stays out.
func TestUpgradeAfterLeaving(t *testing.T) {
	c, n := newUpgradable(t)
	if r := command(t, "grepd", "leave", "--via", n.addr); r.status != 0 {
		t.Fatal(r)
	}
	n.upgrade()
	s, err := n.status()
	if err != nil || s.Phase != "left" || s.Upgrades != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if running := children(t, n.process.pid()); len(running) != 0 {
		t.Errorf("the daemon has the children %v", running)
	}
	if r := command(t, "grepd", "plugin", "reload", "--via", n.addr); r.status != 0 {
		t.Fatal(r)
	}
	c.awaitAgreement(joinLimit)
}

func TestUpgradeWithoutMembership(t *testing.T) {
	n := &node{t: t, watch: timetest.Begin(t), addr: freeAddr(t), program: "grepd", dir: t.TempDir()}
	n.upgradable()
	n.args = []string{"--listen", n.addr, "--log-dir", n.logDir()}
	n.start()
	defer func() { n.process.terminate(t) }()
	await(t, upgradeLimit, "it serves", func() error { _, err := n.status(); return err })
	n.newProgram(1)
	old := n.upgrade()
	if status := old.wait(t); status != 0 {
		t.Errorf("the old daemon ended with status %d", status)
	}
	if r := command(t, "dgrep", "--via", n.addr, "-h", "UPGRADE", "logs/grepd.log"); r.status != 0 || !strings.Contains(r.stdout, `"action":"take over"`) {
		t.Errorf("%v", r)
	}
}

// A daemon does not follow a link that was put in the place of a mount, or above it, while it ran. Nor does
// the one that takes its place, which opens the mounts anew. A directory that was made anew is another matter.
func TestAnUpgradeFollowsNoNewLinkToAMount(t *testing.T) {
	n := &node{t: t, addr: freeAddr(t), program: "grepd", dir: t.TempDir()}
	n.upgradable()
	stranger, above := filepath.Join(n.dir, "stranger"), filepath.Join(n.dir, "above")
	mount := filepath.Join(above, "mount")
	for _, dir := range []string{stranger, filepath.Join(stranger, "mount"), mount} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(stranger, "secret"), "root:x:0:0\n", 0o644)
	writeFile(t, filepath.Join(mount, "a"), "ours\n", 0o644)
	n.args = []string{"--listen", n.addr, "--log-dir", n.logDir(), "--mount", "m=" + mount}
	n.start()
	defer func() { n.process.terminate(t) }()
	await(t, upgradeLimit, "it serves", func() error { _, err := n.status(); return err })

	swap := func(path string, to func(path string) error) {
		t.Helper()
		err := os.Rename(path, path+".away")
		if err == nil {
			err = to(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, linked := range []string{mount, above} {
		swap(linked, func(path string) error { return os.Symlink(stranger, path) })
		n.newProgram(1)
		r := command(t, "grepd", "upgrade", "--via", n.addr)
		if r.status != 2 || !strings.Contains(r.stderr, `mount "m" led to `+mount+` and leads to `+stranger) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%v\nwant status 2 and one line that names the mount", r)
		}
		if r := command(t, "dgrep", "--via", n.addr, "root", "m/*"); r.status != 2 || r.stdout != "" {
			t.Errorf("a search follows the link: %v", r)
		}
		if err := os.Remove(linked); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(linked+".away", linked); err != nil {
			t.Fatal(err)
		}
	}
	swap(mount, func(path string) error { return os.Mkdir(path, 0o755) })
	writeFile(t, filepath.Join(mount, "a"), "new\n", 0o644)
	old := n.upgrade()
	if status := old.wait(t); status != 0 {
		t.Errorf("the old daemon ended with status %d", status)
	}
	if r := command(t, "dgrep", "--via", n.addr, "-h", "new", "m/*"); r.status != 0 || r.stdout != "new\n" {
		t.Errorf("%v", r)
	}
}

// TestSystemdIsTold plays systemd, as a unit with Type=notify and NotifyAccess=all has it.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 1<<10)
		if err := socket.SetReadDeadline(time.Now().Add(joinLimit)); err != nil {
			t.Fatal(err)
		}
		size, err := socket.Read(buf)
		if got := string(buf[:size]); err != nil || !strings.HasPrefix(got, want) {
			t.Fatalf("systemd was told %q, %v, want %q", got, err, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	_, n := newUpgradable(t)
	for range 3 {
		expect("READY=1") // of each node
	}
	n.newProgram(1)
	old := n.upgrade()
	expect("RELOADING=1\nMONOTONIC_USEC=")
	expect(fmt.Sprintf("READY=1\nMAINPID=%d", n.process.pid()))
	old.wait(t)

	n.install([]byte("data"), 0o755)
	if r := n.tryUpgrade(); r.status != 2 {
		t.Error(r)
	}
	expect("RELOADING=1\nMONOTONIC_USEC=")
	expect("READY=1")
	if status := n.process.terminate(t); status != 0 {
		t.Errorf("it ended with status %d", status)
	}
	expect("STOPPING=1")
}

// TestUpgradeIsRefusedWhereTheEndOfTheOldWouldEndTheNew runs grepd as systemd runs it
// without Type=notify, and as the first process of a container.
func TestUpgradeIsRefusedWhereTheEndOfTheOldWouldEndTheNew(t *testing.T) {
	for name, test := range map[string]struct{ want, shell string }{
		"systemd":   {"Type=notify", `SYSTEMD_EXEC_PID=$$ exec "$@"`},
		"process 1": {"process 1", `exec unshare --pid --fork --kill-child "$@"`},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "process 1" && exec.Command("unshare", "--pid", "--fork", "--kill-child", "true").Run() != nil {
				t.Skip("this user cannot make a namespace of process ids")
			}
			n := &node{t: t, watch: timetest.Begin(t), addr: freeAddr(t), program: "/bin/sh", dir: t.TempDir()}
			n.args = []string{"-c", test.shell, "sh", filepath.Join(bin, "grepd"), "--listen", n.addr, "--log-dir", n.logDir()}
			n.start()
			defer n.process.kill() // unshare does not hand a signal on, but ends with its child
			await(t, upgradeLimit, "it serves", func() error { _, err := n.status(); return err })
			if r := n.tryUpgrade(); r.status != 2 || !strings.Contains(r.stderr, test.want) {
				t.Errorf("%v\nwant status 2 and %q", r, test.want)
			} else {
				t.Log(r.stderr)
			}
			if refused := n.upgradeEvents("refuse"); len(refused) != 1 {
				t.Errorf("grepd.log has the refusals %+v", refused)
			}
		})
	}
}
