package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

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

// NotifyConfig says how to run the notify plugin.
type NotifyConfig struct {
	Dir    string // the plugin directory
	Roster *Roster
	// Start is what the service is told each time it is set to work.
	Start notifypb.Config
	// Env is added to the plugin's environment: what its requests to a webhook need to
	// know of proxies and certificates.
	Env []string
	// Log writes a PLUGIN event. It is called from the host's goroutines.
	Log func(level slog.Level, attrs ...slog.Attr)
	// Presence is Config.Presence.
	Presence *os.File
	// Timing may be left zero.
	Timing Timing
}

// Notify is the notify plugin under its host. Its methods may be called from any goroutine.
type Notify struct {
	cfg    NotifyConfig
	host   *Host
	latest atomic.Pointer[notifyService] // of the process that was set to work last
	// knownAt is when the host had the newest state that it has ever had. Who begins
	// without a state begins with the lines since then.
	knownAt atomic.Pointer[time.Time]
}

// StartNotify starts the plugin.
func StartNotify(ctx context.Context, cfg NotifyConfig) (*Notify, error) {
	n := &Notify{cfg: cfg}
	n.known(time.Now())
	var err error
	if n.host, err = New(ctx, n.hostConfig()); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Notify) hostConfig() Config {
	return Config{
		Kind: pluginapi.NotifyKind(nil), Dir: n.cfg.Dir, Env: n.cfg.Env, Log: n.cfg.Log,
		Presence: n.cfg.Presence, Timing: n.cfg.Timing,
		Bind: func(raw any) Service { return &notifyService{Notify: raw.(pluginapi.Notify), owner: n} },
	}
}

// HandOver is Host.HandOver.
func (n *Notify) HandOver(give func(Handed) error) error { return n.host.HandOver(give) }

// PreparedNotify is the notify plugin before it takes over.
type PreparedNotify struct {
	*Prepared
	notify *Notify
}

// PrepareNotify launches the plugin and leaves it idle.
func PrepareNotify(ctx context.Context, cfg NotifyConfig) (*PreparedNotify, error) {
	n := &Notify{cfg: cfg}
	prepared, err := Prepare(ctx, n.hostConfig())
	if err != nil {
		return nil, err
	}
	return &PreparedNotify{prepared, n}, nil
}

// Begin is Prepared.Begin.
func (p *PreparedNotify) Begin(from Handed) (*Notify, error) {
	n := p.notify
	n.known(from.Frozen)
	if from.State == nil {
		n.known(time.Now())
	}
	var err error
	if n.host, err = p.Prepared.Begin(from); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *Notify) known(at time.Time) { n.knownAt.Store(&at) }

// Info describes the plugin.
func (n *Notify) Info() Info { return n.host.Info() }

// Reload replaces the plugin's process.
func (n *Notify) Reload(ctx context.Context) (Info, error) { return n.host.Reload(ctx) }

// Stop gives the plugin a moment to deliver what waits, and ends plugin and host.
func (n *Notify) Stop() { n.host.Stop() }

// Status asks the plugin how it is.
func (n *Notify) Status(ctx context.Context) (*notifypb.StatusReply, error) {
	if info := n.Info(); info.State != Running {
		return nil, fmt.Errorf("the notify plugin is %s: %s", info.State, info.LastExit)
	}
	return n.latest.Load().Notify.Status(ctx)
}

// notifyService is the service of one process, as the host drives it.
type notifyService struct {
	pluginapi.Notify
	owner *Notify
}

var _ Service = (*notifyService)(nil)

func (s *notifyService) Start(ctx context.Context, state []byte, _ bool) error {
	err := s.Notify.Start(ctx, &notifypb.StartRequest{
		Config: s.owner.cfg.Start, Snapshot: state, SinceUnixNanos: s.owner.knownAt.Load().UnixNano(),
	})
	if err == nil {
		s.owner.latest.Store(s)
	}
	return err
}

func (s *notifyService) Ping(ctx context.Context) error {
	_, err := s.Notify.Status(ctx)
	return err
}

func (s *notifyService) Snapshot(ctx context.Context) ([]byte, error) {
	return s.noting(ctx, s.Notify.Snapshot)
}

func (s *notifyService) Freeze(ctx context.Context) ([]byte, error) {
	return s.noting(ctx, s.Notify.Freeze)
}

// noting notes when the state was taken. Who then begins without it, since no program
// could live with it, misses no line.
func (s *notifyService) noting(ctx context.Context, take func(context.Context) ([]byte, error)) ([]byte, error) {
	at := time.Now()
	state, err := take(ctx)
	if err == nil {
		s.owner.known(at)
	}
	return state, err
}

func (s *notifyService) Retire(ctx context.Context) error { return s.Drain(ctx) }

// Attend tells the plugin who is in the group, as soon as this node is, and each change.
func (s *notifyService) Attend(ctx context.Context) {
	for {
		changed := s.owner.cfg.Roster.Changed()
		list := s.owner.cfg.Roster.List()
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

func (s *notifyService) tell(ctx context.Context, list *List) error {
	ctx, cancel := context.WithTimeout(ctx, membersTimeout)
	defer cancel()
	request := &notifypb.MembersRequest{Self: list.Self}
	for _, m := range list.Members {
		if m.State == pluginpb.State_ALIVE {
			request.Alive = append(request.Alive, notifypb.Member{Id: idOf(m), SinceUnixNanos: m.SinceUnixNanos})
		}
	}
	return s.Members(ctx, request)
}

func (s *notifyService) Lost() {}
