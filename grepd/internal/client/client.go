// Package client asks a grepd: it dials, ends the wait for one that has fallen silent, and words what
// went wrong on the way. It knows nothing of how a grepd works.
//
//	conn, err := client.Dial("10.0.0.1:7117")
//	defer conn.Close()
//	begun, err := conn.Query(ctx, request, silence, take)
//
// An error of the connection is a [Trouble], which says what to do. All others are gRPC statuses, as
// the grepd gave them, or what take returned.
//
// A query that follows files goes on where a connection breaks: see [Follow].
//
// # Concurrency
//
// A Conn may be used by any number of goroutines. What is handed to take comes from the goroutine
// that called.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// windowBytes is how much of an answer may be under way to a slow reader.
	windowBytes     = 1 << 20
	readBufferBytes = 128 << 10
	// headerListBytesMax bounds the headers of an answer when they are expanded: one byte can stand
	// for thousands. A grepd's longest hold the message of an error.
	headerListBytesMax = 16 << 10

	// A grepd that does not answer pings for so long is gone.
	keepaliveTime    = 15 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// ErrSilent is why the wait for an answer ended of which nothing came for too long.
var ErrSilent = errors.New("silent")

// Conn is a connection to the grepd at an address.
type Conn struct {
	*grpc.ClientConn
	addr string

	mu      sync.Mutex
	dialErr error // of the last dial
}

// Dial prepares a connection, which opens at the first call. Further options add to those that all
// clients have, or override them.
func Dial(addr string, further ...grpc.DialOption) (*Conn, error) {
	c := &Conn{addr: addr}
	options := []grpc.DialOption{
		gogocodec.DialOption(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.dial),
		grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(windowBytes),
		grpc.WithStaticConnWindowSize(2 * windowBytes),
		grpc.WithReadBufferSize(readBufferBytes),
		grpc.WithMaxHeaderListSize(headerListBytesMax),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limits.ReplyBytesMax), grpc.MaxRetryRPCBufferSize(limits.RetryBytesMax)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	}
	var err error
	if c.ClientConn, err = grpc.NewClient("passthrough:///"+addr, append(options, further...)...); err != nil {
		return nil, err
	}
	return c, nil
}

// dial opens the network connection, and remembers why it could not.
func (c *Conn) dial(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	netConn, err := dialer.DialContext(ctx, "tcp", addr)
	c.mu.Lock()
	c.dialErr = err
	c.mu.Unlock()
	return netConn, err
}

// Reason says in few words why the connection could not be opened; empty if it was.
func (c *Conn) Reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errno syscall.Errno
	var opErr *net.OpError
	switch {
	case c.dialErr == nil:
		return ""
	case errors.As(c.dialErr, &errno):
		return errno.Error()
	case errors.As(c.dialErr, &opErr):
		return opErr.Err.Error()
	default:
		return c.dialErr.Error()
	}
}

// Query has the grepd search the cluster, and hands each step to take, until the answer is over. It
// reports whether any step came. A grepd of which nothing comes for silence is given up; while take
// is at work nobody waits for it.
func (c *Conn) Query(ctx context.Context, request *greppb.QueryRequest, silence time.Duration, take func(*greppb.QueryReply) error) (begun bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(silence, func() { cancel(ErrSilent) })
	defer watchdog.Stop()
	stream, err := greppb.NewGrepClient(c.ClientConn).Query(ctx, request)
	for err == nil {
		var reply *greppb.QueryReply
		watchdog.Reset(silence)
		reply, err = stream.Recv()
		watchdog.Stop()
		if err == nil {
			err = checkReply(reply)
		}
		if err == nil {
			begun = true
			err = take(reply)
		}
	}
	if errors.Is(err, io.EOF) {
		return begun, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return begun, c.Explain(err, begun)
}

// Query asks the grepd at an address once, as [Conn.Query] does.
func Query(ctx context.Context, addr string, request *greppb.QueryRequest, silence time.Duration, take func(*greppb.QueryReply) error) (begun bool, err error) {
	conn, err := Dial(addr)
	if err != nil {
		return false, fmt.Errorf("--via %s: %w", addr, err)
	}
	defer conn.Close()
	return conn.Query(ctx, request, silence, take)
}

// Trouble is an error of the connection to a grepd, worded for people.
type Trouble struct {
	text string
	Err  error // what happened: a gRPC status, or ErrSilent
}

func (t *Trouble) Error() string { return t.text }
func (t *Trouble) Unwrap() error { return t.Err }

// Explain makes an error of the connection a Trouble, and gives all others as they are. begun says
// that a part of the answer came before.
func (c *Conn) Explain(err error, begun bool) error {
	format := ""
	switch code := status.Code(err); {
	case errors.Is(err, ErrSilent) && begun:
		format = "grepd at %s fell silent before the answer was complete"
	case errors.Is(err, ErrSilent):
		format = "grepd at %s does not answer; name another with --via"
	case code == codes.Unavailable && c.Reason() != "":
		return &Trouble{fmt.Sprintf("cannot reach grepd at %s: %s; start it there, or name another with --via", c.addr, c.Reason()), err}
	case code == codes.Unavailable:
		format = "the connection to grepd at %s broke before the answer was complete"
	case code == codes.DeadlineExceeded:
		format = "grepd at %s did not answer in time; name another with --via"
	default:
		return err
	}
	return &Trouble{fmt.Sprintf(format, c.addr), err}
}
