package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// gateway is this node's part in admitting newcomers, if it is one of the gateways. The
// gateways send each other beats. The first one in the order of addresses that is alive
// leads; it admits newcomers, and the others send them to it. When all are down, joins
// wait, and nothing else does.
type gateway struct {
	is       bool
	peers    []gatewayPeer
	leader   netip.AddrPort
	nextBeat time.Duration
	beatSeq  uint64
	admitted admissions
}

type gatewayPeer struct {
	addr  netip.AddrPort
	heard time.Duration
}

// SetGateways says what the addresses of the gateways are now: their names may have moved since the
// node began. A node that is looking for a group asks the new ones at once; one that is in a group
// tries those that are not, as it does with all gateways. An error, which wraps ErrConfig, leaves
// everything as it was.
func (n *Node) SetGateways(now Now, gateways []netip.AddrPort) error {
	cfg := n.cfg
	cfg.Gateways = gateways
	cfg, err := cfg.withDefaults()
	if err != nil || slices.Equal(cfg.Gateways, n.cfg.Gateways) {
		return err
	}
	n.enter(now)
	old := n.gateway
	n.cfg.Gateways = cfg.Gateways
	n.gateway.init(&n.cfg)
	n.emit(Event{Kind: EventGateways, Detail: fmt.Sprintf("the gateways are %v now", cfg.Gateways)})
	if n.gateway.is && !old.is {
		n.startGateway()
	}
	for i := range n.gateway.peers {
		p := &n.gateway.peers[i]
		if k := slices.IndexFunc(old.peers, func(o gatewayPeer) bool { return o.addr == p.addr }); k >= 0 {
			p.heard = old.peers[k].heard
		}
	}
	if n.phase == Joining {
		n.askAnew()
	}
	n.exit()
	return nil
}

// CheckGateways says why SetGateways would refuse them.
func (n *Node) CheckGateways(gateways []netip.AddrPort) error {
	cfg := n.cfg
	cfg.Gateways = gateways
	_, err := cfg.withDefaults()
	return err
}

// askAnew has a node that joins begin to ask afresh, unless it is being admitted by others.
func (n *Node) askAnew() {
	j := &n.joiner
	j.asked, j.rounds, j.waiting = 0, 0, false
	if j.stage == asking || j.stage == resting {
		j.stage, j.due = asking, n.now.Mono
	}
}

func (g *gateway) init(cfg *Config) {
	*g = gateway{
		is: cfg.isGateway(cfg.Addr), nextBeat: g.nextBeat, beatSeq: g.beatSeq, admitted: g.admitted,
	}
	if !g.is {
		return
	}
	for _, addr := range cfg.Gateways {
		if addr != cfg.Addr {
			g.peers = append(g.peers, gatewayPeer{addr: addr})
		}
	}
}

// startGateway begins the beats. A gateway that the list holds to be alive has the benefit
// of the doubt, so that a newcomer does not take the lead until it has listened.
func (n *Node) startGateway() {
	g := &n.gateway
	g.nextBeat = n.now.Mono
	for i := range g.peers {
		g.peers[i].heard = n.now.Mono
	}
}

func (g *gateway) due() time.Duration {
	if !g.is {
		return never
	}
	return g.nextBeat
}

func (n *Node) tickGateway() {
	g := &n.gateway
	if !g.is || n.now.Mono < g.nextBeat {
		return
	}
	g.nextBeat = n.now.Mono + gatewayEvery
	g.beatSeq++
	for i := range g.peers {
		n.send(g.peers[i].addr, Message{
			Kind: GatewayBeat, Seq: g.beatSeq, Digest: n.list.digest, Count: n.list.ring.Live(),
		})
	}
	n.elect()
}

// elect finds out which gateway leads: the first one that is not gray, if there is one.
func (n *Node) elect() {
	g := &n.gateway
	leader, leaderGray := n.self.Addr, n.gray.is
	for i := range g.peers {
		p := &g.peers[i]
		if !n.gatewayLives(p) {
			continue
		}
		switch gray := n.gray.holds(p.addr); {
		case !gray && leaderGray, gray == leaderGray && p.addr.Compare(leader) < 0:
			leader, leaderGray = p.addr, gray
		}
	}
	if leader == g.leader {
		return
	}
	g.leader = leader
	id := n.self
	if m := n.list.get(leader); m != nil {
		id = m.ID
	}
	n.emit(Event{Kind: EventGateway, Peer: id})
}

func (n *Node) gatewayLives(p *gatewayPeer) bool {
	m := n.list.get(p.addr)
	return n.now.Mono-p.heard < gatewayDead && m != nil && m.State == Alive
}

func (n *Node) stepGatewayBeat(from netip.AddrPort, m *Message) {
	g := &n.gateway
	i := slices.IndexFunc(g.peers, func(p gatewayPeer) bool { return p.addr == m.Sender.Addr })
	if i < 0 {
		return
	}
	g.peers[i].heard = n.now.Mono
	n.compareDigest(from, m.Digest)
	n.elect()
}

// stepJoin admits a newcomer, or says who does.
func (n *Node) stepJoin(from netip.AddrPort, m *Message) {
	if !n.gateway.is || n.phase != InGroup {
		return
	}
	n.elect()
	if n.gateway.leader != n.self.Addr {
		n.send(from, Message{Kind: Redirect, Seq: m.Seq, Leader: n.gateway.leader})
		return
	}
	entry := Entry{ID: m.Sender, State: Alive}
	known := n.list.get(entry.Addr)
	if known != nil && known.Entry != entry && !entry.supersedes(known.Entry) {
		n.send(from, Message{Kind: Welcome, Seq: m.Seq, Verdict: Stale, Incarnation: known.Incarnation + 1})
		return
	}
	if known == nil || known.Entry != entry {
		if wait := n.gateway.admitted.wait(entry.Addr, n.now.Mono); wait > 0 {
			n.send(from, Message{Kind: Welcome, Seq: m.Seq, Verdict: Damped, Wait: wait})
			return
		}
	}
	if n.change(entry, ViaSelf, Event{}) {
		n.gateway.admitted.add(entry.Addr, n.now.Mono)
		n.spread(entry)
	}
	if n.list.holds(entry) {
		n.welcome(from, m.Seq, entry)
	}
}

// welcome tells a newcomer that it is in, and who its neighbours are.
func (n *Node) welcome(to netip.AddrPort, seq uint64, newcomer Entry) {
	pos := NewMember(newcomer, n.now.Wall).position
	rows := n.list.ring.Successors(nil, pos, n.cfg.MaxFailures)
	rows = n.list.ring.Predecessors(rows, pos, n.cfg.MaxFailures)
	w := Message{Kind: Welcome, Seq: seq, Verdict: Admitted}
	for _, row := range rows {
		if !slices.Contains(w.Entries, row.Entry) {
			w.Entries = append(w.Entries, row.Entry)
		}
	}
	n.send(to, w)
}
