package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkLimit is when a test gives up on a daemon that is to notice what became of its
// directories.
const checkLimit = time.Minute

// TestDirectoriesThatAreReplacedAreNoticed takes a daemon's directories away and puts others in their places.
func TestDirectoriesThatAreReplacedAreNoticed(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	app, secret := filepath.Join(n.dir, "app"), filepath.Join(n.dir, "secret")
	for dir, text := range map[string]string{app: "first", secret: "secret"} {
		if err := errors.Join(os.Mkdir(dir, 0o755), appendTo(filepath.Join(dir, "a.log"), text+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	n.args = append(n.args, "--mount", "app="+app)
	c.start(n)
	search := func(what string, status int, stdout, stderr string) {
		t.Helper()
		r := command(t, "dgrep", "--via", n.addr, ".", "app/a.log")
		if r.status != status || r.stdout != stdout || !strings.Contains(r.stderr, stderr) {
			t.Errorf("%s: %v", what, r)
		}
	}
	search("at first", 0, "first\n", "")

	if err := os.RemoveAll(app); err != nil {
		t.Fatal(err)
	}
	n.awaitMountTrouble(app, "the directory is gone") // although nobody searches it
	search("removed", 2, "", "the directory is gone")

	if err := errors.Join(os.Mkdir(app, 0o755), appendTo(filepath.Join(app, "a.log"), "second\n")); err != nil {
		t.Fatal(err)
	}
	search("replaced", 0, "second\n", "")

	if err := errors.Join(os.RemoveAll(app), os.Symlink(secret, app)); err != nil {
		t.Fatal(err)
	}
	search("behind a link", 2, "", "through a symbolic link that was not there")
	n.awaitMountTrouble(app, "symbolic link")

	if err := os.RemoveAll(n.logDir()); err != nil {
		t.Fatal(err)
	}
	await(t, checkLimit, "the logs are there again", func() error {
		r := command(t, "dgrep", "--via", n.addr, "-h", "LOG_LOST|MOUNT", "-E", "logs/*")
		if r.status != 0 {
			return fmt.Errorf("dgrep: %v", r)
		}
		return nil
	})
}

// awaitMountTrouble waits until status, log and standard error have said what is wrong with a mount.
func (n *node) awaitMountTrouble(dir, text string) {
	n.t.Helper()
	await(n.t, checkLimit, "the daemon says "+text, func() error {
		status := command(n.t, "grepd", "status", "--via", n.addr).stdout
		log := tail(filepath.Join(n.logDir(), "grepd.log"))
		for where, said := range map[string]string{"status": status, "the log": log, "standard error": tail(n.outputFile())} {
			if !strings.Contains(said, dir) || !strings.Contains(said, text) {
				return fmt.Errorf("%s: %s", where, said)
			}
		}
		return nil
	})
}
