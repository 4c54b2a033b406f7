package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// errEnding is why follows end when the daemon does. Another daemon may go on with them.
var errEnding = errors.New("this grepd ends, or another one takes its place")

// checkFollow says which part of a search does not go with following.
func checkFollow(request *greppb.SearchRequest) error {
	r := request.Report
	switch {
	case r != greppb.Report_LINES && r != greppb.Report_PARTS || request.CountBy:
		return errors.New("only lines can be followed, neither counts nor names")
	case request.ByTime || request.UntilUnixNanos != 0 || request.MaxCountSet || request.NullData:
		return errors.New("a follow has no order, no end, and lines that end in newlines")
	}
	return checkPlaces(request.Follow.From)
}

func checkPlaces(places []greppb.Place) error {
	if len(places) > limits.FollowPlacesMax {
		return fmt.Errorf("%d places to go on from, at most %d are possible", len(places), limits.FollowPlacesMax)
	}
	for i := range places {
		p := &places[i]
		if len(p.Path) > limits.PathBytesMax || p.Offset > math.MaxInt64 || p.History > math.MaxInt64 || p.Shown > p.Offset {
			return errors.New("a place to go on from that is none")
		}
	}
	return nil
}

// follow hands each step of a follow to send. Its errors are gRPC statuses.
func (l *local) follow(ctx context.Context, request *greppb.SearchRequest, send func(*greppb.SearchReply) error) error {
	if err := checkFollow(request); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	release, err := take(l.follows, "follows")
	if err != nil {
		return err
	}
	o, release, err := l.prepare(ctx, request, l.followMatchers, release)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ending, func() { cancel(errEnding) })()
	o.Progress, o.ExpandBytesMax, o.MaxCount = &search.Progress{}, l.expandBytesMax, -1
	s := &followSink{newSink(o, send)}
	defer s.close()
	every := progressTime(request)
	stopProgress := s.showProgress(o.Progress, every)
	defer stopProgress()
	fo := search.FollowOptions{
		Resume: request.Follow.Resume, From: placesOf(request.Follow.From), Away: time.Duration(request.Follow.AwayNanos), Poll: every,
	}
	err = l.work(ctx, release, func() error { return search.Follow(ctx, l.mounts, request.Paths, o, fo, s) })
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
