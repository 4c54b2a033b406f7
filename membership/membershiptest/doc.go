// Package membershiptest runs thousands of membership.Nodes in one process, over a
// virtual network and in virtual time, and checks that the protocol keeps its word.
//
//	sim := membershiptest.New(membershiptest.Options{Seed: 7, Gateways: 2})
//	sim.Form(50)                   // fifty members that know each other
//	sim.Network.Loss = 0.10        // one packet in ten is lost
//	sim.Run(5 * time.Second)
//	sim.Crash(3, 4, 5)
//	sim.Run(8 * time.Second)
//	sim.CheckLists()               // every list holds those that are up, and nobody else
//	fmt.Println(sim.Report())
//
// Everything is drawn from Options.Seed, and nothing happens in the order of a map, so
// a seed replays exactly: the same packets at the same nanoseconds. Every message is
// encoded when it is sent and decoded when it arrives, so that the codec is tested too.
//
// # What can go wrong
//
// The network has a base latency a link, jitter, loss, duplication, reordering and
// latency spikes (Network); links that are slow, lossy, cut in one direction, or clogged
// (Sim.Link); partitions (Sim.Partition). Hosts crash, pause and resume, leave, restart
// under their old address, and are reloaded from a snapshot. Their monotonic clocks have
// offsets and drift, their wall clocks steps (Clocks, Sim.StepWall). Options.Drop loses
// what a predicate picks.
//
// # What is checked
//
// The checker knows who is up, since it is the one that crashes them. Rule lists what it
// holds against the events and the lists of every node, while the simulation runs. A
// broken rule becomes a Violation in the Report; it never stops the run.
//
// Faults that the protocol promises nothing for (a partition, a pause of more than
// pauseMax) suspend the time bounds for the hosts they touch until settleWithin after
// their end; see host.disturbed.
//
// # Trials and scenarios
//
// Trial draws a whole experiment from a seed; Summary puts many of them together, and
// the command in cmd/sim runs them on all cores. Script reads the small language of the
// scenarios in testdata.
//
// Package explore follows every way that a group of three or four can take, where Trial draws a few
// of a large one.
//
// # Concurrency
//
// A Sim belongs to one goroutine. Two Sims share nothing.
package membershiptest
