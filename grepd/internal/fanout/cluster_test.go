package fanout_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// searchFunc plays a node: it answers a search.
type searchFunc func(ctx context.Context, send func(*greppb.SearchReply) error) error

func (f searchFunc) Search(ctx context.Context, _ *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	return f(ctx, send)
}

// peer is a node behind a real socket.
type peer struct {
	greppb.UnimplementedGrepServer
	search searchFunc
	asked  func(*greppb.SearchRequest)
}

func (p *peer) Search(request *greppb.SearchRequest, stream greppb.Grep_SearchServer) error {
	if p.asked != nil {
		p.asked(request)
	}
	return p.search(stream.Context(), stream.Send)
}

// startPeer serves search on addr and returns the address. stop may be called early.
func startPeer(t *testing.T, addr string, search searchFunc) (at string, stop func()) {
	t.Helper()
	return servePeer(t, addr, &peer{search: search})
}

// startAsked serves a node that tells what it is asked, and says nothing.
func startAsked(t *testing.T, asked func(*greppb.SearchRequest)) (at string, stop func()) {
	t.Helper()
	return servePeer(t, "127.0.0.1:0", &peer{search: saysAndFreezes(), asked: asked})
}

func servePeer(t *testing.T, addr string, p *peer) (at string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(gogocodec.ServerOption())
	greppb.RegisterGrepServer(server, p)
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(listener) }()
	stop = sync.OnceFunc(func() { server.Stop(); <-served })
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

// startFrozen listens like a node that was stopped: connections open, and nothing is said.
func startFrozen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// startProxy passes connections on to a peer. After lose, those that it has are reset at
// the next byte that comes from a client, like those of a machine that lost its power.
func startProxy(t *testing.T, peer string) (addr string, lose func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for accepted := 0; ; accepted++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", peer)
			if err != nil {
				client.Close()
				continue
			}
			mayDie := accepted == 0
			group.Go(func() { io.Copy(client, server); client.Close() })
			group.Go(func() {
				defer server.Close()
				buf := make([]byte, 4096)
				for {
					n, err := client.Read(buf)
					select {
					case <-lost:
						if mayDie {
							client.(*net.TCPConn).SetLinger(0)
							client.Close()
							return
						}
					default:
					}
					if err != nil {
						return
					}
					server.Write(buf[:n])
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); group.Wait() })
	return listener.Addr().String(), func() { close(lost) }
}

// startDead gives an address where nobody listens.
func startDead(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// liveList is a member list that a test changes.
type liveList struct {
	mu      sync.Mutex
	targets fanout.Targets
	changed chan struct{}
}

func newLiveList(addrs ...string) *liveList {
	l := &liveList{changed: make(chan struct{})}
	l.targets.Live = true
	for _, addr := range addrs {
		l.targets.Members = append(l.targets.Members, fanout.Member{Addr: addr})
	}
	return l
}

func (l *liveList) Targets() fanout.Targets {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets
}

func (l *liveList) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// set changes the state of one member.
func (l *liveList) set(addr string, state fanout.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	members := append([]fanout.Member(nil), l.targets.Members...)
	for i := range members {
		if members[i].Addr == addr {
			members[i].State = state
		}
	}
	l.targets.Members = members
	close(l.changed)
	l.changed = make(chan struct{})
}

// join adds a member.
func (l *liveList) join(m fanout.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets.Members = append(l.targets.Members[:len(l.targets.Members):len(l.targets.Members)], m)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Steps of a search.

func fileBegin(path string) *greppb.SearchReply {
	return &greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: path}}}
}

func chunk(data string, more bool) *greppb.SearchReply {
	return &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{
		Data: []byte(data), Lengths: []uint32{uint32(len(data))}, More: more,
	}}}
}

func progress(work uint64) *greppb.SearchReply {
	return &greppb.SearchReply{Step: &greppb.SearchReply_Progress{Progress: &greppb.Progress{Work: work}}}
}

func searchEnd() *greppb.SearchReply {
	return &greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{}}}
}

// says plays a node that says these steps and is through.
func says(steps ...*greppb.SearchReply) searchFunc {
	return func(_ context.Context, send func(*greppb.SearchReply) error) error {
		for _, step := range append(steps, searchEnd()) {
			if err := send(step); err != nil {
				return err
			}
		}
		return nil
	}
}

// saysAndFreezes plays a node that freezes after these steps.
func saysAndFreezes(steps ...*greppb.SearchReply) searchFunc {
	return func(ctx context.Context, send func(*greppb.SearchReply) error) error {
		for _, step := range steps {
			if err := send(step); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// answer is what a query gave.
type answer struct {
	watch *timetest.Watch
	begin *greppb.QueryBegin
	steps []*greppb.NodeStep
	ends  map[string]*greppb.NodeEnd
	end   *greppb.QueryEnd
	took  time.Duration
}

func newAnswer(t *testing.T) *answer {
	return &answer{watch: timetest.Begin(t), ends: make(map[string]*greppb.NodeEnd)}
}

// outcome describes how the search of one node ended.
func (a *answer) outcome(addr string) string {
	end := a.ends[addr]
	if end == nil {
		return "no end"
	}
	text := end.Outcome.String()
	if end.Message != "" {
		text += ": " + end.Message
	}
	if end.Partial {
		text += " (partial)"
	}
	return text
}

func (a *answer) want(t *testing.T, addr, outcome string) {
	t.Helper()
	switch got := a.outcome(addr); {
	case got == outcome:
	case strings.HasPrefix(got, "TIMED_OUT"): // it may only have had to wait for a processor
		a.watch.Errorf(t, "node %s: %s, want %s", addr, got, outcome)
	default:
		t.Errorf("node %s: %s, want %s", addr, got, outcome)
	}
}

// ask runs a query with a request and checks the frame of its answer.
func ask(t *testing.T, f *fanout.Fanout, request *greppb.QueryRequest) *answer {
	t.Helper()
	a := newAnswer(t)
	start := time.Now()
	if err := f.Query(t.Context(), request, a.take); err != nil {
		t.Fatalf("query: %v", err)
	}
	a.took = time.Since(start)
	if a.end == nil {
		t.Fatal("the answer has no end")
	}
	answered := 0
	for _, end := range a.ends {
		if end.Outcome == greppb.NodeEnd_ANSWERED {
			answered++
		}
	}
	if int(a.end.Asked) != len(a.begin.Nodes) || int(a.end.Answered) != answered || len(a.ends) != len(a.begin.Nodes) {
		t.Fatalf("%d nodes, %d ends, %d of them answered; QueryEnd %+v", len(a.begin.Nodes), len(a.ends), answered, a.end)
	}
	return a
}

// take takes in one reply and checks that it may come now.
func (a *answer) take(reply *greppb.QueryReply) error {
	if (a.begin == nil) != (reply.GetBegin() != nil) || a.end != nil {
		return fmt.Errorf("out of order: %v", reply)
	}
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		a.begin = step.Begin
	case *greppb.QueryReply_NodeStep:
		if a.ends[a.begin.Nodes[step.NodeStep.Node]] != nil {
			return fmt.Errorf("a step of a node that has ended: %v", reply)
		}
		a.steps = append(a.steps, step.NodeStep)
	case *greppb.QueryReply_NodeEnd:
		a.ends[a.begin.Nodes[step.NodeEnd.Node]] = step.NodeEnd
	case *greppb.QueryReply_End:
		a.end = step.End
	}
	return nil
}

// newFanout returns a Fanout that is closed when the test ends.
func newFanout(t *testing.T, members fanout.Members, local fanout.Searcher) *fanout.Fanout {
	f := fanout.New(members, local)
	t.Cleanup(f.Close)
	return f
}
