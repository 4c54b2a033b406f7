package client

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// CheckStep says what a node has sent that no honest one sends, since whoever listens keeps some of
// it for as long as the query lasts. The error is a gRPC status.
func CheckStep(reply *greppb.SearchReply) error {
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_Places:
		return checkCount("places", len(step.Places.Places), limits.PlacesMax)
	case *greppb.SearchReply_Groups:
		return checkGroups(step.Groups)
	case *greppb.SearchReply_SearchEnd:
		return checkCount("marks of files", len(step.SearchEnd.Marks), limits.MarksMax)
	case *greppb.SearchReply_FileError:
		if step.FileError.Missing {
			return checkCount("bytes of a path that it lacks", len(step.FileError.Path), limits.PathBytesMax)
		}
	}
	return nil
}

// checkReply is CheckStep for what a grepd says that asks others.
func checkReply(reply *greppb.QueryReply) error {
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_NodeStep:
		return CheckStep(&step.NodeStep.Reply)
	case *greppb.QueryReply_Groups:
		return checkGroups(step.Groups)
	case *greppb.QueryReply_Begin:
		return checkCount("nodes", len(step.Begin.Nodes), limits.NodesMax)
	case *greppb.QueryReply_NodeBegin:
		return checkCount("nodes", int(step.NodeBegin.Node), limits.NodesMax)
	}
	return nil
}

func checkGroups(groups *greppb.Groups) error {
	for i := range groups.Groups {
		if err := checkCount("columns", len(groups.Groups[i].Values), limits.FieldsMax); err != nil {
			return err
		}
	}
	return checkCount("groups at once", len(groups.Groups), limits.GroupsMax)
}

func checkCount(what string, n, most int) error {
	if n <= most {
		return nil
	}
	return status.Errorf(codes.Internal, "it sends %d %s, and no grepd sends more than %d", n, what, most)
}
