package client

import (
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestWhatNoGrepdSendsIsNotTaken(t *testing.T) {
	step := func(reply greppb.SearchReply) *greppb.QueryReply {
		return &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Reply: reply}}}
	}
	groups := func(n, values int) *greppb.Groups {
		g := &greppb.Groups{Groups: make([]greppb.Group, n)}
		for i := range g.Groups {
			g.Groups[i].Values = make([]string, values)
		}
		return g
	}
	for _, test := range []struct {
		make func(n int) *greppb.QueryReply
		most int
		want string
	}{
		{func(n int) *greppb.QueryReply {
			return step(greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: &greppb.Places{Places: make([]greppb.Place, n)}}})
		}, limits.PlacesMax, "20001 places, and no grepd sends more than 20000"},
		{func(n int) *greppb.QueryReply {
			return step(greppb.SearchReply{Step: &greppb.SearchReply_Groups{Groups: groups(n, 1)}})
		}, limits.GroupsMax, "1001 groups at once"},
		{func(n int) *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: groups(1, n)}}
		}, limits.FieldsMax, "101 columns"},
		{func(n int) *greppb.QueryReply {
			return step(greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{Marks: make([]greppb.FileMark, n)}}})
		}, limits.MarksMax, "101 marks of files"},
		{func(n int) *greppb.QueryReply {
			return step(greppb.SearchReply{Step: &greppb.SearchReply_FileError{
				FileError: &greppb.FileError{Missing: true, Path: strings.Repeat("x", n)},
			}})
		}, limits.PathBytesMax, "4097 bytes of a path that it lacks"},
		{func(n int) *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: make([]string, n)}}}
		}, limits.NodesMax, "20001 nodes"},
		{func(n int) *greppb.QueryReply {
			return &greppb.QueryReply{Step: &greppb.QueryReply_NodeBegin{NodeBegin: &greppb.NodeBegin{Node: uint32(n)}}}
		}, limits.NodesMax, "20001 nodes"},
	} {
		if err := checkReply(test.make(test.most)); err != nil {
			t.Errorf("as much as is possible: %v", err)
		}
		if err := checkReply(test.make(test.most + 1)); err == nil || !strings.Contains(status.Convert(err).Message(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}
