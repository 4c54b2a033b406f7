package server

import (
	"context"
	"net"
	"sync"
)

const (
	// connsMax bounds the connections that are open at the same time, and connsOfAddressMax those
	// from one address. A daemon has one to each other daemon that it asks, and dgrep has one.
	connsMax          = 1024
	connsOfAddressMax = 64
)

// gate is a listener that can be shut before gRPC is stopped. At its stop gRPC closes
// connections that it has accepted and not looked at yet, and the client gets a reset in
// place of an answer. Nobody would mind at the end of a daemon; but when another process
// goes on with the socket, a client that connects at that moment must not notice.
//
// It lets connsMax connections in, and connsOfAddressMax from each address. More are closed at once.
type gate struct {
	net.Listener
	arrivals *arrivals

	mu      sync.Mutex
	open    map[string]int // connections by address; none is 0
	sum     int            // of open
	shut    bool
	fresh   int           // connections that gRPC has not looked at
	changed chan struct{} // closed at each change of fresh and parked
	parked  bool          // no more connections come

	closeOnce sync.Once
	closed    chan struct{}
}

var _ net.Listener = (*gate)(nil)

func newGate(listener net.Listener, a *arrivals) *gate {
	return &gate{
		Listener: listener, arrivals: a, open: make(map[string]int),
		changed: make(chan struct{}), closed: make(chan struct{}),
	}
}

// Accept gives no connection once the gate is shut, and returns when it is closed.
func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	for err == nil {
		if c := g.admit(conn); c != nil {
			return c, nil
		}
		conn.Close() // before it has cost anything
		conn, err = g.Listener.Accept()
	}
	shut := false
	g.update(func() { shut, g.parked = g.shut, g.shut })
	if shut {
		<-g.closed
	}
	return nil, err
}

// admit counts a connection; nil: there are too many.
func (g *gate) admit(conn net.Conn) *clientConn {
	host := hostOf(conn.RemoteAddr())
	admitted := false
	g.update(func() {
		if admitted = g.sum < connsMax && g.open[host] < connsOfAddressMax; admitted {
			g.sum++
			g.open[host]++
			g.fresh++
		}
	})
	if !admitted {
		return nil
	}
	return &clientConn{
		Conn: conn, host: host, arrivals: g.arrivals,
		seen: sync.OnceFunc(func() { g.update(func() { g.fresh-- }) }),
		left: sync.OnceFunc(func() { g.update(func() { g.leave(host) }) }),
	}
}

// leave gives back what a connection was counted for. g.mu is held.
func (g *gate) leave(host string) {
	g.sum--
	if g.open[host]--; g.open[host] == 0 {
		delete(g.open, host)
	}
}

func (g *gate) update(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Shut lets no more connections in, and returns when gRPC has looked at all that came, or
// when ctx ends. It is for a gate that somebody accepts from.
func (g *gate) Shut(ctx context.Context) {
	g.update(func() { g.shut = true })
	g.Listener.Close() // of this process's descriptor; the socket is another one's, too
	for {
		g.mu.Lock()
		done, changed := g.parked && g.fresh == 0, g.changed
		g.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends Accept, too.
func (g *gate) Close() error {
	g.closeOnce.Do(func() { close(g.closed) })
	return g.Listener.Close()
}
