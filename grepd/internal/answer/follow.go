package answer

import (
	"context"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/follow"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Follow carries out a request to follow files, until ctx is done.
func (a *Answer) Follow(ctx context.Context, m *files.Mounts) error {
	asked := a.request.Follow
	return follow.Run(ctx, m, a.request.Paths, a.options, follow.Options{
		Resume: asked.Resume, From: placesOf(asked.From), Away: time.Duration(asked.AwayNanos), Poll: progressTime(a.request),
	}, &followSink{a.sink})
}

// followSink turns what a follow finds into the steps of an answer.
type followSink struct{ *sink }

var _ follow.Sink = (*followSink)(nil)

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

// placesBytesMax bounds the paths of the places that are told at once, so that they fit into a
// reply. Only very long ones come in several: in between, whoever listens knows some of them only.
const placesBytesMax = greppb.ReplyBytesMax / 4

func (s *followSink) Places(places []follow.Place, caughtUp bool) error {
	bytes, from := 0, 0
	for i := range places {
		if bytes += len(places[i].Path); bytes > placesBytesMax {
			if err := s.places(places[from:i], false); err != nil {
				return err
			}
			bytes, from = len(places[i].Path), i
		}
	}
	return s.places(places[from:], caughtUp)
}

func (s *followSink) places(places []follow.Place, caughtUp bool) error {
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
func placesOf(places []greppb.Place) []follow.Place {
	from := make([]follow.Place, len(places))
	for i := range places {
		p := &places[i]
		from[i] = follow.Place{
			Path: p.Path, Device: p.Device, Inode: p.Inode, Offset: p.Offset, Skip: p.Skip, Line: p.Line,
			History: p.History, Inside: p.Inside, Shown: p.Shown, Pending: p.Pending,
			Head: follow.Print(p.Head), Tail: follow.Print(p.Tail), Lost: p.Lost, Unread: p.Unread,
		}
	}
	return from
}
