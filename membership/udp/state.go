package udp

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/google/renameio/v2"

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

// knownMax bounds what is kept: enough to find a group again.
const knownMax = 1000

// openState reads the file, which need not exist yet. With an empty path nothing is kept.
func openState(path string) (*stateFile, error) {
	s := &stateFile{path: path, views: make(chan View, 1), done: make(chan struct{})}
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the last known members: %w", err)
		}
		s.known = parseState(string(content))
	}
	go s.write()
	return s, nil
}

// parseState reads addresses, and passes over what is not one: the file helps, but it must
// never keep a node from starting.
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
