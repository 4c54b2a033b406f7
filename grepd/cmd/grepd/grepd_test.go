package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"grepd": main})
}

// TestScripts runs the command lines in testdata. Beside testscript's own commands they
// have
//
//	freeport NAME...     sets each variable to the address of a free port of its own
//	until REGEXP COMMAND runs the command until it succeeds and its output matches
//	pluginpid NAME ADDR  sets the variable to the process id of the daemon's plugin
//	killpid PID          kills a process that is none of the script's own
//	signal SIGNAL ADDR   sends the signal to the daemon that listens there
//	noneleft             fails where a plugin of the script's daemons runs, where there is /proc
//
// and $PLUGINS, a plugin directory of their own with the real plugins.
func TestScripts(t *testing.T) {
	built := t.TempDir()
	build := exec.Command("go", "build", "-o", built, "../../../plugins/...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugins: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			// The scripts' own directory is too long a path for sockets.
			tmp, err := os.MkdirTemp("", "gs")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(tmp) })
			env.Setenv("TMPDIR", tmp)
			// A program with the race detector sleeps for a second before it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			plugins := filepath.Join(env.WorkDir, "plugins")
			env.Setenv("PLUGINS", plugins)
			for _, name := range []string{"membership", "notify"} {
				if err := copyProgram(filepath.Join(built, name), filepath.Join(plugins, name)); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": cmdFreePort, "until": cmdUntil, "pluginpid": cmdPluginPID, "killpid": cmdKillPID,
			"signal": cmdSignal, "noneleft": cmdNoneLeft,
		},
	})
}

func copyProgram(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

func cmdFreePort(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		// Held until all are found, so that they differ.
		listener, conn, err := net.Listener(nil), net.PacketConn(nil), error(nil)
		for range portTries {
			if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				break
			}
			defer listener.Close()
			if conn, err = net.ListenPacket("udp", listener.Addr().String()); err == nil {
				break
			}
		}
		ts.Check(err)
		defer conn.Close()
		ts.Setenv(name, listener.Addr().String())
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND [ARGUMENT...]")
	}
	want := regexp.MustCompile("(?ms)" + args[0])
	var last string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		command := exec.Command(lookPath(ts, args[1]), args[2:]...) // ts.Exec would log each try
		command.Dir = ts.Getenv("WORK")
		out, err := command.CombinedOutput()
		if last = string(out); err == nil && want.MatchString(last) {
			return
		}
	}
	ts.Fatalf("not within 2 minutes; the last output was\n%s", last)
}

func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	ts.Fatalf("no command %s", name)
	return ""
}

func cmdPluginPID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("grepd", "plugins", "--json", "--via", args[1]))
	match := regexp.MustCompile(`"pid":(\d+)`).FindStringSubmatch(ts.ReadFile("stdout"))
	if match == nil {
		ts.Fatalf("no pid in %s", ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], match[1])
}

func cmdKillPID(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
	for _, daemon := range ts.BackgroundCmds() {
		if slices.Contains(daemon.Args, args[1]) && slices.Index(daemon.Args, args[1]) == slices.Index(daemon.Args, "--listen")+1 {
			ts.Check(daemon.Process.Signal(signals[args[0]]))
			return
		}
	}
	ts.Fatalf("no daemon listens on %s", args[1])
}

// cmdNoneLeft knows plugins by where their programs were copied to.
func cmdNoneLeft(ts *testscript.TestScript, _ bool, _ []string) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	ts.Check(err)
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && strings.HasPrefix(exe, ts.Getenv("TMPDIR")+"/") {
			ts.Fatalf("%s still runs %s", filepath.Dir(link), exe)
		}
	}
}

func TestStatusHasOneColumnHoweverLongTheNames(t *testing.T) {
	var out bytes.Buffer
	s := &statusJSON{ID: "a@1", Phase: "joining", Counters: map[string]uint64{"sent": 7, "a_counter_of_a_later_plugin": 220}}
	if err := printStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	want := `id:                           a@1
phase:                        joining
a_counter_of_a_later_plugin:  220
sent:                         7
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestMembersToJSONIsNeverNull(t *testing.T) {
	var out bytes.Buffer
	if err := printJSON(&out, membersToJSON(new(greppb.MembersReply))); err != nil {
		t.Fatal(err)
	}
	want := `{"version":0,"digest":"0000000000000000","self":"","live":false,"stale":false,"members":[]}` + "\n"
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}

func TestOfSeveralAddressesAReachableOneIsAdvertised(t *testing.T) {
	for _, test := range []struct {
		addrs    string
		loopback bool
		want     string // begins with "!": the error
	}{
		{"127.0.1.1:7 10.0.0.5:7", false, "10.0.0.5:7"},
		{"[2001:db8::5]:7 10.0.0.5:7", false, "10.0.0.5:7"},
		{"[fe80::5]:7 [2001:db8::5]:7", false, "[2001:db8::5]:7"},
		{"127.0.0.2:7", true, "127.0.0.2:7"},
		{"169.254.1.1:7", false, "169.254.1.1:7"},
		{"127.0.1.1:7 [::1]:7", false, "!127.0.1.1:7 is a loopback address, which is every machine's own, and not every gateway is on this machine, " +
			"[::1]:7 is a loopback address, which is every machine's own, and not every gateway is on this machine"},
		{"10.0.0.5:0", false, "!10.0.0.5:0 has no port"},
		{"0.1.2.3:7", true, "!0.1.2.3:7 stands for any address of a machine"},
	} {
		var addrs []netip.AddrPort
		for _, text := range strings.Fields(test.addrs) {
			addrs = append(addrs, netip.MustParseAddrPort(text))
		}
		chosen, err := chooseReachable(addrs, test.loopback)
		got := chosen.String()
		if err != nil {
			got = "!" + err.Error()
		}
		if got != test.want {
			t.Errorf("of %s: %s, want %s", test.addrs, got, test.want)
		}
	}
}
