package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/handover"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
	"github.com/aksinghdce/cluster-membership-service/shared/version"
)

// drainTimeout is how long queries under way may go on when another grepd has taken over.
const drainTimeout = 30 * time.Second

// The actions of UPGRADE events.
const (
	actionBegin    = "begin"     // a new grepd is being started
	actionRefuse   = "refuse"    // it was no good, or cannot be started; this one goes on
	actionHandOver = "hand over" // it is at work; this one lets its queries end
	actionEnd      = "end"       // they have ended, and so does this one
	actionTakeOver = "take over" // written by the new one: it is at work
)

// succession is a daemon's place in the line of those that took over from each other. See
// package handover for how that is done.
type succession struct {
	daemon *daemon
	heir   *handover.Heir // nil in the first of the line
	gap    time.Duration  // for which no plugin was at work when this daemon took over
	since  time.Time      // when the first began
	path   string         // of the program, as it was started

	ctx    context.Context // ends an upgrade that has not come to the freeze
	cancel context.CancelFunc
	over   chan struct{} // closed when a new daemon has taken over

	mu     sync.Mutex // held by an upgrade under way
	closed bool       // no upgrade is to begin any more
}

func newSuccession(d *daemon, heir *handover.Heir) *succession {
	s := &succession{daemon: d, heir: heir, since: d.started, path: ownProgram(), over: make(chan struct{})}
	if heir != nil {
		s.since = heir.Since
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// upgrades is how many daemons of the line have taken over.
func (s *succession) upgrades() int {
	if s.heir == nil {
		return 0
	}
	return s.heir.Upgrades
}

// ownProgram is the path by which this program was started, whatever lies there by the time
// of an upgrade: a symbolic link that leads to another version by then is followed anew.
func ownProgram() string {
	running, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil || !sameFile(path, running) { // whoever started this gave it another name
		return running
	}
	return path
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// upgrade replaces this daemon by a new one of the program that is at its path now. When it
// has succeeded, succession.over is closed.
func (d *daemon) upgrade() (handover.Successor, error) {
	s := d.succession
	if !s.mu.TryLock() {
		err := errors.New("an upgrade is under way already")
		s.logRefusal(err) // whoever sent a signal gets no answer
		return handover.Successor{}, err
	}
	defer s.mu.Unlock()
	if s.closed {
		return handover.Successor{}, errors.New("this grepd is about to end")
	}
	successor, err := s.replace()
	if err != nil {
		err = fmt.Errorf("upgrade: %w", err)
		s.logRefusal(err)
		fmt.Fprintf(os.Stderr, "grepd: %v; process %d goes on\n", err, os.Getpid())
		tellSystemd(systemd.SdNotifyReady) // again, after RELOADING
		return handover.Successor{}, err
	}
	s.closed = true
	s.log(slog.LevelInfo, actionHandOver, slog.Int(eventlog.KeyPID, successor.PID),
		slog.String(eventlog.KeyVersion, successor.Version), slog.Int64(eventlog.KeyGapUS, successor.Gap.Microseconds()))
	close(s.over)
	return successor, nil
}

func (s *succession) replace() (handover.Successor, error) {
	if err := mayBeReplaced(); err != nil {
		return handover.Successor{}, err
	}
	s.log(slog.LevelInfo, actionBegin, slog.String(eventlog.KeyDetail, s.path))
	tellSystemd(systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec())
	d := s.daemon
	return handover.Give(s.ctx, handover.Config{
		Path: s.path, Listener: d.listener, Socket: d.socket,
		Since: s.since, Upgrades: s.upgrades(), Mounts: d.reals, HandOver: d.handOver,
	})
}

// mayBeReplaced says why the end of this process would take the new one with it.
func mayBeReplaced() error {
	switch pid := os.Getpid(); {
	case pid == 1:
		return errors.New("grepd is process 1 here, and a container ends with that: start a new container instead")
	case os.Getenv("SYSTEMD_EXEC_PID") == fmt.Sprint(pid) && os.Getenv("NOTIFY_SOCKET") == "":
		return errors.New("systemd would take the end of this process for the end of the service: the unit needs Type=notify and NotifyAccess=all")
	}
	return nil
}

// handOver freezes what is at work here, and gives it to the new daemon.
func (d *daemon) handOver(give func([]handoverpb.Plugin) error) error {
	if d.membership == nil {
		return give(nil)
	}
	if d.notify == nil {
		return d.membership.HandOver(func(h pluginhost.Handed) error {
			return give([]handoverpb.Plugin{handed(pluginapi.MembershipName, h)})
		})
	}
	// A notification under way may take a moment, for which membership is still at work.
	return d.notify.HandOver(func(n pluginhost.Handed) error {
		return d.membership.HandOver(func(h pluginhost.Handed) error {
			return give([]handoverpb.Plugin{handed(pluginapi.MembershipName, h), handed(pluginapi.NotifyName, n)})
		})
	})
}

func handed(name string, h pluginhost.Handed) handoverpb.Plugin {
	return handoverpb.Plugin{
		Name: name, State: h.State, Crashed: h.Crashed, Retired: h.Retired, FrozenUnixNanos: h.Frozen.UnixNano(),
	}
}

// takeOver waits for the old daemon's state, and goes on from it.
func (d *daemon) takeOver() error {
	var children []int
	if d.prepared != nil {
		children = append(children, d.prepared.PID())
	}
	if d.preparedNotify != nil {
		children = append(children, d.preparedNotify.PID())
	}
	plugins, err := d.succession.heir.Ready(version.String(), children)
	if err != nil || d.prepared == nil {
		return err
	}
	from, ok := received(plugins, pluginapi.MembershipName)
	if !ok {
		return errors.New("the old grepd does not say what its membership plugin knew")
	}
	if d.preparedNotify != nil {
		from, _ := received(plugins, pluginapi.NotifyName) // an old grepd may have none
		if d.notify, err = d.preparedNotify.Begin(from); err != nil {
			return err
		}
	}
	// This comes last: once the member is at work here, nothing may go wrong any more, since
	// undoing it is to leave the group.
	if d.membership, err = d.prepared.Begin(from); err != nil {
		return err
	}
	d.succession.gap = time.Since(from.Frozen)
	return nil
}

// received finds what the old daemon's plugin of a name knew.
func received(plugins []handoverpb.Plugin, name string) (pluginhost.Handed, bool) {
	for _, p := range plugins {
		if p.Name == name {
			return pluginhost.Handed{State: p.State, Crashed: p.Crashed, Retired: p.Retired, Frozen: time.Unix(0, p.FrozenUnixNanos)}, true
		}
	}
	return pluginhost.Handed{}, false
}

// announce tells the old daemon, the log and systemd that this one serves.
func (s *succession) announce() {
	ready := systemd.SdNotifyReady
	if s.heir != nil {
		ready += fmt.Sprintf("\nMAINPID=%d", os.Getpid())
		s.log(slog.LevelInfo, actionTakeOver, slog.Int(eventlog.KeyPID, os.Getpid()),
			slog.String(eventlog.KeyVersion, version.String()), slog.Int64(eventlog.KeyGapUS, s.gap.Microseconds()),
			slog.String(eventlog.KeyDetail, fmt.Sprintf("from process %d", s.heir.OldPID)))
	}
	tellSystemd(ready) // before the old one ends, and systemd wonders
	if s.heir != nil {
		s.heir.Started(s.gap)
	}
}

func (s *succession) describe() string {
	if s.heir == nil {
		return ""
	}
	return fmt.Sprintf(", in place of process %d", s.heir.OldPID)
}

// end waits for an upgrade under way, and lets none begin after that. It reports whether
// another daemon has taken over.
func (s *succession) end() bool {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// drain lets the queries of a daemon that was replaced come to their end, until somebody
// wants it to end now.
func (d *daemon) drain(signals <-chan os.Signal) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	go func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGTERM || s == syscall.SIGINT {
					cancel()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	began := time.Now()
	detail := "all queries have ended"
	if !d.server.Stop(ctx) {
		detail = "queries were broken off"
	}
	d.succession.log(slog.LevelInfo, actionEnd, slog.Int(eventlog.KeyPID, os.Getpid()),
		slog.String(eventlog.KeyDetail, fmt.Sprintf("%s, after %v", detail, time.Since(began).Round(time.Millisecond))))
}

func (s *succession) logRefusal(err error) {
	s.log(slog.LevelWarn, actionRefuse, slog.String(eventlog.KeyError, err.Error()))
}

func (s *succession) log(level slog.Level, action string, attrs ...slog.Attr) {
	d := s.daemon
	d.log.Write(level, eventlog.Upgrade, d.nodeName(), "", append([]slog.Attr{slog.String(eventlog.KeyAction, action)}, attrs...)...)
}

// tellSystemd does nothing where grepd is not a systemd service of Type=notify. There is
// nothing to be done about a systemd that does not listen.
func tellSystemd(state string) { _, _ = systemd.SdNotify(false, state) }
