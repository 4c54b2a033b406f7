// Package notifyhost is the host of the notify plugin: it sets the plugin to work, and tells
// it who is in the group.
//
//	cfg := notifyhost.Config{Dir: dir, Roster: members.Roster(), Start: start}
//	host, err := notifyhost.Start(ctx, cfg)
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
package notifyhost

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

const (
	// membersTimeout bounds telling the notify plugin who is in the group.
	membersTimeout = 5 * time.Second
	// membersEvery is the least time between two such calls: the whole list goes along.
	membersEvery = 100 * time.Millisecond
)

// Config says how to run the notify plugin.
type Config struct {
	Dir    string // the plugin directory
	Roster *roster.Roster
	// Start is what the service is told each time it is set to work.
	Start notifypb.Config
	// Env is added to the plugin's environment: what its requests to a webhook need to
	// know of proxies and certificates.
	Env []string
	// Log writes a PLUGIN event. It is called from the host's goroutines.
	Log func(level slog.Level, attrs ...slog.Attr)
	// Presence is pluginhost.Config.Presence.
	Presence *os.File
	// Timing may be left zero.
	Timing pluginhost.Timing
}

// Host runs the notify plugin.
type Host struct {
	cfg    Config
	plugin *pluginhost.Host
	latest atomic.Pointer[service] // of the process that was set to work last
	// knownAt is when the host had the newest state that it has ever had. Who begins
	// without a state begins with the lines since then.
	knownAt atomic.Pointer[time.Time]
}

// Start starts the plugin.
func Start(ctx context.Context, cfg Config) (*Host, error) {
	h := &Host{cfg: cfg}
	h.known(time.Now())
	var err error
	if h.plugin, err = pluginhost.New(ctx, h.pluginConfig()); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Host) pluginConfig() pluginhost.Config {
	return pluginhost.Config{
		Kind: pluginapi.NotifyKind(nil), Dir: h.cfg.Dir, Env: h.cfg.Env, Log: h.cfg.Log,
		Presence: h.cfg.Presence, Timing: h.cfg.Timing,
		Bind: h.bind,
	}
}

// bind makes a service of the adapter for one process.
func (h *Host) bind(raw any) pluginhost.Service {
	return &service{Notify: raw.(pluginapi.Notify), host: h}
}

// HandOver is pluginhost.Host.HandOver.
func (h *Host) HandOver(give func(pluginhost.Handed) error) error { return h.plugin.HandOver(give) }

// Prepared is the notify plugin before it takes over.
type Prepared struct {
	*pluginhost.Prepared
	host *Host
}

// Prepare launches the plugin and leaves it idle.
func Prepare(ctx context.Context, cfg Config) (*Prepared, error) {
	h := &Host{cfg: cfg}
	prepared, err := pluginhost.Prepare(ctx, h.pluginConfig())
	if err != nil {
		return nil, err
	}
	return &Prepared{prepared, h}, nil
}

// Begin is pluginhost.Prepared.Begin.
func (p *Prepared) Begin(from pluginhost.Handed) (*Host, error) {
	h := p.host
	h.known(from.Frozen)
	if from.State == nil {
		h.known(time.Now())
	}
	var err error
	if h.plugin, err = p.Prepared.Begin(from); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Host) known(at time.Time) { h.knownAt.Store(&at) }

// Info describes the plugin.
func (h *Host) Info() pluginhost.Info { return h.plugin.Info() }

// Reload replaces the plugin's process.
func (h *Host) Reload(ctx context.Context) (pluginhost.Info, error) { return h.plugin.Reload(ctx) }

// Stop gives the plugin a moment to deliver what waits, and ends plugin and host.
func (h *Host) Stop() { h.plugin.Stop() }

// Status asks the plugin how it is.
func (h *Host) Status(ctx context.Context) (*notifypb.StatusReply, error) {
	if info := h.Info(); info.State != pluginhost.Running {
		return nil, fmt.Errorf("the notify plugin is %s: %s", info.State, info.LastExit)
	}
	return h.latest.Load().Notify.Status(ctx)
}

// service is one process of the plugin, as pluginhost drives it.
type service struct {
	pluginapi.Notify
	host *Host
}

var _ pluginhost.Service = (*service)(nil)

func (s *service) Start(ctx context.Context, state []byte, _ bool) error {
	err := s.Notify.Start(ctx, &notifypb.StartRequest{
		Config: s.host.cfg.Start, Snapshot: state, SinceUnixNanos: s.host.knownAt.Load().UnixNano(),
	})
	if err == nil {
		s.host.latest.Store(s)
	}
	return err
}

func (s *service) Ping(ctx context.Context) error {
	_, err := s.Notify.Status(ctx)
	return err
}

func (s *service) Snapshot(ctx context.Context) ([]byte, error) {
	return s.noting(ctx, s.Notify.Snapshot)
}

func (s *service) Freeze(ctx context.Context) ([]byte, error) {
	return s.noting(ctx, s.Notify.Freeze)
}

// noting notes when the state was taken. Who then begins without it, since no program
// could live with it, misses no line.
func (s *service) noting(ctx context.Context, take func(context.Context) ([]byte, error)) ([]byte, error) {
	at := time.Now()
	state, err := take(ctx)
	if err == nil {
		s.host.known(at)
	}
	return state, err
}

func (s *service) Retire(ctx context.Context) error { return s.Drain(ctx) }

// Attend tells the plugin who is in the group, as soon as this node is, and each change.
func (s *service) Attend(ctx context.Context) {
	for {
		changed := s.host.cfg.Roster.Changed()
		list := s.host.cfg.Roster.List()
		if list.Self == "" || s.tell(ctx, list) == nil {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
		select { // before the next call, be it for what has changed or since one went wrong
		case <-ctx.Done():
			return
		case <-time.After(membersEvery):
		}
	}
}

func (s *service) tell(ctx context.Context, list *roster.List) error {
	ctx, cancel := context.WithTimeout(ctx, membersTimeout)
	defer cancel()
	request := &notifypb.MembersRequest{Self: list.Self}
	for _, m := range list.Members {
		if m.State == pluginpb.State_ALIVE {
			request.Alive = append(request.Alive, notifypb.Member{Id: eventlog.FormatID(m.Addr, m.Incarnation), SinceUnixNanos: m.SinceUnixNanos})
		}
	}
	return s.Members(ctx, request)
}

func (s *service) Lost() {}
