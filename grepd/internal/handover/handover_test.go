package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
)

// The new process of these tests, and where one has to be killed the old one, too, is the
// tests' own program. These variables say what it does then.
const (
	envHeirDoes  = "HANDOVER_TEST_HEIR"
	envOldDoes   = "HANDOVER_TEST_OLD"
	testDeadline = time.Minute
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envHeir) != "":
		os.Exit(runHeir(os.Getenv(envHeirDoes)))
	case os.Getenv(envOldDoes) != "":
		os.Exit(runOld())
	}
	goleak.VerifyTestMain(m)
}

// The things that a new process can do.
const (
	works           = "works"
	exitsAtOnce     = "exits at once"
	hangs           = "hangs"
	refuses         = "refuses"
	refusesState    = "refuses the state"
	diesWithState   = "dies with the state"
	hangsWithState  = "hangs with the state"
	childOutlivesIt = "hangs with the state, and so does its child"
	waitsWithState  = "waits with the state for a word"
)

// runHeir tells on standard output how far it has come.
func runHeir(what string) int {
	switch what {
	case exitsAtOnce:
		fmt.Fprintln(os.Stderr, "heir: no mood to work")
		return 3
	case hangs:
		select {}
	}
	h, err := Inherit()
	if err != nil {
		fmt.Fprintln(os.Stderr, "heir:", err)
		return 2
	}
	if what == refuses {
		h.Refuse(errors.New("no mood to take over"))
		return 2
	}
	var children []int
	if what == childOutlivesIt {
		children = append(children, startChild(h.Presence))
	}
	plugins, err := h.Ready("v9", children)
	if err != nil {
		fmt.Println("no state:", err)
		return 2
	}
	fmt.Printf("state %q, upgrade %d\n", plugins[0].State, h.Upgrades)
	if want := (handoverpb.Mount{Name: "m", Real: "/srv/m"}); len(h.Mounts) > 0 && (len(h.Mounts) != 1 || h.Mounts[0] != want) {
		h.Refuse(fmt.Errorf("the mounts are %+v", h.Mounts))
		return 2
	}
	switch what {
	case refusesState:
		h.Refuse(errors.New("no mood to go on from that"))
		return 2
	case diesWithState:
		return 4
	case hangsWithState, childOutlivesIt:
		select {}
	case waitsWithState:
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	h.Started(7 * time.Millisecond)
	return serve(h)
}

// startChild starts a process like a plugin's that does not end with its host.
func startChild(presence *os.File) int {
	cmd := exec.Command("sleep", "600")
	cmd.ExtraFiles = []*os.File{presence}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0
	}
	return cmd.Process.Pid
}

// serve answers one connection and one datagram.
func serve(h *Heir) int {
	conn, err := h.Listener.Accept()
	if err != nil {
		fmt.Println("accept:", err)
		return 2
	}
	fmt.Fprintln(conn, "served by", os.Getpid())
	conn.Close()
	buf := make([]byte, 64)
	n, from, err := h.Socket.ReadFromUDP(buf)
	if err != nil {
		fmt.Println("read:", err)
		return 2
	}
	_, _ = h.Socket.WriteToUDP(buf[:n], from)
	fmt.Println("served")
	return 0
}

// sockets are what is handed over.
func sockets(t testing.TB) (*net.TCPListener, *net.UDPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return listener, socket
}

// given is what a test's HandOver was asked.
type given struct {
	times int
	err   error // of the last give
}

func (g *given) handOver(give func([]handoverpb.Plugin) error) error {
	g.times++
	g.err = give([]handoverpb.Plugin{{Name: "p", State: []byte("all I know")}})
	return g.err
}

func TestSuccessorGoesOnWithTheSocketsAndTheState(t *testing.T) {
	t.Setenv(envHeirDoes, works)
	listener, socket := sockets(t)
	// Both wait in the sockets while nobody reads.
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packets, err := net.Dial("udp", socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if _, err := packets.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	var g given
	successor, err := Give(t.Context(), Config{
		Path: os.Args[0], Listener: listener, Socket: socket, Since: time.Now(), Upgrades: 4, HandOver: g.handOver,
		Mounts: []handoverpb.Mount{{Name: "m", Real: "/srv/m"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if successor.Version != "v9" || successor.Gap != 7*time.Millisecond || g.times != 1 || g.err != nil {
		t.Errorf("successor %+v, given %+v", successor, g)
	}
	listener.Close() // which must not close the other's
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != fmt.Sprintf("served by %d\n", successor.PID) {
		t.Errorf("the connection got %q, %v", answer, err)
	}
	if err := packets.SetReadDeadline(time.Now().Add(testDeadline)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := packets.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("the datagram got %q, %v", buf[:n], err)
	}
	awaitEnd(t, successor.PID)
}

// awaitEnd waits for the end of a child, which Give's goroutine reaps.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); syscall.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// TestWhatGoesWrongIsToldAndLeavesNobody has a successor go wrong at each stage.
func TestWhatGoesWrongIsToldAndLeavesNobody(t *testing.T) {
	short := 300 * time.Millisecond
	for _, test := range []struct {
		what   string
		timing Timing
		given  bool // the plugins were frozen
		want   string
	}{
		{what: exitsAtOnce, want: "it ended: exit status 3; it wrote: heir: no mood to work"},
		{what: hangs, timing: Timing{Ready: short}, want: "no answer in time"},
		{what: refuses, want: "no mood to take over"},
		{what: refusesState, given: true, timing: Timing{Start: testDeadline}, want: "no mood to go on from that"},
		{what: diesWithState, given: true, timing: Timing{Start: testDeadline}, want: "it ended: exit status 4"},
		{what: hangsWithState, given: true, timing: Timing{Start: short}, want: "no answer in time"},
		{what: childOutlivesIt, given: true, timing: Timing{Start: short, End: short}, want: "no answer in time"},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Setenv(envHeirDoes, test.what)
			listener, socket := sockets(t)
			var g given
			_, err := Give(t.Context(), Config{
				Path: os.Args[0], Listener: listener, Socket: socket, Since: time.Now(), HandOver: g.handOver, Timing: test.timing,
			})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "do not end") {
				t.Error(err)
			}
			if test.given != (g.times == 1) || test.given != (g.err != nil) {
				t.Errorf("given %+v, want that to be %t", g, test.given)
			}
			if left := childrenOf(os.Getpid()); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

// childrenOf lists the running processes that have a parent, where there is /proc.
func childrenOf(parent int) (pids []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if fields[1] == fmt.Sprint(parent) && fields[0] != "Z" {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

func TestProgramThatCannotBeStarted(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, []byte("data\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, socket := sockets(t)
	for path, want := range map[string]string{"/no/such/program": "no such file", data: "not a program for this machine"} {
		var g given
		_, err := Give(t.Context(), Config{Path: path, Listener: listener, Socket: socket, HandOver: g.handOver})
		if err == nil || !strings.Contains(err.Error(), want) || g.times != 0 {
			t.Errorf("%s: %v, want %q; given %+v", path, err, want, g)
		}
	}
}

func TestGiveIsGivenUpWithItsContext(t *testing.T) {
	t.Setenv(envHeirDoes, hangs)
	listener, socket := sockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var g given
	_, err := Give(ctx, Config{Path: os.Args[0], Listener: listener, Socket: socket, HandOver: g.handOver})
	if !errors.Is(err, context.DeadlineExceeded) || g.times != 0 {
		t.Errorf("%v; given %+v", err, g)
	}
}

// TestProcessThatTheSystemKeepsHoldsNobodyUp has a process that was killed and that nobody
// reaps: for whoever waits it is like one that waits for a disk.
func TestProcessThatTheSystemKeepsHoldsNobodyUp(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // which says that it was killed
	for _, held := range []bool{false, true} {
		presence, present, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer presence.Close()
		if held {
			defer present.Close()
		} else {
			present.Close()
		}
		s := &successor{cmd: cmd, timing: Timing{End: time.Millisecond}, presence: presence, exited: make(chan struct{})}
		if err := s.end(); (err != nil) != held {
			t.Errorf("the other end of the pipe is held: %t; end: %v", held, err)
		}
	}
}

func TestHandOverThatCannotFreeze(t *testing.T) {
	t.Setenv(envHeirDoes, works)
	listener, socket := sockets(t)
	stuck := errors.New("stuck")
	_, err := Give(t.Context(), Config{
		Path: os.Args[0], Listener: listener, Socket: socket,
		HandOver: func(func([]handoverpb.Plugin) error) error { return stuck },
	})
	if !errors.Is(err, stuck) {
		t.Errorf("%v, want %v", err, stuck)
	}
	if left := childrenOf(os.Getpid()); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// runOld hands over, and says so before it does. It is there to be killed: when it is about
// to give the state away, or after that.
func runOld() int {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Println(err)
		return 2
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Println(err)
		return 2
	}
	_, err = Give(context.Background(), Config{
		Path: os.Args[0], Listener: listener, Socket: socket, Timing: Timing{Start: testDeadline},
		HandOver: func(give func([]handoverpb.Plugin) error) error {
			if os.Getenv(envOldDoes) == "keeps the state" {
				fmt.Println("frozen", listener.Addr(), socket.LocalAddr())
				select {}
			}
			fmt.Println("giving", listener.Addr(), socket.LocalAddr())
			return give([]handoverpb.Plugin{{State: []byte("all I know")}})
		},
	})
	fmt.Println("given:", err)
	return 0
}

// oldProcess is an old process that a test can kill. What it and its successor say comes
// through one pipe.
type oldProcess struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startOld(t *testing.T, does, heirDoes string) *oldProcess {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envOldDoes+"="+does, envHeirDoes+"="+heirDoes)
	cmd.Stdout, cmd.Stderr = write, os.Stderr
	stdinRead, stdin, err := os.Pipe() // not StdinPipe, which ends with the process
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	cmd.Stdin = stdinRead
	err = cmd.Start()
	write.Close()
	stdinRead.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(testDeadline)); err != nil {
		t.Fatal(err)
	}
	return &oldProcess{Cmd: cmd, stdin: stdin, lines: bufio.NewScanner(read)}
}

// expect reads the next line, which begins with want.
func (o *oldProcess) expect(t *testing.T, want string) string {
	t.Helper()
	if !o.lines.Scan() {
		t.Fatalf("%q was to be said, and they say no more: %v", want, o.lines.Err())
	}
	if !strings.HasPrefix(o.lines.Text(), want) {
		t.Fatalf("%q was to be said, and it is %q", want, o.lines.Text())
	}
	return strings.TrimPrefix(o.lines.Text(), want)
}

func (o *oldProcess) kill(t *testing.T) {
	t.Helper()
	if err := o.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = o.Wait() // which says that it was killed
}

func TestSuccessorEndsWithoutTheState(t *testing.T) {
	old := startOld(t, "keeps the state", works)
	old.expect(t, "frozen")
	old.kill(t)
	old.expect(t, "no state: wait for the old grepd's state: the other side has ended")
	if old.lines.Scan() {
		t.Errorf("and then %q", old.lines.Text())
	}
}

func TestSuccessorWithTheStateGoesOnAlone(t *testing.T) {
	old := startOld(t, "gives", waitsWithState)
	var tcp, udp string
	if _, err := fmt.Sscan(old.expect(t, "giving"), &tcp, &udp); err != nil {
		t.Fatal(err)
	}
	old.expect(t, `state "all I know", upgrade 1`)
	old.kill(t)
	if _, err := old.stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "served by") {
		t.Errorf("%q, %v", answer, err)
	}
	packets, err := net.Dial("udp", udp)
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if _, err := packets.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	old.expect(t, "served")
}

// TestOffersOfStrangersAreRefused gives a new process a conversation of its parent's, in
// which somebody else speaks.
func TestOffersOfStrangersAreRefused(t *testing.T) {
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	pid := int64(os.Getpid())
	for name, test := range map[string]struct {
		message *handoverpb.Message
		want    string
	}{
		"another process":  {offerOf(&handoverpb.Offer{Version: version, Pid: pid + 1, StartTicks: ticks}), "is the one that started this"},
		"another life":     {offerOf(&handoverpb.Offer{Version: version, Pid: pid, StartTicks: ticks + 1}), "is the one that started this"},
		"another version":  {offerOf(&handoverpb.Offer{Version: version + 1, Pid: pid, StartTicks: ticks}), "version 2 of the hand-over"},
		"something else":   {&handoverpb.Message{Step: &handoverpb.Message_State{State: &handoverpb.State{}}}, "no offer"},
		"nothing any more": {nil, "the other side has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := converse()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envHeir+"="+envHeirValue)
			cmd.ExtraFiles = []*os.File{theirs}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			if test.message != nil {
				if err := ours.send(test.message, testDeadline); err != nil {
					t.Error(err)
				}
			} else {
				ours.close()
			}
			_ = cmd.Wait() // with status 2
			ours.close()
			if !strings.Contains(stderr.String(), test.want) || cmd.ProcessState.ExitCode() != 2 {
				t.Errorf("status %d, %q, want %q", cmd.ProcessState.ExitCode(), stderr.String(), test.want)
			}
		})
	}
}

func offerOf(o *handoverpb.Offer) *handoverpb.Message {
	return &handoverpb.Message{Step: &handoverpb.Message_Offer{Offer: o}}
}

func TestVariableWithoutDescriptorsIsAnError(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envHeir+"="+envHeirValue)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "unset the variable") {
		t.Errorf("%v, %q", err, out)
	}
}

func TestDamagedMessagesAreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		frame []byte
		want  string
	}{
		"a wrong checksum": {[]byte{0, 0, 0, 2, 1, 2, 3, 4, 10, 0}, "damaged"},
		"too long":         {[]byte{255, 255, 255, 255, 0, 0, 0, 0}, "more than"},
		"cut off":          {[]byte{0, 0, 0, 9, 0, 0, 0, 0, 1}, "the other side has ended"},
	} {
		ours, theirs, err := converse()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write(test.frame); err != nil {
			t.Error(err)
		}
		theirs.Close()
		if _, err := ours.receive(testDeadline); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		ours.close()
	}
}
