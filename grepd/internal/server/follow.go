package server

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/request"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
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
	o.Progress, o.ExpandBytesMax, o.MaxCount = &search.Progress{}, l.expandBytesMax, -1
	s := &followSink{newSink(o, send)}
	defer s.close()
	every := progressTime(r)
	stopProgress := s.showProgress(o.Progress, every)
	defer stopProgress()
	fo := search.FollowOptions{
		Resume: r.Follow.Resume, From: placesOf(r.Follow.From), Away: time.Duration(r.Follow.AwayNanos), Poll: every,
	}
	err = l.work(ctx, func() { c.release(); leave() }, func() error {
		return search.Follow(ctx, l.mounts, r.Paths, o, fo, s)
	})
	if errors.Is(context.Cause(ctx), errEnding) {
		return status.Error(codes.Unavailable, errEnding.Error())
	}
	return err
}

// followSink turns what a follow finds into the steps of an answer.
type followSink struct{ *sink }

var _ search.FollowSink = (*followSink)(nil)

func (s *followSink) Begin(file uint32, path string, size int64) error {
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: path, Size_: size, File: file}}})
}

func (s *followSink) Chunk(file uint32, c *search.Chunk) error {
	numbered := *c // the search's own is not to be changed
	numbered.File = file
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &numbered}})
}

func (s *followSink) End(file uint32, f search.FileStats) error {
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_FileEnd{FileEnd: &greppb.FileEnd{
		Matches: f.Matches, Binary: f.Binary, Bytes: f.Bytes, File: file,
	}}})
}

func (s *followSink) Places(places []search.Place, caughtUp bool) error {
	step := &greppb.Places{Places: make([]greppb.Place, len(places)), CaughtUp: caughtUp}
	for i, p := range places {
		step.Places[i] = greppb.Place{
			File: p.File, Path: p.Path, Device: p.Device, Inode: p.Inode, Offset: p.Offset, Skip: p.Skip, Line: p.Line,
			History: p.History, Inside: p.Inside, Shown: p.Shown, Pending: p.Pending,
			Head: greppb.Print(p.Head), Tail: greppb.Print(p.Tail), Lost: p.Lost, Unread: p.Unread, Ended: p.Ended,
		}
	}
	return s.say(&greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: step}})
}

// placesOf gives places as they were told by Places.
func placesOf(places []greppb.Place) []search.Place {
	from := make([]search.Place, len(places))
	for i := range places {
		p := &places[i]
		from[i] = search.Place{
			Path: p.Path, Device: p.Device, Inode: p.Inode, Offset: p.Offset, Skip: p.Skip, Line: p.Line,
			History: p.History, Inside: p.Inside, Shown: p.Shown, Pending: p.Pending,
			Head: search.Print(p.Head), Tail: search.Print(p.Tail), Lost: p.Lost, Unread: p.Unread,
		}
	}
	return from
}
