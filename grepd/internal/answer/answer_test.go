package answer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Without Progress steps a silent search would be taken for a frozen node; with them at any price a frozen disk would be
// taken for a search.
func TestOnlyASearchThatGetsOnShowsProgress(t *testing.T) {
	var steps []*greppb.SearchReply
	s := newSink(search.Options{}, func(reply *greppb.SearchReply) error {
		steps = append(steps, reply)
		return nil
	})
	p := &files.Progress{}
	work := s.progress(p, 0)
	p.Bytes.Add(17)
	work = s.progress(p, work)
	work = s.progress(p, work)
	p.Matches.Add(2)
	work = s.progress(p, work)
	s.close()
	p.Matches.Add(1)
	s.progress(p, work)
	var got []string
	for _, step := range steps {
		p := step.GetProgress()
		got = append(got, fmt.Sprint(p.GetBytes(), " ", p.GetMatches(), " ", p.GetWork()))
	}
	if want := []string{"17 0 17", "17 2 19"}; !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
}
