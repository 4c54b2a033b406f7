package request

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// CheckQuery says what is wrong with a query, before anybody is asked.
func CheckQuery(request *greppb.QueryRequest) error {
	switch {
	case len(request.Nodes) > limits.NodesMax:
		return fmt.Errorf("%d nodes named, at most %d are possible", len(request.Nodes), limits.NodesMax)
	case request.TimeoutNanos < 0:
		return errors.New("negative timeout")
	case request.TimeoutNanos > int64(limits.TimeoutMax):
		return fmt.Errorf("timeout of %v, at most %v is possible", time.Duration(request.TimeoutNanos), limits.TimeoutMax)
	case len(request.Search.Paths) == 0:
		return errors.New("no file named")
	}
	if err := Check(&request.Search); err != nil {
		return err
	}
	if size := request.Size(); size > limits.RequestBytesMax {
		return fmt.Errorf("a request of %d bytes, at most %d are possible: name fewer patterns, files or nodes", size, limits.RequestBytesMax)
	}
	if request.Search.Follow != nil {
		if err := CheckFollow(&request.Search); err != nil {
			return err
		}
	}
	if len(request.Resume) > limits.NodesMax {
		return fmt.Errorf("%d nodes to go on with, at most %d are possible", len(request.Resume), limits.NodesMax)
	}
	if _, known := greppb.Sort_name[int32(request.Sort)]; !known {
		return fmt.Errorf("unknown order %d", request.Sort)
	}
	if request.Sort == greppb.Sort_BY_TIME != request.Search.ByTime {
		return errors.New("the order of times needs the lines of each node in that order")
	}
	return nil
}

// CheckFollow says which part of a search does not go with following.
func CheckFollow(request *greppb.SearchRequest) error {
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
