package server

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/answer"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// matchersBytesMax bounds what the matchers of all searches that run may keep together, as request.Cost
	// estimates it, and what those of all follows may.
	matchersBytesMax = 1 << 30
	// longLinesBytesMax bounds what lines of more than 1 MiB take in all searches and follows together.
	longLinesBytesMax = 1 << 30
)

// local searches this node's files, for peers and for this node's own queries.
type local struct {
	mounts *files.Mounts
	slots  chan struct{} // one for each search under way
	// follows are beside them: they last for hours, and must not take the place of searches.
	follows chan struct{}
	ending  context.Context // ends when follows are to
	end     context.CancelFunc
	// compiling is one for each costly set of patterns that is being compiled, as many as there are processors.
	compiling chan struct{}
	// matchers is the memory for what was compiled for searches, and followMatchers for follows, which may keep it for days.
	matchers, followMatchers *semaphore.Weighted
	longLines                *search.LongLines
	// expandBytesMax bounds what a compressed file may expand to.
	expandBytesMax int64
	now            func() time.Time // the machine's clock, except in tests
	// compileRequest is request.Compile, except in tests.
	compileRequest func(*greppb.SearchRequest) (search.Options, error)
	// searches are those under way, those included that nobody waits for because their disk hangs.
	searches sync.WaitGroup
}

var _ fanout.Searcher = (*local)(nil)

func newLocal(mounts *files.Mounts, searchesMax, followsMax int, expandBytesMax int64) *local {
	l := &local{
		mounts: mounts, slots: make(chan struct{}, searchesMax), follows: make(chan struct{}, followsMax), expandBytesMax: expandBytesMax,
		compiling: make(chan struct{}, runtime.GOMAXPROCS(0)), now: time.Now, compileRequest: request.Compile,
		matchers: semaphore.NewWeighted(matchersBytesMax), followMatchers: semaphore.NewWeighted(matchersBytesMax),
		longLines: search.NewLongLines(longLinesBytesMax),
	}
	l.ending, l.end = context.WithCancel(context.Background())
	return l
}

// wait returns when no search runs any more, or ctx is done.
func (l *local) wait(ctx context.Context) {
	ended := make(chan struct{})
	go func() { l.searches.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// Search hands each step of a search to send. Its errors are gRPC statuses.
func (l *local) Search(ctx context.Context, r *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	return l.search(ctx, r, nil, send)
}

// search is Search for a request that q may have compiled; q may be nil.
func (l *local) search(ctx context.Context, r *greppb.SearchRequest, q *compiledQuery, send func(*greppb.SearchReply) error) error {
	if r.Clock {
		if err := l.tellClock(l.now(), send); err != nil {
			return err
		}
	}
	if r.Follow != nil {
		return l.follow(ctx, r, q, send)
	}
	leave, err := take(l.slots, "searches")
	if err != nil {
		return err
	}
	c, err := l.prepare(ctx, r, q)
	if err != nil {
		leave()
		return err
	}
	o := c.options
	o.ExpandBytesMax, o.LongLines = l.expandBytesMax, l.longLines
	a := answer.New(r, o, send)
	defer a.Close()
	return l.work(ctx, func() { c.release(); leave() }, func() error { return a.Search(ctx, l.mounts) })
}

// tellClock says what the clock shows. It comes before any work, so that the one who asked can tell how long it was under way.
func (l *local) tellClock(received time.Time, send func(*greppb.SearchReply) error) error {
	return send(&greppb.SearchReply{Step: &greppb.SearchReply_Clock{Clock: &greppb.Clock{
		ReceivedUnixNanos: received.UnixNano(), SentUnixNanos: l.now().UnixNano(),
	}}})
}

// take takes one of some slots, or fails with a gRPC status.
func take(slots chan struct{}, what string) (release func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	default:
		return nil, status.Errorf(codes.ResourceExhausted, "busy with %d %s, the most that it runs at the same time: try again later", cap(slots), what)
	}
}

// run takes a slot and does work.
func (l *local) run(ctx context.Context, slots chan struct{}, what string, work func() error) error {
	release, err := take(slots, what)
	if err != nil {
		return err
	}
	return l.work(ctx, release, work)
}

// work does work that reads from disks, and returns when it is done or ctx is. A disk that hangs keeps the work,
// and its slot, but nobody who waits. Its errors are gRPC statuses.
func (l *local) work(ctx context.Context, release func(), work func() error) error {
	ended := make(chan error, 1)
	l.searches.Go(func() {
		defer release()
		ended <- work()
	})
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return err
}

// Complete lists paths that begin as the request says.
func (l *local) Complete(ctx context.Context, r *greppb.CompleteRequest) (*greppb.CompleteReply, error) {
	if len(r.Prefix) > limits.PathBytesMax {
		return nil, status.Errorf(codes.InvalidArgument, "a path of %d bytes, at most %d are possible", len(r.Prefix), limits.PathBytesMax)
	}
	replies := make(chan *greppb.CompleteReply, 1)
	err := l.run(ctx, l.slots, "searches", func() error {
		paths, truncated, err := l.mounts.Complete(ctx, r.Prefix)
		replies <- &greppb.CompleteReply{Paths: paths, Truncated: truncated}
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-replies, nil
}
