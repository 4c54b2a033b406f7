package server

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

const (
	// arrivalTime is how long a request may take to arrive once its call has begun.
	arrivalTime = 10 * time.Second
	// arrivingBytesMax bounds what requests that have not arrived take, all together.
	arrivingBytesMax = 32 << 20
	// streamBytes is about what a call takes of which nothing else has come.
	streamBytes = 16 << 10
	// frameBytes is about what gRPC needs to keep a frame of HTTP/2, beside what is in it.
	frameBytes = 128

	frameHeaderBytes = 9
	prefaceBytes     = 24 // what a client says before its first frame
)

var errLate = status.Errorf(codes.DeadlineExceeded, "the request did not arrive within %v", arrivalTime)

// arrivals are the requests that have begun and not arrived. Each has arrivalTime. An honest one
// takes a moment, so what all of them take together is small: where it is not, the connection that
// takes most is closed, of the address that takes most. So whoever begins requests and does not end
// them costs bounded memory, and others are served meanwhile.
//
// gRPC has no such limit. It keeps what came of each request until that is whole, and the limits of
// HTTP/2 are for each call apart.
type arrivals struct {
	within   time.Duration // arrivalTime, except in tests
	bytesMax int           // arrivingBytesMax, except in tests

	mu    sync.Mutex
	sum   int                      // what all take
	conns map[*clientConn]arriving // those with requests that have not arrived
}

// arriving is what has begun on a connection and not arrived.
type arriving struct {
	calls int
	bytes int // that they take: what was read since there was none, and what gRPC adds
}

func newArrivals() *arrivals {
	return &arrivals{within: arrivalTime, bytesMax: arrivingBytesMax, conns: make(map[*clientConn]arriving)}
}

// begin counts a call on a connection.
func (a *arrivals) begin(c *clientConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	on := a.conns[c]
	on.calls++
	a.conns[c] = on
	a.take(c, streamBytes)
}

// end says that a request has arrived, or never will.
func (a *arrivals) end(c *clientConn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	on := a.conns[c]
	if on.calls--; on.calls > 0 {
		a.conns[c] = on
		return
	}
	a.sum -= on.bytes
	delete(a.conns, c)
}

// read counts what came on a connection, if that can be a part of a request.
func (a *arrivals) read(c *clientConn, bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns[c].calls > 0 {
		a.take(c, bytes)
	}
}

// take counts bytes, and closes connections if they are too many. a.mu is held.
func (a *arrivals) take(c *clientConn, bytes int) {
	on := a.conns[c]
	on.bytes += bytes
	a.conns[c] = on
	for a.sum += bytes; a.sum > a.bytesMax; {
		greediest := a.greediest()
		on := a.conns[greediest]
		a.sum -= on.bytes
		on.bytes = 0 // its calls end one by one
		a.conns[greediest] = on
		greediest.Close()
	}
}

// greediest is the connection that takes most, of the address that takes most. a.mu is held.
func (a *arrivals) greediest() *clientConn {
	hosts := make(map[string]int)
	for c, on := range a.conns {
		hosts[c.host] += on.bytes
	}
	var most *clientConn
	for c, on := range a.conns {
		if most == nil || hosts[c.host] > hosts[most.host] ||
			hosts[c.host] == hosts[most.host] && on.bytes > a.conns[most].bytes {
			most = c
		}
	}
	return most
}

// arrival is a request that may not have arrived yet.
type arrival struct{ done func() }

type arrivalKey struct{}

// tap is called by gRPC when a call begins, before anything waits for its request.
func (a *arrivals) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	c := connOf(ctx)
	if c == nil {
		return nil, status.Error(codes.Internal, "a call on no connection")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(a.within, func() { cancel(errLate) })
	a.begin(c)
	one := &arrival{sync.OnceFunc(func() { late.Stop(); a.end(c) })}
	context.AfterFunc(ctx, one.done) // the call may end before
	return context.WithValue(ctx, arrivalKey{}, one), nil
}

// arrived says that the request of a call is here.
func arrived(ctx context.Context) {
	if one, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
		one.done()
	}
}

// serveUnary is called by gRPC when the request has arrived.
func serveUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	arrived(ctx)
	reply, err := handle(ctx, request)
	return reply, shortened(err)
}

// serveStream is called by gRPC before the request has arrived.
func serveStream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return shortened(handle(service, arrivingStream{stream}))
}

// arrivingStream notices when its request has arrived, or came too late.
type arrivingStream struct{ grpc.ServerStream }

func (s arrivingStream) RecvMsg(into any) error {
	err := s.ServerStream.RecvMsg(into)
	switch {
	case err == nil:
		arrived(s.Context())
	case errors.Is(context.Cause(s.Context()), errLate):
		return errLate
	}
	return err
}

// messageBytesMax bounds what an error says. It travels in a header, escaped, which makes it up to
// three times as long.
const messageBytesMax = headerListBytesMax / 4

// shortened cuts the message of an error that would not fit into a header.
func shortened(err error) error {
	if err == nil || len(status.Convert(err).Message()) <= messageBytesMax {
		return err
	}
	s := status.Convert(err)
	return status.Error(s.Code(), s.Message()[:messageBytesMax]+"...")
}

// clientConn is a connection to a client.
type clientConn struct {
	net.Conn
	host     string // the client's address without the port
	arrivals *arrivals
	seen     func() // that somebody has looked at it
	left     func() // that it was closed
	frames   frameCounter
}

// SetDeadline is the first thing that gRPC does with a connection.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.seen()
	return c.Conn.SetDeadline(t)
}

func (c *clientConn) Read(b []byte) (int, error) {
	c.seen()
	n, err := c.Conn.Read(b)
	c.arrivals.read(c, n+frameBytes*c.frames.count(b[:n]))
	return n, err
}

func (c *clientConn) Close() error {
	c.seen()
	c.left()
	return c.Conn.Close()
}

// frameCounter counts the frames of HTTP/2 in what a client sends. It serves one goroutine.
type frameCounter struct {
	skip   int // bytes until the next header, less the preface
	begun  bool
	header [frameHeaderBytes]byte
	have   int // bytes of the header
}

// count says how many frames begin in what came next.
func (f *frameCounter) count(b []byte) (frames int) {
	if !f.begun {
		f.begun, f.skip = true, prefaceBytes
	}
	for {
		n := min(f.skip, len(b))
		f.skip, b = f.skip-n, b[n:]
		if len(b) == 0 {
			return frames
		}
		n = copy(f.header[f.have:], b)
		f.have, b = f.have+n, b[n:]
		if f.have < frameHeaderBytes {
			return frames
		}
		// Its first three bytes are the length of what follows it.
		f.skip, f.have = int(binary.BigEndian.Uint32(f.header[:])>>8), 0
		frames++
	}
}

// plain are credentials that know the connection of a call, and protect nothing.
type plain struct {
	credentials.TransportCredentials
}

// ServerHandshake passes the connection on, and has it known.
func (plain) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, _ := conn.(*clientConn)
	return conn, connInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, c}, nil
}

// Clone gives the same again: there is nothing that differs.
func (p plain) Clone() credentials.TransportCredentials { return p }

// connInfo is what is known of the peer of a call: its connection.
type connInfo struct {
	credentials.CommonAuthInfo
	conn *clientConn
}

// AuthType is the name that gRPC has for no protection.
func (connInfo) AuthType() string { return "insecure" }

// connOf gives the connection of a call; nil if there is none.
func connOf(ctx context.Context) *clientConn {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, _ := p.AuthInfo.(connInfo)
	return info.conn
}
