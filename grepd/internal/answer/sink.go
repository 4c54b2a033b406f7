package answer

import (
	"context"
	"sync"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

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
func (s *sink) showProgress(p *files.Progress, every time.Duration) (stop func()) {
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
func (s *sink) progress(p *files.Progress, work uint64) uint64 {
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
func (s *sink) Error(e files.FileError) error {
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
