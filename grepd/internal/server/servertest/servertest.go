// Package servertest runs clusters of grep servers in one process, for tests.
//
// The nodes listen on loopback, know each other by a static list, and search a directory
// each, mounted as logs. Nobody but their sockets connects them.
//
// # Concurrency
//
// A Cluster belongs to one goroutine.
package servertest

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server"
)

// stopTime is how long queries may go on when a node is stopped.
const stopTime = 5 * time.Second

// Node is one server.
type Node struct {
	Addr   string
	server *server.Server
	mounts *files.Mounts
	served chan error
}

// Cluster is a number of nodes.
type Cluster struct{ Nodes []*Node }

// Listen opens sockets for n nodes. Their addresses are the listeners'.
func Listen(n int) ([]net.Listener, error) {
	var listeners []net.Listener
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, opened := range listeners {
				opened.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// Start starts a node on each listener. Node i searches dirs[i]; others are in the static
// list too, whether they are there or not.
func Start(listeners []net.Listener, dirs []string, others ...string) (*Cluster, error) {
	var addrs []string
	for _, listener := range listeners {
		addrs = append(addrs, listener.Addr().String())
	}
	addrs = append(addrs, others...)
	c := &Cluster{}
	for i, listener := range listeners {
		node, err := start(listener, dirs[i], fanout.NewStatic(addrs[i], addrs))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c, nil
}

func start(listener net.Listener, dir string, members fanout.Members) (*Node, error) {
	mounts, err := files.OpenMounts([]string{"logs=" + dir})
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Config{Mounts: mounts, Members: members})
	if err != nil {
		return nil, errors.Join(err, mounts.Close())
	}
	n := &Node{Addr: listener.Addr().String(), server: s, mounts: mounts, served: make(chan error, 1)}
	go func() { n.served <- s.Serve(listener) }()
	return n, nil
}

// Stop stops a node, queries that run included.
func (n *Node) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	n.server.Stop(ctx)
	return errors.Join(<-n.served, n.mounts.Close())
}

// Searches is how many searches of the node's files are under way now.
func (n *Node) Searches() int { return n.server.Searches() }

// Close stops all nodes.
func (c *Cluster) Close() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Stop())
	}
	c.Nodes = nil
	return errors.Join(errs...)
}
