package client

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

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
)

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
