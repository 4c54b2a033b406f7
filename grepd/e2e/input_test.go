package e2e

import (
	"debug/buildinfo"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestBadInputIsNamed gives each command something that it cannot work with. It has to
// say what, and exit with status 2.
func TestBadInputIsNamed(t *testing.T) {
	c := newCluster(t, 1, 1)
	c.start(c.nodes...)
	via := c.nodes[0].addr

	taken := listenTCP(t)
	takenUDP := listenUDP(t)
	logs := t.TempDir()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "not a directory\n", 0o644)
	noPlugins := t.TempDir()
	wrongPlugins := t.TempDir()
	writeFile(t, filepath.Join(wrongPlugins, "membership"), "#!/bin/sh\necho I am not a plugin\n", 0o755)
	dataPlugins := t.TempDir()
	writeFile(t, filepath.Join(dataPlugins, "membership"), "data\n", 0o644)

	daemon := func(args ...string) []string {
		return append([]string{"grepd", "--listen", freeAddr(t), "--log-dir", logs}, args...)
	}
	tests := []struct {
		name string
		args []string
		want string // part of the message
	}{
		{"taken port", []string{"grepd", "--listen", taken, "--log-dir", logs}, taken},
		{"port taken for UDP", []string{"grepd", "--listen", takenUDP, "--log-dir", logs, "--with-membership", "--gateway", takenUDP}, takenUDP},
		{"address beyond loopback without keys", []string{"grepd", "--listen", "0.0.0.0:0", "--log-dir", logs}, "--insecure"},
		{"listen address without a port", []string{"grepd", "--listen", "127.0.0.1", "--log-dir", logs}, "127.0.0.1"},
		{"gateway that has no address", daemon("--with-membership", "--gateway", "no-such-host.invalid:7117"), "no-such-host.invalid"},
		{"gateway without a port", daemon("--with-membership", "--gateway", "127.0.0.1"), "127.0.0.1"},
		{"membership without a gateway", daemon("--with-membership"), "--gateway"},
		{"no plugin", daemon("--with-membership", "--gateway", via, "--plugin-dir", noPlugins), noPlugins},
		{"program that is no plugin", daemon("--with-membership", "--gateway", via, "--plugin-dir", wrongPlugins), wrongPlugins},
		{"plugin that is no program", daemon("--with-membership", "--gateway", via, "--plugin-dir", dataPlugins), dataPlugins},
		{"log directory that is a file", []string{"grepd", "--listen", freeAddr(t), "--log-dir", file}, file},
		{"mount without a directory", daemon("--mount", "x=/no/such/directory"), "/no/such/directory"},
		{"mount without a name", daemon("--mount", "/var/log"), "/var/log"},
		{"node without a port", daemon("--nodes", "127.0.0.1"), "127.0.0.1"},
		{"file of nodes that is missing", daemon("--nodes", "@/no/such/file"), "/no/such/file"},
		{"unknown flag of grepd", daemon("--no-such-flag"), "no-such-flag"},
		{"unknown subcommand", []string{"grepd", "no-such-command"}, "no-such-command"},
		{"members of a dead daemon", []string{"grepd", "members", "--via", freeAddr(t)}, "127.0.0.1"},

		{"no pattern", []string{"dgrep", "--via", via}, "Usage"},
		{"invalid pattern", []string{"dgrep", "--via", via, "-E", "a(b", "logs/*"}, "a(b"},
		{"back-reference", []string{"dgrep", "--via", via, `\(a\)\1`, "logs/*"}, `\1`},
		{"path outside the mounts", []string{"dgrep", "--via", via, "x", "/etc/passwd"}, "/etc/passwd"},
		{"path that climbs out of a mount", []string{"dgrep", "--via", via, "x", "logs/../secret"}, "logs/../secret"},
		{"unknown mount", []string{"dgrep", "--via", via, "x", "nosuch/x"}, "nosuch"},
		{"file on no node", []string{"dgrep", "--via", via, "x", "logs/no-such-file"}, "no-such-file"},
		{"unknown option of dgrep", []string{"dgrep", "--via", via, "--no-such-option", "x", "logs/*"}, "no-such-option"},
		{"number that is none", []string{"dgrep", "--via", via, "-m", "many", "x", "logs/*"}, "max count"},
		{"dead daemon", []string{"dgrep", "--via", freeAddr(t), "x", "logs/*"}, "127.0.0.1"},
		{"node that is no member", []string{"dgrep", "--via", via, "--nodes", "127.0.0.1:9", "x", "logs/*"}, "127.0.0.1:9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := command(t, test.args[0], test.args[1:]...)
			if r.status != 2 || !strings.Contains(r.stderr, test.want) {
				t.Errorf("%q: %v\nwant status 2 and a message with %q", test.args, r, test.want)
			}
			if r.stdout != "" {
				t.Errorf("%q printed %q as if it were an answer", test.args, r.stdout)
			}
			if strings.Contains(r.stderr, "goroutine ") {
				t.Errorf("%q panicked", test.args)
			}
		})
	}
}

// TestUnreadableLogDirectoryIsNamed runs grepd as a user to whom permissions apply.
func TestUnreadableLogDirectoryIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unreadable")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "grepd"), "--listen", freeAddr(t), "--log-dir", dir)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if r := complete(t, cmd); r.status != 2 || !strings.Contains(r.stderr, dir) {
		t.Errorf("grepd on a directory without permissions: %v\nwant status 2 and its name", r)
	}
}

// nobody is the user and the group that own nothing.
const nobody = 65534

// TestBinariesSayTheirVersion: the release, and the commit that Go has noted in the program.
func TestBinariesSayTheirVersion(t *testing.T) {
	info, err := buildinfo.ReadFile(filepath.Join(bin, "grepd"))
	if err != nil {
		t.Fatal(err)
	}
	want := `\d+\.\d+\.\d+(-dev)?`
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			want += regexp.QuoteMeta("+"+s.Value[:12]) + `(\.dirty)?`
		}
	}
	for _, args := range [][]string{{"grepd", "version"}, {"dgrep", "--version"}} {
		said := regexp.MustCompile(`^(grepd|dgrep \(grepd\)) ` + want + `( \(go.*\))?\n$`)
		if r := command(t, args[0], args[1:]...); r.status != 0 || !said.MatchString(r.stdout) {
			t.Errorf("%q: %v\nwant %s", args, r, said)
		}
	}
}

func listenTCP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func listenUDP(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	return packets.LocalAddr().String()
}

func writeFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
