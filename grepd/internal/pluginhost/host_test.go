package pluginhost

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// quick is Timing for tests: plugins that hang are found out sooner, and nothing that
// works is given less time than a busy machine may need.
var quick = Timing{
	Launch: time.Minute, Call: 5 * time.Second, Grace: 5 * time.Second,
	PingEvery: 20 * time.Millisecond, Ping: 5 * time.Second, SnapshotEvery: 20 * time.Millisecond,
	RestartFirst: 10 * time.Millisecond, RestartMax: 50 * time.Millisecond, Settle: 30 * time.Millisecond,
}

// rig is a host with a fake plugin, and what it has logged.
type rig struct {
	*Membership
	t    *testing.T
	dir  string
	conn *net.UDPConn

	mu   sync.Mutex
	logs []string
}

func newRig(t *testing.T, what string) *rig {
	r := prepare(t)
	r.install(what)
	if err := r.start(quick); err != nil {
		t.Fatal(err)
	}
	return r
}

// prepare makes an empty plugin directory, a temporary directory of the test's own, and a
// socket.
func prepare(t *testing.T) *rig {
	t.Helper()
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("the fake plugin reads its own program from /proc")
	}
	tmp, err := os.MkdirTemp("", "ph") // t.TempDir is too long a path for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	dir := t.TempDir() // before TMPDIR changes, so that the test's own directories are elsewhere
	t.Setenv("TMPDIR", tmp)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rig{t: t, dir: dir, conn: conn}
}

func (r *rig) start(timing Timing) (err error) {
	r.Membership, err = StartMembership(context.Background(), MembershipConfig{
		Dir: r.dir, Socket: r.conn, Start: pluginpb.Config{Advertise: "127.0.0.1:1"}, Timing: timing, Log: r.log,
	})
	if err != nil {
		return err
	}
	started := r.Membership // which a test may replace
	r.t.Cleanup(func() {
		started.Stop()
		leftover, _ := filepath.Glob(filepath.Join(os.TempDir(), "*"))
		if len(leftover) > 0 {
			r.t.Errorf("a stopped host leaves %v", leftover)
		}
	})
	return nil
}

func (r *rig) log(level slog.Level, event eventlog.Event, node string, attrs ...slog.Attr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprint(level, " ", event)
	for _, a := range attrs {
		line += " " + a.String()
	}
	r.logs = append(r.logs, line)
}

func (r *rig) logged(words ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.logs, func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	})
}

// lines is all that was logged.
func (r *rig) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.logs)
}

func (r *rig) program() string { return filepath.Join(r.dir, pluginapi.MembershipName) }

// build writes a fake plugin to path.
func (r *rig) build(path, what string) {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		r.t.Fatal(err)
	}
	program = append(program, trailerMark+what...)
	if err := os.WriteFile(path, program, 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// install moves a fake plugin into the plugin directory.
func (r *rig) install(what string) {
	r.t.Helper()
	incoming := filepath.Join(r.t.TempDir(), "incoming")
	r.build(incoming, what)
	if err := os.Rename(incoming, r.program()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within 30 s: %s\ninfo: %+v\nlog:\n%s", what, r.Info(), strings.Join(r.lines(), "\n"))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// row waits until the roster is fresh and holds the row that condition wants.
func (r *rig) row(what string, condition func(pluginpb.Member) bool) {
	r.t.Helper()
	r.eventually(what, func() bool {
		list := r.Roster().List()
		return list.StaleSince.IsZero() && len(list.Members) == 1 && condition(list.Members[0])
	})
}

func (r *rig) reload() Info {
	r.t.Helper()
	info, err := r.Reload(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return info
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartWatchStop(t *testing.T) {
	r := newRig(t, works)
	r.row("the list of a first start", func(m pluginpb.Member) bool { return m.Incarnation == 1 && m.Addr == "frozen" })
	info := r.Info()
	if info.State != Running || info.PID == 0 || info.APIVersion != 1 || len(info.Checksum) != 64 {
		t.Errorf("info %+v of a running plugin", info)
	}
	if status, err := r.Status(context.Background()); err != nil || status.Phase != "member" {
		t.Errorf("status %v, %v", status, err)
	}
	r.Stop()
	if alive(info.PID) {
		t.Errorf("process %d is alive after Stop", info.PID)
	}
	if r.Roster().List().StaleSince.IsZero() || len(r.Roster().List().Members) != 1 {
		t.Errorf("after Stop the list is %+v, want the last one, stale", r.Roster().List())
	}
	if _, err := r.Reload(context.Background()); !errors.Is(err, ErrStopped) {
		t.Errorf("Reload after Stop: %v, want ErrStopped", err)
	}
}

func TestPluginThatCannotStartIsAClearError(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(r *rig)
		want    string
	}{
		{"missing", func(r *rig) {}, "no such file; put the plugin there, or name its directory with --plugin-dir"},
		{"directory", func(r *rig) { os.Mkdir(r.program(), 0o755) }, "not a regular file"},
		{"empty", func(r *rig) { os.WriteFile(r.program(), nil, 0o755) }, "empty"},
		{"not executable", func(r *rig) { os.WriteFile(r.program(), []byte("x"), 0o644) }, "not executable; chmod +x it"},
		{"not a program", func(r *rig) { os.WriteFile(r.program(), []byte("x"), 0o755) }, "not a program for this machine"},
		{"another program", func(r *rig) { os.Symlink("/bin/echo", r.program()) }, "not a grepd plugin"},
		{"exits", func(r *rig) { r.install(exitsAtOnce) }, "it wrote: fake: no mood to work"},
		{"nonsense", func(r *rig) { r.install(saysNonsense) }, "Unrecognized remote plugin message: hello"},
		{"mute", func(r *rig) { r.install(hangsMute) }, "no answer in time"},
		{"hangs early", func(r *rig) { r.install(hangsEarly) }, "no answer in time"},
		{"refuses", func(r *rig) { r.install(refusesStart) }, "start: no mood to start"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := prepare(t)
			test.prepare(r)
			timing := quick
			if strings.HasPrefix(test.want, "no answer") {
				timing.Launch = 500 * time.Millisecond
			}
			err := r.start(timing)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if leftover, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(leftover) > 0 {
				t.Errorf("it leaves %v", leftover)
			}
		})
	}
}

func TestCrashIsRestartedFromTheLastSnapshot(t *testing.T) {
	r := newRig(t, works)
	for restarts := 1; restarts <= 3; restarts++ {
		pid := r.Info().PID
		r.eventually("a snapshot is taken", func() bool { // that has all starts up to now
			var snapshot string
			r.host.do(context.Background(), func() error { snapshot = string(r.host.current.state()); return nil })
			return snapshot == fmt.Sprintf("%d 0", restarts)
		})
		syscall.Kill(pid, syscall.SIGKILL)
		r.eventually("a restart", func() bool {
			info := r.Info()
			return info.State == Running && info.Restarts == restarts && info.PID != pid
		})
		r.row("the list after a crash", func(m pluginpb.Member) bool {
			return m.Incarnation == uint64(restarts+1) && m.Addr == "crashed"
		})
		if exit := r.Info().LastExit; exit != "signal: killed" {
			t.Errorf("last exit %q, want that it was killed", exit)
		}
	}
	if !r.logged("PLUGIN", "action=exit", "signal: killed") || !r.logged("PLUGIN", "action=restart") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

func TestPanicIsInTheLog(t *testing.T) {
	r := newRig(t, panicsLater)
	r.eventually("two restarts", func() bool { return r.Info().Restarts >= 2 })
	if !r.logged("PLUGIN", "action=exit", "stderr=panic: no mood to go on", "exit status 2") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

func TestHungPluginIsRestarted(t *testing.T) {
	timing := quick
	timing.Ping = 300 * time.Millisecond
	r := prepare(t)
	r.install(works)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	pid := r.Info().PID
	syscall.Kill(pid, syscall.SIGSTOP)
	r.eventually("another process", func() bool { info := r.Info(); return info.State == Running && info.PID != pid })
	if alive(pid) {
		t.Errorf("the process %d that hung is alive", pid)
	}
	if !r.logged("action=exit", "no sign of life", "it is stopped by a signal") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

func TestStateThatNoProgramCanLiveWithIsGivenUp(t *testing.T) {
	r := newRig(t, refusesState)
	pid := r.Info().PID
	r.eventually("a snapshot is taken", func() bool {
		taken := false
		r.host.do(context.Background(), func() error { taken = r.host.current.state() != nil; return nil })
		return taken
	})
	syscall.Kill(pid, syscall.SIGKILL)
	r.row("a start without a state", func(m pluginpb.Member) bool { return m.Incarnation == 1 && m.Addr == "crashed" })
	if !r.logged("action=restart", "no mood to start") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

// windowMax bounds the datagrams that wait to be echoed: fewer than a socket holds, so that
// none is lost however long a busy machine lets a plugin wait.
const windowMax = 100

// pump sends numbered datagrams to the socket and collects who has echoed which.
type pump struct {
	stop   chan struct{}
	done   chan struct{}
	sent   uint64
	echoes map[uint64]int // by number: the pid that echoed it
	twice  int
}

func startPump(t *testing.T, to net.Addr) *pump {
	conn, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	p := &pump{stop: make(chan struct{}), done: make(chan struct{}), echoes: map[uint64]int{}}
	go p.run(conn)
	return p
}

func (p *pump) run(conn net.Conn) {
	defer close(p.done)
	defer conn.Close()
	buf := make([]byte, 64)
	var drainUntil time.Time
	for stop := p.stop; ; {
		if drainUntil.IsZero() && p.sent-uint64(len(p.echoes)) < windowMax {
			conn.Write(binary.BigEndian.AppendUint64(nil, p.sent))
			p.sent++
		}
		select {
		case <-stop:
			stop, drainUntil = nil, time.Now().Add(30*time.Second)
		default:
		}
		conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		for {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			if n == 16 {
				number := binary.BigEndian.Uint64(buf)
				if _, again := p.echoes[number]; again {
					p.twice++
				}
				p.echoes[number] = int(binary.BigEndian.Uint64(buf[8:]))
			}
		}
		if !drainUntil.IsZero() && (uint64(len(p.echoes)) == p.sent || time.Now().After(drainUntil)) {
			return
		}
	}
}

func (p *pump) finish() (pids map[int]bool) {
	close(p.stop)
	<-p.done
	pids = map[int]bool{}
	for _, pid := range p.echoes {
		pids[pid] = true
	}
	return pids
}

func TestReloadLosesNoDatagramAndKeepsTheState(t *testing.T) {
	const reloads = 4
	r := newRig(t, works)
	r.row("the first list", func(pluginpb.Member) bool { return true })
	stale := r.watchForStale()
	p := startPump(t, r.conn.LocalAddr())
	for i := range reloads {
		old := r.Info().PID
		r.build(filepath.Join(r.dir, "incoming"), fmt.Sprintf("%s;%d", works, i))
		if err := os.Rename(filepath.Join(r.dir, "incoming"), r.program()); err != nil {
			t.Fatal(err)
		}
		info := r.reload()
		if alive(old) && info.PID == old {
			t.Fatalf("reload %d: process %d works on", i, old)
		}
	}
	pids := p.finish()
	if stale() {
		t.Error("the member list was marked stale during a reload")
	}
	if uint64(len(p.echoes)) != p.sent || p.twice != 0 {
		t.Errorf("%d of %d datagrams were echoed, %d of them twice", len(p.echoes), p.sent, p.twice)
	}
	if len(pids) < 2 {
		t.Errorf("one process alone echoed all of %d datagrams", p.sent)
	}
	r.row("no start but those of reloads, and no crash", func(m pluginpb.Member) bool {
		return m.Addr == "frozen" && int(m.Incarnation) >= 1+reloads
	})
	if info := r.Info(); info.Restarts != 0 {
		t.Errorf("reloads are counted as restarts: %+v", info)
	}
}

// watchForStale looks at every list from now on; what it returns ends that, and says
// whether one was stale.
func (r *rig) watchForStale() (end func() bool) {
	stop, result := make(chan struct{}), make(chan bool)
	go func() {
		stale := false
		for {
			changed := r.Roster().Changed()
			stale = stale || !r.Roster().List().StaleSince.IsZero()
			select {
			case <-changed:
			case <-stop:
				result <- stale
				return
			}
		}
	}()
	return func() bool { close(stop); return <-result }
}

func TestLaunchLeavesTheSocketNonBlocking(t *testing.T) {
	r := newRig(t, works)
	raw, err := r.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %#x, %v: the plugin's deadlines do not work on a blocking socket", flags, err)
		}
	})
}

func TestBrokenProgramLeavesTheOldOneAtWork(t *testing.T) {
	r := newRig(t, works)
	pid := r.Info().PID
	for _, test := range []struct{ what, want string }{
		{exitsAtOnce, "no mood to work"},
		{saysNonsense, "hello"},
		{notifies, "a plugin of another kind"},
		{refusesStart, "no mood to start"}, // after the freeze: the old one resumes
		{refusesState, "no mood to start"},
	} {
		r.install(test.what)
		_, err := r.Reload(context.Background())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("reload of one that %s: %v, want an error with %q", test.what, err, test.want)
		}
		if info := r.Info(); info.PID != pid || info.State != Running || info.Restarts != 0 {
			t.Fatalf("after one that %s: %+v, want process %d at work", test.what, info, pid)
		}
		r.row("a fresh list", func(m pluginpb.Member) bool { return m.Addr == "frozen" })
		p := startPump(t, r.conn.LocalAddr())
		r.eventually("echoes", func() bool {
			status, err := r.Status(context.Background())
			return err == nil && status.Phase == "member"
		})
		if pids := p.finish(); !pids[pid] || len(pids) != 1 {
			t.Errorf("after one that %s, datagrams are echoed by %v, want %d", test.what, pids, pid)
		}
	}
	if !r.logged("WARN PLUGIN", "action=refuse", "no mood to start") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

func TestPluginThatDoesNotFreezeIsReplacedFromItsSnapshot(t *testing.T) {
	timing := quick
	timing.Call = 300 * time.Millisecond
	r := prepare(t)
	r.install(hangsAtFreeze)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	pid := r.Info().PID
	r.install(works)
	r.eventually("another process", func() bool { info := r.Info(); return info.State == Running && info.PID != pid })
	r.row("a start as after a crash", func(m pluginpb.Member) bool { return m.Addr == "crashed" })
	if !r.logged("action=exit", "it did not give its state for a reload") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
	if alive(pid) {
		t.Errorf("process %d is alive", pid)
	}
}

func TestNewProgramInTheDirectoryIsTakenUp(t *testing.T) {
	r := newRig(t, works)
	changed := func(before Info) func() bool {
		return func() bool { return r.Info().Checksum != before.Checksum && r.Info().State == Running }
	}
	before := r.Info()
	r.install(works + ";moved")
	r.eventually("the one that was moved into place", changed(before))

	before = r.Info()
	r.slowCopy(works + ";copied")
	r.eventually("the one that was copied slowly", changed(before))

	before = r.Info()
	elsewhere := filepath.Join(t.TempDir(), "membership-2")
	r.build(elsewhere, works+";linked")
	link := filepath.Join(r.dir, "link")
	if err := errors.Join(os.Symlink(elsewhere, link), os.Rename(link, r.program())); err != nil {
		t.Fatal(err)
	}
	r.eventually("the one that a link was swapped to", changed(before))
	if info := r.Info(); info.Restarts != 0 {
		t.Errorf("info %+v: taking up a program is no restart", info)
	}
}

// slowCopy writes a fake plugin in place, in many pieces with pauses.
func (r *rig) slowCopy(what string) {
	source := filepath.Join(r.t.TempDir(), "source")
	r.build(source, what)
	src, err := os.Open(source)
	if err != nil {
		r.t.Fatal(err)
	}
	defer src.Close()
	os.Remove(r.program())
	dst, err := os.OpenFile(r.program(), os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		r.t.Fatal(err)
	}
	defer dst.Close()
	for {
		_, err := io.CopyN(dst, src, 2<<20)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // the pace of the copy; nothing is waited for
	}
}

func TestLeaveEndsThePluginAndReloadStartsAfresh(t *testing.T) {
	r := newRig(t, works)
	pid := r.Info().PID
	if err := r.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	if info := r.Info(); info.State != Stopped || alive(pid) {
		t.Errorf("after Leave: %+v, process alive: %t", info, alive(pid))
	}
	if err := r.Leave(context.Background()); err == nil {
		t.Error("leaving twice is no error")
	}
	if status, err := r.Status(context.Background()); err != nil || status.Phase != "left" {
		t.Errorf("status %v, %v, want left", status, err)
	}
	r.install(works + ";2")
	r.reload()
	r.row("a start without a state", func(m pluginpb.Member) bool { return m.Incarnation == 1 })
}

func TestKilledHostLeavesNoPlugin(t *testing.T) {
	r := prepare(t)
	r.install(works)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), hostMode+"="+r.dir)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	host.Process.Kill()
	host.Wait()
	for deadline := time.Now().Add(10 * time.Second); running(pid); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the plugin, process %d, outlives its host", pid)
		}
	}
	// The next host cleans up what the killed one could not.
	if err := r.start(quick); err != nil {
		t.Fatal(err)
	}
	if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), runDirPattern)); len(dirs) != 1 {
		t.Errorf("private directories %v, want only that of the live host", dirs)
	}
}

// running is alive but for processes that have ended and that nobody has waited for, as
// happens to orphans in a container without an init.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
