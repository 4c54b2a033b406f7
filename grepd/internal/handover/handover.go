// Package handover puts a new grepd in the place of a running one, which keeps its sockets
// and what its plugins know: no query is lost, and the member stays the same member.
//
// The old grepd starts the new one and talks to it:
//
//	successor, err := handover.Give(ctx, handover.Config{Path: path, Listener: l, Socket: s, HandOver: freeze})
//
// and the new one finds out at its start that it was started so:
//
//	heir, err := handover.Inherit() // nil: it was started in the ordinary way
//	... open everything on heir.Listener and heir.Socket, launch the plugins idle
//	state, err := heir.Ready(version, children)
//	... set the plugins to work from state, serve
//	heir.Started(gap)
//
// # Order
//
//	old                                     new
//	starts the new one ------------------>
//	Offer: who hands over  -------------->  is that my parent? opens log, mounts, plugins
//	                 <--------------------  Ready: all is there, nothing is at work
//	freezes its plugins
//	State ------------------------------->  sets its plugins to work, accepts connections
//	                 <--------------------  Started
//	ends its plugins, accepts no more
//	connections, lets queries end, exits
//
// The sockets are the same ones in both processes, so datagrams and connections that come
// while nobody reads wait in them. It is the sequence of a plugin's reload, across two
// daemons. That the new daemon launches plugins of its own, and does not adopt those that
// run, keeps it simple: the key of the connection to a running plugin is in the memory of
// the old daemon alone (go-plugin's AutoMTLS), and a plugin's life is bound to its host's.
//
// # What can go wrong
//
// At most one plugin of a kind is at work at any time, so the old grepd's resume only when
// nobody of the new side is left.
//
//   - The new one does not start, hangs, says why it cannot, or dies before it is Ready: it
//     is killed, and the old one has not paused at all.
//   - The same after State: the old one kills it, waits until its plugins have ended too,
//     and lets its own plugins resume. A pipe tells when: the new daemon and all that it
//     starts hold its other end, which needs no process ids and no polling.
//   - The old one dies before it has sent State: the new one ends. It cannot know where the
//     member was, and two starts after a crash are one too many.
//   - The old one dies later: the new one goes on. Whoever has the State whole is the only
//     one who may work from it, since the old one resumes only after killing the new one.
//
// # Trust
//
// Nothing is read from a file, which others could have written or which could be stale:
// all comes over descriptors from the parent. The new process checks that whoever offers
// is its parent, by process id and start time. Frames carry a checksum, and a version is
// exchanged first.
//
// A mount is opened anew, by its path. Where the old grepd would not follow a symbolic link that
// somebody has put there since, the new one must not either; so the offer says where each mount led.
//
// # Relation to others
//
// nginx, HAProxy and Envoy hand listeners over in the same way. The library tableflip does
// it for Go, in one step: when the new process says that it is ready, the old one has to
// go. Here the old one has to fall silent first, its state has to follow, and there has to
// be a way back; so it is done here.
//
// # Concurrency
//
// Give may be called from any goroutine, once at a time. An Heir belongs to one goroutine.
package handover

import (
	"cmp"
	"time"
)

// envHeir is set for a grepd that is to take over; it is no secret and protects nothing.
const (
	envHeir      = "GREPD_HANDOVER"
	envHeirValue = "1"
)

// version is that of the conversation. Within a version messages only grow.
const version = 1

// What the new process inherits, beside standard input, output and error.
const (
	conversationFD = 3 + iota
	listenerFD     // the TCP listener
	presenceFD     // the write end of the pipe that ends with the new side
	stderrFD       // the standard error; descriptor 2 is the old one's ear until Ready
	socketFD       // the UDP socket, where Offer says that there is one
)

// Timing bounds every step. Zero fields get the defaults.
type Timing struct {
	// Ready is how long the new one may take to open everything; 40 s, more than a
	// plugin may take to launch.
	Ready time.Duration
	// Start is how long it may take from State to Started; 500 ms. That is a hundred times
	// what it takes, and with an interval of 1.2 s between heartbeats it lets the old one
	// resume before anybody declares the member failed, after 1.6 s without any. Where
	// the machine is so busy that it is not enough, the upgrade can be repeated.
	Start time.Duration
	// End is how long those of the new side may take to end that are not killed directly,
	// before they are; 300 ms. It is waited for twice at the most, with nobody at work.
	End time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Ready = cmp.Or(t.Ready, 40*time.Second)
	t.Start = cmp.Or(t.Start, 500*time.Millisecond)
	t.End = cmp.Or(t.End, 300*time.Millisecond)
	return t
}

// The new process's own deadlines. They only have to be there: the old one's are shorter
// where it lives, and where it does not the conversation ends.
const (
	offerTimeout = 10 * time.Second
	stateTimeout = 30 * time.Second
	sendTimeout  = 5 * time.Second
)
