package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/handover"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/memberhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/notifyhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/server"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

const (
	// logMount is the name under which the log directory is searched.
	logMount = "logs"
	// stateName is the file of the last known members. It is in the log directory, which
	// is what outlives a restart, and hidden from logs/*.
	stateName = ".members"
	// stopTimeout is how long queries under way may go on when the daemon is stopped.
	stopTimeout = 3 * time.Second
	// checkEvery is how often the daemon looks whether its directories are still there.
	checkEvery = 2 * time.Second
)

// daemon is a running grepd.
type daemon struct {
	options    *options
	started    time.Time
	stderr     io.Writer
	log        *eventlog.Log
	mounts     *files.Mounts
	listener   *net.TCPListener
	socket     *net.UDPConn         // nil without membership
	self       netip.AddrPort       // as others know this node
	membership *memberhost.Host     // nil without
	prepared   *memberhost.Prepared // what membership is made of in a daemon that takes over
	notify     *notifyhost.Host     // nil without
	// preparedNotify is to notify what prepared is to membership.
	preparedNotify *notifyhost.Prepared
	members        fanout.Members
	server         *server.Server
	succession     *succession

	reals []handoverpb.Mount // where the mounts lead, for whoever takes over

	closers []func() // what has been opened, to be undone in reverse
}

// serve runs a daemon until a signal, the end of ctx, or another grepd takes its place.
func serve(ctx context.Context, o *options, stderr io.Writer) error {
	// Signals that come while it starts must find it ready to undo what it has done.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)

	heir, err := handover.Inherit()
	if err != nil {
		return err
	}
	d := &daemon{options: o, started: time.Now(), stderr: stderr}
	d.succession = newSuccession(d, heir)
	defer d.close()
	if err := d.begin(ctx); err != nil {
		return err
	}
	d.watch()
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(d.listener) }()
	d.succession.announce()
	fmt.Fprintf(stderr, "grepd: serving on %v%s%s\n", d.listener.Addr(), d.describeMembership(), d.succession.describe())
	err = d.wait(ctx, signals, served)
	if d.succession.end() {
		d.drain(signals)
		return nil
	}
	tellSystemd(systemd.SdNotifyStopping)
	if d.membership != nil {
		d.membership.Stop() // leaves first, so that nobody asks this node any more
	}
	return err
}

// begin opens everything, and goes on where the old grepd stopped, if there is one.
func (d *daemon) begin(ctx context.Context) error {
	err := d.open(ctx)
	if err == nil && d.succession.heir != nil {
		err = d.takeOver()
	}
	if err != nil && d.succession.heir != nil {
		d.succession.heir.Refuse(err)
	}
	return err
}

// wait blocks until the daemon is to end.
func (d *daemon) wait(ctx context.Context, signals <-chan os.Signal, served <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve: %w", err)
		case <-d.succession.over:
			return nil
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				for _, p := range d.plugins() {
					go p.Reload(ctx) // which logs what comes of it
				}
			case syscall.SIGUSR2:
				go d.upgrade() // which logs what comes of it
			default:
				go exitAtSecond(signals)
				return nil
			}
		}
	}
}

// exitAtSecond ends the process for those who do not want to wait for a proper leave. The
// plugin notices, and ends too.
func exitAtSecond(signals <-chan os.Signal) {
	for s := range signals {
		if s == syscall.SIGTERM || s == syscall.SIGINT {
			os.Exit(exitTrouble)
		}
	}
}

// open opens all that the daemon needs. What it has opened when it fails is closed by close.
func (d *daemon) open(ctx context.Context) error {
	listen, err := resolveOne(ctx, d.options.listen)
	if err != nil {
		return fmt.Errorf("--%s %w", flagListen, err)
	}
	if !listen.Addr().IsLoopback() && !d.options.insecure {
		return fmt.Errorf("--%s %v can be reached from other machines, and nothing is encrypted or authenticated; say --%s if the network is trusted",
			flagListen, listen, flagInsecure)
	}
	for _, step := range []func() error{
		d.openLog,
		d.openMounts,
		func() error { return d.bind(listen) },
		func() error { return d.advertise(ctx) },
		func() error { return d.openMembers(ctx) },
		func() error { return d.startNotify(ctx) },
		d.openServer,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (d *daemon) undo(f func()) { d.closers = append(d.closers, f) }

// close undoes what open has done.
func (d *daemon) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}

func (d *daemon) openLog() (err error) {
	d.log, err = eventlog.Open(eventlog.Config{Dir: d.options.logDir, Name: eventlog.GrepdLog})
	if err != nil {
		return fmt.Errorf("--%s %s: %w", flagLogDir, d.options.logDir, err)
	}
	d.undo(func() { d.log.Close() })
	return nil
}

func (d *daemon) openMounts() (err error) {
	pairs := append([]string{logMount + "=" + d.options.logDir}, d.options.mounts...)
	if d.mounts, err = files.OpenMounts(pairs); err != nil {
		return err
	}
	d.undo(func() { d.mounts.Close() })
	if d.reals, err = realMounts(pairs); err == nil && d.succession.heir != nil {
		err = checkMounts(d.reals, d.succession.heir.Mounts)
	}
	return err
}

// watch looks now and then whether the directories of the mounts and of the log are still there, and what the membership
// service warns of. Searches look at the mounts themselves, but a machine that nobody asks should say what is wrong too.
func (d *daemon) watch() {
	d.mounts.OnChange(d.tellMount)
	stop, ticker := make(chan struct{}), time.NewTicker(checkEvery)
	go func() {
		defer ticker.Stop()
		warned := make(map[string]bool)
		for {
			select {
			case <-ticker.C:
				d.log.Check(d.self.String())
				d.mounts.Check()
				d.tellWarnings(warned)
			case <-stop:
				return
			}
		}
	}()
	d.undo(func() { close(stop) }) // it is not waited for: a disk may hang
}

// tellWarnings says on standard error, once, what the membership service warns of.
func (d *daemon) tellWarnings(warned map[string]bool) {
	if d.membership == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	status, err := d.membership.Status(ctx)
	if err != nil {
		return // which the supervision of the plugin sees to
	}
	for _, warning := range status.Warnings {
		if !warned[warning] {
			fmt.Fprintf(d.stderr, "grepd: %s\n", warning)
		}
	}
	clear(warned)
	for _, warning := range status.Warnings {
		warned[warning] = true
	}
}

// tellMount says what has become of a mount.
func (d *daemon) tellMount(c files.MountChange) {
	level, detail := slog.LevelWarn, "cannot be searched: "+c.Trouble
	if c.Trouble == "" {
		level, detail = slog.LevelInfo, fmt.Sprintf("%s was replaced, and is searched again", c.Dir)
	}
	d.log.Write(level, eventlog.Mount, d.self.String(), "",
		slog.String(eventlog.KeyMount, c.Name), slog.String(eventlog.KeyDetail, detail))
	fmt.Fprintf(d.stderr, "grepd: mount %q: %s\n", c.Name, detail)
}

func (d *daemon) bind(addr netip.AddrPort) (err error) {
	if heir := d.succession.heir; heir != nil {
		return d.adopt(heir)
	}
	if !d.options.membership {
		if d.listener, err = listenTCP(addr); err != nil {
			return err
		}
		d.undo(func() { d.listener.Close() })
		return nil
	}
	if d.listener, d.socket, err = listenTCPAndUDP(addr); err != nil {
		return err
	}
	d.undo(func() { d.listener.Close(); d.socket.Close() })
	return nil
}

// adopt takes the sockets of the daemon whose place this one is to take.
func (d *daemon) adopt(heir *handover.Heir) error {
	d.listener, d.socket = heir.Listener, heir.Socket
	d.undo(func() { d.listener.Close() })
	if d.socket != nil {
		d.undo(func() { d.socket.Close() })
	} else if d.options.membership {
		return errors.New("the old grepd has no UDP socket: it runs without membership")
	}
	return nil
}

// advertise finds out the address under which others know this node.
func (d *daemon) advertise(ctx context.Context) (err error) {
	bound := d.listener.Addr().(*net.TCPAddr).AddrPort()
	bound = netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())
	given := d.options.advertise
	switch {
	case given != "":
		addrs, err := resolve(ctx, given)
		if err != nil {
			return fmt.Errorf("--%s %w", flagAdvertise, err)
		}
		if d.self, err = chooseReachable(addrs, d.aloneOnMachine(ctx)); err != nil {
			return fmt.Errorf("--%s %q is no address that others can reach: %w; name an address of this machine that the other machines use, as 10.0.0.1:7117",
				flagAdvertise, given, err)
		}
	case !bound.Addr().IsUnspecified():
		if d.self, err = chooseReachable([]netip.AddrPort{bound}, d.aloneOnMachine(ctx)); err != nil {
			return fmt.Errorf("--%s is no address that others can reach: %w; listen on one that the other machines use, or say with --%s under which they reach this one",
				flagListen, err, flagAdvertise)
		}
	case d.options.membership || d.options.nodes != "":
		return fmt.Errorf("--%s %v is every address of this machine; say with --%s which one others know it by", flagListen, bound, flagAdvertise)
	default: // nobody else knows it
		d.self = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), bound.Port())
	}
	return nil
}

// aloneOnMachine reports whether loopback addresses will do: there are no other machines, as far as it is known.
func (d *daemon) aloneOnMachine(ctx context.Context) bool {
	return !d.options.membership || onThisMachine(ctx, d.options.gateways)
}

// openMembers makes the list of those who can be asked.
func (d *daemon) openMembers(ctx context.Context) error {
	if d.options.membership {
		return d.startMembership(ctx)
	}
	nodes := []string{d.self.String()}
	if d.options.nodes != "" {
		var err error
		if nodes, err = client.ParseNodes(ctx, d.options.nodes); err != nil {
			return fmt.Errorf("--%s: %w", flagNodes, err)
		}
	}
	d.members = fanout.NewStatic(d.self.String(), nodes)
	return nil
}

func (d *daemon) startMembership(ctx context.Context) error {
	gateways, err := resolveGateways(ctx, d.options.gateways, d.self, d.stderr)
	if err != nil {
		return err
	}
	cfg := memberhost.Config{
		Dir: d.options.pluginDir, Socket: d.socket,
		Start: pluginpb.Config{
			Advertise: d.self.String(), Gateways: gateways, GatewayNames: d.options.gateways,
			LogDir: d.options.logDir, StateFile: filepath.Join(d.options.logDir, stateName),
			MaxFailures:       uint32(d.options.maxFailures),
			DetectWithinNanos: int64(d.options.detect),
			SpreadWithinNanos: int64(d.options.spread),
		},
		Log: func(level slog.Level, event eventlog.Event, node string, attrs ...slog.Attr) {
			d.log.Write(level, event, node, "", attrs...)
		},
	}
	if heir := d.succession.heir; heir != nil {
		cfg.Presence = heir.Presence
		return d.prepareMembership(ctx, cfg)
	}
	if d.membership, err = memberhost.Start(ctx, cfg); err != nil {
		return err
	}
	d.undo(d.membership.Stop)
	d.members = liveMembers{self: d.self.String(), roster: d.membership.Roster()}
	return nil
}

// prepareMembership gets the plugin ready to go on where the old daemon's stops.
func (d *daemon) prepareMembership(ctx context.Context, cfg memberhost.Config) (err error) {
	if d.prepared, err = memberhost.Prepare(ctx, cfg); err != nil {
		return err
	}
	d.undo(func() {
		if d.membership == nil {
			d.prepared.End()
		} else {
			d.membership.Stop()
		}
	})
	d.members = liveMembers{self: d.self.String(), roster: d.prepared.Roster()}
	return nil
}

func (d *daemon) openServer() (err error) {
	d.server, err = server.New(server.Config{
		Mounts: d.mounts, Members: d.members, Admin: &admin{daemon: d}, ExpandBytesMax: d.options.maxExpand,
	})
	if err != nil {
		return err
	}
	d.undo(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		d.server.Stop(ctx)
	})
	return nil
}

func (d *daemon) describeMembership() string {
	if d.membership == nil {
		return ""
	}
	return fmt.Sprintf(" as %v, gateways %s", d.self, strings.Join(d.options.gateways, ", "))
}

// liveMembers are the members that the membership service knows.
type liveMembers struct {
	self   string
	roster *roster.Roster
}

var _ fanout.Members = liveMembers{}

var fanoutStates = map[pluginpb.State]fanout.State{
	pluginpb.State_ALIVE: fanout.Alive, pluginpb.State_FAILED: fanout.Failed, pluginpb.State_LEFT: fanout.Left,
}

func (l liveMembers) Targets() fanout.Targets {
	list := l.roster.List()
	t := fanout.Targets{Self: l.self, Live: true, Phase: phaseOf(list), Members: make([]fanout.Member, len(list.Members))}
	if !list.StaleSince.IsZero() {
		t.Stale, t.StaleFor = true, time.Since(list.StaleSince)
	}
	for i, m := range list.Members {
		t.Members[i] = fanout.Member{Addr: m.Addr, State: fanoutStates[m.State], Incarnation: m.Incarnation}
	}
	return t
}

func phaseOf(list *roster.List) greppb.Phase {
	switch {
	case list.Joined:
		return greppb.Phase_MEMBER
	case list.Left:
		return greppb.Phase_LEFT
	}
	return greppb.Phase_JOINING
}

func (l liveMembers) Changed() <-chan struct{} { return l.roster.Changed() }
