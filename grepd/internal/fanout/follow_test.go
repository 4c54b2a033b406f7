package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// asked is a node that is told what it is asked.
type asked func(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error

func (a asked) Search(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	return a(ctx, request, send)
}

func places(all ...greppb.Place) *greppb.SearchReply {
	return &greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: &greppb.Places{Places: all, CaughtUp: true}}}
}

func numbered(data string, file uint32) *greppb.SearchReply {
	step := chunk(data, false)
	step.GetChunk().File = file
	return step
}

// listening is a query that follows, and what was heard of it.
type listening struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	heard  []string
	places client.Places // of the nodes together, as a client keeps them
}

func listen(t *testing.T, f *fanout.Fanout, request *greppb.QueryRequest) *listening {
	ctx, cancel := context.WithCancel(t.Context())
	l := &listening{t: t, cancel: cancel, ended: make(chan error, 1)}
	request.Search.Follow = &greppb.Follow{}
	go func() { l.ended <- f.Query(ctx, request, l.take) }()
	t.Cleanup(cancel)
	return l
}

func (l *listening) take(reply *greppb.QueryReply) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_NodeBegin:
		l.heard = append(l.heard, fmt.Sprint("begin ", step.NodeBegin.Node))
	case *greppb.QueryReply_Phase:
		l.heard = append(l.heard, step.Phase.Phase.String())
	case *greppb.QueryReply_NodeEnd:
		l.heard = append(l.heard, fmt.Sprint("end ", step.NodeEnd.Node, " ", step.NodeEnd.Outcome, " ", step.NodeEnd.Message))
	case *greppb.QueryReply_NodeClock:
		l.heard = append(l.heard, fmt.Sprint("clock ", step.NodeClock.Node))
	case *greppb.QueryReply_NodeStep:
		l.places.Observe(&step.NodeStep.Reply)
		if c := step.NodeStep.Reply.GetChunk(); c != nil {
			l.heard = append(l.heard, fmt.Sprint(step.NodeStep.Node, " ", string(c.Data)))
		}
	}
	return nil
}

// want waits until exactly this was heard.
func (l *listening) want(heard ...string) {
	l.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		got := slices.Clone(l.heard)
		l.mu.Unlock()
		if slices.Equal(got, heard) {
			return
		}
		if time.Now().After(deadline) || len(got) > len(heard) {
			l.t.Fatalf("heard %q, want %q", got, heard)
		}
	}
}

// end hangs up.
func (l *listening) end() {
	l.t.Helper()
	l.cancel()
	if err := <-l.ended; !errors.Is(err, context.Canceled) {
		l.t.Errorf("the query ended with %v", err)
	}
}

func TestAFollowGoesOnWhereATargetBrokeOff(t *testing.T) {
	requests := make(chan *greppb.SearchRequest, 2)
	tries := 0
	node := asked(func(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
		requests <- request
		tries++
		place := greppb.Place{File: 7, Path: "logs/a", Offset: 10}
		for _, step := range []*greppb.SearchReply{places(place), numbered(fmt.Sprint("line ", tries, "\n"), 7)} {
			if err := send(step); err != nil {
				return err
			}
		}
		if tries == 1 {
			return status.Error(codes.Unavailable, "upgraded")
		}
		<-ctx.Done()
		return ctx.Err()
	})
	l := listen(t, newFanout(t, fanout.NewStatic("192.0.2.1:1", []string{"192.0.2.1:1"}), node), timeout(soon))
	l.want("0 line 1\n", "0 line 2\n") // and nothing of the break
	l.end()
	if first := <-requests; first.Follow.Resume {
		t.Errorf("the first request is to go on: %v", first.Follow)
	}
	second := <-requests
	if from := second.Follow.From; !second.Follow.Resume || len(from) != 1 || from[0].Offset != 10 || from[0].Skip != 1 || from[0].Path != "logs/a" {
		t.Errorf("the second request goes on from %+v", second.Follow)
	}
}

// A client that is not told of a node's upgrade ends up with the places of its last stream alone. The numbers of
// files are those of a stream: under an old one it would go on from an old place, and get all lines since then twice.
func TestTheClientKeepsNoPlacesOfAnEarlierStream(t *testing.T) {
	tries := 0
	node := asked(func(ctx context.Context, _ *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
		if tries++; tries == 1 {
			log := greppb.Place{File: 1, Path: "logs/a", Offset: 10}
			rotated := greppb.Place{File: 2, Path: "logs/a.1", Offset: 20}
			return errors.Join(send(places(log, rotated)), send(numbered("line 1\n", 1)),
				status.Error(codes.Unavailable, "upgraded"))
		}
		place := greppb.Place{File: 1, Path: "logs/a.1", Offset: 30}
		if err := errors.Join(send(places(place)), send(numbered("line 2\n", 1))); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	l := listen(t, newFanout(t, fanout.NewStatic("192.0.2.1:1", []string{"192.0.2.1:1"}), node), timeout(soon))
	l.want("0 line 1\n", "0 line 2\n")
	l.end()
	if got := l.places.List(); len(got) != 1 || got[0].Path != "logs/a.1" || got[0].Offset != 30 || got[0].Skip != 1 {
		t.Errorf("the client goes on from %+v, want the one place of the second stream", got)
	}
}

// A daemon that takes the place of another one counts its work from 0 again.
func TestAFollowedNodeThatBeginsAnewIsNotTakenForSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		node := asked(func(ctx context.Context, _ *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
			if tries++; tries == 1 {
				return errors.Join(send(places()), send(progress(1000)), status.Error(codes.Unavailable, "upgraded"))
			}
			err := send(places())
			for work := uint64(1); err == nil && ctx.Err() == nil; work++ {
				time.Sleep(time.Second)
				err = send(progress(work))
			}
			return errors.Join(err, ctx.Err())
		})
		l := listen(t, newFanout(t, fanout.NewStatic("192.0.2.1:1", []string{"192.0.2.1:1"}), node), timeout(10*time.Second))
		time.Sleep(time.Minute)
		l.want() // neither that it was lost nor anything else
		if l.end(); tries != 2 {
			t.Errorf("it was asked %d times, want twice", tries)
		}
	})
}

func TestMembersThatComeAndGoAreFollowed(t *testing.T) {
	follows := saysAndFreezes(places(), numbered("x\n", 0))
	a, _ := startPeer(t, "127.0.0.1:0", follows)
	b, _ := startPeer(t, "127.0.0.1:0", follows)
	list := newLiveList(a, b)
	list.set(b, fanout.Failed)
	l := listen(t, newFanout(t, list, nil), timeout(soon))
	l.want("0 x\n")
	list.set(b, fanout.Alive)
	l.want("0 x\n", "begin 1", "1 x\n")
	list.set(a, fanout.Left)
	l.want("0 x\n", "begin 1", "1 x\n", "end 0 LEFT ")
	list.set(a, fanout.Alive)
	l.want("0 x\n", "begin 1", "1 x\n", "end 0 LEFT ", "begin 0", "0 x\n")
	l.end()
}

// What was written before a node could be asked is not lost: a new member is asked for what it has written in this life of it, one that
// the client has missed for what it has written since, and one whose places it knows for what follows them.
func TestNodesThatAreAskedLaterBeginEarlier(t *testing.T) {
	const self, incarnation = "192.0.2.1:1", 17
	requests := make(chan *greppb.SearchRequest, 1)
	node := asked(func(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
		requests <- request
		<-ctx.Done()
		return ctx.Err()
	})
	list := newLiveList(self)
	list.targets.Self = self
	ask := func(resume ...greppb.NodePlaces) *greppb.SearchRequest {
		request := timeout(soon)
		request.Resume, request.AwayNanos = resume, int64(time.Minute)
		l := listen(t, newFanout(t, list, node), request)
		defer l.end()
		return <-requests
	}
	if got := ask(); got.SinceUnixNanos != 0 || got.Follow.Resume {
		t.Errorf("at first: since %d, %v", got.SinceUnixNanos, got.Follow)
	}
	if got := ask(greppb.NodePlaces{Node: self, Places: []greppb.Place{{Offset: 3}}}); got.SinceUnixNanos != 0 || !got.Follow.Resume || len(got.Follow.From) != 1 {
		t.Errorf("with places: since %d, %v", got.SinceUnixNanos, got.Follow)
	}
	got := ask(greppb.NodePlaces{Node: "192.0.2.2:1"})
	if ago := time.Since(time.Unix(0, got.SinceUnixNanos)); ago < time.Minute || ago > 2*time.Minute || got.Follow.Resume {
		t.Errorf("missed for a minute: since %v ago, %v", ago, got.Follow)
	}

	seen := make(chan int64, 1)
	newcomer, _ := startAsked(t, func(request *greppb.SearchRequest) { seen <- request.SinceUnixNanos })
	l := listen(t, newFanout(t, list, node), timeout(soon))
	<-requests
	list.join(fanout.Member{Addr: newcomer, Incarnation: incarnation})
	if since := <-seen; since != incarnation {
		t.Errorf("a new member is asked for lines since %d, want its incarnation", since)
	}
	l.end()
}

// Those whom a joining node hears of have been members for long: what they wrote years ago is not asked for.
func TestMembersThatAJoiningNodeLearnsOfAreNoNewcomers(t *testing.T) {
	list := newLiveList()
	list.targets.Self, list.targets.Phase = "192.0.2.1:1", greppb.Phase_JOINING
	node := asked(func(ctx context.Context, _ *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
		err := errors.Join(send(places()), send(numbered("x\n", 0)))
		<-ctx.Done()
		return err
	})
	began := time.Now().UnixNano()
	l := listen(t, newFanout(t, list, node), timeout(soon))
	l.want("0 x\n")
	since := make(chan int64, 1)
	join := func() int64 {
		addr, _ := startAsked(t, func(request *greppb.SearchRequest) { since <- request.SinceUnixNanos })
		list.join(fanout.Member{Addr: addr, Incarnation: 17})
		return <-since
	}
	if got := join(); got < began || got > time.Now().UnixNano() {
		t.Errorf("while it joins, a member is asked for lines since %d, want since the follow began", got)
	}
	list.mu.Lock()
	list.targets.Phase = greppb.Phase_MEMBER
	list.mu.Unlock()
	if got := join(); got < began || got > time.Now().UnixNano() {
		t.Errorf("with the whole list, a member is asked for lines since %d, want since the follow began", got)
	}
	if got := join(); got != 17 {
		t.Errorf("a newcomer is asked for lines since %d, want its incarnation", got)
	}
	l.want("0 x\n", "MEMBER")
	l.end()
}

func TestAQueryThroughANodeThatIsNoMemberSaysSo(t *testing.T) {
	list := newLiveList()
	list.targets.Self, list.targets.Phase = "192.0.2.1:1", greppb.Phase_JOINING
	f := newFanout(t, list, searchFunc(says(searchEnd())))
	phaseOf := func(nodes ...string) (phase greppb.Phase) {
		request := timeout(soon)
		request.Nodes = nodes
		if err := f.Query(t.Context(), request, func(reply *greppb.QueryReply) error {
			if begin := reply.GetBegin(); begin != nil {
				phase = begin.Phase
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return phase
	}
	if got := phaseOf(); got != greppb.Phase_JOINING {
		t.Errorf("the phase is %v", got)
	}
	if got := phaseOf("192.0.2.1:1"); got != greppb.Phase_MEMBER {
		t.Errorf("where nodes are named the phase is %v, but nobody is missing", got)
	}
}

// Numbers are told in their order, whoever of several newcomers answers first.
func TestOfSeveralNewcomersTheFirstToAnswerHasTheFirstNumber(t *testing.T) {
	a, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(places(), numbered("x\n", 0)))
	answer := make(chan struct{})
	slow, _ := startPeer(t, "127.0.0.1:0", func(ctx context.Context, send func(*greppb.SearchReply) error) error {
		<-answer
		return saysAndFreezes(places(), numbered("slow\n", 0))(ctx, send)
	})
	quick, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(places(), numbered("quick\n", 0)))
	list := newLiveList(a)
	l := listen(t, newFanout(t, list, nil), timeout(soon))
	l.want("0 x\n")
	list.join(fanout.Member{Addr: slow})
	list.join(fanout.Member{Addr: quick})
	l.want("0 x\n", "begin 1", "1 quick\n")
	close(answer)
	l.want("0 x\n", "begin 1", "1 quick\n", "begin 2", "2 slow\n")
	l.end()
}

// A newcomer that cannot be reached is missed too.
func TestANewcomerThatCannotBeReachedIsTold(t *testing.T) {
	a, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(places(), numbered("x\n", 0)))
	list := newLiveList(a)
	l := listen(t, newFanout(t, list, nil), timeout(time.Minute))
	l.want("0 x\n")
	list.join(fanout.Member{Addr: startDead(t)})
	l.want("0 x\n", "begin 1", "end 1 UNREACHABLE connection refused")
	l.end()
}

func TestWhoCannotFollowIsRefused(t *testing.T) {
	missing := &greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &greppb.FileError{Path: "logs/a", Missing: true}}}
	for _, answer := range [][]*greppb.SearchReply{
		{fileBegin("logs/a"), chunk("x\n", false)},
		{progress(1), missing}, // no such file
		{},                     // nothing found, or an empty directory
	} {
		old, _ := startPeer(t, "127.0.0.1:0", says(answer...))
		l := listen(t, newFanout(t, newLiveList(old), nil), timeout(soon))
		l.want("end 0 REFUSED its grepd is too old to follow files")
		if err := <-l.ended; err != nil {
			t.Errorf("the query ended with %v, want an end since nobody is left", err)
		}
	}
}

func TestANewcomerIsFollowedWhereAllOthersRefuse(t *testing.T) {
	asked, refuse := make(chan struct{}), make(chan struct{})
	old, _ := startPeer(t, "127.0.0.1:0", func(_ context.Context, send func(*greppb.SearchReply) error) error {
		close(asked)
		<-refuse
		return send(searchEnd())
	})
	young, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(places(), numbered("x\n", 0)))
	list := newLiveList(old)
	l := listen(t, newFanout(t, list, nil), timeout(soon))
	<-asked
	list.join(fanout.Member{Addr: young})
	l.want("begin 1", "1 x\n")
	close(refuse)
	l.want("begin 1", "1 x\n", "end 0 REFUSED its grepd is too old to follow files")
	l.end()
}

func TestAFrozenTargetOfAFollowIsTold(t *testing.T) {
	frozen, _ := startPeer(t, "127.0.0.1:0", saysAndFreezes(places()))
	l := listen(t, newFanout(t, newLiveList(frozen), nil), timeout(50*time.Millisecond))
	for deadline := time.Now().Add(soon); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		got := slices.Clone(l.heard)
		l.mu.Unlock()
		if len(got) > 0 {
			if got[0] != "end 0 TIMED_OUT silent for 50ms" {
				t.Errorf("heard %q", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("heard nothing")
		}
	}
	l.end()
}
