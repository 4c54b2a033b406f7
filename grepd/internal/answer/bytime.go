package answer

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/timeline"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// workersByTime is how many goroutines search each file when the lines of several are merged.
const workersByTime = 1

// byTime is a search of which the lines of all files come in the order of their times. Each
// file is searched in a goroutine of its own, which begins only when the first line of the file is due, so that of rotated
// files only one is searched at a time.
type byTime struct {
	*sink
	merge *timeline.Merge
	o     search.Options

	mu    sync.Mutex // held while steps are sent, and for what follows
	files uint32     // that were begun
	stats search.Stats
	err   error // the first one
}

// runByTime searches the files that paths name.
func runByTime(ctx context.Context, m *files.Mounts, paths []string, o search.Options, s *sink) (search.Stats, error) {
	o.Times, o.Workers = true, workersByTime
	b := &byTime{sink: s, o: o}
	files, err := search.Files(ctx, m, paths, o, b.fail)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		if ctx.Err() == nil && status.Code(err) == codes.Unknown {
			err = status.Error(codes.InvalidArgument, err.Error())
		}
		return b.stats, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.merge = timeline.New(len(files))
	var group sync.WaitGroup
	for i, f := range files {
		group.Go(func() {
			if err := b.search(ctx, f, b.merge.Stream(i)); err != nil {
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.err == nil {
					b.err = err
				}
				cancel()
			}
		})
	}
	group.Wait()
	return b.stats, b.err
}

// fail says that a path cannot be searched.
func (b *byTime) fail(e files.FileError) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Errors++
	return b.sink.Error(e)
}

// search searches one file, when its first line is due.
func (b *byTime) search(ctx context.Context, f *search.File, stream *timeline.Stream) error {
	defer stream.End()
	due := f.Begins
	if b.o.Since != 0 {
		due = max(due, b.o.Since)
	}
	if err := stream.Await(ctx, due); err != nil {
		return err
	}
	stats, err := f.Run(ctx, b.o, &timeSink{byTime: b, ctx: ctx, stream: stream})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Matches += stats.Matches
	b.stats.Files += stats.Files
	b.stats.Marks = append(b.stats.Marks, stats.Marks...)
	b.stats.Bytes += stats.Bytes
	b.stats.Errors += stats.Errors
	return err
}

// timeSink takes what the search of one file finds.
type timeSink struct {
	*byTime
	ctx    context.Context
	stream *timeline.Stream
	path   string
	size   int64
	number uint32 // of the file; 0: nothing was said of it yet
}

var _ search.Sink = (*timeSink)(nil)

// Begin starts the file, of which nothing is said before it has lines.
func (t *timeSink) Begin(path string, size int64) error {
	t.path, t.size = path, size
	return nil
}

// begin announces the file once.
func (t *timeSink) begin() error {
	if t.number > 0 {
		return nil
	}
	t.files++
	t.number = t.files
	return t.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: t.path, Size_: t.size, File: t.number}}})
}

// Chunk hands out lines when they are due.
func (t *timeSink) Chunk(c *search.Chunk) error {
	return t.stream.Chunk(t.ctx, c, func(piece *greppb.Chunk) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if err := t.begin(); err != nil {
			return err
		}
		piece.File = t.number
		return t.say(&greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: piece}})
	})
}

// End finishes the file.
func (t *timeSink) End(f search.FileStats) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Binary {
		if err := t.begin(); err != nil {
			return err
		}
	}
	if t.number == 0 {
		return nil
	}
	return t.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileEnd{FileEnd: &greppb.FileEnd{
		Matches: f.Matches, Binary: f.Binary, Bytes: f.Bytes, File: t.number,
	}}})
}

// Error says that the file cannot be searched to its end.
func (t *timeSink) Error(e files.FileError) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sink.Error(e)
}
