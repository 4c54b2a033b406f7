package printer

import (
	"fmt"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Exit statuses, as grep's.
const (
	ExitMatch   = 0 // a line was selected, on a sufficient answer
	ExitNoMatch = 1 // no line was selected, and all nodes that had to answer said so
	ExitTrouble = 2 // an error, or an incomplete answer
)

// Require says how many of the targets have to answer in full for an answer to count as one.
type Require uint8

const (
	RequireAll    Require = iota // all, chosen from a whole and fresh list
	RequireQuorum                // more than half of them, chosen from a whole and fresh list
	RequireAny                   // one
)

var requireNames = [...]string{RequireAll: "all", RequireQuorum: "quorum", RequireAny: "any"}

func (r Require) String() string { return requireNames[r] }

// staleMax is how long a live list may be without a membership service before an answer
// no longer counts as complete. A list in service may be this much behind as well.
const staleMax = 6 * time.Second

// missingMax bounds the paths that are kept of what a node lacks: it can lack no more than it was asked for.
const missingMax = 1_000

// namedMax is how many nodes a coverage line names.
const namedMax = 10

// Outcome gathers what a query came to. Its zero value is ready.
type Outcome struct {
	Require Require
	Follow  bool // the nodes were followed: who is now has been to the end
	Matched bool // a line was selected
	Failed  bool // some file could not be searched, or some path is nowhere
	Ended   bool // the whole answer came
	Matches uint64
	Files   uint64
	Bytes   uint64

	live     bool
	phase    greppb.Phase // of the node that chose the targets
	staleFor time.Duration
	nodes    []node
	answered int
	sharedFiles
	missing []*lack          // in the order of their first mention
	lacking map[string]*lack // the same, by their paths
}

// lack is a path that some node does not have.
type lack struct {
	path    string
	reason  greppb.FileError_Reason // NOT_FOUND too where nodes differ
	message string                  // what the nodes say of it; "": not the same
	nodes   int                     // that answered
	last    *node                   // ... of them: one may be asked for a path twice
}

// node is what the outcome knows of one target.
type node struct {
	addr     string
	end      *greppb.NodeEnd // nil until it came
	missing  []*lack
	searched *greppb.SearchEnd // nil until it came
	clock    *greppb.NodeClock // nil until it came; it comes only where it was asked for
	// What was said of the clock already.
	clockTold, clockWarned bool
}

// Observe takes in one step. Printers do it for what they print.
func (o *Outcome) Observe(reply *greppb.QueryReply) {
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		o.live, o.phase = step.Begin.Live, step.Begin.Phase
		if step.Begin.Stale {
			o.staleFor = time.Duration(step.Begin.StaleNanos)
		}
		for _, addr := range step.Begin.Nodes {
			o.nodes = append(o.nodes, node{addr: Message(addr)})
		}
	case *greppb.QueryReply_NodeStep:
		if step.NodeStep.Node < uint32(len(o.nodes)) {
			o.observeNode(&o.nodes[step.NodeStep.Node], &step.NodeStep.Reply)
			o.sharedFiles.observe(int(step.NodeStep.Node), step.NodeStep.Reply.GetSearchEnd().GetMarks())
		}
	case *greppb.QueryReply_NodeClock:
		if step.NodeClock.Node < uint32(len(o.nodes)) {
			o.nodes[step.NodeClock.Node].clock = step.NodeClock
		}
	case *greppb.QueryReply_NodeBegin:
		o.beginNode(step.NodeBegin)
	case *greppb.QueryReply_Phase:
		o.phase = step.Phase.Phase
	case *greppb.QueryReply_Progress:
		if o.Follow {
			o.Bytes = step.Progress.Bytes
		}
	case *greppb.QueryReply_Groups:
		o.Matched = true
		o.Failed = o.Failed || step.Groups.Other > 0
	case *greppb.QueryReply_NodeEnd:
		if step.NodeEnd.Node < uint32(len(o.nodes)) {
			o.endNode(&o.nodes[step.NodeEnd.Node], step.NodeEnd)
		}
	case *greppb.QueryReply_End:
		o.Ended = true
	}
}

// beginNode adds a node, or counts one in again.
func (o *Outcome) beginNode(begin *greppb.NodeBegin) {
	if int(begin.Node) == len(o.nodes) {
		o.nodes = append(o.nodes, node{addr: Message(begin.Addr)})
	} else if n := o.node(begin.Node); n != nil {
		n.end = nil
	}
}

// node gives a node by its number; nil if there is none.
func (o *Outcome) node(number uint32) *node {
	if number < uint32(len(o.nodes)) {
		return &o.nodes[number]
	}
	return nil
}

func (o *Outcome) observeNode(n *node, reply *greppb.SearchReply) {
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_Chunk:
		selected := step.Chunk.Selected()
		o.Matched = o.Matched || selected > 0
		if o.Follow {
			o.Matches += selected
		}
	case *greppb.SearchReply_FileEnd:
		o.Matched = o.Matched || step.FileEnd.Matches > 0
	case *greppb.SearchReply_FileError:
		if step.FileError.Missing && o.Follow { // it may come later
			break
		} else if step.FileError.Missing && len(n.missing) == missingMax {
			o.Failed = true
		} else if step.FileError.Missing {
			n.missing = append(n.missing, o.lack(step.FileError))
		} else if !step.FileError.Warning {
			o.Failed = true
		}
	case *greppb.SearchReply_SearchEnd:
		o.Matches += step.SearchEnd.Matches
		o.Files += step.SearchEnd.Files
		o.Bytes += step.SearchEnd.Bytes
		n.searched = step.SearchEnd
	}
}

// lack gives the path that an error is about, and keeps of messages what all nodes say.
func (o *Outcome) lack(e *greppb.FileError) *lack {
	l := o.lacking[e.Path]
	switch {
	case l == nil:
		l = &lack{path: e.Path, reason: e.Reason, message: e.Message}
		if o.lacking == nil {
			o.lacking = make(map[string]*lack)
		}
		o.lacking[e.Path] = l
		o.missing = append(o.missing, l)
	case l.reason != e.Reason || l.message != e.Message:
		l.reason, l.message = greppb.FileError_NOT_FOUND, ""
	}
	return l
}

// endNode counts the paths that a node lacks only if it answered in full: of the others
// nobody knows.
func (o *Outcome) endNode(n *node, end *greppb.NodeEnd) {
	n.end = end
	if end.Outcome != greppb.NodeEnd_ANSWERED {
		return
	}
	o.answered++
	for _, l := range n.missing {
		if l.last != n {
			l.nodes, l.last = l.nodes+1, n
		}
	}
}

// nowhere lists the paths that exist on no node that answered. It counts as a failure.
func (o *Outcome) nowhere() []*lack {
	var paths []*lack
	for _, l := range o.missing {
		if l.nodes > 0 && l.nodes >= o.answered {
			paths = append(paths, l)
			o.Failed = true
		}
	}
	return paths
}

// text says that a path exists nowhere: in grep's words, unless the nodes know better, as of a mount.
func (l *lack) text(multiple bool) string {
	switch {
	case l.reason != greppb.FileError_NOT_FOUND && l.message != "":
		return l.message
	case multiple:
		return greppb.FileError_NOT_FOUND.Words() + " on any machine that answered"
	}
	return greppb.FileError_NOT_FOUND.Words()
}

// Local reports whether the answer is not a cluster's: standard input was searched.
func (o *Outcome) Local() bool { return len(o.nodes) == 1 && o.nodes[0].addr == "" }

// Complete reports whether every target answered in full, and the list of targets was that of
// the whole group, and fresh.
func (o *Outcome) Complete() bool {
	return o.Ended && len(o.nodes) > 0 && o.answered == len(o.nodes) && o.listed()
}

// listed reports whether the targets are all the members that there are. A node that is in no
// group knows only some of them, or none.
func (o *Outcome) listed() bool {
	return o.phase == greppb.Phase_MEMBER && o.staleFor < staleMax
}

// Sufficient reports whether as many targets answered in full as Require asks for. What an incomplete answer
// did not find may be there all the same, with those who did not answer.
func (o *Outcome) Sufficient() bool {
	switch {
	case !o.Ended:
		return false
	case o.Require == RequireQuorum:
		return o.listed() && o.answered > len(o.nodes)/2
	case o.Require == RequireAny:
		return o.answered > 0
	}
	return o.Complete()
}

// ExitStatus is grep's: 2 after any error, and that too few nodes answered is one; but
// with quiet (-q) a selected line makes it 0 whatever else happened.
func (o *Outcome) ExitStatus(quiet bool) int {
	switch {
	case o.Matched && quiet:
		return ExitMatch
	case o.Failed || !o.Sufficient():
		return ExitTrouble
	case o.Matched:
		return ExitMatch
	default:
		return ExitNoMatch
	}
}

// Coverage says in one line which nodes the answer speaks for:
//
//	5 of 5 members answered
//	4 of 5 members answered; 127.0.0.1:7121 failed during the query
//	1 of 2 nodes answered; 10.0.0.3:7117 is unreachable: connection refused
//	1 of 1 member answered; the grepd that was asked is still joining: there may be members that it does not know
//
// Members are those of a live list, nodes those of a static one.
func (o *Outcome) Coverage() string {
	var b strings.Builder
	did := "answered"
	if o.Follow {
		did = "followed to the end"
	}
	fmt.Fprintf(&b, "%d of %d %s %s", o.answered, len(o.nodes), o.noun(len(o.nodes)), did)
	unnamed := 0
	for i := range o.nodes {
		n := &o.nodes[i]
		if n.end.GetOutcome() == greppb.NodeEnd_ANSWERED && n.end != nil {
			continue
		}
		if unnamed++; unnamed <= namedMax {
			fmt.Fprintf(&b, "; %s %s", n.addr, o.describe(n.end))
		}
	}
	if unnamed > namedMax {
		fmt.Fprintf(&b, "; and %d more did not", unnamed-namedMax)
	}
	if text, outside := phaseTexts[o.phase]; outside {
		fmt.Fprintf(&b, "; the grepd that was asked %s: there may be members that it does not know", text)
	}
	if o.staleFor >= staleMax {
		fmt.Fprintf(&b, "; the member list is stale: no membership service for %v", o.staleFor.Round(time.Second))
	}
	return b.String()
}

// phaseTexts say of a node why it may not know all members.
var phaseTexts = map[greppb.Phase]string{
	greppb.Phase_JOINING: "is still joining", greppb.Phase_LEFT: "has left the group",
}

func (o *Outcome) noun(count int) string {
	noun := "node"
	if o.live {
		noun = "member"
	}
	if count != 1 {
		noun += "s"
	}
	return noun
}

// describe is the predicate of a sentence about a node that did not answer.
func (o *Outcome) describe(end *greppb.NodeEnd) string {
	if end == nil {
		return "was not heard to the end"
	}
	text := ""
	switch end.Outcome {
	case greppb.NodeEnd_FAILED:
		text = "failed " + o.when(end)
	case greppb.NodeEnd_LEFT:
		text = "left " + o.when(end)
	case greppb.NodeEnd_REFUSED:
		text = "refused: " + Message(end.Message)
	case greppb.NodeEnd_TIMED_OUT:
		text = "timed out: " + Message(end.Message)
	case greppb.NodeEnd_UNREACHABLE:
		text = "is unreachable: " + Message(end.Message)
	case greppb.NodeEnd_NOT_MEMBER:
		text = "is not in the list of " + o.noun(0)
	default:
		text = strings.ToLower(end.Outcome.String())
	}
	if end.Partial {
		text += " (its output is partial)"
	}
	return text
}

func (o *Outcome) when(end *greppb.NodeEnd) string {
	switch {
	case end.Message != "":
		return Message(end.Message)
	case o.Follow:
		return "while it was followed"
	}
	return "during the query"
}
