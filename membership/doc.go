// Package membership keeps the list of the machines that are in the group and alive.
//
// There is no master. Members stand on a ring in the order of a hash of their addresses
// (package ring). Each sends a heartbeat to its three successors and monitors its three
// predecessors; a monitor that has heard nothing of a member for too long, neither from it
// nor about it, declares it failed and tells everyone. With f = 3 monitors, any three
// members may crash at once and every one of them still has a monitor that lives. (Config
// takes another f.)
//
// # Driving a Node
//
// A Node is a state machine without input or output, after the RawNode of etcd's raft. Its
// driver tells it the time with every call and does what it asks for:
//
//	node, err := membership.NewNode(cfg, now)
//	for node.Phase() != membership.Gone {
//		// wait for a packet or until node.Wake()
//		node.Step(now, from, &message) // a packet came
//		node.Tick(now)                 // no packet is left, and the time has come
//		ready := node.Ready()          // send ready.Messages, log ready.Events
//	}
//
// Package udp is the driver for a real socket, package membershiptest the one for thousands
// of nodes in virtual time, package wire turns messages into datagrams, and package recording
// keeps what a driver tells a node, so that the same can be seen again.
//
// # The parts of a Node
//
//	list.go       the member list, a join-semilattice: merging in any order gives the same
//	detector.go   whom this node sends heartbeats to, and whom it watches
//	monitor.go    what a monitor knows of a member: its freshest stamp, and the questions asked
//	basedelay.go  how a member's clock and its link relate to this node's clock
//	doubt.go      from a missing heartbeat to the deadline: who is asked, and when
//	verdict.go    what must hold before a member is declared failed
//	hearing.go    which of this node's questions are answered, and what that proves
//	gray.go       a node that hears too little, and others that do
//	relay.go      what others ask about members, and who asked
//	spreader.go   arc multicast: a change to everyone in O(log N) hops, each acknowledged
//	syncer.go     digests on heartbeats, and comparison by ranges where they differ
//	joiner.go     how a node gets into the group
//	gateway.go    admitting newcomers, and which gateway leads
//	recaller.go   bringing back those that were wrongly taken for dead
//	damping.go    those that come back again and again
//	twin.go       another machine with this node's address
//	config.go     all times and limits, and what follows from the configuration
//
// # Detection
//
// The detector is NFD-S of Chen, Toueg and Aguilera ("On the quality of service of failure
// detectors", IEEE Transactions on Computers 51(5), 2002): deadlines run from the time at
// which the freshest heartbeat was sent, not from its arrival, so that a delayed heartbeat
// does not delay detection. A monitor maps send stamps onto its own clock by the smallest
// difference of receive and send time that it has seen lately; no clocks need agree. Before
// the deadline it probes the member, and asks the other monitors. A report from one of them
// carries its age as well as its stamp, so that it helps a monitor that has no mapping yet. Where
// all of them know of nothing newer, and have not doubted the member for nothing lately, the
// verdict falls 250 ms before the deadline.
//
// A newcomer that comes between a member and its monitor begins with a deadline of grace. So
// the relieved monitor goes on watching until that is over; else a join at the wrong moment
// would hide a crash.
//
// # What it assumes
//
// Members crash and stay silent (crash-stop); at most Config.MaxFailures of them fail within
// one detection time. A monitor whose own link from a member takes longer than the bound
// cannot tell a late heartbeat from a missing one: it leaves the verdict to the others, and
// where those are dead too, it is late by that delay.
//
// # Concurrency
//
// A Node belongs to one goroutine. The package starts none, takes no lock, reads no clock,
// and draws randomness only from Config.Rand, so that a run can be replayed exactly. Rows of
// the member list are never written to after they are made, and may be shared.
package membership
