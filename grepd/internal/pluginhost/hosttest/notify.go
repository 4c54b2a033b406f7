package hosttest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// fakeNotify counts what it is asked. Its state is the number of its starts.
type fakeNotify struct {
	what string

	mu      sync.Mutex
	starts  int
	since   int64 // of the last start, if that was without a state
	members *notifypb.MembersRequest
}

var _ pluginapi.Notify = (*fakeNotify)(nil)

func (f *fakeNotify) Start(_ context.Context, request *notifypb.StartRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = request.SinceUnixNanos
	if request.Snapshot != nil {
		if f.what == NotifiesAfreshAlone {
			return errors.New("no mood to start from that")
		}
		f.since = 0
		if _, err := fmt.Sscan(string(request.Snapshot), &f.starts); err != nil {
			return err
		}
	}
	f.starts++
	return nil
}

func (f *fakeNotify) Snapshot(context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Append(nil, f.starts), nil
}

func (f *fakeNotify) Freeze(ctx context.Context) ([]byte, error) { return f.Snapshot(ctx) }
func (f *fakeNotify) Drain(context.Context) error                { return nil }

func (f *fakeNotify) Members(_ context.Context, request *notifypb.MembersRequest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = request
	return nil
}

func (f *fakeNotify) Status(context.Context) (*notifypb.StatusReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reply := &notifypb.StatusReply{Counters: []notifypb.Counter{
		{Name: "starts", Value: uint64(f.starts)}, {Name: "since", Value: uint64(f.since)},
	}}
	if f.members != nil {
		reply.Counters = append(reply.Counters, notifypb.Counter{Name: f.members.Self, Value: uint64(len(f.members.Alive))})
	}
	return reply, nil
}
