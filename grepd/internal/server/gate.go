package server

import (
	"context"
	"net"
	"sync"
	"time"
)

// gate is a listener that can be shut before gRPC is stopped. At its stop gRPC closes
// connections that it has accepted and not looked at yet, and the client gets a reset in
// place of an answer. Nobody would mind at the end of a daemon; but when another process
// goes on with the socket, a client that connects at that moment must not notice.
type gate struct {
	net.Listener

	mu      sync.Mutex
	shut    bool
	fresh   int           // connections that gRPC has not looked at
	changed chan struct{} // closed at each change of fresh and parked
	parked  bool          // no more connections come

	closeOnce sync.Once
	closed    chan struct{}
}

var _ net.Listener = (*gate)(nil)

func newGate(listener net.Listener) *gate {
	return &gate{Listener: listener, changed: make(chan struct{}), closed: make(chan struct{})}
}

// Accept gives no connection once the gate is shut, and returns when it is closed.
func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err == nil {
		g.update(func() { g.fresh++ })
		return &freshConn{Conn: conn, seen: sync.OnceFunc(func() { g.update(func() { g.fresh-- }) })}, nil
	}
	shut := false
	g.update(func() { shut, g.parked = g.shut, g.shut })
	if shut {
		<-g.closed
	}
	return nil, err
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

// freshConn notices when somebody looks at it: the first thing that gRPC does is to set a
// deadline.
type freshConn struct {
	net.Conn
	seen func()
}

func (c *freshConn) SetDeadline(t time.Time) error {
	c.seen()
	return c.Conn.SetDeadline(t)
}

func (c *freshConn) Read(b []byte) (int, error) {
	c.seen()
	return c.Conn.Read(b)
}

func (c *freshConn) Close() error {
	c.seen()
	return c.Conn.Close()
}
