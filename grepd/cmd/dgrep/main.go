// Command dgrep searches files on all machines of a cluster, with grep's options and
// output. See dgrep --help.
//
// It asks one grepd, which asks the others, and prints their lines as they come. The last
// line on standard error says which machines the answer speaks for:
//
//	dgrep: 5 of 5 members answered
//	dgrep: 4 of 5 members answered; 127.0.0.1:7121 failed during the query
//
// With -s it is not printed, with -q only if the answer is incomplete and nothing was found,
// and with --json it is part of the output's last line. What it says is in the exit status
// as well: an incomplete answer gives 2, except with -q when a line was selected, or where --require
// is content with fewer nodes: with quorum more than half of those asked, with any one of them. The coverage
// line says who did not answer all the same. A live
// list that has had no membership service for 6 s or more makes an answer incomplete too.
//
// # Times
//
// --since and --until search only lines of some time, as if the files held no others; but
// numbers and offsets of lines are those in the file. A line is of its own time, in one of
// the usual forms that package linetime lists; one without, as in a stack trace, is of
// that of the line before it. A file none of whose lines has a time that is understood is
// an error. -v inverts the pattern, not the time.
//
// TIME is made a point in UTC here, once: a duration is counted back from this machine's
// clock, and a date or time of day is in this machine's zone unless it says another. So
// all machines are asked the same question. A line whose time has no zone is in the zone
// of the machine that has it. --since includes its time, --until does not.
//
// What a file costs, and what happens to one whose lines are not in order, stands in
// package search. Neither times nor fields go with -z, whose lines are no lines of a log.
//
// # Fields
//
// --where selects among the lines that the pattern and -v select; what a condition means
// stands in package fields. A line that is not a JSON object is not selected, whatever the
// condition. Since != is there for negation, -v inverts the pattern alone, and without a
// pattern it is an error.
//
// With --where, --fields and --count-by a pattern is given with -e or -f, and all operands
// are files: so the first operand cannot be mistaken. Lines of context need not fulfil a
// condition.
//
// --fields prints columns with tabs between them, "-" for a field that the line does not
// have. --count-by prints a count and the columns it is of, the largest first. Each node
// counts its own lines, and the asked one adds up; both tell 10,000 different groups
// apart. Lines beyond that are one more count, the last, without columns, and then dgrep
// says so and the exit status is 2.
//
// # Order
//
// Lines come as machines find them: those of a file in its order, those of different
// machines in any. --sort=node prints one machine after the other, in the order of the
// member list. --sort=time prints one timeline of all machines and files, by the machines'
// own clocks; what is not in order in a file stays as it is there, and lines before the
// first one with a time come first. Neither keeps more in memory: what may not be printed
// yet is not sent, so machines wait for each other. A line that alternates with those of
// other machines takes about 5 µs, a machine that is silent holds all of a timeline up
// until it is given up, and of each machine at most 1,000 files can be merged.
//
// With --sort=time and with --stats the machines' clocks are compared, as package fanout says. The column CLOCK of --stats is
// what a clock is ahead of that of the machine that was asked, and "-" for one that did not say; in
// JSON it stands with each machine of the coverage. A timeline has a warning of each clock that certainly differs by more
// than 128 ms from the median of all. Its lines are not moved: their times are what the machine has written.
//
// # Following
//
// --follow prints lines as they are written, until it is ended by Ctrl-C or SIGTERM, after -m NUM lines of all files together, or
// when nobody reads any more. Without --since it begins with what is new, as tail -n0 -F does: a cluster's logs are too
// much to begin with. With --since the lines of that time that are there come first; what is
// written after the start is printed whatever its time. What a file goes through meanwhile stands in package search, and what becomes
// of machines in package fanout. A line that is printed is whole, and so is each group of context of one machine, but its
// lines after a selected one are printed when they come: "--" stands where those of another file have come between.
//
// "following N members" on standard error says that from then on lines are printed as they are written. Machines that fail,
// leave, join and come back are told there, and so is what is lost: a gap. With --json these are records
// of the types notice, node and gap. When the connection to grepd breaks, because that is upgraded or restarted, dgrep tries
// for a minute to go on where it was. Whoever reads slowly, or stops the terminal for a while, loses nothing within the
// bounds of package search, and no memory is taken for what waits.
//
// The clocks of all machines are compared when the following begins, and that of another one when it comes. A warning
// says which differ as much as in a timeline; with --stats what each shows is told then, and how much was searched at the end.
//
// The exit status is that of a query that ends then: 0 if a line was selected, 1 if none was; 2 after a gap or another error,
// and if a machine is not followed at the end (--require allows for that).
//
// # Differences
//
// What differs from GNU grep 3.8, besides what package match says of patterns:
//
//   - A glob counts as several files for the names before lines, whatever it matches, and -r puts names there
//     even where it is given one file: the form of the output must not depend on what files there are today.
//   - With -r files come in the order of their names, as they come from several machines anyway; grep takes them
//     as the directory has them.
//   - -r needs a FILE: there is no working directory.
//   - Devices, FIFOs and sockets are never read, on no machine's account: named they are an error, or
//     passed over with -D skip.
//   - -R follows links inside the mounts only, since nothing else may be searched.
//   - Files named *.gz and *.zst are searched as what they expand to, as zgrep does; grep does not look into them.
//   - With -o and context a selected line without a part to print, as with -v or where nothing but an empty match is in it, is
//     no line of a group; grep prints "--" between groups of no lines too.
//   - -v with context and colours does not colour the matches in lines of context, which nobody looks for there.
//   - -m with a number below 0 is no limit, as in later versions of grep.
//   - -B and -C take 100,000 lines at the most, as those before a line are kept in memory; -A any number.
//   - With -m 0 a wrong pattern is an error all the same; grep does not even read it.
//   - Of a line's matching parts the first 65536 are coloured, or told with --json: what is said of a line has a limit.
//   - -P is RE2's syntax and takes several patterns; the former is a matter of safety, see package match.
//   - Control characters in messages are shown as \x1b; grep prints them.
//   - Standard output that is closed (>&-) is as /dev/null, and standard input too: Go's runtime opens it. Grep
//     exits with 2.
//   - A dgrep that is stopped (Ctrl-Z) for more than 30 s loses its query, which it says when it goes on: grepd cannot tell it
//     from one whose machine is dead. A reader that pauses, as a pager, may take any time.
//   - GREP_COLOR, which grep warns of, and -X, which it does not document, are not known.
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
