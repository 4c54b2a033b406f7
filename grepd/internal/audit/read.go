package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// currentLog is read before rotatedLogs are looked for, so that a file which is rotated
	// meanwhile is read twice rather than not at all.
	currentLog  = "logs/" + eventlog.MembershipLog
	rotatedLogs = currentLog + ".*"
	// askTimeout bounds the calls that only one node answers.
	askTimeout = 5 * time.Second
	// silenceMax is how long the asked grepd may say nothing: longer than it waits itself
	// for a node that says nothing.
	silenceMax = limits.TimeoutDefault + 5*time.Second
)

// Read asks a grepd for the bounds that it is configured with and for its members, reads the
// logs of all of them through it, and judges. Its errors are those of package client, and
// ErrTooMuch; that a node did not answer is no error, and part of the report.
func Read(ctx context.Context, conn *client.Conn, since time.Time) (*Report, error) {
	audit, err := prepare(ctx, greppb.NewAdminClient(conn.ClientConn), since)
	if err != nil {
		return nil, err
	}
	r := &reader{audit: audit, conn: conn, silence: silenceMax, nodes: make(map[string]*node)}
	return r.read(ctx)
}

func (r *reader) read(ctx context.Context) (*Report, error) {
	if err := r.readChanges(ctx); err != nil {
		return nil, err
	}
	if err := r.readBeginnings(ctx); err != nil {
		return nil, err
	}
	for _, n := range r.nodes {
		if n.complete() {
			r.audit.Covers(n.addr, n.begins)
		}
	}
	report := r.audit.Report()
	report.Coverage = r.coverage()
	if report.Verdict == Held && !report.Coverage.Complete {
		report.Verdict = Open
	}
	return report, nil
}

// prepare makes an Audit with the live configuration and the live members.
func prepare(ctx context.Context, admin greppb.AdminClient, since time.Time) (*Audit, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	bounds, err := admin.Bounds(ctx, &greppb.BoundsRequest{})
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	members, err := admin.Members(ctx, &greppb.MembersRequest{})
	if err != nil {
		return nil, err
	}
	audit := New(Config{
		DetectWithin: time.Duration(bounds.DetectNanos), SpreadWithin: time.Duration(bounds.SpreadWithinNanos),
		Since: since, Asked: asked,
	})
	for _, m := range members.Members {
		if m.State != "alive" {
			continue
		}
		if err := audit.Alive(eventlog.FormatID(m.Addr, m.Incarnation), time.Unix(0, m.SinceUnixNanos)); err != nil {
			return nil, err
		}
	}
	return audit, nil
}

// reader reads the logs of all nodes.
type reader struct {
	audit   *Audit
	conn    *client.Conn
	silence time.Duration // of the asked grepd, after which it is given up
	nodes   map[string]*node
	outcome [2]printer.Outcome // of the two queries
}

// node is what is known of one node's log.
type node struct {
	addr     string
	answered int       // queries, in full
	begins   time.Time // the first line in any file; zero: none was found
	trouble  string    // why the log was not read in full although the node answered
}

func (n *node) complete() bool { return n.answered == 2 && n.trouble == "" && !n.begins.IsZero() }

// readChanges gives the audit each line of a change.
func (r *reader) readChanges(ctx context.Context) error {
	request := &greppb.QueryRequest{Search: greppb.SearchRequest{Pattern: greppb.Pattern{Syntax: greppb.Syntax_FIXED}}}
	for _, event := range []eventlog.Event{eventlog.Join, eventlog.Leave, eventlog.Fail, eventlog.Rejoin} {
		// As it stands in the line, so that heartbeats are not sent here.
		request.Search.Pattern.Patterns = append(request.Search.Pattern.Patterns, fmt.Sprintf(`"%s":"%s"`, eventlog.KeyEvent, event))
	}
	return r.query(ctx, request, &r.outcome[0], func(_ *node, line []byte) error { return r.audit.Add(line) })
}

// readBeginnings finds out how far back the logs go of the nodes that answered: the first line
// of each file. It comes after readChanges, so that a file which disappears in between makes
// a log look shorter than it was, and nothing is missed unawares.
func (r *reader) readBeginnings(ctx context.Context) error {
	request := &greppb.QueryRequest{Search: greppb.SearchRequest{
		Pattern: greppb.Pattern{Patterns: []string{""}, Syntax: greppb.Syntax_FIXED}, MaxCountSet: true, MaxCount: 1,
	}}
	for _, n := range r.nodes {
		if n.answered == 1 {
			request.Nodes = append(request.Nodes, n.addr)
		}
	}
	slices.Sort(request.Nodes)
	if len(request.Nodes) == 0 {
		return nil
	}
	return r.query(ctx, request, &r.outcome[1], func(n *node, line []byte) error {
		if at, ok := eventlog.Time(line); ok && (n.begins.IsZero() || at.Before(n.begins)) {
			n.begins = at
		}
		return nil
	})
}

// query sends a query and hands each line of the answer to take.
func (r *reader) query(ctx context.Context, request *greppb.QueryRequest, outcome *printer.Outcome, take func(*node, []byte) error) error {
	request.Search.Paths = []string{currentLog, rotatedLogs}
	request.Search.Binary = greppb.Binary_BINARY_TEXT // a crash may have left zeros
	q := &query{reader: r, take: take}
	_, err := r.conn.Query(ctx, request, r.silence, func(reply *greppb.QueryReply) error {
		outcome.Observe(reply)
		return q.step(reply)
	})
	return err
}

// query is one query under way.
type query struct {
	*reader
	asked []*node
	take  func(*node, []byte) error
}

func (q *query) step(reply *greppb.QueryReply) error {
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		q.begin(step.Begin.Nodes)
	case *greppb.QueryReply_NodeStep:
		if i := step.NodeStep.Node; i < uint32(len(q.asked)) {
			return q.asked[i].step(&step.NodeStep.Reply, q.take)
		}
	case *greppb.QueryReply_NodeEnd:
		if i := step.NodeEnd.Node; i < uint32(len(q.asked)) && step.NodeEnd.Outcome == greppb.NodeEnd_ANSWERED {
			q.asked[i].answered++
		}
	}
	return nil
}

func (q *query) begin(addrs []string) {
	for _, addr := range addrs {
		if q.nodes[addr] == nil {
			q.nodes[addr] = &node{addr: addr}
		}
		q.asked = append(q.asked, q.nodes[addr])
	}
}

func (n *node) step(reply *greppb.SearchReply, take func(*node, []byte) error) error {
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_Chunk:
		lines := step.Chunk.Walk()
		for lines.Next() {
			if err := take(n, lines.Text); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("an answer that makes no sense: %w", err)
		}
	case *greppb.SearchReply_FileError:
		// Most logs have not been rotated yet.
		if !step.FileError.Missing || step.FileError.Path != rotatedLogs {
			n.trouble = step.FileError.Path + ": " + step.FileError.Message
		}
	}
	return nil
}

// coverage says of whom the report speaks.
func (r *reader) coverage() Coverage {
	c := Coverage{Complete: r.outcome[0].Complete() && r.outcome[1].Complete(), Unread: []string{}}
	text := []string{r.outcome[0].Coverage()}
	if r.outcome[0].Complete() && !r.outcome[1].Complete() {
		text = []string{r.outcome[1].Coverage()}
	}
	var troubled []string
	for addr, n := range r.nodes {
		if n.complete() {
			continue
		}
		c.Complete = false
		c.Unread = append(c.Unread, addr)
		switch {
		case n.trouble != "":
			troubled = append(troubled, addr+": "+n.trouble)
		case n.answered == 2:
			troubled = append(troubled, addr+": its log is empty")
		}
	}
	slices.Sort(c.Unread)
	slices.Sort(troubled)
	if more := len(troubled) - shownMax; more > 0 {
		troubled = append(troubled[:shownMax], fmt.Sprintf("and %d more could not be read in full", more))
	}
	c.Text = strings.Join(append(text, troubled...), "; ")
	return c
}
