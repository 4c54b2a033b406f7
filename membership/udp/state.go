package udp

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// stateFile keeps the addresses of the members that were alive last, one a line. A
// goroutine of its own writes it, so that a slow disk does not hold up heartbeats.
type stateFile struct {
	path  string
	known []netip.AddrPort // that were in the file
	views chan View        // of size one: the newest that has to be written
	done  chan struct{}
}

const (
	// knownMax bounds what is kept: enough to find a group again.
	knownMax = 1000
	// stateBytesMax bounds what is read: as many of the longest addresses, and their line ends.
	stateBytesMax = knownMax * (len("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535") + 2)
)

// openState reads the file. With an empty path nothing is kept.
func openState(path string) *stateFile {
	s := &stateFile{path: path, views: make(chan View, 1), done: make(chan struct{})}
	if path != "" {
		s.known = parseState(readState(path))
	}
	go s.write()
	return s
}

// readState returns what is in the file, and nothing where it cannot be read: the file helps, but
// it must not keep a node from starting. Most nodes need it never, and a gateway that founds a
// group for want of it is found by the old one. A link is not followed, and what is no regular file
// not read: it could hold the start up for ever. The first view that is written takes its place.
func readState(path string) string {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	content, err := io.ReadAll(io.LimitReader(file, int64(stateBytesMax)))
	if err != nil {
		return ""
	}
	return string(content)
}

// parseState reads addresses, and passes over what is not one.
func parseState(content string) (known []netip.AddrPort) {
	for line := range strings.Lines(content) {
		addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err == nil && len(known) < knownMax {
			known = append(known, addr)
		}
	}
	return known
}

// keep has the view written in a while. It does not block.
func (s *stateFile) keep(v View) {
	if s.path == "" {
		return
	}
	select {
	case <-s.views: // an older one that has not been written
	default:
	}
	s.views <- v // only the driver's goroutine sends, so there is room
}

// close waits until the last view is written.
func (s *stateFile) close() {
	close(s.views)
	<-s.done
}

func (s *stateFile) write() {
	defer close(s.done)
	for v := range s.views {
		// Without the file only a gateway that restarts alone is worse off, so failing to
		// write it is no reason to stop.
		_ = renameio.WriteFile(s.path, formatState(v), 0o600)
	}
}

func formatState(v View) []byte {
	var b strings.Builder
	count := 0
	for _, m := range v.Rows {
		if m.State == membership.Alive && m.Addr != v.Self.Addr && count < knownMax {
			fmt.Fprintln(&b, m.Addr)
			count++
		}
	}
	return []byte(b.String())
}
