package udp

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/recording"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// loop is what the driver's goroutine owns.
type loop struct {
	driver   *Driver
	conn     *net.UDPConn
	raw      syscall.RawConn
	clock    clock
	node     *membership.Node
	observer Observer
	state    *stateFile
	counts   counts
	looking  string // what it does to join, until it has tried for a while
	waiting  string // why it cannot
	conflict string // with which other machine this one has its address in common
	// conflictAt is the Mono at which that was last found.
	conflictAt time.Duration
	nameless   string // which gateways' names stand for nothing, as it was said last
	stopping   bool
	tape       *tape     // of the recording under way; nil: there is none
	source     *rand.PCG // of the node's random numbers; nil before the first recording

	dropped dropped
	comers  newcomers

	in      []byte
	out     []byte
	message membership.Message // of the packet in hand
	phase   membership.Phase   // that the observer was told last
	gray    []netip.AddrPort   // ... likewise
}

// counts is what Status reports.
type counts struct {
	packetsSent, packetsReceived     uint64
	bytesSent, bytesReceived         uint64 // without IP and UDP headers
	malformed, sendErrors, readError uint64
	joinsRefused                     uint64
}

// Limits of the loop.
const (
	// drainMax bounds the packets that are taken in before time passes, so that a flood
	// cannot keep the node from its deadlines.
	drainMax = 4096
	// readBufferBytes is asked of the kernel for the socket: at a packet of 1,200 bytes some
	// thousands, enough for the answers to a join and for a pause.
	readBufferBytes = 4 << 20
	// longestWait bounds a wait for packets, as a guard against an arithmetic mistake.
	longestWait = 10 * time.Second
)

func newLoop(cfg Config, d *Driver) (*loop, error) {
	clock, err := newClock()
	if err != nil {
		return nil, err
	}
	raw, err := cfg.Conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the socket: %w", err)
	}
	_ = cfg.Conn.SetReadBuffer(readBufferBytes) // the kernel may allow less, which will do
	l := &loop{
		driver: d, conn: cfg.Conn, raw: raw, clock: clock, observer: cfg.Observer, looking: looking(cfg.Node),
		in: make([]byte, wire.PacketBytesMax+1), out: make([]byte, 0, wire.PacketBytesMax),
	}
	if l.observer == nil {
		l.observer = deaf{}
	}
	if cfg.Node.Rand == nil {
		cfg.Node.Rand = newRand()
	}
	l.state = openState(cfg.StateFile)
	cfg.Node.Known = append(cfg.Node.Known, l.state.known...)
	if err := l.newNode(cfg); err != nil {
		l.state.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) newNode(cfg Config) (err error) {
	if cfg.Snapshot == nil {
		l.node, err = membership.NewNode(cfg.Node, l.clock.now())
		return err
	}
	snapshot, err := wire.DecodeSnapshot(cfg.Snapshot)
	if err != nil {
		return err
	}
	l.node, err = membership.RestoreNode(cfg.Node, snapshot, cfg.Crashed, l.clock.now())
	return err
}

// run is the driver's goroutine. It ends when the node has left, or on demand.
func (l *loop) run() {
	l.changed()
	for !l.stopping && l.node.Phase() != membership.Gone {
		if !l.runCommands() {
			continue
		}
		if err := l.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			l.drain()
			l.give(recording.Input{Kind: recording.Tick})
		} else if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			// Errors of a UDP socket are about packets sent earlier. Time must pass
			// nevertheless.
			l.counts.readError++
			l.give(recording.Input{Kind: recording.Tick})
		}
	}
}

// runCommands sets the deadline of the next read and runs the commands that wait. It
// reports whether reading is next: no command has run.
func (l *loop) runCommands() bool {
	wake := min(l.node.Wake(), l.clock.now().Mono+longestWait)
	_ = l.conn.SetReadDeadline(l.clock.at(wake)) // if that fails, reading says why
	for ran := false; ; ran = true {
		select {
		case command := <-l.driver.commands:
			command(l)
		default:
			return !ran
		}
	}
}

// read waits for a packet and takes it in.
func (l *loop) read() error {
	size, from, err := l.conn.ReadFromUDPAddrPort(l.in)
	if err != nil {
		return err
	}
	l.receive(from, l.in[:size])
	return nil
}

// drain takes in the packets that are there already. A node that comes late to its deadlines
// has to hear first what reached it in time.
func (l *loop) drain() {
	// Read would do nothing where a caller has just set the deadline that wakes this goroutine.
	_ = l.raw.Control(func(fd uintptr) { // if that fails, the next read says why
		for range drainMax {
			size, from, err := unix.Recvfrom(int(fd), l.in, unix.MSG_DONTWAIT)
			if err != nil {
				break // nothing there, or the next read will say
			}
			l.receive(addrPortOf(from), l.in[:size])
		}
	})
}

func addrPortOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	default:
		return netip.AddrPort{}
	}
}

// receive decodes a packet and gives it to the node. A bad packet is counted and dropped.
func (l *loop) receive(from netip.AddrPort, packet []byte) {
	l.counts.packetsReceived++
	l.counts.bytesReceived += uint64(len(packet))
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	if err := wire.Decode(packet, &l.message); err != nil || !from.IsValid() {
		l.counts.malformed++
		l.dropped.packets++
		return
	}
	if l.message.Kind == membership.Join && !l.comers.admit(l.node, from, l.message.Sender.Addr, l.clock.now().Mono) {
		l.counts.joinsRefused++
		l.dropped.packets++
		return
	}
	l.observer.Received(l.node.Self(), from, &l.message)
	l.give(recording.Input{Kind: recording.Packet, From: from, Packet: packet, Message: &l.message})
}

// give tells the node something, and does what it wants done then. Nothing else may call a
// method of the node that takes the time, or a recording would lack it.
func (l *loop) give(in recording.Input) {
	in.Now = l.clock.now()
	l.tellDropped(in.Now.Mono)
	in.Apply(l.node)
	ready := l.node.Ready()
	l.keep(&in, ready)
	l.act(ready)
}

// dropped is what was dropped and not told yet.
type dropped struct {
	packets uint64
	told    time.Duration // the Mono at which that was done last; 0: never
}

// dropTellTime is how often at the most packets are told of that were dropped, as whoever sends
// them must not fill the log.
const dropTellTime = 10 * time.Second

// tellDropped tells the observer of the packets that were dropped since it was told last.
func (l *loop) tellDropped(now time.Duration) {
	d := &l.dropped
	if d.packets == 0 || d.told != 0 && now-d.told < dropTellTime {
		return
	}
	l.observer.Dropped(l.node.Self(), d.packets)
	d.packets, d.told = 0, now
}

// act does what the node wants done.
func (l *loop) act(ready membership.Ready) {
	self := l.node.Self()
	for i := range ready.Messages {
		l.send(ready.Messages[i].To, &ready.Messages[i].Message)
		l.observer.Sent(self, ready.Messages[i].To, &ready.Messages[i].Message)
	}
	for _, e := range ready.Events {
		l.note(e)
		l.observer.Event(self, e)
	}
	if ready.Changed || l.phaseNow() != l.phase || len(ready.Events) > 0 ||
		!slices.Equal(l.node.GrayMembers(), l.gray) {
		l.changed()
	}
}

func (l *loop) note(e membership.Event) {
	switch {
	case e.Kind == membership.EventConflict:
		l.conflict, l.conflictAt = e.Detail, l.clock.now().Mono
	case e.Kind == membership.EventGateways:
		l.looking, l.waiting = "looking for a group: "+e.Detail, ""
	case e.Kind == membership.EventWaiting:
		l.waiting = e.Detail
	case l.phaseNow() == membership.InGroup:
		l.waiting = ""
	}
}

// phaseNow is the phase as others see it. To them, a node that waits before it rejoins is no
// member, and so nobody tells it what changes.
func (l *loop) phaseNow() membership.Phase {
	if l.node.Waiting() {
		return membership.Joining
	}
	return l.node.Phase()
}

// setGateways tells the node where the gateways are, and once what is wrong with their names.
func (l *loop) setGateways(addrs []netip.AddrPort, err error) {
	if len(addrs) > 0 {
		l.give(recording.Input{Kind: recording.Gateways, Gateways: addrs})
		err = cmp.Or(err, l.node.CheckGateways(addrs))
	}
	said := l.nameless
	l.nameless = ""
	if err != nil {
		l.nameless = err.Error()
	}
	if l.nameless != "" && said == "" {
		l.observer.Event(l.node.Self(), membership.Event{
			Kind: membership.EventGateways, Detail: "they keep their addresses: " + l.nameless,
		})
	}
}

func (l *loop) send(to netip.AddrPort, m *membership.Message) {
	l.out = wire.Append(l.out[:0], m)
	if _, err := l.conn.WriteToUDPAddrPort(l.out, to); err != nil {
		l.counts.sendErrors++ // as good as lost on the way
		return
	}
	l.counts.packetsSent++
	l.counts.bytesSent += uint64(len(l.out))
}

// changed tells the observer, and keeps the addresses for the next life.
func (l *loop) changed() {
	l.phase, l.gray = l.phaseNow(), l.node.GrayMembers()
	view := View{
		Self: l.node.Self(), Phase: l.phase, Leader: l.node.Leader(),
		Version: l.node.Version(), Digest: l.node.Digest(), Rows: l.node.Members(),
		Gray: l.gray,
	}
	l.observer.Changed(view)
	if l.phase == membership.InGroup {
		l.state.keep(view)
	}
}

// looking says how a node that is configured so looks for a group.
func looking(cfg membership.Config) string {
	text := "looking for a group"
	others := slices.DeleteFunc(slices.Clone(cfg.Gateways), func(g netip.AddrPort) bool { return g == cfg.Addr })
	if len(others) > 0 {
		text += fmt.Sprintf(": asking %v", others)
	}
	if len(others) < len(cfg.Gateways) {
		text += ", and founding one if there is none"
	}
	return text
}

// detail says what keeps the node from being in a group.
func (l *loop) detail() string {
	if l.node.Phase() != membership.Joining {
		return l.waiting
	}
	return joined("; ", cmp.Or(l.waiting, l.looking), l.nameless)
}

// joined puts texts that are not empty behind each other.
func joined(between string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), between)
}

// conflictFor is how long a conflict about the address is shown after it was found last.
const conflictFor = 5 * time.Minute

func (l *loop) status() Status {
	c := &l.counts
	if l.conflict != "" && l.clock.now().Mono-l.conflictAt > conflictFor {
		l.conflict = ""
	}
	return Status{
		Conflict: l.conflict, Gray: l.grayness(),
		Self: l.node.Self(), Phase: l.phaseNow(), Leader: l.node.Leader(),
		Waiting: l.detail(), Alive: l.node.Alive(),
		Counters: []Counter{
			{"packets_sent", c.packetsSent}, {"packets_received", c.packetsReceived},
			{"bytes_sent", c.bytesSent}, {"bytes_received", c.bytesReceived},
			{"packets_malformed", c.malformed}, {"joins_refused", c.joinsRefused}, {"send_errors", c.sendErrors},
			{"read_errors", c.readError}, {"list_version", l.node.Version()},
		},
	}
}

func (l *loop) grayness() *Gray {
	is, since, answers, questions := l.node.Gray()
	if !is {
		return nil
	}
	return &Gray{Since: since, Answers: answers, Questions: questions}
}

// deaf is the observer of a driver that has none.
type deaf struct{}

func (deaf) Sent(membership.ID, netip.AddrPort, *membership.Message)     {}
func (deaf) Received(membership.ID, netip.AddrPort, *membership.Message) {}
func (deaf) Event(membership.ID, membership.Event)                       {}
func (deaf) Dropped(membership.ID, uint64)                               {}
func (deaf) Changed(View)                                                {}
