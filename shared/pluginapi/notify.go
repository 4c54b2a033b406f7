package pluginapi

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// NotifyName is the name of the notify plugin.
const NotifyName = "notify"

// Notify is the notify service as its host sees it. The host calls every method with a
// deadline in its context. In the plugin each call runs in a goroutine of its own; on the
// host's side any goroutine may call any method.
type Notify interface {
	// Start sets the service to work: it follows the logs from the request's snapshot, or
	// from its time on. The host's supervisor calls it, after the program has started, and
	// again after a Freeze to resume. It is an error while the service is at work.
	Start(ctx context.Context, request *notifypb.StartRequest) error
	// Snapshot returns the state while the service goes on, within milliseconds. The
	// host's supervisor calls it every so often. What is delivered after it and before a
	// crash is delivered again.
	Snapshot(ctx context.Context) ([]byte, error)
	// Freeze stops the service and returns its state. A delivery under way has a moment to
	// end, and is otherwise cut off and belongs to the state. The host's supervisor calls it.
	Freeze(ctx context.Context) ([]byte, error)
	// Members says who is in the group now. The host calls it when the service has been
	// set to work and whenever that changes, from one goroutine. It does not block.
	Members(ctx context.Context, request *notifypb.MembersRequest) error
	// Drain returns when all that waits to be delivered has been, or when the context ends.
	// The host calls it once, before it ends the plugin for good.
	Drain(ctx context.Context) error
	// Status says how the service is, also while it is idle. It does not block.
	Status(ctx context.Context) (*notifypb.StatusReply, error)
}

// NotifyKind describes the notify plugin. The plugin gives what it serves; the host gives
// nil.
func NotifyKind(served Notify) Kind {
	return Kind{Name: NotifyName, Versions: map[int]plugin.Plugin{1: &notifyV1{served: served}}}
}

// notifyV1 connects Notify with version 1 of its gRPC service.
type notifyV1 struct {
	plugin.NetRPCUnsupportedPlugin
	served Notify
}

var _ plugin.GRPCPlugin = (*notifyV1)(nil)

func (p *notifyV1) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	notifypb.RegisterNotifyServer(s, &notifyServer{p.served})
	return nil
}

func (p *notifyV1) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &notifyClient{notifypb.NewNotifyClient(conn)}, nil
}

// notifyServer answers gRPC calls with a Notify.
type notifyServer struct{ served Notify }

var _ notifypb.NotifyServer = (*notifyServer)(nil)

func (s *notifyServer) Start(ctx context.Context, request *notifypb.StartRequest) (*notifypb.StartReply, error) {
	return &notifypb.StartReply{}, s.served.Start(ctx, request)
}

func (s *notifyServer) Snapshot(ctx context.Context, _ *notifypb.SnapshotRequest) (*notifypb.SnapshotReply, error) {
	snapshot, err := s.served.Snapshot(ctx)
	return &notifypb.SnapshotReply{Snapshot: snapshot}, err
}

func (s *notifyServer) Freeze(ctx context.Context, _ *notifypb.FreezeRequest) (*notifypb.SnapshotReply, error) {
	snapshot, err := s.served.Freeze(ctx)
	return &notifypb.SnapshotReply{Snapshot: snapshot}, err
}

func (s *notifyServer) Members(ctx context.Context, request *notifypb.MembersRequest) (*notifypb.MembersReply, error) {
	return &notifypb.MembersReply{}, s.served.Members(ctx, request)
}

func (s *notifyServer) Drain(ctx context.Context, _ *notifypb.DrainRequest) (*notifypb.DrainReply, error) {
	return &notifypb.DrainReply{}, s.served.Drain(ctx)
}

func (s *notifyServer) Status(ctx context.Context, _ *notifypb.StatusRequest) (*notifypb.StatusReply, error) {
	return s.served.Status(ctx)
}

// notifyClient is a Notify whose methods are gRPC calls.
type notifyClient struct{ client notifypb.NotifyClient }

var _ Notify = (*notifyClient)(nil)

func (c *notifyClient) Start(ctx context.Context, request *notifypb.StartRequest) error {
	if _, err := c.client.Start(ctx, request); err != nil {
		return fromRPC("start", err)
	}
	return nil
}

func (c *notifyClient) Snapshot(ctx context.Context) ([]byte, error) {
	reply, err := c.client.Snapshot(ctx, &notifypb.SnapshotRequest{})
	if err != nil {
		return nil, fromRPC("snapshot", err)
	}
	return reply.Snapshot, nil
}

func (c *notifyClient) Freeze(ctx context.Context) ([]byte, error) {
	reply, err := c.client.Freeze(ctx, &notifypb.FreezeRequest{})
	if err != nil {
		return nil, fromRPC("freeze", err)
	}
	return reply.Snapshot, nil
}

func (c *notifyClient) Members(ctx context.Context, request *notifypb.MembersRequest) error {
	if _, err := c.client.Members(ctx, request); err != nil {
		return fromRPC("members", err)
	}
	return nil
}

func (c *notifyClient) Drain(ctx context.Context) error {
	if _, err := c.client.Drain(ctx, &notifypb.DrainRequest{}); err != nil {
		return fromRPC("drain", err)
	}
	return nil
}

func (c *notifyClient) Status(ctx context.Context) (*notifypb.StatusReply, error) {
	reply, err := c.client.Status(ctx, &notifypb.StatusRequest{})
	if err != nil {
		return nil, fromRPC("status", err)
	}
	return reply, nil
}
