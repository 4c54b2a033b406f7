package server

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/answer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// errEnding is why follows end when the daemon does. Another daemon may go on with them.
var errEnding = errors.New("this grepd ends, or another one takes its place")

// follow hands each step of a follow to send. Its errors are gRPC statuses.
func (l *local) follow(ctx context.Context, r *greppb.SearchRequest, q *compiledQuery, send func(*greppb.SearchReply) error) error {
	if err := request.CheckFollow(r); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	leave, err := take(l.follows, "follows")
	if err != nil {
		return err
	}
	c, err := l.prepare(ctx, r, q)
	if err != nil {
		leave()
		return err
	}
	o := c.options
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ending, func() { cancel(errEnding) })()
	o.ExpandBytesMax, o.LongLines, o.MaxCount = l.expandBytesMax, l.longLines, -1
	a := answer.New(r, o, send)
	defer a.Close()
	err = l.work(ctx, func() { c.release(); leave() }, func() error { return a.Follow(ctx, l.mounts) })
	if errors.Is(context.Cause(ctx), errEnding) {
		return status.Error(codes.Unavailable, errEnding.Error())
	}
	return err
}
