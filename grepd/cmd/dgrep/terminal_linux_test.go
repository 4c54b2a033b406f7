package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// openTerminal opens a terminal of that width: what is written to tty is read from master, and \n is \r\n there.
func openTerminal(t *testing.T, width uint16) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be had here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: width}); err != nil {
		t.Fatal(err)
	}
	return master, tty
}

// progressRow is a row that shows the progress.
var progressRow = regexp.MustCompile(`\r(dgrep: [01] of 2 nodes done[^\r\x1b]*)\x1b\[K`)

// On a terminal the progress is shown below the lines, in one row that leaves no trace, and --color colours; in a file
// and where the terminal is dumb neither is so.
func TestTerminalShowsProgressAndColours(t *testing.T) {
	listeners, err := servertest.Listen(2)
	if err != nil {
		t.Fatal(err)
	}
	frozen := listeners[1]
	defer frozen.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a FAIL\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := servertest.Start([]net.Listener{listeners[0]}, []string{dir}, frozen.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	const width = 40
	show := func(term string, args ...string) string {
		master, tty := openTerminal(t, width)
		shown := make(chan string)
		go func() {
			var b bytes.Buffer
			io.Copy(&b, master) // until nobody has tty any more
			shown <- b.String()
		}()
		getenv := func(name string) string { return map[string]string{"TERM": term}[name] }
		args = append([]string{"--via=" + cluster.Nodes[0].Addr, "--timeout=1200ms", "-h"}, args...)
		if status := run(append(args, "FAIL", "logs/a"), strings.NewReader(""), tty, tty, getenv); status != 2 {
			t.Errorf("dgrep %q: exit status %d, want 2: a node is frozen", args, status)
		}
		tty.Close()
		return <-shown
	}

	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a FAIL\n\x1b[2JFAILURE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for option, want := range map[string]string{"-h": "^[[2JFAILURE\r\n", "--raw": "\x1b[2JFAILURE\r\n"} {
		if got := show("", option, "-e", "URE", "-s"); !strings.HasSuffix(got, want) {
			t.Errorf("%s: a line with an escape is shown as %q, want %q", option, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a FAIL\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	const line, coloured = "a FAIL\r\n", "a \x1b[01;31m\x1b[KFAIL\x1b[m\x1b[K\r\n"
	coverage := fmt.Sprintf("dgrep: 1 of 2 nodes answered; %s timed out: silent for 1.2s\r\n", frozen.Addr())
	got := show("xterm", "--color")
	rows := progressRow.FindAllStringSubmatchIndex(got, -1)
	for _, at := range rows {
		if at[3]-at[2] >= width || !strings.HasPrefix(got[at[1]:], "\r") {
			t.Errorf("%q does not fit into a row of %d, or is not written over", got[at[2]:at[3]], width)
		}
	}
	if rest := progressRow.ReplaceAllString(got, ""); len(rows) == 0 || strings.ReplaceAll(rest, "\r\x1b[K", "") != coloured+coverage {
		t.Errorf("on a terminal: %q", got)
	}
	for _, test := range []struct{ term, option string }{{"dumb", "--color"}, {"", "--color"}, {"xterm", "--progress=never"}} {
		if got := show(test.term, test.option); got != line+coverage {
			t.Errorf("TERM=%s dgrep %s: %q", test.term, test.option, got)
		}
	}
	if got := show("xterm", "-s"); got != line {
		t.Errorf("-s: %q", got)
	}
}
