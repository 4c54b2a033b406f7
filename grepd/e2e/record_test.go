package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recording is a grepd record under way.
type recording struct {
	t       *testing.T
	file    string
	process *process
}

// record begins to record a node, and returns when there is something in the file.
func record(n *node, last time.Duration) *recording {
	dir := n.t.TempDir()
	r := &recording{t: n.t, file: filepath.Join(dir, "file")}
	r.process = startProcess(n.t, filepath.Join(dir, "output"),
		"grepd", "record", "--via", n.addr, "--for", last.String(), r.file)
	n.t.Cleanup(r.process.kill)
	await(n.t, joinLimit, "something is recorded", func() error {
		_, err := os.Stat(r.file)
		return err
	})
	return r
}

// replay waits for the end of a recording, and has the core do the same again. It returns what
// the core did.
func (r *recording) replay(status int, says string) string {
	r.t.Helper()
	got, output := r.process.wait(r.t), tail(r.process.output)
	if got != status || !strings.Contains(output, says) {
		r.t.Errorf("grepd record: status %d, want %d, and %q in:\n%s", got, status, says, output)
	}
	replayed := command(r.t, "sim", "-replay", r.file)
	if replayed.status != 0 || !strings.HasSuffix(replayed.stdout, ", all as recorded\n") {
		r.t.Errorf("the core does something else than the live member did: %v", replayed)
	}
	return replayed.stdout
}

// TestRecordedMembersAreReplayedExactly records two members that see a third one die.
func TestRecordedMembersAreReplayedExactly(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.start(c.nodes...)
	victim := c.nodes[4]
	recordings := []*recording{record(c.nodes[0], 4*time.Second), record(c.nodes[1], 4*time.Second)}
	c.kill(victim)
	for _, r := range recordings {
		transcript := r.replay(0, " steps, ")
		if !strings.Contains(transcript, "FAIL "+victim.addr+"@") {
			t.Errorf("the transcript lacks the crash of %s:\n%s", victim.addr, transcript)
		}
	}
	c.awaitAgreement(joinLimit)
}

// TestRecordingEndsWithTheOperatorOrThePlugin, and its file is whole.
func TestRecordingEndsWithTheOperatorOrThePlugin(t *testing.T) {
	c := newCluster(t, 3, 1)
	c.start(c.nodes...)
	n := c.nodes[1]

	interrupted := record(n, time.Minute)
	_ = interrupted.process.os.Signal(syscall.SIGINT) // its end is awaited
	interrupted.replay(0, " steps, ")

	reloaded := record(n, time.Minute)
	if r := command(t, "grepd", "plugin", "reload", "--via", n.addr); r.status != 0 {
		t.Fatalf("grepd plugin reload: %v", r)
	}
	reloaded.replay(2, "ends early")

	leaving := record(n, time.Minute)
	if r := command(t, "grepd", "leave", "--via", n.addr); r.status != 0 {
		t.Fatalf("grepd leave: %v", r)
	}
	leaving.replay(2, "the member left the group")
	checkNoFail(t, c)
}
