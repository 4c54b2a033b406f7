package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server/servertest"
)

// Two nodes have one directory, a third one has a copy of it, times included.
func TestNodesThatShareADirectoryAreNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files are marked on Linux only")
	}
	one, copied := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(one, "a"), []byte("FAIL\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(copied, os.DirFS(one)); err != nil {
		t.Fatal(err)
	}
	listeners, err := servertest.Listen(3)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := servertest.Start(listeners, []string{one, one, copied})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ask := func(args ...string) (stdout, stderr string) {
		var out, errs bytes.Buffer
		args = append([]string{"--via=" + cluster.Nodes[0].Addr}, args...)
		if status := run(args, strings.NewReader(""), &out, &errs, noEnv); status != 0 {
			t.Fatalf("dgrep %q: exit status %d\n%s", args, status, errs.String())
		}
		return out.String(), errs.String()
	}
	names := []string{cluster.Nodes[0].Addr, cluster.Nodes[1].Addr}
	_, stderr := ask("FAIL", "logs/*")
	if want := fmt.Sprintf("dgrep: warning: logs/a is one and the same file on %s: what is found there counts for each of them; --nodes asks some nodes only\n",
		strings.Join(names, ", ")); !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr is\n%swant it to begin with\n%s", stderr, want)
	}
	stdout, _ := ask("--json", "FAIL", "logs/*")
	if want := fmt.Sprintf(`"shared":[{"path":{"text":"logs/a"},"nodes":[%q,%q]}]`, names[0], names[1]); !strings.Contains(stdout, want) {
		t.Errorf("stdout is\n%swant in it\n%s", stdout, want)
	}
	for _, args := range [][]string{{"-s", "FAIL", "logs/*"}, {"--nodes", names[0] + "," + cluster.Nodes[2].Addr, "FAIL", "logs/*"}} {
		if _, stderr := ask(args...); strings.Contains(stderr, "warning") {
			t.Errorf("dgrep %q: %s", args, stderr)
		}
	}
}
