package fanout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/timeline"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// target is one node of a query. Its goroutine owns it.
type target struct {
	index    uint32 // in QueryBegin.nodes, or of the NodeBegin that told of it
	addr     string
	local    bool  // this node itself
	verdict  error // why it is not asked at all; nil if it is
	patience *patience
	asked    time.Time // by this node's clock

	speaking bool // it has the floor
	pauses   int  // Progress steps since it has said a line of the group for which it keeps the floor
	ended    bool // its SearchEnd came
	begun    bool // something came
	partial  bool // some of its output was sent on

	request  *greppb.SearchRequest // what it is asked; nil: what all are
	followed *followed             // nil: its answer ends

	bytes, matches uint64 // that it has read and selected, as far as it said
	work           uint64 // Progress.work, since it was asked

	reason string // why it could not be connected to, if that is known

	stream *timeline.Stream // its lines among all, if they are in the order of their times
	before <-chan struct{}  // closed when it may speak, if the targets are in order; nil: at any time
	after  chan struct{}    // closed when the next one may
}

// ask searches the target and says how that ended.
func (q *query) ask(ctx context.Context, t *target) {
	err := t.verdict
	switch {
	case err != nil:
	case t.local:
		err = q.askSelf(ctx, t)
	default:
		err = q.askPeer(ctx, t)
	}
	if err == nil && !t.ended {
		err = errEnded
	}
	if t.speaking {
		t.speaking = false
		q.give()
	}
	if t.stream != nil {
		t.stream.End()
	}
	end := t.end(ctx, err, q.timeout.String())
	q.ended.Add(1)
	if t.awaitTurn(q.ctx) == nil {
		q.sendEnd(end)
	}
	if t.after != nil {
		close(t.after)
	}
}

// sendEnd says how the target's search ended, unless nobody listens any more.
func (q *query) sendEnd(end *greppb.NodeEnd) {
	if q.ctx.Err() != nil || q.take(q.ctx) != nil {
		return
	}
	defer q.give()
	if end.Outcome == greppb.NodeEnd_ANSWERED {
		q.answered++
	}
	if err := q.say(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: end}}); err != nil {
		q.cancel(err)
	}
}

// askSelf searches this node's files.
func (q *query) askSelf(ctx context.Context, t *target) error {
	t.work = 0
	t.patience.begin()
	defer t.patience.end()
	return q.fanout.local.Search(ctx, q.requestOf(t), func(reply *greppb.SearchReply) error {
		return q.hear(ctx, t, reply)
	})
}

// askPeer searches a peer's files. A connection that served an earlier query may have
// died unnoticed, so if it fails before anything came a new one is tried.
func (q *query) askPeer(ctx context.Context, t *target) error {
	for {
		conn, reused, err := q.fanout.pool.get(t.addr)
		if err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		err = q.stream(ctx, t, conn)
		failed := status.Code(err) == codes.Unavailable
		if failed {
			t.reason = conn.Reason()
		}
		q.fanout.pool.put(conn, failed)
		if !failed || !reused || t.begun || ctx.Err() != nil {
			return err
		}
	}
}

// stream sends on what the peer says until it is through.
func (q *query) stream(ctx context.Context, t *target, conn *conn) error {
	t.work = 0
	q.fanout.pool.open(ctx, conn, t.patience.begin)
	defer t.patience.end()
	t.asked = q.fanout.now() // a connection that had to be opened first would make clocks seem to differ
	stream, err := greppb.NewGrepClient(conn.ClientConn).Search(ctx, q.requestOf(t))
	for err == nil && !t.ended {
		var reply *greppb.SearchReply
		if reply, err = stream.Recv(); err != nil {
			break
		}
		if err = client.CheckStep(reply); err != nil {
			break
		}
		err = q.hear(ctx, t, reply)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (q *query) requestOf(t *target) *greppb.SearchRequest {
	if t.request != nil {
		return t.request
	}
	return q.request
}

// hear takes in a step. While it is sent on nobody waits for the target, and afterwards the wait begins anew; but a Progress
// step that says no more than the one before is as good as silence.
func (q *query) hear(ctx context.Context, t *target, reply *greppb.SearchReply) error {
	t.begun = true
	if p := reply.GetProgress(); p != nil && !t.gotOn(p) {
		return q.relay(ctx, t, reply) // which does not block
	}
	t.patience.end()
	defer t.patience.begin()
	return q.relay(ctx, t, reply)
}

// gotOn tells whether a target has done anything since its last Progress step.
func (t *target) gotOn(p *greppb.Progress) bool {
	before := t.work
	t.work = max(before, p.Work, p.Bytes+p.Matches)
	return t.work > before
}

// relay sends a step on. The target keeps the floor while a group of lines goes on.
func (q *query) relay(ctx context.Context, t *target, reply *greppb.SearchReply) error {
	goesOn := false
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_Chunk:
		t.partial = true
		goesOn = step.Chunk.GetMore()
	case *greppb.SearchReply_Clock:
		return q.tellClock(t, step.Clock)
	case *greppb.SearchReply_Progress:
		q.observe(t, step.Progress.Bytes, step.Progress.Matches)
		q.interrupt(t)
		if t.followed != nil {
			t.followed.places.Hear()
		}
		return nil
	case *greppb.SearchReply_Groups:
		t.partial = true
		return q.count(ctx, t, step.Groups)
	case *greppb.SearchReply_SearchEnd:
		t.ended = true
		q.observe(t, step.SearchEnd.Bytes, step.SearchEnd.Matches)
	case nil:
		return nil // a step that this version does not know
	}
	if t.followed != nil {
		if err := q.observeFollowed(ctx, t.followed, reply); err != nil {
			return err
		}
		reply = t.followed.places.Replacing(reply)
	}
	if err := t.awaitTurn(ctx); err != nil {
		return err
	}
	if chunk := reply.GetChunk(); chunk != nil && t.stream != nil {
		return t.stream.Chunk(ctx, chunk, func(piece *greppb.Chunk) error {
			piece.Times = nil // which nobody asks for any more
			return q.sendStep(ctx, t, &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: piece}}, false)
		})
	}
	return q.sendStep(ctx, t, reply, goesOn)
}

// pausesMax is how many Progress steps may come between the lines of a group. To tear it apart then is better than to let the
// others wait, perhaps for ever.
const pausesMax = 10

// interrupt takes the floor from a target that does not go on with its group.
func (q *query) interrupt(t *target) {
	if t.pauses++; t.speaking && t.pauses > pausesMax {
		t.speaking = false
		q.give()
	}
}

// observe takes note of how far a target has come.
func (q *query) observe(t *target, bytes, matches uint64) {
	if bytes > t.bytes {
		q.bytes.Add(bytes - t.bytes)
		t.bytes = bytes
	}
	if matches > t.matches {
		q.matches.Add(matches - t.matches)
		t.matches = matches
	}
}

// sendStep sends a step as soon as the target has the floor.
func (q *query) sendStep(ctx context.Context, t *target, reply *greppb.SearchReply, goesOn bool) error {
	if !t.speaking {
		if err := q.take(ctx); err != nil {
			return err
		}
		t.speaking = true
	}
	t.pauses = 0
	err := q.say(&greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{
		NodeStep: &greppb.NodeStep{Node: t.index, Reply: *reply},
	}})
	if err != nil {
		q.cancel(err)
	} else if t.followed != nil {
		t.followed.places.Observe(reply)
	}
	if !goesOn {
		t.speaking = false
		q.give()
	}
	return err
}

// end says how the target's search ended, from what it returned and from why its
// context was cancelled.
func (t *target) end(ctx context.Context, err error, timeout string) *greppb.NodeEnd {
	end := &greppb.NodeEnd{Node: t.index, Partial: t.partial && err != nil}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if t.verdict == errFailed || t.verdict == errLeft {
		end.Message = "before the query"
	}
	switch {
	case err == nil:
		end.Outcome = greppb.NodeEnd_ANSWERED
	case errors.Is(err, errNotMember):
		end.Outcome = greppb.NodeEnd_NOT_MEMBER
	case errors.Is(err, errFailed):
		end.Outcome = greppb.NodeEnd_FAILED
	case errors.Is(err, errLeft):
		end.Outcome = greppb.NodeEnd_LEFT
	case errors.Is(err, errSilent):
		end.Outcome, end.Message = greppb.NodeEnd_TIMED_OUT, fmt.Sprintf("silent for %s", timeout)
	case errors.Is(err, errEnded):
		end.Outcome, end.Message = greppb.NodeEnd_UNREACHABLE, err.Error()
	case status.Code(err) == codes.Unavailable:
		end.Outcome, end.Message = greppb.NodeEnd_UNREACHABLE, "connection lost"
		if t.reason != "" {
			end.Message = t.reason
		}
	default:
		end.Outcome, end.Message = greppb.NodeEnd_REFUSED, status.Convert(err).Message()
	}
	return end
}
