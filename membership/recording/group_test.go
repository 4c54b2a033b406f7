package recording

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// group is a few nodes on a bad network, in virtual time, each of which may be recorded.
type group struct {
	t       *testing.T
	random  *rand.Rand
	loss    float64
	now     time.Duration
	members []*member
	packets packets
}

// member is a node as its driver has it.
type member struct {
	addr netip.AddrPort
	node *membership.Node // nil: it has crashed
	file []byte           // of its recording; nil: there is none
	kept int              // steps in it
}

func newGroup(t *testing.T, random *rand.Rand) *group { return &group{t: t, random: random} }

func (g *group) clock() membership.Now {
	const up = 1000 * time.Hour // of the machine
	wall := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC).Add(g.now)
	return membership.Now{Mono: up + g.now, Wall: wall}
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7117)
}

// start starts another node. The first two are gateways.
func (g *group) start() *member {
	m := &member{addr: address(len(g.members))}
	var err error
	m.node, err = membership.NewNode(membership.Config{
		Addr: m.addr, Gateways: []netip.AddrPort{address(0), address(1)},
		Rand: rand.New(rand.NewPCG(g.random.Uint64(), 1)),
	}, g.clock())
	if err != nil {
		g.t.Fatal(err)
	}
	g.members = append(g.members, m)
	return m
}

// give tells a node something, as the driver in package udp does.
func (g *group) give(m *member, in Input) {
	in.Now = g.clock()
	in.Apply(m.node)
	ready := m.node.Ready()
	if m.file != nil {
		m.kept++
		m.file = AppendStep(m.file, StepOf(&in, m.node, ready))
	}
	for i := range ready.Messages {
		g.send(m.addr, &ready.Messages[i])
	}
}

func (g *group) send(from netip.AddrPort, e *membership.Envelope) {
	for range 1 + g.random.IntN(20)/19 { // now and then twice
		if g.random.Float64() >= g.loss {
			at := g.now + time.Duration(g.random.Int64N(int64(40*time.Millisecond)))
			heap.Push(&g.packets, packet{at, from, e.To, wire.Append(nil, &e.Message)})
		}
	}
}

// record begins a recording of a node.
func (g *group) record(m *member) {
	header, err := Begin(m.node, "a test", [2]uint64{g.random.Uint64(), g.random.Uint64()}, g.clock())
	if err != nil {
		g.t.Fatal(err)
	}
	if m.node, err = header.Node(header.Source()); err != nil {
		g.t.Fatal(err)
	}
	m.file, m.kept = AppendHeader(nil, header), 0
	g.give(m, Input{Kind: Started})
}

// end ends a recording and returns the file.
func (m *member) end(why Reason) []byte {
	file := AppendEnd(m.file, End{Reason: why, Steps: m.kept})
	m.file = nil
	return file
}

// run lets time pass.
func (g *group) run(d time.Duration) {
	for end := g.now + d; ; {
		next, wakes := end, (*member)(nil)
		for _, m := range g.members {
			if m.node == nil || m.node.Phase() == membership.Gone {
				continue
			}
			if at := max(g.now, g.now+m.node.Wake()-g.clock().Mono); at < next {
				next, wakes = at, m
			}
		}
		if len(g.packets) > 0 && g.packets[0].at <= next {
			p := heap.Pop(&g.packets).(packet)
			g.now = max(g.now, p.at)
			g.arrive(p)
			continue
		}
		g.now = next
		if wakes == nil {
			return
		}
		g.give(wakes, Input{Kind: Tick})
	}
}

func (g *group) arrive(p packet) {
	for _, m := range g.members {
		if m.addr != p.to || m.node == nil || m.node.Phase() == membership.Gone {
			continue
		}
		var message membership.Message
		if err := wire.Decode(p.data, &message); err != nil {
			g.t.Fatal(err)
		}
		g.give(m, Input{Kind: Packet, From: p.from, Packet: p.data, Message: &message})
	}
}

// packet is one on its way.
type packet struct {
	at       time.Duration
	from, to netip.AddrPort
	data     []byte
}

type packets []packet

func (p packets) Len() int           { return len(p) }
func (p packets) Less(i, j int) bool { return p[i].at < p[j].at }
func (p packets) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *packets) Push(x any)        { *p = append(*p, x.(packet)) }
func (p *packets) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	*p = (*p)[:last]
	return x
}

func (g *group) String() string {
	return fmt.Sprintf("%d members, %.0f %% lost", len(g.members), 100*g.loss)
}
