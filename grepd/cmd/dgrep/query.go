package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/answer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// windowBytes is how much of the answer may be under way to a slow terminal.
	windowBytes = 1 << 20
	// repliesMax is how many steps wait for the printer while it prints.
	repliesMax = 4
	// viaSlack is how much longer grepd itself may be silent than the nodes that it
	// waits for.
	viaSlack = 2 * time.Second

	keepaliveTime    = 15 * time.Second
	keepaliveTimeout = 10 * time.Second

	standardInput = "(standard input)"
)

var (
	errSilent   = errors.New("silent")
	errSettled  = errors.New("settled") // -q has seen a selected line
	errNoFile   = usageError{"no FILE named; 'logs' is each machine's log directory"}
	errDashOnly = errors.New("standard input is searched here, so '-' cannot be combined with other files")
)

// ask has the files searched and prints the answer as it comes.
func ask(ctx context.Context, o *options, stdin io.Reader, p printer.Printer) error {
	switch paths := o.search().Paths; {
	case len(paths) == 0 && o.search().Directories == greppb.Directories_DIRECTORIES_RECURSE:
		return errNoFile
	case o.searchesInput():
		return searchInput(ctx, o, stdin, p)
	case slices.Contains(paths, "-"):
		return errDashOnly
	}
	return searchCluster(ctx, o, p)
}

// searchesInput tells whether no grepd is asked.
func (o *options) searchesInput() bool {
	paths := o.search().Paths
	return !o.follow && (len(paths) == 0 || len(paths) == 1 && paths[0] == "-")
}

// checkOutput refuses to print lines of standard input into the same file, where they would be found again, and so on until the
// disk is full. As in grep a count, names, or one line at the most may be.
func checkOutput(o *options, stdin io.Reader, stdout io.Writer) error {
	s := o.search()
	few := s.MaxCountSet && s.MaxCount <= 1 || s.CountBy || s.Report != greppb.Report_LINES && s.Report != greppb.Report_PARTS
	if few || !o.searchesInput() {
		return nil
	}
	in, out := fileInfo(stdin), fileInfo(stdout)
	if in == nil || out == nil || !in.Mode().IsRegular() || !os.SameFile(in, out) {
		return nil
	}
	return fmt.Errorf("%s: input file is also the output", o.label)
}

// fileInfo gives nil for what is no file.
func fileInfo(stream any) fs.FileInfo {
	file, ok := stream.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	return info
}

// searchInput searches standard input, in process. Each step is written at once.
func searchInput(ctx context.Context, o *options, stdin io.Reader, p printer.Printer) error {
	widenPipe(stdin)
	if err := request.Check(o.search()); err != nil {
		return err
	}
	compiled, err := request.CompileWith(o.matcher, o.search())
	if err != nil {
		return err
	}
	err = answer.Reader(ctx, stdin, o.label, o.search(), compiled, func(reply *greppb.QueryReply) error {
		if err := show(o, p, reply); err != nil {
			return err
		}
		return flush(p)
	})
	switch {
	case errors.Is(err, errSettled):
		return nil
	case errors.Is(context.Cause(ctx), errReaderGone):
		return errReaderGone
	case errors.Is(err, context.Canceled):
		return errInterrupted
	}
	return err
}

// step is what is to be printed next.
type step struct {
	reply     *greppb.QueryReply // nil: the notice is
	notice    string
	following bool // ... which says that from now on lines are printed as they are written
}

// searchCluster asks grepd. One goroutine receives while this one prints.
func searchCluster(ctx context.Context, o *options, p printer.Printer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	steps := make(chan step, repliesMax)
	received := make(chan error, 1)
	hand := func(s step) error {
		select {
		case steps <- s:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	follow := newSession(o)
	go func() {
		defer close(steps)
		if o.follow {
			received <- follow.receive(ctx, hand)
		} else {
			received <- receive(ctx, o, func(reply *greppb.QueryReply) error { return hand(step{reply: reply}) })
		}
	}()
	err := showAll(o, p, steps)
	cancel(err)
	receiveErr := <-received
	settled := errors.Is(err, errSettled)
	if err == nil {
		err = receiveErr
	}
	switch {
	case o.follow && (settled || errors.Is(err, errInterrupted)):
		return follow.conclude(p)
	case settled:
		return nil
	}
	return err
}

// showAll prints steps, and writes the output whenever no more of it is at hand.
func showAll(o *options, p printer.Printer, steps <-chan step) error {
	count := countdown{left: o.linesMax}
	for {
		var next step
		more := true
		select {
		case next, more = <-steps:
		default:
			if err := flush(p); err != nil {
				return err
			}
			next, more = <-steps
		}
		if !more {
			return flush(p)
		}
		if next.reply == nil {
			say := p.Notice
			if next.following {
				say = p.Following
			}
			if err := say(next.notice); err != nil {
				return writeError{err}
			}
			continue
		}
		over := false
		if node := next.reply.GetNodeStep(); o.follow && node != nil && node.Reply.GetChunk() != nil {
			over = count.cut(node.Node, node.Reply.GetChunk(), o.search().Report == greppb.Report_PARTS)
		}
		if err := show(o, p, next.reply); err != nil {
			return err
		}
		if over {
			return errSettled
		}
	}
}

// show prints one reply. It returns errSettled when no more is needed.
func show(o *options, p printer.Printer, reply *greppb.QueryReply) error {
	if err := p.Print(reply); err != nil {
		return writeError{err}
	}
	if o.quiet() && p.Outcome().Matched {
		return errSettled
	}
	if o.lineBuffered {
		return flush(p)
	}
	return nil
}

func flush(p printer.Printer) error {
	if err := p.Flush(); err != nil {
		return writeError{err}
	}
	return nil
}

// receive has a grepd search the cluster, and hands on what it says.
func receive(ctx context.Context, o *options, send func(*greppb.QueryReply) error) error {
	begun, dialErr, err := stream(ctx, o, send)
	if err == nil {
		return nil
	}
	return explain(ctx, err, o, begun, dialErr)
}

// stream asks a grepd once. It tells whether any answer came, and why the connection could not be opened if it could not.
func stream(ctx context.Context, o *options, send func(*greppb.QueryReply) error) (begun bool, dialErr *error, err error) {
	var dialed atomic.Pointer[error]
	conn, err := dial(o.via, &dialed)
	if err != nil {
		return false, nil, fmt.Errorf("--via %s: %w", o.via, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	relaxCollector()
	limit := o.timeout + viaSlack
	watchdog := time.AfterFunc(limit, func() { cancel(errSilent) })
	defer watchdog.Stop()
	stream, err := greppb.NewGrepClient(conn).Query(ctx, &o.query)
	for err == nil {
		var reply *greppb.QueryReply
		watchdog.Reset(limit)
		reply, err = stream.Recv()
		watchdog.Stop()
		if err == nil {
			begun = true
			err = send(reply)
		}
	}
	if errors.Is(err, io.EOF) {
		return begun, nil, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return begun, dialed.Load(), err
}

// dial prepares a connection, which opens at the first call. Why it cannot be opened goes
// to dialErr.
func dial(via string, dialErr *atomic.Pointer[error]) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+via,
		gogocodec.DialOption(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(),
		grpc.WithStaticStreamWindowSize(windowBytes),
		grpc.WithStaticConnWindowSize(2*windowBytes),
		grpc.WithReadBufferSize(128<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limits.ReplyBytesMax), grpc.MaxRetryRPCBufferSize(limits.RetryBytesMax)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, "tcp", addr)
			if err != nil {
				dialErr.Store(&err)
			}
			return conn, err
		}),
	)
}

// explain says what went wrong between here and grepd, and what to do.
func explain(ctx context.Context, err error, o *options, begun bool, dialErr *error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	switch code := status.Code(err); {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, errSettled), errors.Is(err, errInterrupted), errors.Is(err, errReaderGone):
		return err
	case errors.Is(err, errSilent) && begun:
		return fmt.Errorf("grepd at %s fell silent before the answer was complete", o.via)
	case errors.Is(err, errSilent):
		return fmt.Errorf("grepd at %s does not answer; name another with --via", o.via)
	case code == codes.Unavailable && dialErr != nil:
		return fmt.Errorf("cannot reach grepd at %s: %s; start it there, or name another with --via", o.via, reason(*dialErr))
	case code == codes.Unavailable:
		return fmt.Errorf("the connection to grepd at %s broke before the answer was complete", o.via)
	case code == codes.InvalidArgument:
		return errors.New(status.Convert(err).Message())
	case code == codes.Unimplemented:
		return fmt.Errorf("%s is not a grepd of this version: %s", o.via, status.Convert(err).Message())
	}
	return fmt.Errorf("grepd at %s refused: %s", o.via, status.Convert(err).Message())
}
