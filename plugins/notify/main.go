// Command notify is the plugin of grepd that tells people and programs what happens in
// the group: it follows the logs of this machine's daemon, and on the events that were
// asked for runs a command or posts to a webhook. grepd starts it (grepd --notify-exec,
// grepd --notify-webhook) and calls it over gRPC; see package pluginapi.
//
// # What is told, and by whom
//
// The logs are the source because every event is in them, in order, once and whole, also
// those of a time when this process was being replaced. A watch of the member list could
// not do that: it shows what is, and two changes that follow each other closely as one.
//
// A failure is in every member's log. Which member tells of it is settled without a word
// between them, by rendezvous hashing (Thaler and Ravishankar, 1998): every
// member reckons a score for each live member from its address and the event's key, and the
// highest one does it. The others remember the event for takeOverFor, and where the chosen
// one fails or leaves meanwhile, the next one takes over. So a failure is told
//
//   - once, where lists agree, whoever found it out;
//   - twice or more, where they do not: within youngFor of a member's arrival, since it may
//     not have heard of the event and so others do not count on it; where the chosen member
//     dies within takeOverFor of the event, or leaves within heardWithin, having told; in
//     each of the groups that a partition leaves; where the member is back within
//     heardWithin, since the chosen one may have heard of the new incarnation first and
//     then never logs the failure, so that who found it out tells of it as well; and where
//     a node logs it twice, since its membership plugin crashed in that half second;
//   - not at all, where the chosen member cannot deliver though it lives: its way to the
//     webhook is cut for longer than the attempts last, or it runs without this plugin. So
//     all members have to run it with the same options, or each of a few with
//     --notify-all.
//
// A leave is dealt with in the same way, but that nobody steps in where the member is back before
// the chosen one has heard that it left: then it is not told. A join is told by the gateway that
// admitted the member, what is about one node alone (REJOIN, WAITING, PLUGIN, MEMBERSHIP) by that
// node. With --notify-all every member tells whatever it logs.
//
// # At least once
//
// The state that this process hands over holds how far the logs have been read and what
// has not been delivered. After a reload nothing is lost and nothing is told twice, but for
// a delivery that was cut off because it took longer than freezeGrace. After a crash, what
// was delivered since the host's last snapshot (half a second) is delivered again. A
// receiver that minds keeps the keys: each event has one that is the same whoever tells of
// it and however often.
//
// What is in nobody's state is lost: when grepd itself dies, what its machine had to tell
// is left to the others, and when it is stopped, deliveries have three seconds. What a
// full queue, or a receiver that fails too often, causes to be dropped is counted and
// logged, in notify.log.
//
// # Concurrency
//
// One goroutine, of the notifier, owns all state; each destination has at most one delivery
// under way, in a goroutine of its own.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

func main() { os.Exit(run()) }

func run() int {
	if !pluginapi.StartedByHost() {
		fmt.Fprintln(os.Stderr, "notify: this is a plugin of grepd, which starts it: grepd --with-membership --notify-exec PROGRAM")
		return 2
	}
	// Those who end the host end it alone, and it tells this process to end.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go pluginapi.AwaitHostEnd(func() { os.Exit(0) })
	s := new(service)
	pluginapi.Serve(pluginapi.NotifyKind(s))
	s.close()
	return 0
}
