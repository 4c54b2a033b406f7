package follow_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/follow"
)

// limitEnv says to this test in another process which limit of its own it is to lower.
const limitEnv = "GREPD_TEST_INOTIFY_LIMIT"

// TestAFollowGoesOnWhereTheSystemWatchesNoMore has Follow meet the system's real limits, in a
// process whose user namespace has lower ones.
func TestAFollowGoesOnWhereTheSystemWatchesNoMore(t *testing.T) {
	if limit := os.Getenv(limitEnv); limit != "" {
		followUnwatched(t, limit)
		return
	}
	for limit, reason := range map[string]string{"max_inotify_watches": "no space left on device", "max_inotify_instances": "too many open files"} {
		t.Run(limit, func(t *testing.T) {
			again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFollowGoesOnWhereTheSystemWatchesNoMore$", "-test.v")
			again.Env = append(os.Environ(), limitEnv+"="+limit)
			again.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			out, err := again.CombinedOutput()
			switch {
			case again.ProcessState == nil || strings.Contains(string(out), "--- SKIP"):
				t.Skipf("no user namespace with limits of its own: %v\n%s", err, out)
			case err != nil:
				t.Fatalf("%v\n%s", err, out)
			case !strings.Contains(strings.ToLower(string(out)), reason):
				t.Errorf("it says %s, want %q in it", out, reason)
			}
		})
	}
}

// followUnwatched follows files of two directories, of which the system watches one at most.
func followUnwatched(t *testing.T, limit string) {
	left := map[string]string{"max_inotify_watches": "1", "max_inotify_instances": "0"}[limit]
	if err := os.WriteFile("/proc/sys/user/"+limit, []byte(left), 0); err != nil {
		t.Skip("the limit cannot be lowered here:", err)
	}
	m, dir := filestest.Tree(t, map[string]string{"d/a": "", "e/b": ""})
	ctx, cancel := context.WithCancel(t.Context())
	l := &awaited{listener: newListener(), caughtUp: make(chan struct{}), chunk: make(chan string)}
	ended := make(chan error, 1)
	fo := follow.Options{Poll: 10 * time.Millisecond}
	go func() { ended <- follow.Run(ctx, m, []string{"logs/d/*", "logs/e/*"}, options(t, "x"), fo, l) }()
	<-l.caughtUp
	want := []string{}
	for i, name := range []string{"d/a", "e/b", "d/new", "e/new"} { // of the last ones the names have to be found
		text := fmt.Sprintf("x%d\n", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, text)
	}
	var got []string
	for range want {
		got = append(got, <-l.chunk)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	cancel()
	<-ended
	if len(l.errs) != 1 || !strings.Contains(l.errs[0], "the system does not tell of changes here") {
		t.Errorf("complaints %q, want one", l.errs)
	}
	t.Log(l.errs)
}
