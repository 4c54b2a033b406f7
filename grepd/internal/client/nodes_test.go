package client

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestParseNodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nodes")
	if err := os.WriteFile(file, []byte("# the cluster\n127.0.0.1:1\n\n 127.0.0.1:2 \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ list, want string }{
		{"127.0.0.1:1,127.0.0.1:2,127.0.0.1:1", "[127.0.0.1:1 127.0.0.1:2] <nil>"},
		{"[::1]:7117", "[[::1]:7117] <nil>"},
		{"@" + file, "[127.0.0.1:1 127.0.0.1:2] <nil>"},
		{"127.0.0.1", `[] node "127.0.0.1": want host:port`},
		{"127.0.0.1:x", `[] node "127.0.0.1:x": "x" is not a port`},
		{"", `[] node "": want host:port`},
		{"@/does/not/exist", "[] read list of nodes: open /does/not/exist: no such file or directory"},
	} {
		nodes, err := ParseNodes(t.Context(), test.list)
		if got := fmt.Sprint(nodes, " ", err); got != test.want {
			t.Errorf("ParseNodes(%q) gives %s, want %s", test.list, got, test.want)
		}
	}
}
