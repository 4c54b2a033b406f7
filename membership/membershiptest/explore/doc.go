// Package explore follows every way that a small group of membership.Nodes can take, within
// bounds, and checks the protocol's rules on each: a model checker for the code itself.
//
//	result, err := explore.Run(explore.Options{
//		Members: 3,
//		Budget:  explore.Budget{Messages: 1, Crashes: 1},
//	})
//	fmt.Println(result) // how many states there were, and whether those were all
//	if v := result.Violation; v != nil {
//		explore.Replay(options, v.Path, os.Stdout, true) // how it came to it
//	}
//
// Package membershiptest draws what goes wrong from a seed, in large groups; here nothing is drawn
// but how the timers stand to each other at the beginning. Every message is encoded when it is sent
// and decoded when it arrives.
//
// # What is followed to its end
//
// Time passes in quanta. A packet takes one quantum, a node is ticked at the first quantum at
// which it wants to be, after the packets that have come. That is the undisturbed run. From when
// the window opens until it closes, the group departs from it in every way that there is to
//
//   - take packets that come to a member at one instant in another order: any of up to orderMax of
//     them; where there are more, those of each sender in one order, mixed with the others' in any;
//   - have packets lost, delivered twice at once, delivered late, or delivered once more late, each
//     by one of Options.Delays: at most Budget.Messages of all that are sent;
//   - have members crash, pause for Options.PauseFor, leave, and come back under their old address:
//     any member at any quantum, at most as many as the Budget says.
//
// So it is a search that is bounded by the number of departures, as are context bounding (Musuvathi
// and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", 2007)
// and delay bounding (Emmi, Qadeer and Rakamaric, "Delay-bounded scheduling", 2011): what is
// exhausted is the space of all runs with at most so many, and errors that take few are found at
// their shortest. When the window has closed the network is undisturbed for settleFor, after which
// all lists must be right.
//
// What is left out: other latencies than a quantum and the delays, clocks that drift or step, other
// random draws than those of a die that shows its sides in turn, other instants than quanta.
//
// # How it stays small
//
// All that can be at one instant is worked out before anything of the next, so the first violation
// that is found is the earliest. Two worlds that are in the same state at the same instant go on as
// one, as the one to which less has happened; a state is all memory of all nodes, but for the few
// fields of the tables in shape.go, the packets under way, and what the rules have to remember.
// What one node in one state does with one batch of packets is worked out once, whatever the others
// are like: members that do not hear of each other within an instant need not be interleaved.
//
// Nodes are copied, private fields included, by a shape that is made from their type. So the
// core needs no hook for this, and what is added to it is copied and compared without further ado.
//
// # Concurrency
//
// Run, Replay and Shrink keep no state, and may be called from any goroutine. Each works in its
// own; Options.Progress and Options.Interpose are called from there.
package explore
