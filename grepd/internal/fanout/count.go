package fanout

import (
	"context"
	"slices"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/tally"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// count adds what a target has counted. One that says so although nobody has asked it, or in the middle of a group of lines, must
// not do harm: it may have the floor.
func (q *query) count(ctx context.Context, t *target, groups *greppb.Groups) error {
	if !q.request.CountBy {
		return nil
	}
	if !t.speaking {
		if err := q.take(ctx); err != nil {
			return err
		}
		defer q.give()
	}
	q.tally.Merge(groups, slices.Index(q.request.Fields, tally.NodeColumn), t.addr)
	return nil
}

// sendCounts sends what all targets have counted. No target is asked any more.
func (q *query) sendCounts() error {
	for _, step := range q.tally.Steps() {
		if err := q.send(&greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: step}}); err != nil {
			return err
		}
	}
	return nil
}
