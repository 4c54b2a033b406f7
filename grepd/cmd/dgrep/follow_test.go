package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// oldGrepd answers a follow as a search, since it does not know that field.
type oldGrepd struct {
	greppb.UnimplementedGrepServer
	says []*greppb.SearchReply
}

func (g *oldGrepd) Query(_ *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	replies := []*greppb.QueryReply{{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: []string{"192.0.2.1:1"}}}}}
	for _, step := range g.says {
		replies = append(replies, &greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Reply: *step}}})
	}
	replies = append(replies,
		&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{}}},
		&greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{Asked: 1, Answered: 1}}})
	for _, reply := range replies {
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
	return nil
}

// What a grepd says that is too old to follow is no answer, whether it finds anything or not.
func TestAGrepdThatIsTooOldToFollow(t *testing.T) {
	begin := &greppb.SearchReply{Step: &greppb.SearchReply_FileBegin{FileBegin: &greppb.FileBegin{Path: "logs/a"}}}
	chunk := &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{Data: []byte("x\n"), Lengths: []uint32{2}}}}
	end := &greppb.SearchReply{Step: &greppb.SearchReply_SearchEnd{SearchEnd: &greppb.SearchEnd{}}}
	missing := &greppb.SearchReply{Step: &greppb.SearchReply_FileError{FileError: &greppb.FileError{Path: "logs/a", Missing: true}}}
	for name, says := range map[string][]*greppb.SearchReply{
		"lines": {begin, chunk, end}, "nothing": {end}, "no file": {missing, end}, "no node that answers": nil,
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer(gogocodec.ServerOption())
		greppb.RegisterGrepServer(server, &oldGrepd{says: says})
		served := make(chan struct{})
		go func() { defer close(served); server.Serve(listener) }()
		var stdout, stderr bytes.Buffer
		status := run([]string{"--via", listener.Addr().String(), "--follow", "x", "logs/a"}, strings.NewReader(""), &stdout, &stderr, noEnv)
		want := "dgrep: " + listener.Addr().String() + " is not a grepd of this version: it is too old to follow files; name another with --via, or upgrade it\n"
		if status != 2 || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%s: status %d, %q, %q; want 2 and %q", name, status, &stdout, &stderr, want)
		}
		server.Stop()
		<-served
	}
}
