package fanout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// State is what a member list says of a member.
type State uint8

const (
	Alive State = iota
	Failed
	Left
)

// Member is one node that a query may be sent to.
type Member struct {
	Addr  string // ip:port of its grep service
	State State
	// Incarnation is when this life of the member began by its own clock, in Unix nanoseconds; 0 in a list that a
	// person wrote.
	Incarnation uint64
}

// Targets is a list of members at one instant.
type Targets struct {
	// Self is this node's own address. It is searched in process, and always asked,
	// in the list or not.
	Self string
	// Members holds the nodes in the order in which answers name them. A member that has
	// no row any more counts as failed. The rows are shared: nobody writes to them.
	Members []Member
	// Phase is what this node is to the group whose list it has. Of one that is no member,
	// Members may lack some.
	Phase greppb.Phase
	// Live says that the list is kept by a membership service, not written by a person.
	Live bool
	// Stale says that a live list has had no membership service behind it for StaleFor.
	Stale    bool
	StaleFor time.Duration
}

// Members is the list that queries choose from. Its methods are called from many
// goroutines, and must not block.
type Members interface {
	// Targets returns the list as it is now.
	Targets() Targets
	// Changed returns a channel that is closed at the next change of the list. A query
	// takes the channel first and looks at the list then, so it misses nothing. A list
	// that never changes may return nil.
	Changed() <-chan struct{}
}

// Static is a list that a person wrote.
type Static struct{ targets Targets }

var _ Members = (*Static)(nil)

// NewStatic returns the list of these nodes, and of self, which may be among them.
func NewStatic(self string, nodes []string) *Static {
	s := &Static{Targets{Self: self}}
	for _, addr := range nodes {
		s.targets.Members = append(s.targets.Members, Member{Addr: addr})
	}
	return s
}

// Targets returns the list.
func (s *Static) Targets() Targets { return s.targets }

// Changed returns nil: the list never changes.
func (s *Static) Changed() <-chan struct{} { return nil }

// ParseNodes reads a list of nodes as it stands in a command line: "host:port,host:port",
// or "@file" with one host:port a line, where blank lines and lines that begin with #
// do not count. Names are resolved: nodes are compared by address, and one that is listed
// by name and by address would be searched twice. The result has no duplicates.
func ParseNodes(ctx context.Context, list string) ([]string, error) {
	words := strings.Split(list, ",")
	if name, ok := strings.CutPrefix(list, "@"); ok {
		var err error
		if words, err = readNodes(name); err != nil {
			return nil, fmt.Errorf("read list of nodes: %w", err)
		}
	}
	if len(words) > limits.NodesMax {
		return nil, fmt.Errorf("list of %d nodes, at most %d are possible", len(words), limits.NodesMax)
	}
	var nodes []string
	for _, word := range words {
		addr, err := resolve(ctx, strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(nodes, addr) {
			nodes = append(nodes, addr)
		}
	}
	return nodes, nil
}

func readNodes(name string) ([]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var words []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if word := strings.TrimSpace(lines.Text()); word != "" && word[0] != '#' {
			words = append(words, word)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s names no node", name)
	}
	return words, nil
}

// resolve turns host:port into ip:port.
func resolve(ctx context.Context, word string) (string, error) {
	host, portText, err := net.SplitHostPort(word)
	if err != nil {
		return "", fmt.Errorf("node %q: want host:port", word)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return "", fmt.Errorf("node %q: %q is not a port", word, portText)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		return "", fmt.Errorf("node %q: %w", word, err)
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(port)).String(), nil
}
