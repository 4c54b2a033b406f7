package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/subprocess"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// instance is one process of a plugin, from its launch to its end.
type instance struct {
	program    executable
	service    Service
	apiVersion int
	since      time.Time
	process    *process
	stderr     *subprocess.Tail

	client   *plugin.Client
	dir      string   // for its socket, removed at its end
	liveness *os.File // our end of the pipe; the plugin ends when it is closed

	began, died time.Time     // of its work; for the host's goroutine
	halted      chan struct{} // closed when it runs no more, after a crash
	ended       chan struct{} // closed when nothing of it is left

	// latest is the newest state; nil pointer or nil: none.
	latest atomic.Pointer[[]byte]
	// fate is how it crashed or hung, if it has.
	fate atomic.Pointer[string]
	// sick says what is wrong with it, once.
	sick chan string
	// Attend and the watch run from attend to release.
	cancelAttend context.CancelFunc
	attending    sync.WaitGroup
}

// exited is closed when the process has ended; without an instance it is nil.
func (i *instance) exited() <-chan struct{} {
	if i == nil {
		return nil
	}
	return i.process.exited
}

// unwell says what is wrong with it; without an instance it is nil.
func (i *instance) unwell() <-chan string {
	if i == nil {
		return nil
	}
	return i.sick
}

// halt is closed when it runs no more, after a crash; without an instance it is nil.
func (i *instance) halt() <-chan struct{} {
	if i == nil {
		return nil
	}
	return i.halted
}

// deathTimeout is how long the end of a process that was killed is waited for. It runs no
// more from when it was killed, but the system keeps it while it waits for a disk, and that
// may be seconds that nobody has.
const deathTimeout = 200 * time.Millisecond

// kill ends the process at once. When kill returns, it runs no more.
func (i *instance) kill() {
	i.process.kill()
	timer := time.NewTimer(deathTimeout)
	defer timer.Stop()
	select {
	case <-i.process.exited:
	case <-timer.C:
	}
}

// awaitEnd waits until nothing of it is left, or for so long.
func (i *instance) awaitEnd(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-i.ended:
	case <-timer.C:
	}
}

// newInstance starts the program, idle, and returns when it has shaken hands and says that it
// is healthy. Whatever it may do instead, newInstance returns soon after ctx ends.
func newInstance(ctx context.Context, cfg *Config, p executable, runDir string) (*instance, error) {
	i := &instance{
		program: p, since: time.Now(), stderr: new(subprocess.Tail),
		halted: make(chan struct{}), ended: make(chan struct{}), sick: make(chan string, 1),
	}
	if err := i.launch(ctx, cfg, runDir); err != nil {
		i.end(0)
		return nil, i.explain(ctx, err)
	}
	return i, nil
}

func (i *instance) launch(ctx context.Context, cfg *Config, runDir string) (err error) {
	if i.dir, err = os.MkdirTemp(runDir, "run-"); err != nil {
		return err
	}
	files, err := i.inherited(cfg)
	defer closeAll(files)
	if err != nil {
		return err
	}
	i.process = newProcess(i.program.path, files)
	i.client = plugin.NewClient(i.clientConfig(cfg))
	// A process that is killed closes all that go-plugin may be waiting for.
	stop := context.AfterFunc(ctx, i.process.kill)
	defer stop()
	connection, err := i.client.Client()
	if err != nil {
		return fmt.Errorf("handshake with %s: %w", filepath.Join(cfg.Dir, cfg.Kind.Name), oneLine(err))
	}
	if err := checkHealth(ctx, connection); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	raw, err := connection.Dispense(cfg.Kind.Name)
	if err != nil {
		return fmt.Errorf("dispense: %w", err)
	}
	i.service = cfg.Bind(raw)
	i.apiVersion = i.client.NegotiatedVersion()
	return i.checkKind(ctx)
}

// checkKind has the service answer a call. A plugin of another kind shakes hands as well,
// and would otherwise be found out when the one at work has been frozen.
func (i *instance) checkKind(ctx context.Context) error {
	err := i.service.Ping(ctx)
	if errors.Is(err, pluginapi.ErrUnsupported) {
		return errors.New("the program is a plugin of another kind")
	}
	return err
}

// start sets it to work from a state.
func (i *instance) start(ctx context.Context, state []byte, crashed bool) error {
	if err := i.service.Start(ctx, state, crashed); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	i.latest.Store(&state)
	return nil
}

// state is the newest that the host got hold of.
func (i *instance) state() []byte {
	if state := i.latest.Load(); state != nil {
		return *state
	}
	return nil
}

// processError says in one line what is wrong with a process.
type processError struct {
	err    error
	exit   string // how it ended, if on its own
	line   string // what it wrote that tells most
	stderr string // its last lines
}

func (e *processError) Error() string {
	text := e.err.Error()
	if e.exit != "" {
		text += "; it ended with " + e.exit
	}
	if e.line != "" {
		text += "; it wrote: " + e.line
	}
	return text
}

func (e *processError) Unwrap() error { return e.err }

// stderrOf is what the process wrote that an error is about.
func stderrOf(err error) string {
	if e := (*processError)(nil); errors.As(err, &e) {
		return e.stderr
	}
	return ""
}

// explain adds to an error what the process says itself. The context is the one of the
// call that failed.
func (i *instance) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer in time: %w", err)
	}
	e := &processError{err: err, line: i.stderr.Line(), stderr: i.stderr.String()}
	if i.process != nil {
		e.exit = i.process.exitAlone()
	}
	return e
}

// lasted says what became of an instance that a reload has put to work, if it is over
// already.
func (i *instance) lasted() error {
	fate := i.fate.Load()
	if fate == nil {
		return nil
	}
	err := fmt.Errorf("it was put to work, and then: %s", *fate)
	return &processError{err: err, line: i.stderr.Line(), stderr: i.stderr.String()}
}

// inherited returns the files that become the plugin's descriptors from 3 on.
func (i *instance) inherited(cfg *Config) (files []*os.File, err error) {
	var socket *os.File // nil is a closed descriptor
	if cfg.Kind.Socket {
		if socket, err = subprocess.Duplicate(cfg.Socket); err != nil {
			return nil, err
		}
	}
	files = append(files, socket)
	liveness, ours, err := os.Pipe()
	if err != nil {
		return files, err
	}
	i.liveness = ours
	files = append(files, liveness)
	if cfg.Presence != nil {
		presence, err := subprocess.Duplicate(cfg.Presence)
		if err != nil {
			return files, err
		}
		files = append(files, presence)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// clientConfig is made anew for each process: go-plugin changes it, and a Hash remembers
// what it was fed.
func (i *instance) clientConfig(cfg *Config) *plugin.ClientConfig {
	start := func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
		secure := plugin.SecureConfig{Checksum: i.program.checksum[:], Hash: sha256.New()}
		if same, err := secure.Check(i.program.path); err != nil {
			return nil, fmt.Errorf("verify the checksum: %w", err)
		} else if !same {
			return nil, plugin.ErrChecksumsDoNotMatch
		}
		i.process.cmd.Env = append(spec.Env, cfg.Env...)
		return i.process, nil
	}
	return &plugin.ClientConfig{
		HandshakeConfig:  pluginapi.Handshake,
		VersionedPlugins: cfg.Kind.PluginSets(),
		RunnerFunc:       start,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  pluginapi.DialOptions(),
		StartTimeout:     2 * cfg.Timing.Launch, // launch's own deadline is to be the first
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: i.dir},
		Stderr:           i.stderr,
		SyncStderr:       i.stderr,
		Logger:           hclog.NewNullLogger(), // what matters comes back as errors
	}
}

// checkHealth is ClientProtocol.Ping with a deadline.
func checkHealth(ctx context.Context, connection plugin.ClientProtocol) error {
	client, ok := connection.(*plugin.GRPCClient)
	if !ok {
		return fmt.Errorf("a %T, not a gRPC connection", connection)
	}
	request := &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName}
	reply, err := grpc_health_v1.NewHealthClient(client.Conn).Check(ctx, request)
	if err != nil {
		return err
	}
	if reply.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it says %v", reply.Status)
	}
	return nil
}

// errorBytesMax bounds what is told of what a program says instead of a handshake.
const errorBytesMax = 400

// oneLine turns go-plugin's errors, which are laid out for a terminal and hold whatever the
// program has written, into one line that can be printed.
func oneLine(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	text = strings.ReplaceAll(text, "Unrecognized remote plugin message: Failed to read any lines from plugin's stdout", "it said nothing:")
	text = subprocess.Printable(text)
	if len(text) > errorBytesMax {
		text = strings.ToValidUTF8(text[:errorBytesMax], "") + "..."
	}
	return errors.New(text)
}

// attend runs the service's Attend, and the watch over it, until release.
func (i *instance) attend(t Timing) {
	ctx, cancel := context.WithCancel(context.Background())
	i.cancelAttend = cancel
	i.attending.Go(func() { i.service.Attend(ctx) })
	i.attending.Go(func() { i.watch(ctx, t) })
}

// release ends what attend began, and waits for that. It may be called when there is none.
func (i *instance) release() {
	if i.cancelAttend != nil {
		i.cancelAttend()
		i.attending.Wait()
		i.cancelAttend = nil
	}
}

// end ends the process, politely for as long as grace, waits for it and leaves nothing
// of it behind.
func (i *instance) end(grace time.Duration) {
	// Client.Kill asks first, and would wait for ever for one that does not answer.
	if grace <= 0 && i.process != nil {
		i.process.kill()
	}
	i.release()
	if i.client != nil {
		timer := time.AfterFunc(grace, i.process.kill)
		i.client.Kill()
		timer.Stop()
	}
	if i.liveness != nil {
		i.liveness.Close()
	}
	if i.dir != "" {
		os.RemoveAll(i.dir)
	}
}

// removeOthers removes the copies of a name's programs but those in use.
func removeOthers(dir, name string, inUse ...executable) {
	copies, err := filepath.Glob(filepath.Join(dir, name+"-*"))
	if err != nil {
		return
	}
	for _, path := range copies {
		if !usedBy(path, inUse) {
			os.Remove(path)
		}
	}
}

func usedBy(path string, programs []executable) bool {
	for _, p := range programs {
		if p.path == path {
			return true
		}
	}
	return false
}
