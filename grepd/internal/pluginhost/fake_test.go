package pluginhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// The plugins of these tests are copies of the test's own program. What a copy does when
// a host starts it stands at its end, behind trailerMark, which also makes its checksum
// another one.
const trailerMark = "\nfake plugin: "

// hostMode in the environment makes the test's program a host, to be killed by a test;
// its value is the plugin directory.
const hostMode = "PLUGINHOST_TEST_HOST"

func TestMain(m *testing.M) {
	if pluginapi.StartedByHost() {
		syscall.Exit(runFake()) // os.Exit sleeps for a second when the race detector is built in
	}
	if dir := os.Getenv(hostMode); dir != "" {
		os.Exit(runHost(dir))
	}
	goleak.VerifyTestMain(m)
}

// The things that a fake plugin can do.
const (
	works         = "works"
	exitsAtOnce   = "exits at once"
	saysNonsense  = "says nonsense"
	hangsMute     = "hangs mute"
	hangsEarly    = "hangs after its handshake line"
	refusesStart  = "refuses to start"
	refusesState  = "refuses to start from a state"
	hangsAtFreeze = "hangs at freeze"
	hangsLater    = "hangs later"
	panicsLater   = "panics later"
	babbles       = "babbles"
	shakesTwice   = "shakes hands and goes on talking"
	wrongVersion  = "has another version of the API"
	leavesChild   = "leaves a child that holds its standard error"
	// waitsFor comes with the path of a file that it waits for before its handshake.
	waitsFor = "waits for "

	speaksTwo           = "speaks two versions"
	notifies            = "notifies"
	notifiesAfreshAlone = "notifies, and refuses to start from a state"
)

func runFake() int {
	what, err := ownTrailer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	switch what {
	case exitsAtOnce:
		fmt.Fprintln(os.Stderr, "fake: no mood to work")
		return 3
	case saysNonsense:
		fmt.Println("hello")
		select {}
	case hangsMute:
		select {}
	case hangsEarly:
		return shakeHandsAndHang()
	case notifies, notifiesAfreshAlone:
		go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
		pluginapi.Serve(pluginapi.NotifyKind(&fakeNotify{what: what}))
		return 0
	case babbles:
		return babble()
	case wrongVersion:
		fmt.Println("1|9|unix|/nowhere|grpc")
		select {}
	case leavesChild:
		if err := leaveChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	if path, ok := strings.CutPrefix(what, waitsFor); ok {
		for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
			time.Sleep(time.Millisecond)
		}
	}
	signal.Ignore(syscall.SIGINT)
	conn, err := pluginapi.InheritedSocket()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
	kind := pluginapi.MembershipKind(&fake{what: what, conn: conn})
	if what == speaksTwo {
		kind.Versions[2] = kind.Versions[1]
	}
	pluginapi.Serve(kind)
	return 0
}

// babble never comes to the end of a line.
func babble() int {
	for {
		if _, err := os.Stdout.WriteString("\x1b[31m bla bla \x00"); err != nil {
			return 1
		}
	}
}

// talk says things where only the handshake belongs, which has been said.
func talk() {
	for ; ; time.Sleep(time.Millisecond) {
		syscall.Write(1, []byte("1|1|unix|/somewhere/else|grpc|\n")) // os.Stdout is go-plugin's by now
	}
}

// leaveChild starts a process that its host cannot end with the plugin's group, and tells its
// id on standard error.
func leaveChild() error {
	child := exec.Command("/bin/sleep", "60") // there is no PATH
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
	return nil
}

// shakeHandsAndHang says where it listens, and never accepts a connection there.
func shakeHandsAndHang() int {
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "mute")
	if _, err := net.Listen("unix", path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Printf("1|1|unix|%s|grpc|\n", path)
	select {}
}

func ownTrailer() (string, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	_, trailer, ok := bytes.Cut(program[max(0, len(program)-200):], []byte(trailerMark))
	if !ok {
		return "", errors.New("fake: no trailer")
	}
	what, _, _ := strings.Cut(string(trailer), ";")
	return what, nil
}

// fake echoes datagrams with its pid and a count that goes on through its state. Its one
// member's incarnation is the number of starts, and its address says whether the last one
// was after a crash.
type fake struct {
	pluginapi.Membership // what is not implemented panics
	what                 string
	conn                 *net.UDPConn

	mu      sync.Mutex
	state   fakeState
	crashed bool
	done    chan struct{} // of the echo loop; nil while idle
}

type fakeState struct{ starts, echoes int }

func (s fakeState) encode() []byte { return fmt.Appendf(nil, "%d %d", s.starts, s.echoes) }

func (f *fake) Start(_ context.Context, request *pluginpb.StartRequest) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done != nil {
		return "", errors.New("at work already")
	}
	if f.what == refusesStart || f.what == refusesState && request.Snapshot != nil {
		return "", errors.New("no mood to start")
	}
	f.state = fakeState{}
	if request.Snapshot != nil {
		if _, err := fmt.Sscan(string(request.Snapshot), &f.state.starts, &f.state.echoes); err != nil {
			return "", err
		}
	}
	f.state.starts++
	f.crashed = request.Crashed
	f.done = make(chan struct{})
	f.conn.SetReadDeadline(time.Time{})
	go f.echo(f.done)
	if f.what == shakesTwice {
		go talk()
	}
	if f.what == panicsLater {
		time.AfterFunc(50*time.Millisecond, func() { panic("no mood to go on") })
	}
	return "me@1", nil
}

func (f *fake) echo(done chan struct{}) {
	defer close(done)
	buf := make([]byte, 64)
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // the deadline that Freeze has set
		}
		f.mu.Lock()
		f.state.echoes++
		f.mu.Unlock()
		reply := binary.BigEndian.AppendUint64(buf[:n:n], uint64(os.Getpid()))
		f.conn.WriteToUDPAddrPort(reply, from)
	}
}

func (f *fake) Snapshot(ctx context.Context) ([]byte, error) {
	if f.what == hangsLater {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.encode(), nil
}

func (f *fake) Freeze(ctx context.Context) ([]byte, error) {
	if f.what == hangsAtFreeze {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	done := f.done
	f.mu.Unlock()
	if done == nil {
		return nil, errors.New("idle")
	}
	f.conn.SetReadDeadline(time.Unix(1, 0))
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = nil
	return f.state.encode(), nil
}

func (f *fake) Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	f.mu.Lock()
	addr := "frozen"
	if f.crashed {
		addr = "crashed"
	}
	update := &pluginpb.MembersUpdate{Reset_: true, Self: "me@1", Members: []pluginpb.Member{
		{Addr: addr, Incarnation: uint64(f.state.starts)},
	}}
	f.mu.Unlock()
	if err := changed(update); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Leave(context.Context) error { return nil }

func (f *fake) Status(context.Context) (*pluginpb.StatusReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pluginpb.StatusReply{
		Phase:    "member",
		Counters: []pluginpb.Counter{{Name: "starts", Value: uint64(f.state.starts)}},
	}, nil
}

// runHost runs a host until it is killed. It prints the plugin's process id.
func runHost(dir string) int {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err == nil {
		var m *Membership
		if m, err = StartMembership(context.Background(), MembershipConfig{Dir: dir, Socket: conn}); err == nil {
			fmt.Println(strconv.Itoa(m.Info().PID))
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 2
}
