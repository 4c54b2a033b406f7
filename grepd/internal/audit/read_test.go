package audit

import (
	"bytes"
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster answers as a grepd with several nodes behind it.
type cluster struct {
	greppb.UnimplementedGrepServer
	greppb.UnimplementedAdminServer
	nodes []fakeNode
	// hangs makes it fall silent after it has begun.
	hangs bool
	asked []*greppb.QueryRequest
}

// fakeNode is what one node answers.
type fakeNode struct {
	addr    string
	log     string // in short lines
	err     *greppb.FileError
	outcome greppb.NodeEnd_Outcome
	// nonsense makes its answer one that cannot be.
	nonsense bool
}

func (c *cluster) Bounds(context.Context, *greppb.BoundsRequest) (*greppb.BoundsReply, error) {
	return &greppb.BoundsReply{DetectNanos: int64(2 * time.Second), SpreadWithinNanos: int64(6 * time.Second)}, nil
}

func (c *cluster) Members(context.Context, *greppb.MembersRequest) (*greppb.MembersReply, error) {
	reply := new(greppb.MembersReply)
	for _, n := range c.nodes {
		reply.Members = append(reply.Members, greppb.Member{Addr: n.addr, Incarnation: 1, State: "alive", SinceUnixNanos: midnight.UnixNano()})
	}
	reply.Members = append(reply.Members, greppb.Member{Addr: "10.0.0.9:7117", Incarnation: 1, State: "failed"})
	return reply, nil
}

func (c *cluster) Search(*greppb.SearchRequest, greppb.Grep_SearchServer) error {
	return errors.New("an audit asks the cluster")
}

// Query answers the first question with the changes, and the second with the first line.
func (c *cluster) Query(request *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	c.asked = append(c.asked, request)
	begin := &greppb.QueryBegin{Live: true}
	for _, n := range c.nodes {
		begin.Nodes = append(begin.Nodes, n.addr)
	}
	stream.Send(&greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: begin}})
	if c.hangs {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	for i, n := range c.nodes {
		for _, reply := range n.answer(request) {
			stream.Send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Node: uint32(i), Reply: reply}}})
		}
		stream.Send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{Node: uint32(i), Outcome: n.outcome}}})
	}
	return stream.Send(&greppb.QueryReply{Step: &greppb.QueryReply_End{End: new(greppb.QueryEnd)}})
}

func (n *fakeNode) answer(request *greppb.QueryRequest) []greppb.SearchReply {
	chunk := new(greppb.Chunk)
	for line := range bytes.Lines(longLog([]byte(n.log))) {
		if !request.Search.MaxCountSet || len(chunk.Lengths) < int(request.Search.MaxCount) {
			chunk.Data = append(chunk.Data, line...)
			chunk.Lengths = append(chunk.Lengths, uint32(len(line)))
		}
	}
	if n.nonsense {
		chunk.Lengths = append(chunk.Lengths, 1)
	}
	replies := []greppb.SearchReply{
		{Step: &greppb.SearchReply_Chunk{Chunk: chunk}},
		{Step: &greppb.SearchReply_FileError{FileError: &greppb.FileError{Path: rotatedLogs, Message: "No such file or directory", Missing: true}}},
	}
	if n.err != nil {
		replies = append(replies, greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: n.err}})
	}
	return replies
}

// connectTo returns a connection to c, for the time of the test.
func connectTo(t *testing.T, c *cluster) *client.Conn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(gogocodec.ServerOption())
	greppb.RegisterGrepServer(server, c)
	greppb.RegisterAdminServer(server, c)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	conn, err := client.Dial("grepd", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Stop(); <-done })
	return conn
}

const (
	logOfA = "0 a1 JOIN a1 self\n1 a1 JOIN b1 self\n5 a1 JOIN c1 self\n11.85 a1 FAIL c1 monitor silent_ms=1850 probes=6 answers=4\n"
	logOfB = "1.1 b1 JOIN b1 self\n5.1 b1 JOIN c1 update\n11.9 b1 FAIL c1 update\n"
)

func TestReadAsksForChangesAndBeginnings(t *testing.T) {
	c := &cluster{nodes: []fakeNode{{addr: "10.0.0.1:7117", log: logOfA}, {addr: "10.0.0.2:7117", log: logOfB}}}
	report, err := Read(context.Background(), connectTo(t, c), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	want := Coverage{Complete: true, Text: "2 of 2 members answered", Unread: []string{}}
	if report.Verdict != Held || !reflect.DeepEqual(report.Coverage, want) || len(report.Changes) != 4 {
		t.Errorf("%s, %+v, %d changes, want held, %+v, 4", report.Verdict, report.Coverage, len(report.Changes), want)
	}
	if fail := report.Changes[3]; fail.Lists.Have != 2 || fail.Event != "FAIL" || *fail.DetectMS != 1850 {
		t.Errorf("%+v", fail)
	}
	if paths := c.asked[0].Search.Paths; !reflect.DeepEqual(paths, []string{"logs/membership.log", "logs/membership.log.*"}) {
		t.Errorf("asked for %q; the current log has to be read before rotated ones are looked for", paths)
	}
	for _, pattern := range c.asked[0].Search.Pattern.Patterns {
		if pattern == "" || strings.Contains(pattern, "HEARTBEAT") {
			t.Errorf("pattern %q has heartbeats sent", pattern)
		}
	}
	if nodes := c.asked[1].Nodes; !reflect.DeepEqual(nodes, []string{"10.0.0.1:7117", "10.0.0.2:7117"}) {
		t.Errorf("the beginnings were asked of %q, want those who answered", nodes)
	}
}

func TestWhoDoesNotAnswerInFullMakesTheAuditOpen(t *testing.T) {
	for name, n := range map[string]struct {
		node fakeNode
		want string
	}{
		"timed out":  {fakeNode{log: logOfB, outcome: greppb.NodeEnd_TIMED_OUT}, "1 of 2 members answered; 10.0.0.2:7117 timed out"},
		"failed":     {fakeNode{outcome: greppb.NodeEnd_FAILED}, "1 of 2 members answered; 10.0.0.2:7117 failed"},
		"unreadable": {fakeNode{log: logOfB, err: &greppb.FileError{Path: currentLog, Message: "Permission denied"}}, "2 of 2 members answered; 10.0.0.2:7117: logs/membership.log: Permission denied"},
		"missing":    {fakeNode{err: &greppb.FileError{Path: currentLog, Message: "No such file or directory", Missing: true}}, "10.0.0.2:7117: logs/membership.log: No such file or directory"},
		"empty":      {fakeNode{}, "10.0.0.2:7117: its log is empty"},
	} {
		n.node.addr = "10.0.0.2:7117"
		c := &cluster{nodes: []fakeNode{{addr: "10.0.0.1:7117", log: logOfA}, n.node}}
		report, err := Read(context.Background(), connectTo(t, c), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		// What it did say counts; that its list may lack something is not held against it.
		if report.Verdict != Open || report.Coverage.Complete || !strings.Contains(report.Coverage.Text, n.want) ||
			!reflect.DeepEqual(report.Coverage.Unread, []string{"10.0.0.2:7117"}) || report.Count(Held) != len(report.Changes) {
			t.Errorf("%s: %s, %+v, want open with %q; %+v", name, report.Verdict, report.Coverage, n.want, report.Changes)
		}
	}
}

func TestReadGivesUpWhatMakesNoSense(t *testing.T) {
	c := &cluster{nodes: []fakeNode{{addr: "10.0.0.1:7117", log: logOfA, nonsense: true}}}
	if _, err := Read(context.Background(), connectTo(t, c), time.Time{}); err == nil || !strings.Contains(err.Error(), "makes no sense") {
		t.Errorf("%v", err)
	}
}

func TestReadGivesUpOnSilence(t *testing.T) {
	c := &cluster{hangs: true, nodes: []fakeNode{{addr: "10.0.0.1:7117"}}}
	r := &reader{
		audit: New(Config{}), conn: connectTo(t, c),
		silence: 20 * time.Millisecond, nodes: make(map[string]*node),
	}
	if _, err := r.read(context.Background()); !errors.Is(err, client.ErrSilent) {
		t.Errorf("%v, want ErrSilent", err)
	}
}
