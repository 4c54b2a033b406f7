// Package hosttest has plugins for the tests of their hosts: fakes that work, crash, hang or
// talk nonsense, and the directory that they are put into.
//
// A fake is a copy of the program fake below. What it does when a host starts it stands at the
// copy's end, which also gives each fake a checksum of its own. The program is built when the
// first one is asked for, without a race detector: with it, each start would take several
// times as long.
//
//	dir := hosttest.NewDir(t)
//	dir.Install(hosttest.Works)
//
// # Concurrency
//
// A Dir belongs to the test's goroutine.
package hosttest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// What a fake plugin can do.
const (
	Works         = "works"
	ExitsAtOnce   = "exits at once"
	SaysNonsense  = "says nonsense"
	HangsMute     = "hangs mute"
	HangsEarly    = "hangs after its handshake line"
	RefusesStart  = "refuses to start"
	RefusesState  = "refuses to start from a state"
	HangsAtFreeze = "hangs at freeze"
	HangsLater    = "hangs later"
	PanicsLater   = "panics later"
	Babbles       = "babbles"
	ShakesTwice   = "shakes hands and goes on talking"
	WrongVersion  = "has another version of the API"
	LeavesChild   = "leaves a child that holds its standard error"
	// WaitsFor comes with the path of a file that it waits for before its handshake.
	WaitsFor = "waits for "

	SpeaksTwo           = "speaks two versions"
	Notifies            = "notifies"
	NotifiesAfreshAlone = "notifies, and refuses to start from a state"
)

// Dir is a plugin directory, beside what its host needs: a socket, and a directory for
// temporary files that belongs to this test alone.
type Dir struct {
	t    *testing.T
	Path string
	Conn *net.UDPConn
}

// NewDir makes an empty plugin directory.
func NewDir(t *testing.T) *Dir {
	t.Helper()
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("the fake plugin reads its own program from /proc")
	}
	if _, err := fake(); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp("", "ph") // t.TempDir is too long a path for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	path := t.TempDir() // before TMPDIR changes, so that the test's own directories are elsewhere
	t.Setenv("TMPDIR", tmp)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Dir{t: t, Path: path, Conn: conn}
}

// Program is the path of the membership plugin.
func (d *Dir) Program() string { return filepath.Join(d.Path, pluginapi.MembershipName) }

// Leftover is what hosts have in the directory for temporary files. A host that was stopped
// leaves nothing.
func (d *Dir) Leftover() []string {
	leftover, _ := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	return leftover
}

// fake is the program that all fakes are copies of.
var fake = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fake-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fake")
	// By its import path, since each package's tests run in a directory of their own.
	pkg := reflect.TypeFor[Dir]().PkgPath() + "/fake"
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return os.ReadFile(path)
})

// Build writes a fake to path.
func (d *Dir) Build(path, what string) {
	d.t.Helper()
	program, err := fake()
	if err == nil {
		err = os.WriteFile(path, append(slices.Clip(program), trailerMark+what...), 0o755)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// Install moves a fake into the plugin directory, as the membership plugin.
func (d *Dir) Install(what string) {
	d.t.Helper()
	incoming := filepath.Join(d.t.TempDir(), "incoming")
	d.Build(incoming, what)
	if err := os.Rename(incoming, d.Program()); err != nil {
		d.t.Fatal(err)
	}
}

// eventuallyLimit is when a test gives up; no machine is too slow for it.
const eventuallyLimit = 2 * time.Minute

// Eventually polls until the condition holds. If it does not, the test fails with what
// describe says.
func Eventually(t *testing.T, what string, condition func() bool, describe func() string) {
	t.Helper()
	for deadline := time.Now().Add(eventuallyLimit); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s\n%s", eventuallyLimit, what, describe())
		}
		time.Sleep(2 * time.Millisecond)
	}
}
