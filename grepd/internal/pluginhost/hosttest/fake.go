package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// trailerMark stands before what a fake does, at the end of its program.
const trailerMark = "\nfake plugin: "

// RunFake is the whole program fake.
func RunFake() int {
	what, err := ownTrailer()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	switch what {
	case ExitsAtOnce:
		fmt.Fprintln(os.Stderr, "fake: no mood to work")
		return 3
	case SaysNonsense:
		fmt.Println("hello")
		select {}
	case HangsMute:
		select {}
	case HangsEarly:
		return shakeHandsAndHang()
	case Notifies, NotifiesAfreshAlone:
		go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
		pluginapi.Serve(pluginapi.NotifyKind(&fakeNotify{what: what}))
		return 0
	case Babbles:
		return babble()
	case WrongVersion:
		fmt.Println("1|9|unix|/nowhere|grpc")
		select {}
	case LeavesChild:
		if err := leaveChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	if path, ok := strings.CutPrefix(what, WaitsFor); ok {
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
	kind := pluginapi.MembershipKind(&fakeMembership{what: what, conn: conn})
	if what == SpeaksTwo {
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
