// Package udp runs a membership.Node on a real socket and real clocks.
//
// Start begins, and everything that the node wants to be known goes to the Observer. The
// socket is the caller's: it may be one that another process has used before, and that the
// next will use after Freeze, without a datagram being lost in between.
//
// # Concurrency
//
// One goroutine owns the node: it reads packets, lets time pass, sends what the node wants
// sent, and calls the Observer. The methods of Driver may be called from any goroutine;
// they hand their work to that one. A second goroutine writes the state file.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/recording"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// Config says what to run, and where.
type Config struct {
	// Node is the node's configuration. Rand may be nil; the driver then seeds its own.
	Node membership.Config
	// Conn is the socket, bound already. The driver does not close it.
	Conn *net.UDPConn
	// Snapshot, from Freeze or Snapshot, is what to go on from. Nil begins afresh.
	Snapshot []byte
	// Crashed says that Snapshot is not from a Freeze.
	Crashed bool
	// StateFile keeps the addresses of the last known members; a gateway that starts
	// again asks them for a group before it founds one. Empty: they are not kept.
	StateFile string
	// Observer is told what happens; nil is allowed.
	Observer Observer
	// Resolve gives the addresses of the gateways as their names stand for them now, and an error
	// that says which names stand for nothing; these may keep the addresses that they had. It is
	// called now and then, from one goroutine, and may block until its context is done. Nil: the
	// gateways have no names.
	Resolve func(context.Context) ([]netip.AddrPort, error)
}

// Observer is told what the node does. Its methods are called from the driver's goroutine,
// which sends no heartbeat while it waits for them: they must not block for more than some
// milliseconds. Messages are only lent.
type Observer interface {
	Sent(self membership.ID, to netip.AddrPort, m *membership.Message)
	Received(self membership.ID, from netip.AddrPort, m *membership.Message)
	Event(self membership.ID, e membership.Event)
	// Dropped says how many packets were dropped, of which Received says nothing, since it was
	// called last. It is called every ten seconds at the most.
	Dropped(self membership.ID, packets uint64)
	// Changed is called after the list or the node's own state has changed, and at the
	// start.
	Changed(View)
}

// View is the node as it is at one time. Its rows are shared and must not be written to.
type View struct {
	Self    membership.ID
	Phase   membership.Phase
	Leader  netip.AddrPort // of the gateways, where this node knows
	Version uint64
	Digest  uint64
	Rows    []*membership.Member // in ring order, terminal ones included
	Gray    []netip.AddrPort     // of the members that are gray, as far as this node knows
}

// Status is what the driver counts, and how the node is.
type Status struct {
	Self     membership.ID
	Phase    membership.Phase
	Leader   netip.AddrPort
	Waiting  string // what a node that joins is doing, or why it cannot; empty in a group
	Conflict string // says that another machine has this one's address; empty: none was heard of lately
	Gray     *Gray  // how little a node hears that is gray; nil: it is not
	Alive    int
	Counters []Counter // in a fixed order
}

// Gray is how many of its latest questions a gray node has had an answer to.
type Gray struct {
	Since              time.Time
	Answers, Questions int
}

// Counter is one named count.
type Counter struct {
	Name  string
	Value uint64
}

// ErrStopped is returned by calls to a driver that has been frozen or closed, or whose node
// has left.
var ErrStopped = errors.New("the membership service is not running")

// Driver runs one node.
type Driver struct {
	conn     *net.UDPConn
	commands chan func(*loop)
	done     chan struct{} // closed when the loop has ended
	kept     chan struct{} // closed when the state file is written, too
	resolved chan struct{} // closed when no name is resolved any more
	last     Status        // of the end; valid after done
}

// commandsMax is how many calls may wait for the driver's goroutine before callers do.
const commandsMax = 16

// Start begins to run a node. The error says what is wrong with the configuration or with
// the snapshot.
func Start(cfg Config) (*Driver, error) {
	d := &Driver{conn: cfg.Conn, commands: make(chan func(*loop), commandsMax), done: make(chan struct{}), kept: make(chan struct{}),
		resolved: make(chan struct{})}
	l, err := newLoop(cfg, d)
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(d.kept)
		l.run()
		l.endTape()
		d.last = l.status()
		close(d.done)
		l.state.close() // a disk may take seconds, which nobody waits for who freezes the node
	}()
	go func() {
		defer close(d.resolved)
		if cfg.Resolve != nil {
			d.resolve(cfg.Resolve)
		}
	}()
	return d, nil
}

// How often the names of the gateways are resolved: after resolveFirst, and then less and less
// often, up to resolveJoining while the node is in no group, and resolveInGroup when it is in one.
const (
	resolveFirst   = time.Second
	resolveJoining = 5 * time.Second
	resolveInGroup = time.Minute
	resolveTimeout = 10 * time.Second
)

// resolve tells the node what the gateways' names stand for, until the driver stops.
func (d *Driver) resolve(resolve func(context.Context) ([]netip.AddrPort, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-d.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for wait := resolveFirst; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		asking, asked := context.WithTimeout(ctx, resolveTimeout)
		addrs, err := resolve(asking)
		asked()
		longest := resolveInGroup
		if d.do(ctx, func(l *loop) {
			l.setGateways(addrs, err)
			if l.node.Phase() == membership.Joining {
				longest = resolveJoining
			}
		}) != nil {
			return
		}
		wait = min(2*wait, longest)
	}
}

// Snapshot returns the state while the node runs on.
func (d *Driver) Snapshot(ctx context.Context) ([]byte, error) {
	var snapshot []byte
	if err := d.do(ctx, func(l *loop) { snapshot = wire.AppendSnapshot(nil, l.node.Snapshot()) }); err != nil {
		return nil, err
	}
	return snapshot, nil
}

// Freeze stops the driver and returns the state. Datagrams that come from now on stay in
// the socket for whoever reads it next.
func (d *Driver) Freeze(ctx context.Context) ([]byte, error) {
	var snapshot []byte
	err := d.do(ctx, func(l *loop) {
		snapshot = wire.AppendSnapshot(nil, l.node.Snapshot())
		l.stopping = true
	})
	if err != nil {
		return nil, err
	}
	return snapshot, d.wait(ctx)
}

// Leave takes the node out of the group, and returns when the others have been told, or
// could not be told in time.
func (d *Driver) Leave(ctx context.Context) error {
	if err := d.do(ctx, func(l *loop) { l.give(recording.Input{Kind: recording.Leave}) }); err != nil {
		return err
	}
	return d.wait(ctx)
}

// Status says how the node is, also when the driver has stopped.
func (d *Driver) Status(ctx context.Context) (Status, error) {
	var status Status
	err := d.do(ctx, func(l *loop) { status = l.status() })
	if errors.Is(err, ErrStopped) {
		return d.last, nil
	}
	if err != nil {
		return Status{}, err
	}
	return status, nil
}

// Bounds computes what the node's configuration promises to a group of so many members; 0
// means those that its list holds to be alive.
func (d *Driver) Bounds(ctx context.Context, members int) (membership.Bounds, error) {
	var bounds membership.Bounds
	var refused error
	err := d.do(ctx, func(l *loop) { bounds, refused = l.node.Bounds(members) })
	if err != nil {
		return membership.Bounds{}, err
	}
	return bounds, refused
}

// Done is closed when the driver has stopped: frozen, closed, or because the node left.
func (d *Driver) Done() <-chan struct{} { return d.done }

// Close stops the driver without telling anyone; the other members will find it failed. Of
// one that has stopped it waits for the state file.
func (d *Driver) Close() error {
	err := d.do(context.Background(), func(l *loop) { l.stopping = true })
	if err != nil && !errors.Is(err, ErrStopped) {
		return err
	}
	<-d.kept
	<-d.resolved
	return nil
}

// do runs f in the driver's goroutine and waits for it. Where the context ends first, f may
// run later: what it sets must not be read then.
func (d *Driver) do(ctx context.Context, f func(*loop)) error {
	ran := make(chan struct{})
	command := func(l *loop) {
		defer close(ran)
		f(l)
	}
	select {
	case d.commands <- command:
	case <-d.done:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("wait for the membership service: %w", ctx.Err())
	}
	// Wake the goroutine from its read. It looks for commands after it has set its own
	// deadline, so this one cannot be lost.
	if err := d.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("wake the membership service: %w", err)
	}
	select {
	case <-ran:
		return nil
	case <-d.done:
		select {
		case <-ran:
			return nil
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		return fmt.Errorf("wait for the membership service: %w", ctx.Err())
	}
}

func (d *Driver) wait(ctx context.Context) error {
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the membership service to stop: %w", ctx.Err())
	}
}
