package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// progressTime is how often a search that has nothing to say shows that it gets on.
const progressTime = time.Second

// local searches this node's files, for peers and for this node's own queries.
type local struct {
	mounts *search.Mounts
	slots  chan struct{} // one for each search under way
}

var _ fanout.Searcher = (*local)(nil)

func newLocal(mounts *search.Mounts, searchesMax int) *local {
	return &local{mounts: mounts, slots: make(chan struct{}, searchesMax)}
}

// Search hands each step of a search to send. Its errors are gRPC statuses.
func (l *local) Search(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	o, err := searchOptions(request)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	default:
		return status.Errorf(codes.ResourceExhausted, "busy with %d searches, the most that it runs at the same time: try again later", cap(l.slots))
	}
	sink := newSink(o, send)
	results := sink.results(request)
	stopProgress := sink.showProgress()
	var stats search.Stats
	if request.ByTime {
		stats, err = runByTime(ctx, l.mounts, request.Paths, o, sink)
	} else {
		stats, err = search.Run(ctx, l.mounts, request.Paths, o, results)
	}
	stopProgress()
	switch {
	case err == nil:
		return results.end(stats)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	default:
		return err
	}
}

// SearchReader searches a stream with a node's engine, and hands the answer to send as if
// it were a query's to a single node without an address. A reply is valid only until send
// returns.
func SearchReader(ctx context.Context, r io.Reader, label string, request *greppb.SearchRequest, send func(*greppb.QueryReply) error) error {
	o, err := searchOptions(request)
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
	results := sink.results(request)
	stats, err := search.Reader(ctx, r, label, o, results)
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

	mu    sync.Mutex // held while a step is sent: Progress steps come from elsewhere
	send  func(*greppb.SearchReply) error
	spoke bool // since the last look at it

	path  string // of the current file
	begun bool   // the current file was announced
	bytes uint64 // of files that have been searched
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
func (s *sink) results(request *greppb.SearchRequest) results {
	if request.CountBy {
		return newTallySink(s, request.Fields)
	}
	return s
}

// say sends one step.
func (s *sink) say(reply *greppb.SearchReply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoke = true
	return s.send(reply)
}

// showProgress begins to send Progress steps while nothing else is sent. The function
// that it returns ends that.
func (s *sink) showProgress() (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(progressTime)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.progress()
			case <-done:
				return
			}
		}
	})
	return func() { close(done); group.Wait() }
}

// progress sends a Progress step unless something was said since it was called last. An
// error comes up again at the next step.
func (s *sink) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.spoke {
		s.send(&greppb.SearchReply{Step: &greppb.SearchReply_Progress{Progress: &greppb.Progress{Bytes: s.bytes}}})
	}
	s.spoke = false
}

// Begin starts a file.
func (s *sink) Begin(path string) error {
	s.path, s.begun = path, false
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
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: s.path}}})
}

// Chunk hands out lines. They are encoded, or printed, before send returns, so nothing is
// copied.
func (s *sink) Chunk(c *search.Chunk) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: chunkOf(c)}})
}

// chunkOf gives a chunk as it is sent, which shares the search's memory.
func chunkOf(c *search.Chunk) *greppb.Chunk {
	return &greppb.Chunk{
		Data: c.Data, Lengths: c.Lengths, LineNumbers: c.LineNumbers, ByteOffsets: c.ByteOffsets,
		Kinds: c.Kinds, Spans: c.Spans, More: c.More, Times: c.Times,
	}
}

// End finishes the current file.
func (s *sink) End(f search.FileStats) error {
	s.searched(f)
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

// searched takes note of a file that was searched.
func (s *sink) searched(f search.FileStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += f.Bytes
}

// Error says that a path could not be searched.
func (s *sink) Error(e search.FileError) error {
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &greppb.FileError{
		Path: e.Path, Message: e.Message, Missing: e.Missing,
	}}})
}

// end finishes the answer.
func (s *sink) end(sums search.Stats) error {
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{
		Matches: sums.Matches, Files: sums.Files, Bytes: sums.Bytes, ElapsedNanos: int64(time.Since(s.began)),
	}}})
}
