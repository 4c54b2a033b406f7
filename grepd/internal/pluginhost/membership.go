package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// watchRetry is how long to wait before a watch that broke is begun anew.
const watchRetry = 100 * time.Millisecond

// MembershipConfig says how to run the membership plugin.
type MembershipConfig struct {
	Dir    string       // the plugin directory
	Socket *net.UDPConn // stays the caller's
	// Start is what the service is told each time it is set to work.
	Start pluginpb.Config
	// Log writes an event; node is this node's id, or before the first join its address.
	// It is called from several goroutines.
	Log func(level slog.Level, event eventlog.Event, node string, attrs ...slog.Attr)
	// Presence is Config.Presence.
	Presence *os.File
	// Timing may be left zero.
	Timing Timing
}

// Membership is the membership plugin under its host, with the host's copy of the member
// list. Its methods may be called from any goroutine.
type Membership struct {
	cfg    MembershipConfig
	roster *Roster
	host   *Host
	// latest is the service of the process that was launched last. Queries for the status
	// go to it directly, past the host's goroutine.
	latest atomic.Pointer[membershipService]
}

// StartMembership starts the plugin. It does not wait until the group is joined.
func StartMembership(ctx context.Context, cfg MembershipConfig) (*Membership, error) {
	m := &Membership{cfg: cfg, roster: newRoster()}
	m.logMode("joining")
	var err error
	if m.host, err = New(ctx, m.hostConfig()); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Membership) hostConfig() Config {
	return Config{
		Kind: pluginapi.MembershipKind(nil), Dir: m.cfg.Dir, Socket: m.cfg.Socket,
		Presence: m.cfg.Presence, Timing: m.cfg.Timing,
		Bind: func(raw any) Service { return &membershipService{Membership: raw.(pluginapi.Membership), owner: m} },
		Log:  func(level slog.Level, attrs ...slog.Attr) { m.log(level, eventlog.Plugin, attrs...) },
	}
}

// Roster is the member list. It stays usable, and marked stale, without a plugin.
func (m *Membership) Roster() *Roster { return m.roster }

// Info describes the plugin.
func (m *Membership) Info() Info { return m.host.Info() }

// Reload replaces the plugin's process, or starts one after Leave.
func (m *Membership) Reload(ctx context.Context) (Info, error) { return m.host.Reload(ctx) }

// Leave takes this node out of the group and ends the plugin. Reload joins again.
func (m *Membership) Leave(ctx context.Context) error {
	if m.Info().State == Stopped {
		return errors.New("this node has left the group already")
	}
	if err := m.host.Retire(ctx); err != nil {
		return err
	}
	m.roster.markLeft()
	return nil
}

// Stop leaves the group, if that was not done, and ends plugin and host.
func (m *Membership) Stop() { m.host.Stop() }

// Status asks the plugin how it is. Without a plugin at work the phase is "left" or
// "restarting".
func (m *Membership) Status(ctx context.Context) (*pluginpb.StatusReply, error) {
	switch info := m.Info(); info.State {
	case Stopped:
		return &pluginpb.StatusReply{Phase: "left"}, nil
	case Restarting:
		return &pluginpb.StatusReply{Phase: "restarting", Detail: info.LastExit}, nil
	}
	return m.latest.Load().Membership.Status(ctx)
}

// Bounds asks the plugin what it promises to a group of so many members; 0 means those
// alive in its list.
func (m *Membership) Bounds(ctx context.Context, members int) (*pluginpb.BoundsReply, error) {
	if err := m.atWork(); err != nil {
		return nil, err
	}
	return m.latest.Load().Membership.Bounds(ctx, members)
}

// Record has the plugin record what it is told and does; see pluginapi.Membership.
func (m *Membership) Record(
	ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
	reply func(*pluginpb.RecordReply) error,
) error {
	if err := m.atWork(); err != nil {
		return err
	}
	return m.latest.Load().Membership.Record(ctx, request, stop, reply)
}

// atWork says why the plugin cannot be asked, if it cannot.
func (m *Membership) atWork() error {
	switch info := m.Info(); info.State {
	case Stopped:
		return errors.New("this node has left the group: grepd plugin reload joins again")
	case Restarting:
		return fmt.Errorf("the membership plugin is being restarted: %s", info.LastExit)
	}
	return nil
}

// Node is how this node is called in the log: its id, or before the first join its address.
func (m *Membership) Node() string {
	if self := m.roster.List().Self; self != "" {
		return self
	}
	return m.cfg.Start.Advertise
}

func (m *Membership) log(level slog.Level, event eventlog.Event, attrs ...slog.Attr) {
	if m.cfg.Log != nil {
		m.cfg.Log(level, event, m.Node(), attrs...)
	}
}

func (m *Membership) logMode(mode string, attrs ...slog.Attr) {
	m.log(slog.LevelInfo, eventlog.Membership, append([]slog.Attr{slog.String(eventlog.KeyMode, mode)}, attrs...)...)
}

// membershipService is the service of one process, as the host drives it.
type membershipService struct {
	pluginapi.Membership
	owner *Membership
}

var _ Service = (*membershipService)(nil)

func (s *membershipService) Start(ctx context.Context, state []byte, crashed bool) error {
	_, err := s.Membership.Start(ctx, &pluginpb.StartRequest{
		Config: s.owner.cfg.Start, Snapshot: state, Crashed: crashed,
	})
	if err == nil {
		s.owner.latest.Store(s)
	}
	return err
}

// Ping asks for the status, which the goroutine gives that does the work. The state of a
// large group would be a burden at this pace.
func (s *membershipService) Ping(ctx context.Context) error {
	_, err := s.Membership.Status(ctx)
	return err
}

func (s *membershipService) Retire(ctx context.Context) error {
	err := s.Leave(ctx)
	s.owner.logMode("left")
	return err
}

// Attend feeds the roster while the process is at work. The list counts as live once this
// node is in it: before that, it has not joined.
func (s *membershipService) Attend(ctx context.Context) {
	m := s.owner
	for {
		live := false
		err := s.Watch(ctx, func(update *pluginpb.MembersUpdate) error {
			m.roster.apply(update)
			if list := m.roster.List(); !live && list.Joined {
				live = true
				m.logMode("live", slog.String(eventlog.KeyDetail, fmt.Sprintf("%d members known", len(list.Members))))
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		m.roster.markStale()
		m.logMode("stale", slog.String(eventlog.KeyDetail, describe(err)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(watchRetry):
		}
	}
}

func (s *membershipService) Lost() { s.owner.roster.markStale() }

func describe(err error) string {
	if err == nil {
		return "the plugin tells no more"
	}
	return err.Error()
}
