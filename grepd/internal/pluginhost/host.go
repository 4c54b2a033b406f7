// Package pluginhost runs grepd's plugins: it loads a plugin, looks after it, restarts it
// when it crashes or hangs, replaces it while it works, and ends it.
//
//	host, err := pluginhost.New(ctx, pluginhost.Config{Kind: kind, Dir: dir, Bind: bind, Log: log})
//	...
//	info, err := host.Reload(ctx)
//	...
//	host.Stop()
//
// A kind of plugin is a Kind and a Service; the host knows nothing of what a plugin does.
// Packages memberhost and notifyhost are the two kinds that there are.
//
// # Stages
//
// The plugin's work, and a restart of it, is in one stage at a time, see type stage:
//
//	               crash, hang          it runs no more          time is up
//	New -> working -----------> ending ----------------> waiting ----------> restarting
//	       ^  ^  ^                                        |   ^               |   |
//	       |  |  +------- a reload starts its process ----+   +---- failed ---+   |
//	       |  +----------------- restarted, or rolled back -----------------------+
//	       +------------- a reload starts its process ---- stopped <-- Retire, from any stage
//
// Others are told of ending, waiting and restarting as Restarting. HandOver, from any stage,
// leads to handedOver, where the host ends.
//
// A reload has stages of its own beside these, see type reloadStage. Its process is swapped
// with one at work, or else started in the place of none:
//
//	                             while working: swapped
//	noReload -Reload-> launching ------------------------------------------------> noReload
//	                     |    |  while stopped, waiting
//	                     |    +------------------------------------> starting ---> noReload
//	                     |                                              ^
//	                     +----------------------> launched ------------>+ runs no more, failed
//	                       while ending, restarting   |
//	                                                  +- restarted: swapped -----> noReload
//
// A failure leads from each of them to noReload. So launched is beside ending and restarting
// alone, and starting beside stopped and waiting.
//
// # Reload
//
// The new program is copied under the name of its content, launched and made to shake hands
// while the old one works on. All this is done beside the host's goroutine, which meanwhile
// looks after the old one as ever. Only then is the old one frozen, the new one started from
// its state, and the old one ended. What goes wrong before the freeze ends the new one alone.
// What goes wrong after it makes the old one resume.
//
// Reloads that are asked for while one is under way are answered by one more that begins
// after it, so each of them takes up what was in the plugin directory when it was asked for.
//
// # Trial and rollback
//
// A program that a reload has put in is on trial until it has worked for Timing.Stable.
// Its first crash or hang in that time brings back the last good program, from that one's
// last state: a program that crashes seconds after it was put in will do so again, and a
// member has one try, since a second crash may already keep it silent for longer than the
// others wait. The last good program is the one that was at work before the reload, or
// where that was on trial itself, the one that it would have gone back to. What was refused
// or rolled back is not taken up from the plugin directory again until another program has
// been there; Reload does try it again. The first program of all has nothing to go back to,
// and is restarted.
//
// # Signs of life
//
// A plugin at work is asked for a sign of life every Timing.PingEvery, and is killed and
// restarted when it has not given one for Timing.Ping. Time in which this process was not
// run itself does not count, and time in which the plugin was waiting for a processor or a
// disk hardly does; see stopwatch.
//
// # Processes
//
// A plugin has a socket directory of its own that only this user can enter, a connection
// with mutual TLS, an environment of nothing but what go-plugin and Config.Env put there,
// no standard input, a process group of its own, and a pipe that ends with the host. The
// UDP socket is the host's, and every process has a duplicate, so what arrives while none
// is reading waits in the socket. A process has always been frozen or killed before another
// is set to work in its place. One that was killed while it waits for a disk may be there
// for seconds, but runs no more, and nobody waits for that.
//
// # Concurrency
//
// One goroutine owns all that changes in a Host; the methods send it requests and wait,
// and may be called from any goroutine. Launches, the end of processes, and the watch over
// the one at work run in goroutines of their own, which report to it. It waits itself only
// for calls to a plugin at work: Freeze and Start at a reload (Timing.Call each), and Retire.
package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// Service is what the host needs of a plugin at work. Every context but those of Attend,
// Ping and Snapshot has a deadline; the latter two are cancelled when the plugin could have
// answered for Timing.Ping. Ping and Snapshot are called by one goroutine, Attend in another,
// Start and the first Ping by the one that launches. Start and the rest are called by the
// host's goroutine too.
type Service interface {
	// Start sets the plugin to work, from a state or with nil afresh. crashed says that
	// the state is not from Freeze, so the plugin may have worked on since.
	Start(ctx context.Context, state []byte, crashed bool) error
	// Ping returns when the plugin shows that what does its work is well, or while it is
	// idle that it is of the right kind. It is cheap.
	Ping(ctx context.Context) error
	// Snapshot returns the state. It is a sign of life too.
	Snapshot(ctx context.Context) ([]byte, error)
	// Freeze stops the work and returns the state. Start resumes it.
	Freeze(ctx context.Context) ([]byte, error)
	// Retire is called once before a plugin at work is ended for good.
	Retire(ctx context.Context) error
	// Attend runs in a goroutine of its own while the plugin is at work. It returns soon
	// after ctx ends.
	Attend(ctx context.Context)
	// Lost says, after Attend, that the plugin works no more, since it crashed, hung or
	// was retired. It is not called when another process goes on with the work.
	Lost()
}

// Config says what to run and how.
type Config struct {
	Kind pluginapi.Kind
	// Dir is the plugin directory, where the program is called Kind.Name.
	Dir string
	// Socket is what a Kind with Socket inherits. It stays the caller's.
	Socket *net.UDPConn
	// Env is added to the plugin's environment.
	Env []string
	// Bind turns what the Kind's adapter returns into the Service of that process.
	Bind func(raw any) Service
	// Log writes a PLUGIN event. It is called from the host's goroutines.
	Log func(level slog.Level, attrs ...slog.Attr)
	// Presence, where it is given, is inherited by the process that Prepare launches. It
	// means nothing to it; see package handover. It stays the caller's.
	Presence *os.File
	// Timing may be left zero.
	Timing Timing
}

// Timing bounds everything that a host waits for. Zero fields get the defaults.
//
// The defaults belong together. Other members declare a node failed that has been silent for
// 1.6 s, and a node may have sent its last heartbeat 0.4 s before its plugin stops. So a
// new program that hangs at its Start, or an old one that hangs at its Freeze, is given Call
// = 0.8 s before the other one works on, and a plugin that hangs is found after at most
// PingEvery + Ping = 0.8 s, which leaves 0.4 s to start another.
type Timing struct {
	// Launch is from the start of a process until it is healthy, and bounds Start where nothing
	// is at work; 30 s.
	Launch time.Duration
	Call   time.Duration // Freeze, and Start where another process can go on; pluginapi.CallTimeout
	Retire time.Duration // Retire; 3 s
	Grace  time.Duration // from being asked to end until being killed; 2 s
	// PingEvery is the time between two signs of life; 200 ms.
	PingEvery time.Duration
	// Ping is how long the host waits for one; 600 ms, not counting time in which the
	// machine was busy. Less would restart plugins that only had to wait for a slow disk.
	Ping time.Duration
	// SnapshotEvery is the age at which the state to go on from after a crash is taken anew;
	// 500 ms. To encode a membership plugin's takes 0.26 ms at 1,000 members (30 kB), and
	// 3.9 ms at 10,000, which is why a Ping is something else.
	SnapshotEvery time.Duration
	// RestartFirst and RestartMax bound the wait before a restart, the first one apart,
	// which is made at once; 100 ms and 30 s.
	RestartFirst, RestartMax time.Duration
	// Steady is how long a plugin must have worked for its crash to be a first one; 5 s.
	// One that crashes every few seconds costs a launch each time, and is in the group in
	// between.
	Steady time.Duration
	// Stable is how long a program is on trial after a reload; 30 s.
	Stable time.Duration
	// Settle is how long the plugin directory must be quiet before a new program in it
	// is looked at; 200 ms.
	Settle time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Launch = cmp.Or(t.Launch, 30*time.Second)
	t.Call = cmp.Or(t.Call, pluginapi.CallTimeout)
	t.Retire = cmp.Or(t.Retire, 3*time.Second)
	t.Grace = cmp.Or(t.Grace, 2*time.Second)
	t.PingEvery = cmp.Or(t.PingEvery, 200*time.Millisecond)
	t.Ping = cmp.Or(t.Ping, 600*time.Millisecond)
	t.SnapshotEvery = cmp.Or(t.SnapshotEvery, 500*time.Millisecond)
	t.RestartFirst = cmp.Or(t.RestartFirst, 100*time.Millisecond)
	t.RestartMax = cmp.Or(t.RestartMax, 30*time.Second)
	t.Steady = cmp.Or(t.Steady, 5*time.Second)
	t.Stable = cmp.Or(t.Stable, 30*time.Second)
	t.Settle = cmp.Or(t.Settle, 200*time.Millisecond)
	return t
}

// State is what a host is doing with its plugin.
type State string

const (
	Running    State = "running"
	Restarting State = "restarting"  // it crashed or hung, and will be started again
	Stopped    State = "stopped"     // it was retired
	HandedOver State = "handed over" // another daemon's host goes on with it
)

// Info describes a plugin, for people.
type Info struct {
	Name       string
	Version    string // from the program's build information; may be empty
	APIVersion int
	Checksum   string // SHA-256 of the program, in hex
	PID        int    // 0 while there is no process
	Since      time.Time
	Restarts   int    // since the host began, reloads not counted
	LastExit   string // how the process before this one ended, if on its own, and what came of it
	State      State
}

// ErrStopped says that the host has been stopped.
var ErrStopped = errors.New("the plugin host is stopped")

// ErrEnded says that the plugin was ended while a reload was under way.
var ErrEnded = errors.New("the plugin was ended meanwhile")

// ErrHandOver says that another daemon was to take over while a reload was under way.
// Whether it has is for others to say.
var ErrHandOver = errors.New("given up for an upgrade of grepd itself; reload again when that is over")

// Host runs one plugin.
type Host struct {
	cfg    Config
	path   string // of the program in the plugin directory
	runDir *runDir
	info   atomic.Pointer[Info]

	requests chan func()
	stopping chan struct{}
	stopOnce sync.Once
	done     chan struct{}  // the owner goroutine has ended
	watching sync.WaitGroup // the goroutine of watchDir
	ends     sync.WaitGroup // the goroutines of endInBackground
	ctx      context.Context
	cancel   context.CancelFunc // at Stop; ends launches under way

	owned // by the owner goroutine
}

// New stages and starts the plugin. It fails, leaving nothing behind, where that cannot
// be done; from then on the host deals with whatever becomes of the plugin.
func New(ctx context.Context, cfg Config) (*Host, error) {
	h, err := newHost(ctx, cfg, (*Host).begin)
	if err != nil {
		return nil, err
	}
	go h.run()
	return h, nil
}

// newHost makes a host and calls begin, in whose time ctx counts. The caller starts run.
func newHost(ctx context.Context, cfg Config, begin func(*Host) error) (*Host, error) {
	cfg.Timing = cfg.Timing.withDefaults()
	path, err := filepath.Abs(filepath.Join(cfg.Dir, cfg.Kind.Name))
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, path: path,
		requests: make(chan func()), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	if h.runDir, err = makeRunDir(); err != nil {
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, h.cancel)
	defer stop()
	if err := begin(h); err != nil {
		h.discard()
		return nil, fmt.Errorf("plugin %q: %w", cfg.Kind.Name, err)
	}
	return h, nil
}

// discard undoes newHost where no plugin runs.
func (h *Host) discard() {
	h.cancel()
	h.watching.Wait()
	h.runDir.remove()
}

// Info describes the plugin as it is now.
func (h *Host) Info() Info { return *h.info.Load() }

// Reload replaces the plugin's process by one of the program that is in the plugin
// directory now, also where that is the same. The error says in one line what was wrong
// with it; the old process then works on. Of several calls, those that come while a reload
// is under way are answered together by the next one. When ctx ends first, the reload goes
// on nevertheless.
func (h *Host) Reload(ctx context.Context) (Info, error) {
	call := newReloadCall(false)
	err := h.do(ctx, func() error { h.ask(call); return nil })
	if err == nil {
		err = h.await(ctx, call.result)
	}
	if err != nil {
		err = fmt.Errorf("reload plugin %q: %w", h.cfg.Kind.Name, err)
	}
	return h.Info(), err
}

// Retire ends the plugin for good, after telling its service. It is not restarted then,
// but Reload starts it anew.
func (h *Host) Retire(ctx context.Context) error { return h.do(ctx, h.retire) }

// Stop retires the plugin and ends the host, launches under way included. It blocks until
// nothing of either is left, for Timing.Retire plus Timing.Grace at most.
func (h *Host) Stop() {
	h.stopOnce.Do(func() {
		h.cancel()
		close(h.stopping)
	})
	<-h.done
	h.watching.Wait()
}

// do runs f in the owner goroutine. When ctx ends first, f may still run.
func (h *Host) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case h.requests <- func() { result <- f() }:
	case <-h.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.await(ctx, result)
}

// await waits for a result, for as long as there is a host to give one.
func (h *Host) await(ctx context.Context, result <-chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
	}
	select {
	case err := <-result: // which the host gave before it ended
		return err
	default:
		return ErrStopped
	}
}

// log writes a PLUGIN event about the plugin.
func (h *Host) log(level slog.Level, action string, attrs ...slog.Attr) {
	if h.cfg.Log == nil {
		return
	}
	head := []slog.Attr{slog.String(eventlog.KeyPlugin, h.cfg.Kind.Name), slog.String(eventlog.KeyAction, action)}
	h.cfg.Log(level, append(head, attrs...)...)
}
