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

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
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
	Stable: time.Hour,
}

// hostMode in the environment makes the test's program a host, to be killed by a test;
// its value is the plugin directory.
const hostMode = "PLUGINHOST_TEST_HOST"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hostMode); dir != "" {
		os.Exit(runHost(dir))
	}
	goleak.VerifyTestMain(m)
}

// runHost runs a host until it is killed. It prints the plugin's process id.
func runHost(dir string) int {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err == nil {
		r := &rig{Dir: &hosttest.Dir{Path: dir, Conn: conn}}
		var host *Host
		if host, err = New(context.Background(), r.config(Timing{})); err == nil {
			fmt.Println(host.Info().PID)
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 2
}

// rig is a host with a fake plugin, what that tells, and what the host has logged.
type rig struct {
	*Host
	*hosttest.Dir
	t *testing.T

	mu      sync.Mutex
	logs    []string
	members []pluginpb.Member
	live    bool // a plugin at work stands behind members
	lost    int  // how often that was over
}

func newRig(t *testing.T, what string) *rig {
	r := prepare(t)
	r.Install(what)
	if err := r.start(quick); err != nil {
		t.Fatal(err)
	}
	return r
}

func prepare(t *testing.T) *rig {
	t.Helper()
	return &rig{Dir: hosttest.NewDir(t), t: t}
}

func (r *rig) config(timing Timing) Config {
	return Config{
		Kind: pluginapi.MembershipKind(nil), Dir: r.Path, Socket: r.Conn, Timing: timing, Log: r.log,
		Bind: func(raw any) Service { return &service{Membership: raw.(pluginapi.Membership), rig: r} },
	}
}

func (r *rig) start(timing Timing) (err error) {
	if r.Host, err = New(context.Background(), r.config(timing)); err != nil {
		return err
	}
	started := r.Host // which a test may replace
	r.t.Cleanup(func() {
		started.Stop()
		if leftover := r.Leftover(); len(leftover) > 0 {
			r.t.Errorf("a stopped host leaves %v", leftover)
		}
	})
	return nil
}

// service is a fake plugin's process. What it tells goes to the rig.
type service struct {
	pluginapi.Membership
	rig *rig
}

var _ Service = (*service)(nil)

func (s *service) Start(ctx context.Context, state []byte, crashed bool) error {
	_, err := s.Membership.Start(ctx, &pluginpb.StartRequest{Snapshot: state, Crashed: crashed})
	return err
}

func (s *service) Ping(ctx context.Context) error {
	_, err := s.Status(ctx)
	return err
}

func (s *service) Retire(ctx context.Context) error { return s.Leave(ctx) }

func (s *service) Attend(ctx context.Context) {
	_ = s.Watch(ctx, func(update *pluginpb.MembersUpdate) error {
		s.rig.mu.Lock()
		defer s.rig.mu.Unlock()
		s.rig.members, s.rig.live = update.Members, true
		return nil
	})
	if ctx.Err() == nil {
		s.Lost()
	}
}

func (s *service) Lost() {
	s.rig.mu.Lock()
	defer s.rig.mu.Unlock()
	if s.rig.live {
		s.rig.live = false
		s.rig.lost++
	}
}

func (r *rig) log(level slog.Level, attrs ...slog.Attr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprint(level, " ", eventlog.Plugin)
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

// eventually waits for the condition, and looks at the stages in between.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	looked := func() bool {
		r.t.Helper()
		r.Host.do(context.Background(), func() error { r.checkStages(r.Host); return nil })
		return condition()
	}
	hosttest.Eventually(r.t, what, looked, func() string {
		return fmt.Sprintf("info: %+v\nlog:\n%s", r.Info(), strings.Join(r.lines(), "\n"))
	})
}

// row waits until the plugin at work has told the row that condition wants.
func (r *rig) row(what string, condition func(pluginpb.Member) bool) {
	r.t.Helper()
	r.eventually(what, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.live && len(r.members) == 1 && condition(r.members[0])
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
	r := newRig(t, hosttest.Works)
	r.row("the list of a first start", func(m pluginpb.Member) bool { return m.Incarnation == 1 && m.Addr == "frozen" })
	info := r.Info()
	if info.State != Running || info.PID == 0 || info.APIVersion != 1 || len(info.Checksum) != 64 {
		t.Errorf("info %+v of a running plugin", info)
	}
	r.Stop()
	if alive(info.PID) {
		t.Errorf("process %d is alive after Stop", info.PID)
	}
	if r.losses() != 1 {
		t.Errorf("the service was told %d times of its end", r.losses())
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
		{"directory", func(r *rig) { os.Mkdir(r.Program(), 0o755) }, "not a regular file"},
		{"empty", func(r *rig) { os.WriteFile(r.Program(), nil, 0o755) }, "empty"},
		{"not executable", func(r *rig) { os.WriteFile(r.Program(), []byte("x"), 0o644) }, "not executable; chmod +x it"},
		{"not a program", func(r *rig) { os.WriteFile(r.Program(), []byte("x"), 0o755) }, "not a program for this machine"},
		{"another program", func(r *rig) { os.Symlink("/bin/echo", r.Program()) }, "not a grepd plugin"},
		{"exits", func(r *rig) { r.Install(hosttest.ExitsAtOnce) }, "it wrote: fake: no mood to work"},
		{"nonsense", func(r *rig) { r.Install(hosttest.SaysNonsense) }, "Unrecognized remote plugin message: hello"},
		{"mute", func(r *rig) { r.Install(hosttest.HangsMute) }, "no answer in time"},
		{"hangs early", func(r *rig) { r.Install(hosttest.HangsEarly) }, "no answer in time"},
		{"refuses", func(r *rig) { r.Install(hosttest.RefusesStart) }, "start: no mood to start"},
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
			if leftover := r.Leftover(); len(leftover) > 0 {
				t.Errorf("it leaves %v", leftover)
			}
		})
	}
}

func TestCrashIsRestartedFromTheLastSnapshot(t *testing.T) {
	r := newRig(t, hosttest.Works)
	for restarts := 1; restarts <= 3; restarts++ {
		pid := r.Info().PID
		r.eventually("a snapshot is taken", func() bool { // that has all starts up to now
			var snapshot string
			r.Host.do(context.Background(), func() error { snapshot = string(r.Host.current.state()); return nil })
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
	r := newRig(t, hosttest.PanicsLater)
	r.eventually("two restarts", func() bool { return r.Info().Restarts >= 2 })
	if !r.logged("PLUGIN", "action=exit", "stderr=panic: no mood to go on", "exit status 2") {
		t.Errorf("the log does not tell of it: %q", r.lines())
	}
}

func TestHungPluginIsRestarted(t *testing.T) {
	timing := quick
	timing.Ping = 300 * time.Millisecond
	r := prepare(t)
	r.Install(hosttest.Works)
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
	r := newRig(t, hosttest.RefusesState)
	pid := r.Info().PID
	r.eventually("a snapshot is taken", func() bool {
		taken := false
		r.Host.do(context.Background(), func() error { taken = r.Host.current.state() != nil; return nil })
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
	r := newRig(t, hosttest.Works)
	r.row("the first list", func(pluginpb.Member) bool { return true })
	p := startPump(t, r.Conn.LocalAddr())
	for i := range reloads {
		old := r.Info().PID
		r.Build(filepath.Join(r.Path, "incoming"), fmt.Sprintf("%s;%d", hosttest.Works, i))
		if err := os.Rename(filepath.Join(r.Path, "incoming"), r.Program()); err != nil {
			t.Fatal(err)
		}
		info := r.reload()
		if alive(old) && info.PID == old {
			t.Fatalf("reload %d: process %d works on", i, old)
		}
	}
	pids := p.finish()
	if r.losses() > 0 {
		t.Error("the service was told of its end at a reload")
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

// losses is how often no plugin at work stood behind the members any more.
func (r *rig) losses() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

func TestLaunchLeavesTheSocketNonBlocking(t *testing.T) {
	r := newRig(t, hosttest.Works)
	raw, err := r.Conn.SyscallConn()
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
	r := newRig(t, hosttest.Works)
	pid := r.Info().PID
	for _, test := range []struct{ what, want string }{
		{hosttest.ExitsAtOnce, "no mood to work"},
		{hosttest.SaysNonsense, "hello"},
		{hosttest.Notifies, "a plugin of another kind"},
		{hosttest.RefusesStart, "no mood to start"}, // after the freeze: the old one resumes
		{hosttest.RefusesState, "no mood to start"},
	} {
		r.Install(test.what)
		_, err := r.Reload(context.Background())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("reload of one that %s: %v, want an error with %q", test.what, err, test.want)
		}
		if info := r.Info(); info.PID != pid || info.State != Running || info.Restarts != 0 {
			t.Fatalf("after one that %s: %+v, want process %d at work", test.what, info, pid)
		}
		r.row("a fresh list", func(m pluginpb.Member) bool { return m.Addr == "frozen" })
		p := startPump(t, r.Conn.LocalAddr())
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
	r.Install(hosttest.HangsAtFreeze)
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	pid := r.Info().PID
	r.Install(hosttest.Works)
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
	r := newRig(t, hosttest.Works)
	changed := func(before Info) func() bool {
		return func() bool { return r.Info().Checksum != before.Checksum && r.Info().State == Running }
	}
	before := r.Info()
	r.Install(hosttest.Works + ";moved")
	r.eventually("the one that was moved into place", changed(before))

	before = r.Info()
	r.slowCopy(hosttest.Works + ";copied")
	r.eventually("the one that was copied slowly", changed(before))

	before = r.Info()
	elsewhere := filepath.Join(t.TempDir(), "membership-2")
	r.Build(elsewhere, hosttest.Works+";linked")
	link := filepath.Join(r.Path, "link")
	if err := errors.Join(os.Symlink(elsewhere, link), os.Rename(link, r.Program())); err != nil {
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
	r.Build(source, what)
	src, err := os.Open(source)
	if err != nil {
		r.t.Fatal(err)
	}
	defer src.Close()
	os.Remove(r.Program())
	dst, err := os.OpenFile(r.Program(), os.O_WRONLY|os.O_CREATE, 0o755)
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

func TestRetireEndsThePluginAndReloadStartsAfresh(t *testing.T) {
	r := newRig(t, hosttest.Works)
	pid := r.Info().PID
	if err := r.Retire(context.Background()); err != nil {
		t.Fatal(err)
	}
	if info := r.Info(); info.State != Stopped || alive(pid) {
		t.Errorf("after Retire: %+v, process alive: %t", info, alive(pid))
	}
	r.Install(hosttest.Works + ";2")
	r.reload()
	r.row("a start without a state", func(m pluginpb.Member) bool { return m.Incarnation == 1 })
}

func TestKilledHostLeavesNoPlugin(t *testing.T) {
	r := prepare(t)
	r.Install(hosttest.Works)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self)
	host.Env = append(os.Environ(), hostMode+"="+r.Path)
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
