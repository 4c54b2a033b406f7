package server

import (
	"context"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// compiled is a request in the search's terms, and the memory that is counted for it. Patterns of a
// megabyte take seconds to compile, so a query has them compiled once on the node that is asked: to
// see whether they are right, and for the search of its own files.
type compiled struct {
	options search.Options
	release func() // gives the memory back
}

var errNoMemory = status.Errorf(codes.ResourceExhausted,
	"busy with patterns that may take %d MB of memory together, the most that it has for them: try again later, or with fewer patterns",
	matchersBytesMax>>20)

// compile compiles a request, if there is memory for it, when its turn comes. The error is a gRPC
// status.
func (l *local) compile(ctx context.Context, r *greppb.SearchRequest) (*compiled, error) {
	// Before it has memory and its turn, which may take a while.
	if err := request.Check(r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	cost, matchers := request.Cost(r), l.memoryFor(r)
	if !matchers.TryAcquire(cost) {
		return nil, errNoMemory
	}
	c := &compiled{release: func() { matchers.Release(cost) }}
	err := l.inTurn(ctx, cost, func() (err error) { c.options, err = l.compileRequest(r); return err })
	if err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// memoryFor is where the memory of a request's patterns is counted.
func (l *local) memoryFor(r *greppb.SearchRequest) *semaphore.Weighted {
	if r.Follow != nil {
		return l.followMatchers
	}
	return l.matchers
}

// inTurn does work that compiles patterns of a cost, when its turn comes: while it is done it may take
// twice that. What costs nothing waits for nobody. Its errors are gRPC statuses.
func (l *local) inTurn(ctx context.Context, cost int64, work func() error) error {
	if cost > 0 {
		select {
		case l.compiling <- struct{}{}:
			defer func() { <-l.compiling }()
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if err := work(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

// prepare gives what q has compiled, with the times of this request, or compiles the request.
func (l *local) prepare(ctx context.Context, r *greppb.SearchRequest, q *compiledQuery) (*compiled, error) {
	if q == nil || q.compiled == nil {
		return l.compile(ctx, r)
	}
	c := q.compiled
	q.compiled = nil
	request.SetTimes(&c.options, r)
	return c, nil
}

// compiledQuery searches the files of the node that a query has asked with what was compiled to
// check the query. A follow may be asked for several times, one after the other, and has it compiled
// anew then.
type compiledQuery struct {
	*local
	compiled *compiled // nil: a search has it, or had it
}

var _ fanout.Searcher = (*compiledQuery)(nil)

// compileQuery checks a query, patterns included. The error is a gRPC status. Where there is no
// memory that is no matter of the query, since other nodes may have it: then the patterns are only
// checked, and the search of this node's files is refused.
func (l *local) compileQuery(ctx context.Context, r *greppb.QueryRequest) (*compiledQuery, error) {
	if err := request.CheckQuery(r); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	q := &compiledQuery{local: l}
	var err error
	if q.compiled, err = l.compile(ctx, &r.Search); err != errNoMemory {
		return q, err
	}
	return q, l.inTurn(ctx, request.Cost(&r.Search), func() error { _, err := l.compileRequest(&r.Search); return err })
}

// Search is that of fanout.Searcher.
func (q *compiledQuery) Search(ctx context.Context, r *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	defer q.drop() // for a search that was refused
	return q.search(ctx, r, q, send)
}

// drop gives back what no search has taken.
func (q *compiledQuery) drop() {
	if q.compiled != nil {
		q.compiled.release()
		q.compiled = nil
	}
}
