package client

import (
	"maps"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// placesMax bounds the files of one node whose places are kept.
const placesMax = 10_000

// Places keeps how far the files of one node were followed, from what the node says: whoever passes
// its lines on, or prints them, can have the follow go on where it broke off. The zero value is
// ready. It serves one goroutine.
type Places struct {
	files map[uint32]*greppb.Place
	// earlier says that files are those of a stream that is over: the next one will name its own.
	earlier bool
	heard   time.Time // of the node
}

// Restart says that the next steps are those of another stream.
func (p *Places) Restart() { p.earlier = true }

// Named reports whether the stream under way has told its places. It does so first of all, unless the node is
// too old to follow files.
func (p *Places) Named() bool { return !p.earlier }

// Any tells whether the node ever told its places.
func (p *Places) Any() bool { return p.files != nil }

// Hear says that the node is alive.
func (p *Places) Hear() { p.heard = time.Now() }

// Away is for how long nothing has been heard of the node.
func (p *Places) Away() time.Duration { return time.Since(p.heard) }

// Observe takes in a step that was passed on.
func (p *Places) Observe(reply *greppb.SearchReply) {
	p.Hear()
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_Places:
		if p.earlier || p.files == nil {
			p.files, p.earlier = make(map[uint32]*greppb.Place), false
		}
		for i := range step.Places.Places {
			p.set(&step.Places.Places[i])
		}
	case *greppb.SearchReply_Chunk:
		if place := p.files[step.Chunk.File]; place != nil && !p.earlier {
			place.Skip += uint64(len(step.Chunk.Lengths))
		}
	}
}

// Replacing gives the first places of a stream as whoever listens has to hear them: the files of
// the stream before are forgotten in the same step. The listener is not told that there is another
// stream where the node was away for a moment only. It would keep those files for ever, under
// numbers that mean others by now.
func (p *Places) Replacing(reply *greppb.SearchReply) *greppb.SearchReply {
	first := reply.GetPlaces()
	if first == nil || !p.earlier || len(p.files) == 0 {
		return reply
	}
	places := make([]greppb.Place, 0, len(p.files)+len(first.Places))
	for _, file := range slices.Sorted(maps.Keys(p.files)) {
		places = append(places, greppb.Place{File: file, Ended: true})
	}
	places = append(places, first.Places...)
	return &greppb.SearchReply{Step: &greppb.SearchReply_Places{
		Places: &greppb.Places{Places: places, CaughtUp: first.CaughtUp},
	}}
}

func (p *Places) set(place *greppb.Place) {
	if place.Ended {
		delete(p.files, place.File)
		return
	}
	if p.files[place.File] == nil && len(p.files) == placesMax || len(place.Path) > limits.PathBytesMax {
		return
	}
	copied := *place
	p.files[place.File] = &copied
}

// Set makes them those that somebody else has kept.
func (p *Places) Set(places []greppb.Place, away time.Duration) {
	p.files, p.earlier, p.heard = make(map[uint32]*greppb.Place), true, time.Now().Add(-away)
	for i := range places {
		places[i].File = uint32(i + 1)
		p.set(&places[i])
	}
}

// List gives them.
func (p *Places) List() []greppb.Place {
	list := make([]greppb.Place, 0, len(p.files))
	for _, place := range p.files {
		list = append(list, *place)
	}
	return list
}
