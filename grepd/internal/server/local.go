package server

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	progressTimeDefault = time.Second
	progressTimeMin     = time.Millisecond

	// matchersBytesMax bounds what the matchers of all searches that run may keep together, as request.Cost
	// estimates it, and what those of all follows may.
	matchersBytesMax = 1 << 30
	// longLinesBytesMax bounds what lines of more than 1 MiB take in all searches together.
	longLinesBytesMax = 1 << 30
)

// local searches this node's files, for peers and for this node's own queries.
type local struct {
	mounts *search.Mounts
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

func newLocal(mounts *search.Mounts, searchesMax, followsMax int, expandBytesMax int64) *local {
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
	o.Progress, o.ExpandBytesMax, o.LongLines = &search.Progress{}, l.expandBytesMax, l.longLines
	sink := newSink(o, send)
	defer sink.close()
	stopProgress := sink.showProgress(o.Progress, progressTime(r))
	defer stopProgress()
	results := sink.results(r)
	return l.work(ctx, func() { c.release(); leave() }, func() error {
		var stats search.Stats
		var err error
		if r.ByTime {
			stats, err = runByTime(ctx, l.mounts, r.Paths, o, sink)
		} else {
			stats, err = search.Run(ctx, l.mounts, r.Paths, o, results)
		}
		if err != nil {
			return err
		}
		return results.end(stats)
	})
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

// progressTime is how often a search shows that it gets on.
func progressTime(r *greppb.SearchRequest) time.Duration {
	if r.ProgressNanos <= 0 {
		return progressTimeDefault
	}
	return max(time.Duration(r.ProgressNanos), progressTimeMin)
}

// SearchReader searches a stream with a node's engine, and hands the answer to send as if
// it were a query's to a single node without an address. A reply is valid only until send
// returns.
func SearchReader(ctx context.Context, in io.Reader, label string, r *greppb.SearchRequest, send func(*greppb.QueryReply) error) error {
	if err := request.Check(r); err != nil {
		return err
	}
	o, err := request.Compile(r)
	if err != nil {
		return err
	}
	if err := send(&greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: []string{""}}}}); err != nil {
		return err
	}
	sink := newSink(o, func(reply *greppb.SearchReply) error {
		if groups := reply.GetGroups(); groups != nil { // of the only node, so they are in order
			return send(&greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: groups}})
		}
		return send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Reply: *reply}}})
	})
	results := sink.results(r)
	stats, err := search.Reader(ctx, in, label, o, results)
	if err != nil {
		return err
	}
	if err := results.end(stats); err != nil {
		return err
	}
	if err := send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{}}}); err != nil {
		return err
	}
	return send(&greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{Asked: 1, Answered: 1}}})
}

// sink turns the results of a search into the steps of an answer. Files with nothing to
// tell are left out, unless each file is to be counted or listed.
type sink struct {
	everyFile bool
	began     time.Time

	mu     sync.Mutex // held while a step is sent: Progress steps come from elsewhere
	send   func(*greppb.SearchReply) error
	closed bool

	path  string // of the current file
	size  int64  // of the current file
	begun bool   // the current file was announced
}

var _ search.Sink = (*sink)(nil)

func newSink(o search.Options, send func(*greppb.SearchReply) error) *sink {
	return &sink{send: send, began: time.Now(), everyFile: o.Report == search.Count || o.Report == search.FilesWithoutMatch}
}

// results is a Sink for what a search gives, and can finish the answer.
type results interface {
	search.Sink
	end(sums search.Stats) error
}

// results gives the sink that has the lines sent, or counted.
func (s *sink) results(r *greppb.SearchRequest) results {
	if r.CountBy {
		return newTallySink(s, r.Fields)
	}
	return s
}

// say sends one step.
func (s *sink) say(reply *greppb.SearchReply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return context.Canceled
	}
	return s.send(reply)
}

// close ends the sending of steps: when it returns none is being sent any more.
func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// showProgress begins to send Progress steps. The function that it returns ends that.
func (s *sink) showProgress(p *search.Progress, every time.Duration) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		work := uint64(0)
		for {
			select {
			case <-ticker.C:
				work = s.progress(p, work)
			case <-done:
				return
			}
		}
	})
	return func() { close(done); group.Wait() }
}

// progress sends a Progress step if the search has got on since its work came to so much, and gives what it
// comes to now: of a search whose disk hangs nothing is heard. An error comes up again at the next step.
func (s *sink) progress(p *search.Progress, work uint64) uint64 {
	now := p.Work()
	if now != work {
		_ = s.say(&greppb.SearchReply{Step: &greppb.SearchReply_Progress{Progress: &greppb.Progress{
			Bytes: p.Bytes.Load(), Matches: p.Matches.Load(), Work: now,
		}}})
	}
	return now
}

// Begin starts a file.
func (s *sink) Begin(path string, size int64) error {
	s.path, s.size, s.begun = path, size, false
	if s.everyFile {
		return s.begin()
	}
	return nil
}

// begin announces the current file once.
func (s *sink) begin() error {
	if s.begun {
		return nil
	}
	s.begun = true
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: s.path, Size_: s.size}}})
}

// Chunk hands out lines. They are encoded, or printed, before send returns, so nothing is
// copied.
func (s *sink) Chunk(c *search.Chunk) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: c}})
}

// End finishes the current file.
func (s *sink) End(f search.FileStats) error {
	if f.Matches > 0 || f.Binary {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if !s.begun {
		return nil
	}
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileEnd{FileEnd: &greppb.FileEnd{
		Matches: f.Matches, Binary: f.Binary, Bytes: f.Bytes,
	}}})
}

// Error says that a path could not be searched.
func (s *sink) Error(e search.FileError) error {
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &e}})
}

// end finishes the answer.
func (s *sink) end(sums search.Stats) error {
	marks := make([]greppb.FileMark, len(sums.Marks))
	for i, m := range sums.Marks {
		marks[i] = greppb.FileMark{Path: m.Path, Mark: m.Mark}
	}
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{
		Marks: marks, Matches: sums.Matches, Files: sums.Files, Bytes: sums.Bytes, ElapsedNanos: int64(time.Since(s.began)),
	}}})
}
