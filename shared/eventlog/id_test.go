package eventlog

import (
	"errors"
	"testing"
)

func TestIDsAreReadAsTheyAreWritten(t *testing.T) {
	for _, c := range []struct {
		addr        string
		incarnation uint64
		id          string
	}{
		{"10.0.0.3:7117", 1763793600000000000, "10.0.0.3:7117@1763793600000000000"},
		{"[::1]:7117", 0, "[::1]:7117@0"},
		{"[fe80::1%eth0]:1", 1<<64 - 1, "[fe80::1%eth0]:1@18446744073709551615"},
	} {
		if got := FormatID(c.addr, c.incarnation); got != c.id {
			t.Errorf("FormatID(%s, %d) gives %s, want %s", c.addr, c.incarnation, got, c.id)
		}
		addr, incarnation, err := ParseID(c.id)
		if addr != c.addr || incarnation != c.incarnation || err != nil {
			t.Errorf("ParseID(%s) gives %s, %d, %v", c.id, addr, incarnation, err)
		}
		if got := AddrOf(c.id); got != c.addr {
			t.Errorf("AddrOf(%s) gives %s, want %s", c.id, got, c.addr)
		}
	}
}

func TestWhatIsNoIDIsRefused(t *testing.T) {
	for _, text := range []string{"", "10.0.0.3:7117", "@1", "a:1@", "a:1@x", "a:1@-1", "a:1@1@2", "a:1@18446744073709551616"} {
		if _, _, err := ParseID(text); !errors.Is(err, ErrBadID) {
			t.Errorf("ParseID(%q) gives %v, want ErrBadID", text, err)
		}
		if got := AddrOf(text); got != text {
			t.Errorf("AddrOf(%q) gives %q, want it as it is", text, got)
		}
	}
}
