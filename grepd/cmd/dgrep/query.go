package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/answer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// repliesMax is how many steps wait for the printer while it prints.
	repliesMax = 4
	// viaSlack is how much longer grepd itself may be silent than the nodes that it
	// waits for.
	viaSlack = 2 * time.Second

	standardInput = "(standard input)"
)

var (
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

// searchCluster asks grepd. One goroutine receives while this one prints.
func searchCluster(ctx context.Context, o *options, p printer.Printer) error {
	if o.query.Size() > limits.RequestBytesMax { // of which a grepd would read no more than that
		return request.CheckQuery(&o.query)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	steps := make(chan client.Step, repliesMax)
	received := make(chan error, 1)
	hand := func(s client.Step) error {
		select {
		case steps <- s:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	relaxCollector()
	silence := o.timeout + viaSlack
	follow := client.NewFollow(o.via, &o.query, silence)
	go func() {
		defer close(steps)
		var err error
		if o.follow {
			err = follow.Run(ctx, hand)
		} else {
			_, err = client.Query(ctx, o.via, &o.query, silence, func(reply *greppb.QueryReply) error { return hand(client.Step{Reply: reply}) })
		}
		if err != nil {
			err = explain(ctx, err, o.via)
		}
		received <- err
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
		return follow.Conclude(p.Print)
	case settled:
		return nil
	}
	return err
}

// showAll prints steps, and writes the output whenever no more of it is at hand.
func showAll(o *options, p printer.Printer, steps <-chan client.Step) error {
	count := countdown{left: o.linesMax}
	for {
		var next client.Step
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
		if next.Reply == nil {
			say := p.Notice
			if next.Following {
				say = p.Following
			}
			if err := say(next.Notice); err != nil {
				return writeError{err}
			}
			continue
		}
		over := false
		if node := next.Reply.GetNodeStep(); o.follow && node != nil && node.Reply.GetChunk() != nil {
			over = count.cut(node.Node, node.Reply.GetChunk(), o.search().Report == greppb.Report_PARTS)
		}
		if err := show(o, p, next.Reply); err != nil {
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

// explain says what a grepd has refused, and why, and whether the user wanted no more.
func explain(ctx context.Context, err error, via string) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var trouble *client.Trouble
	switch code := status.Code(err); {
	case err == nil, errors.As(err, &trouble):
		return err
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, errSettled), errors.Is(err, errInterrupted), errors.Is(err, errReaderGone):
		return err
	case code == codes.InvalidArgument:
		return errors.New(status.Convert(err).Message())
	case code == codes.Unimplemented:
		return fmt.Errorf("%s is not a grepd of this version: %s", via, status.Convert(err).Message())
	}
	return fmt.Errorf("grepd at %s refused: %s", via, status.Convert(err).Message())
}
