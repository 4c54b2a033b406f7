package membership

import (
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
}

type gatewayPeer struct {
	addr  netip.AddrPort
	heard time.Duration
}

func (g *gateway) init(cfg *Config) {
	g.is = cfg.isGateway(cfg.Addr)
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
	if n.change(entry, ViaSelf, Event{}) {
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
