package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

const grepdPort = 7117

// gateways are the members that admit newcomers to grepd's group.
var gateways = []int{1, 2}

// grepd is this project's daemon with its plugins, as it is installed.
type grepd struct {
	net *network
	bin string // directory of the programs
	// tmp is where plugins have their sockets, whose names must be short, and where a host
	// that is killed leaves them.
	tmp string
}

func buildGrepd(ctx context.Context, net *network, dir string) (grepd, error) {
	g := grepd{net: net, bin: filepath.Join(dir, "bin"), tmp: dir}
	return g, do(ctx, "scripts/build.sh", g.bin)
}

func (grepd) name() string { return nameGrepd }

func (g grepd) start(member int, dir string) (runner, error) {
	var asked []string
	for _, gateway := range gateways {
		asked = append(asked, fmt.Sprintf("%v:%d", addrOf(gateway), grepdPort))
	}
	logs := filepath.Join(dir, "logs")
	cmd := g.net.command(member, filepath.Join(g.bin, "grepd"),
		"--listen", fmt.Sprintf("%v:%d", addrOf(member), grepdPort), "--insecure",
		"--with-membership", "--gateway", strings.Join(asked, ","),
		"--log-dir", logs, "--notify-exec", "true")
	said, err := os.Create(filepath.Join(dir, outputName))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, said, said
	cmd.Env = append(os.Environ(), "TMPDIR="+g.tmp)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &grepdRunner{member: member, cmd: cmd}
	for _, name := range []string{eventlog.MembershipLog, eventlog.NotifyLog} {
		r.logs = append(r.logs, eventlog.Follow(logs, name, eventlog.Position{}))
	}
	return r, nil
}

// grepdRunner is a daemon that was started.
type grepdRunner struct {
	member int
	cmd    *exec.Cmd
	logs   []*eventlog.Follower
	seen   []event
}

// events reads what has been written to the logs. Their times are this machine's.
func (r *grepdRunner) events() ([]event, error) {
	for _, log := range r.logs {
		for {
			line, err := log.Next()
			if err != nil {
				return nil, fmt.Errorf("read a log of member %d: %w", r.member, err)
			}
			if line == nil {
				break
			}
			e, of, err := parseLog(line)
			if err != nil {
				return nil, fmt.Errorf("a log of member %d: %w", r.member, err)
			}
			if of {
				e.member = r.member
				r.seen = append(r.seen, e)
			}
		}
	}
	return r.seen, nil
}

// parseLog reads a line of the event log, and reports whether it is about an event that
// counts here.
func parseLog(line []byte) (e event, counts bool, err error) {
	var fields struct {
		Time   time.Time      `json:"time"`
		Event  eventlog.Event `json:"event"`
		Peer   identity       `json:"peer"`
		Action string         `json:"action"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return e, false, fmt.Errorf("%w in %q", err, line)
	}
	e = event{at: fields.Time, about: fields.Peer}
	switch fields.Event {
	case eventlog.Join:
		e.what = held
	case eventlog.Fail:
		e.what = lost
	case eventlog.Rejoin:
		e.what = renewed
	case eventlog.Notify:
		e.what = notified
		return e, fields.Action == "sent", nil
	default:
		return e, false, nil
	}
	return e, true, nil
}

func (r *grepdRunner) wait() error {
	for _, log := range r.logs {
		log.Close()
	}
	return waitKilled(r.cmd)
}

// waitKilled waits for a process that was killed, which is no error.
func waitKilled(cmd *exec.Cmd) error {
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
