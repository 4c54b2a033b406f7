// Command grepd is the daemon of the distributed grep: it searches its machine's log
// directory for those who ask (dgrep), asks the other machines on their behalf, and with
// --with-membership keeps the list of those machines by itself. See grepd --help.
//
// Its subcommands speak to a running daemon, and exit with 0, or with 2 where something
// is wrong, which they say in a line on standard error. Status 1 is grepd audit's alone: it
// found that a bound did not hold.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// Exit statuses.
const (
	exitOK      = 0
	exitBroken  = 1 // an audit found that a bound did not hold
	exitTrouble = 2
)

// defaultAddr is where a daemon listens, and where the subcommands look for one.
const defaultAddr = "127.0.0.1:7117"

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run is the command; it returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	return finish(app.RunContext(context.Background(), args), stderr)
}

// finish turns what a command came to into its exit status, and says what went wrong.
func finish(err error, stderr io.Writer) int {
	var status exitStatus
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(stderr, "grepd: %v\n", err)
	return exitTrouble
}

// exitStatus is an error whose reason has been told already.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func newApp(stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:  "grepd",
		Usage: "search the logs of all machines, and know which machines are up",
		UsageText: `grepd [--nodes host:port,...|@file] [options]                 with a list of nodes that you keep
grepd --with-membership --gateway host:port[,...] [options]   with a list that keeps itself
grepd COMMAND [--via host:port]                               ask or tell a running grepd`,
		Flags:           daemonFlags(),
		Action:          startDaemon,
		Commands:        commands(),
		HideHelpCommand: true,
		Writer:          stdout,
		ErrWriter:       stderr,
		ExitErrHandler:  func(*cli.Context, error) {}, // run does that
		OnUsageError:    usageError,
	}
}

// usageError is for command lines that cannot be read; cli would print its whole help.
func usageError(_ *cli.Context, err error, _ bool) error {
	return fmt.Errorf("%w; see grepd --help", err)
}

// Flags of the daemon, where they are named more than once.
const (
	flagListen     = "listen"
	flagAdvertise  = "advertise"
	flagLogDir     = "log-dir"
	flagMount      = "mount"
	flagMaxExpand  = "max-expand"
	flagNodes      = "nodes"
	flagMembership = "with-membership"
	flagGateway    = "gateway"
	flagPluginDir  = "plugin-dir"
	flagInsecure   = "insecure"
	flagFailures   = "max-failures"
	flagDetect     = "detect-within"
	flagSpread     = "spread-within"
)

func daemonFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: flagListen, Value: defaultAddr, Usage: "`HOST:PORT` to serve on: TCP for grep, UDP for membership"},
		&cli.StringFlag{Name: flagAdvertise, Usage: "`HOST:PORT` under which other machines reach this one (default: --listen)"},
		&cli.StringFlag{Name: flagLogDir, Value: "logs", Usage: "`DIR` of the event logs, searched as logs/*"},
		// A directory may have a comma in its name, so this flag is not split at commas.
		&cli.GenericFlag{Name: flagMount, Value: new(words), Usage: "`NAME=DIR`: search DIR as NAME/*; may be repeated"},
		&cli.StringFlag{Name: flagMaxExpand, Value: "10G", Usage: "`BYTES` that a compressed file may expand to, as 500M or 10G"},
		&cli.StringFlag{Name: flagNodes, Usage: "`HOST:PORT,...` or @FILE: the machines to ask, without membership"},
		&cli.BoolFlag{Name: flagMembership, Usage: "keep the list of machines with the membership service"},
		&cli.StringSliceFlag{Name: flagGateway, Usage: "`HOST:PORT,...` of those who admit newcomers; may be this machine, or a name with several addresses"},
		&cli.StringFlag{Name: flagPluginDir, Usage: "`DIR` of the plugins (default: plugins beside grepd)"},
		&cli.BoolFlag{Name: flagInsecure, Usage: "serve on more than this machine although nothing is encrypted or authenticated"},
		&cli.UintFlag{Name: flagFailures, DefaultText: "3", Usage: "`NUMBER` of machines that may fail at the same time"},
		&cli.DurationFlag{Name: flagDetect, DefaultText: "2s", Usage: "`TIME` within which a failure is in some list"},
		&cli.DurationFlag{Name: flagSpread, DefaultText: "6s", Usage: "`TIME` within which a change is in all lists"},
	}, notifyFlags()...)
}

// words is a flag that may be given several times, each a word.
type words []string

func (w *words) Set(word string) error {
	*w = append(*w, word)
	return nil
}

func (w *words) String() string { return strings.Join(*w, " ") }

// startDaemon is the command without a subcommand.
func startDaemon(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("unknown command %q; see grepd --help", c.Args().First())
	}
	o, err := daemonOptions(c)
	if err != nil {
		return err
	}
	return serve(c.Context, o, c.App.ErrWriter)
}

// options are a daemon's options as they were given, checked for what can be told by
// looking at them.
type options struct {
	listen, advertise string
	logDir            string // absolute
	mounts            []string
	maxExpand         int64 // bytes
	nodes             string
	membership        bool
	gateways          []string
	pluginDir         string
	insecure          bool
	maxFailures       uint
	detect, spread    time.Duration
	notify            *notifypb.Config // nil: nobody is notified
}

func daemonOptions(c *cli.Context) (*options, error) {
	o := &options{
		listen: c.String(flagListen), advertise: c.String(flagAdvertise),
		mounts: *c.Generic(flagMount).(*words), nodes: c.String(flagNodes),
		membership: c.Bool(flagMembership), gateways: c.StringSlice(flagGateway),
		pluginDir: c.String(flagPluginDir), insecure: c.Bool(flagInsecure),
		maxFailures: c.Uint(flagFailures), detect: c.Duration(flagDetect), spread: c.Duration(flagSpread),
	}
	var err error
	if o.logDir, err = filepath.Abs(c.String(flagLogDir)); err != nil {
		return nil, err
	}
	if o.maxExpand, err = parseBytes(c.String(flagMaxExpand)); err != nil {
		return nil, fmt.Errorf("--%s %w", flagMaxExpand, err)
	}
	if o.pluginDir == "" {
		if o.pluginDir, err = defaultPluginDir(); err != nil {
			return nil, err
		}
	}
	if o.notify, err = notifyOptions(c); err != nil {
		return nil, err
	}
	return o, o.check(c)
}

// parseBytes reads a number of bytes, with K, M, G or T for powers of 1024.
func parseBytes(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGT")
	number, err := strconv.ParseInt(digits, 10, 64)
	shift := 0
	if suffix := text[len(digits):]; suffix != "" {
		shift = 10 * (strings.Index("KMGT", suffix) + 1)
	}
	if err != nil || len(text)-len(digits) > 1 || number <= 0 || number > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q: want a number of bytes above 0, as 500M or 10G", text)
	}
	return number << shift, nil
}

func defaultPluginDir() (string, error) {
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return "", fmt.Errorf("find the plugins beside this program: %w; name them with --%s", err, flagPluginDir)
	}
	return filepath.Join(filepath.Dir(program), "plugins"), nil
}

func (o *options) check(c *cli.Context) error {
	switch {
	case o.membership && c.IsSet(flagNodes):
		return fmt.Errorf("--%s and --%s exclude each other: the list of nodes is either yours or the service's", flagNodes, flagMembership)
	case o.membership && len(o.gateways) == 0:
		return fmt.Errorf("--%s needs --%s host:port; the first machine of a cluster names itself", flagMembership, flagGateway)
	case c.IsSet(flagNodes) && o.nodes == "":
		return fmt.Errorf("--%s names no node", flagNodes)
	case c.String(flagLogDir) == "":
		return fmt.Errorf("--%s names no directory", flagLogDir)
	case c.IsSet(flagFailures) && o.maxFailures == 0:
		return fmt.Errorf("--%s has to be above 0", flagFailures)
	case c.IsSet(flagDetect) && o.detect <= 0:
		return fmt.Errorf("--%s %v: has to be above 0", flagDetect, o.detect)
	case c.IsSet(flagSpread) && o.spread <= 0:
		return fmt.Errorf("--%s %v: has to be above 0", flagSpread, o.spread)
	}
	if o.membership {
		return nil
	}
	for _, name := range []string{flagGateway, flagPluginDir, flagFailures, flagDetect, flagSpread} {
		if c.IsSet(name) {
			return fmt.Errorf("--%s means nothing without --%s", name, flagMembership)
		}
	}
	return nil
}
