package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// reconnectTime is how long a grepd is tried to be reached again with which files were followed.
	reconnectTime = time.Minute
	// It waits reconnectMin before the first try, and then longer and longer, up to reconnectMax.
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 2 * time.Second
)

// errTooOld says that a grepd has taken a follow for a search.
var errTooOld = status.Error(codes.Unimplemented, "it is too old to follow files; name another with --via, or upgrade it")

// session follows files through one grepd after the other: where the connection breaks it goes on with the next one where it
// was. It gives the nodes numbers of its own, since each answer numbers them anew.
type session struct {
	o       question
	hand    func(Step) error
	nodes   []*sessionNode
	byAddr  map[string]*sessionNode
	numbers []*sessionNode // by the number in the answer under way
	begun   bool           // any answer has begun
	live    bool           // the nodes are those of a live list
	phase   greppb.Phase   // of the grepd that is asked
	broken  bool           // the last one broke off, and no other has begun
	settled bool           // all nodes have been followed, or told to be lost
	heard   time.Time
}

// sessionNode is a node that is, or was, followed.
type sessionNode struct {
	addr     string
	number   uint32
	places   Places
	named    bool // it has told its places in the answer under way
	followed bool
	settled  bool
	lacks    map[string]*greppb.FileError // paths that it does not have, and what it says of them
}

// question is what is asked, of whom, and for how long that one may be silent.
type question struct {
	via     string
	query   *greppb.QueryRequest
	silence time.Duration
}

func (q *question) search() *greppb.SearchRequest { return &q.query.Search }

// receive follows until ctx ends, or there is no grepd any more.
func (s *session) receive(ctx context.Context, hand func(Step) error) error {
	s.hand = hand
	wait, tries := reconnectMin, time.Now()
	for {
		begun, err := Query(ctx, s.o.via, s.o.query, s.o.silence, s.take)
		if err == nil || ctx.Err() != nil || !s.begun || !mayComeBack(err) {
			return err
		}
		now := time.Now()
		if begun {
			wait, tries = reconnectMin, now
			s.broken = true
			if err := s.notice("%s; trying to go on for %v", broken(err, s.o.via), reconnectTime); err != nil {
				return err
			}
		}
		if now.Sub(tries) > reconnectTime {
			return err
		}
		if err := s.resume(); err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, reconnectMax)
	}
}

// mayComeBack reports whether it is worth asking again.
func mayComeBack(err error) bool {
	return errors.Is(err, ErrSilent) || status.Code(err) == codes.Unavailable || status.Code(err) == codes.ResourceExhausted
}

// broken says why an answer broke off.
func broken(err error, via string) string {
	if errors.Is(err, ErrSilent) {
		return fmt.Sprintf("grepd at %s has fallen silent", via)
	}
	var trouble *Trouble
	if errors.As(err, &trouble) {
		err = trouble.Err
	}
	return fmt.Sprintf("the connection to grepd at %s broke: %s", via, status.Convert(err).Message())
}

// resume makes the next question one that goes on with this answer.
func (s *session) resume() error {
	s.o.query.Resume = nil
	for _, n := range s.nodes {
		if !n.places.Any() {
			continue
		}
		s.o.query.Resume = append(s.o.query.Resume, greppb.NodePlaces{Node: n.addr, Places: n.places.List()})
	}
	s.o.query.AwayNanos = int64(time.Since(s.heard))
	if s.o.query.Size() > limits.RequestBytesMax {
		return errors.New("too many files are followed to go on with them: name fewer")
	}
	return nil
}

func (s *session) notice(format string, args ...any) error {
	return s.hand(Step{Notice: fmt.Sprintf(format, args...)})
}

func (s *session) pass(reply *greppb.QueryReply) error { return s.hand(Step{Reply: reply}) }

// take takes in a step of an answer, and hands it on.
func (s *session) take(reply *greppb.QueryReply) error {
	s.heard = time.Now()
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		return s.begin(reply, step.Begin)
	case *greppb.QueryReply_NodeBegin:
		return s.nodeBegin(step.NodeBegin)
	case *greppb.QueryReply_NodeStep:
		if int(step.NodeStep.Node) < len(s.numbers) {
			return s.nodeStep(s.numbers[step.NodeStep.Node], step.NodeStep, reply)
		}
		return nil
	case *greppb.QueryReply_NodeEnd:
		if int(step.NodeEnd.Node) < len(s.numbers) {
			return s.nodeEnd(s.numbers[step.NodeEnd.Node], step.NodeEnd, reply)
		}
		return nil
	case *greppb.QueryReply_NodeClock:
		if int(step.NodeClock.Node) >= len(s.numbers) {
			return nil
		}
		step.NodeClock.Node = s.numbers[step.NodeClock.Node].number
	case *greppb.QueryReply_Phase:
		s.phase = step.Phase.Phase
		if err := s.notice("grepd at %s %s", s.o.via, phaseChanges[s.phase]); err != nil {
			return err
		}
	}
	return s.pass(reply)
}

// phaseChanges say what has become of the grepd that is asked.
var phaseChanges = map[greppb.Phase]string{
	greppb.Phase_MEMBER:  "has joined its group, whose members are all known now",
	greppb.Phase_JOINING: "is joining its group anew, and may not know all members",
	greppb.Phase_LEFT:    "has left its group, and hears of no new members",
}

// phaseWarnings say why the grepd that is asked may not know all members.
var phaseWarnings = map[greppb.Phase]string{
	greppb.Phase_JOINING: "is still joining; members are followed as soon as it knows them",
	greppb.Phase_LEFT:    "has left its group; there may be members that it does not know",
}

// node gives a node by its address, and whether it is new.
func (s *session) node(addr string) (n *sessionNode, added bool) {
	if n := s.byAddr[addr]; n != nil {
		return n, false
	}
	n = &sessionNode{addr: addr, number: uint32(len(s.nodes)), lacks: make(map[string]*greppb.FileError)}
	s.nodes = append(s.nodes, n)
	s.byAddr[addr] = n
	return n, true
}

// begin takes in who is asked. Later answers only add to the first one.
func (s *session) begin(reply *greppb.QueryReply, begin *greppb.QueryBegin) error {
	first, known := !s.begun, len(s.nodes)
	s.begun, s.broken, s.live, s.numbers = true, false, begin.Live, nil
	before := s.phase
	s.phase = begin.Phase
	asked := make(map[string]bool)
	for _, addr := range begin.Nodes {
		n, _ := s.node(addr)
		s.numbers = append(s.numbers, n)
		n.restart()
		asked[addr] = true
	}
	if first {
		return s.pass(reply)
	}
	if s.phase != before {
		if err := s.pass(&greppb.QueryReply{Step: &greppb.QueryReply_Phase{Phase: &greppb.QueryPhase{Phase: s.phase}}}); err != nil {
			return err
		}
	}
	if err := s.notice("connected to grepd at %s again; going on where the lines broke off", s.o.via); err != nil {
		return err
	}
	for _, n := range s.nodes[known:] {
		if err := s.pass(nodeBegin(n)); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if asked[n.addr] || !n.followed {
			continue
		}
		n.followed = false
		end := &greppb.NodeEnd{Node: n.number, Outcome: greppb.NodeEnd_FAILED}
		if err := s.pass(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: end}}); err != nil {
			return err
		}
	}
	return nil
}

// restart says that the next steps are those of another follow.
func (n *sessionNode) restart() {
	n.named = false
	n.places.Restart()
}

func nodeBegin(n *sessionNode) *greppb.QueryReply {
	return &greppb.QueryReply{Step: &greppb.QueryReply_NodeBegin{NodeBegin: &greppb.NodeBegin{Node: n.number, Addr: n.addr}}}
}

func (s *session) nodeBegin(begin *greppb.NodeBegin) error {
	n, _ := s.node(begin.Addr)
	n.restart()
	switch {
	case int(begin.Node) == len(s.numbers):
		s.numbers = append(s.numbers, n)
	case int(begin.Node) > len(s.numbers) || s.numbers[begin.Node] != n:
		return nil // nonsense
	}
	if n.followed {
		return nil
	}
	n.followed = true
	return s.pass(nodeBegin(n))
}

func (s *session) nodeStep(n *sessionNode, step *greppb.NodeStep, reply *greppb.QueryReply) error {
	step.Node = n.number
	places, fileError := step.Reply.GetPlaces(), step.Reply.GetFileError()
	if n.named = n.named || places != nil; !n.named && fileError == nil {
		return errTooOld
	}
	n.places.Observe(&step.Reply)
	if fileError.GetMissing() && slices.Contains(s.o.search().Paths, fileError.Path) {
		n.lacks[fileError.Path] = fileError
	}
	if places != nil {
		n.followed = true
		n.settled = n.settled || places.CaughtUp
		return s.settle()
	}
	return s.pass(reply)
}

func (s *session) nodeEnd(n *sessionNode, end *greppb.NodeEnd, reply *greppb.QueryReply) error {
	if end.Outcome == greppb.NodeEnd_ANSWERED { // of a follow nobody ever does
		return errTooOld
	}
	end.Node = n.number
	n.followed, n.settled = false, true
	if err := s.pass(reply); err != nil {
		return err
	}
	return s.settle()
}

// settle says, once, that lines will be printed from now on as they are written, and what there is none of so far.
func (s *session) settle() error {
	if s.settled {
		return nil
	}
	followed := 0
	for _, n := range s.nodes {
		if !n.settled {
			return nil
		}
		if n.followed {
			followed++
		}
	}
	s.settled = true
	if warning := phaseWarnings[s.phase]; warning != "" {
		if err := s.notice("grepd at %s %s", s.o.via, warning); err != nil {
			return err
		}
	}
	for _, path := range s.o.search().Paths {
		if message := s.lacked(path); message != "" {
			if err := s.notice("%s: %s", path, message); err != nil {
				return err
			}
		}
	}
	return s.hand(Step{Notice: fmt.Sprintf("following %d of %d %s", followed, len(s.nodes), s.noun()), Following: true})
}

// lacked says that nobody who is followed has a path: there may be such a file later, but hardly such
// a mount. "": somebody has it.
func (s *session) lacked(path string) string {
	var said *greppb.FileError
	same := true
	for _, n := range s.nodes {
		if !n.followed {
			continue
		}
		switch e := n.lacks[path]; {
		case e == nil:
			return ""
		case said == nil:
			said = e
		default:
			same = same && e.Reason == said.Reason && e.Message == said.Message
		}
	}
	switch {
	case said == nil:
		return ""
	case same && said.Reason != greppb.FileError_NOT_FOUND:
		return said.Message
	}
	return greppb.FileError_NOT_FOUND.Words() + " yet"
}

func (s *session) noun() string {
	noun := "node"
	if s.live {
		noun = "member"
	}
	if len(s.nodes) != 1 {
		noun += "s"
	}
	return noun
}
