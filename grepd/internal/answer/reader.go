package answer

import (
	"context"
	"io"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Reader searches a stream with a node's engine, and hands the answer to send as if
// it were a query's to a single node without an address. A reply is valid only until send
// returns.
func Reader(ctx context.Context, in io.Reader, label string, r *greppb.SearchRequest, o search.Options, send func(*greppb.QueryReply) error) error {
	if err := send(&greppb.QueryReply{Step: &greppb.QueryReply_Begin{Begin: &greppb.QueryBegin{Nodes: []string{""}}}}); err != nil {
		return err
	}
	sink := newSink(o, func(reply *greppb.SearchReply) error {
		if groups := reply.GetGroups(); groups != nil { // of the only node, so they are in order
			return send(&greppb.QueryReply{Step: &greppb.QueryReply_Groups{Groups: groups}})
		}
		return send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeStep{NodeStep: &greppb.NodeStep{Reply: *reply}}})
	})
	results := sink.results(r)
	stats, err := search.Reader(ctx, in, label, o, results)
	if err != nil {
		return err
	}
	if err := results.end(stats); err != nil {
		return err
	}
	if err := send(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: &greppb.NodeEnd{}}}); err != nil {
		return err
	}
	return send(&greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{Asked: 1, Answered: 1}}})
}
