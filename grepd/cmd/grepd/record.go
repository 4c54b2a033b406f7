package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

const (
	flagFor     = "for"
	flagMaxSize = "max-size"
	// recordSlack is how much longer than the recording the daemon may take to answer.
	recordSlack = 10 * time.Second
)

func recordCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.DurationFlag{
			Name: flagFor, Value: time.Minute, Usage: "`TIME` to record; Ctrl-C ends it before",
		},
		&cli.StringFlag{
			Name: flagMaxSize, Value: "64M", Usage: "`BYTES` that FILE may have, as 500K or 64M",
		},
	}, asks...)
	usage := "keep what the membership service is told and does, for scripts/sim.sh -replay"
	c := command("record", usage, flags, runRecord)
	c.ArgsUsage = "FILE"
	return c
}

func runRecord(c *cli.Context) error {
	if err := operands(c, 1); err != nil {
		return err
	}
	path, last := c.Args().First(), c.Duration(flagFor)
	if path == "" {
		return errors.New("record: want: grepd record [--for TIME] FILE")
	}
	if last <= 0 {
		return fmt.Errorf("--%s %v: has to be above 0", flagFor, last)
	}
	size, err := parseBytes(c.String(flagMaxSize))
	if err != nil {
		return fmt.Errorf("--%s %w", flagMaxSize, err)
	}
	conn, err := connect(c)
	if err != nil {
		return err
	}
	defer conn.Close()
	file := &recordFile{path: path}
	defer file.Close()
	end, err := record(c, conn, &greppb.RecordRequest{ForNanos: int64(last), BytesMax: size}, file)
	if err != nil {
		return file.breaksOff(err)
	}
	if err := file.Close(); err != nil {
		return file.breaksOff(err)
	}
	if end.Early {
		return fmt.Errorf("record: %s ends early, with step %d: %s; it can be replayed",
			path, end.Steps, end.Why)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: %d steps, %d bytes\n", path, end.Steps, file.written)
	return err
}

// record writes a recording to w, and has it end with the first signal.
func record(
	c *cli.Context, conn *client.Conn, request *greppb.RecordRequest, w io.Writer,
) (*greppb.RecordEnd, error) {
	ctx, cancel := context.WithTimeout(c.Context, time.Duration(request.ForNanos)+recordSlack)
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	stream, err := greppb.NewAdminClient(conn.ClientConn).Record(ctx)
	if err != nil {
		return nil, explain(c, conn.Explain(err, false))
	}
	// A stream that the daemon has ended says why when it is received from.
	_ = stream.Send(request)
	go func() { // which ends with the stream
		select {
		case <-signals:
			signal.Stop(signals) // the second one is not for us
			_ = stream.CloseSend()
		case <-ctx.Done():
		}
	}()
	for {
		reply, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the daemon has not said how the recording ended")
		case err != nil:
			return nil, explain(c, conn.Explain(err, true))
		}
		if _, err := w.Write(reply.Piece); err != nil {
			return nil, err
		}
		if reply.End != nil {
			return reply.End, nil
		}
	}
}

// recordFile is the file of a recording. It is there once something is written to it, so that a
// recording that does not begin leaves no file, and an older one as it is.
type recordFile struct {
	path    string
	file    *os.File
	written int64
}

func (f *recordFile) Write(piece []byte) (n int, err error) {
	if f.file == nil {
		if f.file, err = os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return 0, err
		}
	}
	n, err = f.file.Write(piece)
	f.written += int64(n)
	return n, err
}

func (f *recordFile) Close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}

// breaksOff says what ended a recording before its end, and what there is of it.
func (f *recordFile) breaksOff(err error) error {
	if f.written == 0 {
		return fmt.Errorf("record: %w", err)
	}
	return fmt.Errorf("record: %w; %s breaks off after %d bytes, and is good as far as it goes",
		err, f.path, f.written)
}

// Record hands a recording of the membership plugin to an operator. It ends with the requests.
func (a *admin) Record(stream greppb.Admin_RecordServer) error {
	if err := a.mayChangePlugin(stream.Context()); err != nil {
		return err
	}
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() { // which ends with the stream
		defer close(stop)
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	record := &pluginpb.RecordRequest{ForNanos: request.ForNanos, BytesMax: request.BytesMax}
	passOn := func(r *pluginpb.RecordReply) error {
		reply := &greppb.RecordReply{Piece: r.Piece}
		if r.End != nil {
			reply.End = &greppb.RecordEnd{Early: r.End.Early, Why: r.End.Why, Steps: r.End.Steps}
		}
		return stream.Send(reply)
	}
	err = a.daemon.membership.Record(stream.Context(), record, stop, passOn)
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return nil
}
