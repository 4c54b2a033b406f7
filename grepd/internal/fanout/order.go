package fanout

import (
	"context"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/timeline"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// order prepares the targets for the order that the query asks for.
func (q *query) order() {
	switch q.sort {
	case greppb.Sort_BY_TIME:
		merge := timeline.New(len(q.targets))
		for i, t := range q.targets {
			t.stream = merge.Stream(i)
		}
	case greppb.Sort_BY_NODE:
		var before chan struct{}
		for _, t := range q.targets {
			t.before, t.after = before, make(chan struct{})
			before = t.after
		}
	}
}

// awaitTurn returns when the targets before this one have ended, if they are in order.
func (t *target) awaitTurn(ctx context.Context) error {
	if t.before == nil {
		return nil
	}
	select {
	case <-t.before:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
