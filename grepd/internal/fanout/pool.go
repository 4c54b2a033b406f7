package fanout

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
)

const (
	// opensMax bounds the connections that are being opened at the same time, so that the
	// first query of a large cluster is no burst of a thousand handshakes.
	opensMax = 64
	// What takes longer than openSlotTime to open goes on without its slot: machines that
	// swallow packets must not hold others up.
	openSlotTime = 250 * time.Millisecond

	// idleTime is after how long without a query a connection is closed.
	idleTime = 2 * time.Minute

	// windowBytes is how much of a target's output may wait here while others have their
	// turn: this much for each target, and the step in hand, is all the memory that a query
	// takes. A target a round trip of t away is read at windowBytes/t at most.
	windowBytes = 128 << 10

	// readBufferBytes is gRPC's own. There may be a thousand connections.
	readBufferBytes = 32 << 10

	backoffMax = time.Second
)

// pool keeps the connections to the peers between queries.
type pool struct {
	slots chan struct{} // one for each connection that is being opened

	mu    sync.Mutex
	conns map[string]*conn
}

// conn is a connection in the pool.
type conn struct {
	*client.Conn
	addr    string
	users   int  // queries that use it; guarded by pool.mu
	dropped bool // out of the pool; closed by its last user; guarded by pool.mu
}

func newPool() *pool {
	return &pool{slots: make(chan struct{}, opensMax), conns: make(map[string]*conn)}
}

// get returns a connection to addr, and whether it has served before. It comes back with
// put.
func (p *pool) get(addr string) (c *conn, reused bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[addr]; c != nil {
		c.users++
		return c, true, nil
	}
	c = &conn{addr: addr, users: 1}
	if c.Conn, err = client.Dial(addr, peerOptions()...); err != nil {
		return nil, false, err
	}
	p.conns[addr] = c
	return c, false, nil
}

// peerOptions are for peers. The window is fixed because gRPC would otherwise let it grow to 16 MB for
// each target whose output waits.
func peerOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithIdleTimeout(idleTime),
		grpc.WithStaticStreamWindowSize(windowBytes),
		grpc.WithStaticConnWindowSize(8 * windowBytes),
		grpc.WithReadBufferSize(readBufferBytes),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: backoffMax / 10, Multiplier: 2, Jitter: 0.2, MaxDelay: backoffMax},
			MinConnectTimeout: limits.TimeoutDefault,
		}),
	}
}

// open returns when the connection is open, or cannot be opened, or ctx is done. begin is called when its turn
// to be opened has come: until then nobody at the other end can be blamed.
func (p *pool) open(ctx context.Context, c *conn, begin func()) {
	if c.GetState() == connectivity.Ready {
		begin()
		return
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	giveBack := sync.OnceFunc(func() { <-p.slots })
	slow := time.AfterFunc(openSlotTime, giveBack)
	defer giveBack()
	defer slow.Stop()
	begin()
	c.awaitReady(ctx)
}

// awaitReady returns when the connection is open, or cannot be opened, or ctx is done.
func (c *conn) awaitReady(ctx context.Context) {
	for {
		c.Connect()
		state := c.GetState()
		if state != connectivity.Idle && state != connectivity.Connecting || !c.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// put gives a connection back. One that failed is not used again: the next query dials
// afresh instead of waiting for gRPC's back-off.
func (p *pool) put(c *conn, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.users--
	if failed {
		p.drop(c)
	} else if c.dropped && c.users == 0 {
		c.Close()
	}
}

// drop takes c out of the pool, and closes it if nobody uses it. p.mu is held.
func (p *pool) drop(c *conn) {
	c.dropped = true
	if p.conns[c.addr] == c {
		delete(p.conns, c.addr)
	}
	if c.users == 0 {
		c.Close()
	}
}

// retain drops the connections to those who are no longer members.
func (p *pool) retain(isMember func(addr string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, c := range p.conns {
		if !isMember(addr) {
			p.drop(c)
		}
	}
}
