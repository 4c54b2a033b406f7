// Command dgrep searches files on all machines of a cluster, with grep's options and
// output. README.md beside this file is the guide to it, dgrep --help lists the options.
//
// dgrep asks one grepd, which asks the others, and prints their lines as they come:
//
//	flags.go      the table of options, from which parser, --help and completion are made
//	options.go    the command line -> options, and the request that goes to the machines
//	find.go       ... what of it is about times, fields and order; follow.go: about --follow
//	query.go      the request -> lines on standard output, or a search of standard input
//	completion.go what shells complete
//
// How lines look is package printer's, what they are found by is the machines'. What dgrep
// needs of a grepd is package client: dgrep links no server code.
//
// The last line on standard error says which machines the answer speaks for:
//
//	dgrep: 5 of 5 members answered
//	dgrep: 4 of 5 members answered; 127.0.0.1:7121 failed during the query
//
// What it says is in the exit status as well: an incomplete answer gives 2, whatever was
// found, except with -q when a line was selected, or where --require is content with fewer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/version"
)

// What a shell reports for a command that a signal ended.
const (
	exitInterrupted = 128 + int(syscall.SIGINT)
	exitReaderGone  = 128 + int(syscall.SIGPIPE)
)

var (
	errInterrupted = errors.New("interrupted")           // the user wants no more
	errReaderGone  = errors.New("nobody reads any more") // as with dgrep | head -1
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) }

// run is the command; it returns its exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	o, err := parse(args, stdin, stdout, getenv)
	if err == nil && o.help {
		return write(stdout, stderr, help())
	}
	if err == nil && o.version {
		return write(stdout, stderr, "dgrep (grepd) "+version.String()+"\n")
	}
	if err == nil && o.script != "" {
		return write(stdout, stderr, o.script)
	}
	if err == nil && o.completing != nil {
		return completePath(o.via, *o.completing, stdout)
	}
	if err == nil {
		err = checkPatterns(o, stderr)
	}
	if err == nil {
		err = checkOutput(o, stdin, stdout)
	}
	if err != nil {
		return refuse(stderr, err)
	}
	ctx := context.Background()
	if signals := endSignals(o); len(signals) > 0 {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, signals...)
		defer stop()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	widenPipe(stdout)
	defer watchReader(stdout, func() { cancel(errReaderGone) })()
	line := newProgressLine(o, stderr, getenv)
	defer line.erase()
	return askAndPrint(ctx, o, stdin, line.before(stdout, getenv), line.before(stderr, getenv), line)
}

// endSignals are those that end the query. For a follow to be ended is the ordinary way, so it ends as a query does that is
// through.
func endSignals(o *options) (signals []os.Signal) {
	if !signal.Ignored(os.Interrupt) { // as it is for a command in a script's background
		signals = append(signals, os.Interrupt)
	}
	if o.follow {
		signals = append(signals, syscall.SIGTERM)
	}
	return signals
}

// refuse reports what went wrong, with the synopsis if it is the command line.
func refuse(stderr io.Writer, err error) int {
	if message := err.Error(); message != "" {
		fmt.Fprintf(stderr, "dgrep: %s\n", printer.Message(message))
	}
	var usage usageError
	if errors.As(err, &usage) {
		io.WriteString(stderr, synopsis)
	}
	return printer.ExitTrouble
}

// checkPatterns compiles the patterns here too, so that mistakes are told at once, and warnings at
// all.
func checkPatterns(o *options, stderr io.Writer) error {
	matcher, err := request.Matcher(o.search())
	if err != nil {
		return err
	}
	o.matcher = matcher
	for _, warning := range append(o.warnings, matcher.Warnings()...) {
		fmt.Fprintf(stderr, "dgrep: warning: %s\n", warning)
	}
	return nil
}

// askAndPrint asks, prints, and says what it came to.
func askAndPrint(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer, line *progressLine) int {
	var p printer.Printer
	if o.json {
		p = printer.NewJSON(stdout, o.stats)
	} else {
		p = printer.NewText(stdout, stderr, o.text)
	}
	p.Outcome().Require, p.Outcome().Follow = o.require, o.follow
	err := ask(ctx, o, stdin, shown{p, line})
	if closeErr := p.Close(); err == nil && closeErr != nil {
		err = writeError{closeErr}
	}
	outcome := p.Outcome()
	switch {
	case o.quiet() && outcome.Matched:
		return printer.ExitMatch
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE), errors.Is(err, errReaderGone): // the reader has seen enough
		return exitReaderGone
	case err != nil:
		return refuse(stderr, err)
	}
	complete := outcome.Complete()
	if !o.json && !o.text.NoMessages && !(o.quiet() && complete) && !outcome.Local() {
		fmt.Fprintf(stderr, "dgrep: %s\n", outcome.Coverage())
	}
	if o.stats && !o.json {
		io.WriteString(stderr, outcome.Stats())
	}
	return outcome.ExitStatus(o.quiet())
}

// shown is a printer beside which a line shows the progress.
type shown struct {
	printer.Printer
	line *progressLine
}

func (s shown) Print(reply *greppb.QueryReply) error {
	s.line.observe(reply)
	return s.Printer.Print(reply)
}

// write prints a text that was asked for.
func write(stdout, stderr io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil {
		return refuse(stderr, writeError{err})
	}
	return 0
}

// writeError says that the output cannot be written.
type writeError struct{ err error }

func (e writeError) Error() string { return "write error: " + reason(e.err) }
func (e writeError) Unwrap() error { return e.err }

// reason is the system's part of an error, without the operation and the name.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
