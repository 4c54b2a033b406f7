package udp

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// TestNoStateFileKeepsANodeFromStarting: whatever lies where the file of the last known
// members belongs, a node starts, at once, with the addresses that it finds. A directory used to
// be refused, an endless device to be read to its end, and a named pipe to be waited for.
func TestNoStateFileKeepsANodeFromStarting(t *testing.T) {
	write := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
	}
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	addr := netip.MustParseAddrPort("10.0.0.1:7117")
	stranger := filepath.Join(t.TempDir(), "stranger")
	if err := write("10.0.0.1:7117\n")(stranger); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make func(path string) error
		want []netip.AddrPort
	}{
		"missing":            {func(string) error { return nil }, nil},
		"empty":              {write(""), nil},
		"whole":              {write("10.0.0.1:7117\n"), []netip.AddrPort{addr}},
		"truncated":          {write("10.0.0.1:7117\n10.0.0."), []netip.AddrPort{addr}},
		"garbage":            {write("\x00\xff\n\n10.0.0.1:7117 \n@\n10.0.0.1\n10.0.0.1:99999\n"), []netip.AddrPort{addr}},
		"of another version": {write("{\"version\":2}\n10.0.0.1:7117\n"), []netip.AddrPort{addr}},
		"a directory":        {func(path string) error { return os.Mkdir(path, 0o700) }, nil},
		"a link to itself":   {link("state"), nil},
		"a link to nothing":  {link("nothing"), nil},
		"an endless device":  {link("/dev/zero"), nil},
		"a link to a file":   {link(stranger), nil},
		"a named pipe":       {func(path string) error { return unix.Mkfifo(path, 0o600) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			if err := c.make(path); err != nil {
				t.Fatal(err)
			}
			opened := make(chan *stateFile, 1)
			go func() { opened <- openState(path) }()
			select {
			case s := <-opened:
				if !slices.Equal(s.known, c.want) {
					t.Errorf("known are %v, want %v", s.known, c.want)
				}
				s.keep(View{})
				s.close()
				if content, err := os.ReadFile(stranger); err != nil || string(content) != "10.0.0.1:7117\n" {
					t.Errorf("what the link leads to is %q now, %v", content, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the file is not open after 10 s")
			}
		})
	}
}

// TestHugeStateFileIsReadInPart: no more than a file of knownMax members may hold.
func TestHugeStateFileIsReadInPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte(strings.Repeat("10.0.0.1:7117\n", 10*knownMax)), 0o600); err != nil {
		t.Fatal(err)
	}
	if read := len(readState(path)); read != stateBytesMax {
		t.Errorf("%d bytes were read, want %d", read, stateBytesMax)
	}
	s := openState(path)
	defer s.close()
	if len(s.known) != knownMax {
		t.Errorf("%d members are known, want %d", len(s.known), knownMax)
	}
}

// TestEveryMemberThatIsKeptIsReadAgain: the longest addresses fit into what is read.
func TestEveryMemberThatIsKeptIsReadAgain(t *testing.T) {
	var view View
	for i := range knownMax + 1 {
		ip := [16]byte{0: 0xff, 1: 0xff}
		for j := 2; j < len(ip); j++ {
			ip[j] = 0xff
		}
		ip[15], ip[14] = byte(i), 0xf0|byte(i>>8)
		entry := membership.Entry{ID: membership.ID{Addr: netip.AddrPortFrom(netip.AddrFrom16(ip), 65535)}}
		view.Rows = append(view.Rows, membership.NewMember(entry, time.Time{}))
	}
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, formatState(view), 0o600); err != nil {
		t.Fatal(err)
	}
	if known := parseState(readState(path)); len(known) != knownMax {
		t.Errorf("%d members are known, want %d", len(known), knownMax)
	}
}
