package client

import (
	"context"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Step is what comes next while files are followed: a reply, or a notice of how the following goes
// on, for people.
type Step struct {
	Reply     *greppb.QueryReply // nil: the notice is
	Notice    string
	Following bool // the notice says that from now on lines come as they are written
}

// Follow is a query that follows files, through one grepd after the other: where the connection
// breaks, as in an upgrade, it goes on where the lines broke off. The replies are those of one answer
// without an end, whose nodes keep their numbers. It belongs to one goroutine.
type Follow struct{ session session }

// NewFollow makes a follow of what query asks of the grepd at addr, which is given up when it says
// nothing for silence. The query is changed for each try to go on.
func NewFollow(addr string, query *greppb.QueryRequest, silence time.Duration) *Follow {
	return &Follow{session{o: question{addr, query, silence}, byAddr: make(map[string]*sessionNode)}}
}

// Run hands each step on, until ctx ends, or take fails, or the grepd cannot be reached again within
// a minute.
func (f *Follow) Run(ctx context.Context, take func(Step) error) error {
	return f.session.receive(ctx, take)
}

// Conclude ends the answer, which would not end by itself: who is followed now has been to the end.
func (f *Follow) Conclude(take func(*greppb.QueryReply) error) error {
	s := &f.session
	for _, n := range s.nodes {
		if !n.followed || s.broken {
			continue
		}
		end := &greppb.NodeEnd{Node: n.number}
		if err := take(&greppb.QueryReply{Step: &greppb.QueryReply_NodeEnd{NodeEnd: end}}); err != nil {
			return err
		}
	}
	return take(&greppb.QueryReply{Step: &greppb.QueryReply_End{End: &greppb.QueryEnd{}}})
}
