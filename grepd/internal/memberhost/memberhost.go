// Package memberhost is the host of the membership plugin: it sets the plugin to work in this
// node's name, and keeps the roster, the copy of the member list that queries read.
//
//	host, err := memberhost.Start(ctx, memberhost.Config{Dir: dir, Socket: conn, Start: start})
//	...
//	list := host.Roster().List()
//	...
//	host.Stop()
//
// What holds of every plugin (restarts, reloads, rollbacks, handing over) is package
// pluginhost's, which knows nothing of this one. In a daemon that takes over from another one,
// Prepare and Begin come in the place of Start.
//
// # Concurrency
//
// The methods may be called from any goroutine.
package memberhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// watchRetry is how long to wait before a watch that broke is begun anew.
const watchRetry = 100 * time.Millisecond

// Config says how to run the membership plugin.
type Config struct {
	Dir    string       // the plugin directory
	Socket *net.UDPConn // stays the caller's
	// Start is what the service is told each time it is set to work.
	Start pluginpb.Config
	// Log writes an event; node is this node's id, or before the first join its address.
	// It is called from several goroutines.
	Log func(level slog.Level, event eventlog.Event, node string, attrs ...slog.Attr)
	// Presence is pluginhost.Config.Presence.
	Presence *os.File
	// Timing may be left zero.
	Timing pluginhost.Timing
}

// Host runs the membership plugin.
type Host struct {
	cfg    Config
	roster *roster.Roster
	plugin *pluginhost.Host
	// latest is the service of the process that was launched last. Queries for the status
	// go to it directly, past the host's goroutine.
	latest atomic.Pointer[service]
}

// Start starts the plugin. It does not wait until the group is joined.
func Start(ctx context.Context, cfg Config) (*Host, error) {
	h := &Host{cfg: cfg, roster: roster.New()}
	h.logMode("joining")
	var err error
	if h.plugin, err = pluginhost.New(ctx, h.pluginConfig()); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Host) pluginConfig() pluginhost.Config {
	return pluginhost.Config{
		Kind: pluginapi.MembershipKind(nil), Dir: h.cfg.Dir, Socket: h.cfg.Socket,
		Presence: h.cfg.Presence, Timing: h.cfg.Timing,
		Bind: h.bind,
		Log:  func(level slog.Level, attrs ...slog.Attr) { h.log(level, eventlog.Plugin, attrs...) },
	}
}

// bind makes a service of the adapter for one process.
func (h *Host) bind(raw any) pluginhost.Service {
	return &service{Membership: raw.(pluginapi.Membership), host: h}
}

// Roster is the member list. It stays usable, and marked stale, without a plugin.
func (h *Host) Roster() *roster.Roster { return h.roster }

// Info describes the plugin.
func (h *Host) Info() pluginhost.Info { return h.plugin.Info() }

// Reload replaces the plugin's process, or starts one after Leave.
func (h *Host) Reload(ctx context.Context) (pluginhost.Info, error) { return h.plugin.Reload(ctx) }

// Leave takes this node out of the group and ends the plugin. Reload joins again.
func (h *Host) Leave(ctx context.Context) error {
	if h.Info().State == pluginhost.Stopped {
		return errors.New("this node has left the group already")
	}
	if err := h.plugin.Retire(ctx); err != nil {
		return err
	}
	h.roster.MarkLeft()
	return nil
}

// Stop leaves the group, if that was not done, and ends plugin and host.
func (h *Host) Stop() { h.plugin.Stop() }

// Status asks the plugin how it is. Without a plugin at work the phase is "left" or
// "restarting".
func (h *Host) Status(ctx context.Context) (*pluginpb.StatusReply, error) {
	switch info := h.Info(); info.State {
	case pluginhost.Stopped:
		return &pluginpb.StatusReply{Phase: "left"}, nil
	case pluginhost.Restarting:
		return &pluginpb.StatusReply{Phase: "restarting", Detail: info.LastExit}, nil
	}
	return h.latest.Load().Membership.Status(ctx)
}

// Bounds asks the plugin what it promises to a group of so many members; 0 means those
// alive in its list.
func (h *Host) Bounds(ctx context.Context, members int) (*pluginpb.BoundsReply, error) {
	if err := h.atWork(); err != nil {
		return nil, err
	}
	return h.latest.Load().Membership.Bounds(ctx, members)
}

// Record has the plugin record what it is told and does; see pluginapi.Membership.
func (h *Host) Record(
	ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
	reply func(*pluginpb.RecordReply) error,
) error {
	if err := h.atWork(); err != nil {
		return err
	}
	return h.latest.Load().Membership.Record(ctx, request, stop, reply)
}

// atWork says why the plugin cannot be asked, if it cannot.
func (h *Host) atWork() error {
	switch info := h.Info(); info.State {
	case pluginhost.Stopped:
		return errors.New("this node has left the group: grepd plugin reload joins again")
	case pluginhost.Restarting:
		return fmt.Errorf("the membership plugin is being restarted: %s", info.LastExit)
	}
	return nil
}

// Node is how this node is called in the log: its id, or before the first join its address.
func (h *Host) Node() string {
	if self := h.roster.List().Self; self != "" {
		return self
	}
	return h.cfg.Start.Advertise
}

func (h *Host) log(level slog.Level, event eventlog.Event, attrs ...slog.Attr) {
	if h.cfg.Log != nil {
		h.cfg.Log(level, event, h.Node(), attrs...)
	}
}

func (h *Host) logMode(mode string, attrs ...slog.Attr) {
	h.log(slog.LevelInfo, eventlog.Membership, append([]slog.Attr{slog.String(eventlog.KeyMode, mode)}, attrs...)...)
}

// service is one process of the plugin, as pluginhost drives it.
type service struct {
	pluginapi.Membership
	host *Host
}

var _ pluginhost.Service = (*service)(nil)

func (s *service) Start(ctx context.Context, state []byte, crashed bool) error {
	_, err := s.Membership.Start(ctx, &pluginpb.StartRequest{
		Config: s.host.cfg.Start, Snapshot: state, Crashed: crashed,
	})
	if err == nil {
		s.host.latest.Store(s)
	}
	return err
}

// Ping asks for the status, which the goroutine gives that does the work. The state of a
// large group would be a burden at this pace.
func (s *service) Ping(ctx context.Context) error {
	_, err := s.Membership.Status(ctx)
	return err
}

func (s *service) Retire(ctx context.Context) error {
	err := s.Leave(ctx)
	s.host.logMode("left")
	return err
}

// Attend feeds the roster while the process is at work. The list counts as live once this
// node is in it: before that, it has not joined.
func (s *service) Attend(ctx context.Context) {
	h := s.host
	for {
		live := false
		err := s.Watch(ctx, func(update *pluginpb.MembersUpdate) error {
			h.roster.Apply(update)
			if list := h.roster.List(); !live && list.Joined {
				live = true
				h.logMode("live", slog.String(eventlog.KeyDetail, fmt.Sprintf("%d members known", len(list.Members))))
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		h.roster.MarkStale()
		h.logMode("stale", slog.String(eventlog.KeyDetail, describe(err)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchRetry):
		}
	}
}

func (s *service) Lost() { s.host.roster.MarkStale() }

func describe(err error) string {
	if err == nil {
		return "the plugin tells no more"
	}
	return err.Error()
}
