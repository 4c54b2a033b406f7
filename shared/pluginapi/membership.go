package pluginapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// MembershipName is the name of the membership plugin.
const MembershipName = "membership"

// Membership is the membership service as its host sees it. The host calls every method
// with a deadline in its context, but for Watch, which lasts as long as the plugin is at
// work. In the plugin each call runs in a goroutine of its own, and several may run at
// the same time; on the host's side any goroutine may call any method.
type Membership interface {
	// Start sets the service to work on the inherited socket, from the request's
	// snapshot or afresh, and returns the id in use. It does not wait until the group
	// is joined; Watch and Status tell. The host's supervisor calls it: after the
	// program has started, and again after a Freeze to resume. It is an error while the
	// service is at work.
	Start(ctx context.Context, request *pluginpb.StartRequest) (id string, err error)
	// Snapshot returns the state while the service goes on. The host's supervisor calls
	// it every so often: to have something to go on from after a crash, and because a
	// service that does not answer it is not well. It must be answered within
	// milliseconds by the goroutine that does the work.
	Snapshot(ctx context.Context) ([]byte, error)
	// Freeze stops the service and returns its state: when it returns, nothing more is
	// read from the socket or written to it or to the log. It is an error while the
	// service is not at work. The host's supervisor calls it, and the time from there
	// to the next Start is what a reload costs.
	Freeze(ctx context.Context) ([]byte, error)
	// Watch calls changed with the whole member list first, and then with each change
	// of it, until the context ends or the service does. It returns what changed
	// returned, if that was an error. On the plugin's side changed blocks while the
	// host is slow; changes that come meanwhile are told as one.
	Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error
	// Leave takes the member out of the group, and returns when others know, or when
	// the context ends. The host calls it once, before it ends the plugin for good or
	// when its operator says so.
	Leave(ctx context.Context) error
	// Status says how the service is, also while it is idle. It does not block.
	Status(ctx context.Context) (*pluginpb.StatusReply, error)
	// Bounds computes what the configuration that it works with promises to a group of so
	// many members; 0 means those alive in its list. The host calls it when an operator
	// asks. It is an error while the service is not at work, and ErrUnsupported where the
	// plugin's program is older than this call.
	Bounds(ctx context.Context, members int) (*pluginpb.BoundsReply, error)
	// Record records what the service is told and does, and hands the file to reply in pieces,
	// until the request's limits, the closing of stop or a Freeze end it, which the last reply
	// says. It returns early with reply's error or the context's; then the file breaks off. On the
	// plugin's side reply blocks while the host is slow, and the service does not wait for it. The
	// host calls it when an operator asks, with a context that lasts as long as the recording may.
	// It is an error while the service is not at work or is being recorded already, and
	// ErrUnsupported where the plugin's program is older than this call.
	Record(
		ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
		reply func(*pluginpb.RecordReply) error,
	) error
}

// MembershipKind describes the membership plugin. The plugin gives what it serves; the
// host gives nil.
func MembershipKind(served Membership) Kind {
	return Kind{
		Name:     MembershipName,
		Versions: map[int]plugin.Plugin{1: &membershipV1{served: served}},
		Socket:   true,
	}
}

// membershipV1 connects Membership with version 1 of its gRPC service.
type membershipV1 struct {
	plugin.NetRPCUnsupportedPlugin
	served Membership
}

var _ plugin.GRPCPlugin = (*membershipV1)(nil)

func (p *membershipV1) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginpb.RegisterMembershipServer(s, &membershipServer{p.served})
	return nil
}

func (p *membershipV1) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return &membershipClient{pluginpb.NewMembershipClient(conn)}, nil
}

// membershipServer answers gRPC calls with a Membership.
type membershipServer struct{ served Membership }

var _ pluginpb.MembershipServer = (*membershipServer)(nil)

func (s *membershipServer) Start(ctx context.Context, request *pluginpb.StartRequest) (*pluginpb.StartReply, error) {
	id, err := s.served.Start(ctx, request)
	return &pluginpb.StartReply{Id: id}, err
}

func (s *membershipServer) Snapshot(ctx context.Context, _ *pluginpb.SnapshotRequest) (*pluginpb.SnapshotReply, error) {
	snapshot, err := s.served.Snapshot(ctx)
	return &pluginpb.SnapshotReply{Snapshot: snapshot}, err
}

func (s *membershipServer) Freeze(ctx context.Context, _ *pluginpb.FreezeRequest) (*pluginpb.SnapshotReply, error) {
	snapshot, err := s.served.Freeze(ctx)
	return &pluginpb.SnapshotReply{Snapshot: snapshot}, err
}

func (s *membershipServer) Watch(_ *pluginpb.WatchRequest, stream pluginpb.Membership_WatchServer) error {
	return s.served.Watch(stream.Context(), stream.Send)
}

func (s *membershipServer) Leave(ctx context.Context, _ *pluginpb.LeaveRequest) (*pluginpb.LeaveReply, error) {
	return &pluginpb.LeaveReply{}, s.served.Leave(ctx)
}

func (s *membershipServer) Status(ctx context.Context, _ *pluginpb.StatusRequest) (*pluginpb.StatusReply, error) {
	return s.served.Status(ctx)
}

func (s *membershipServer) Bounds(ctx context.Context, request *pluginpb.BoundsRequest) (*pluginpb.BoundsReply, error) {
	return s.served.Bounds(ctx, int(request.Members))
}

func (s *membershipServer) Record(stream pluginpb.Membership_RecordServer) error {
	request, err := stream.Recv()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() { // which ends with the stream
		defer close(stop)
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	return s.served.Record(stream.Context(), request, stop, stream.Send)
}

// membershipClient is a Membership whose methods are gRPC calls.
type membershipClient struct{ client pluginpb.MembershipClient }

var _ Membership = (*membershipClient)(nil)

func (c *membershipClient) Start(ctx context.Context, request *pluginpb.StartRequest) (string, error) {
	reply, err := c.client.Start(ctx, request)
	if err != nil {
		return "", fromRPC("start", err)
	}
	return reply.Id, nil
}

func (c *membershipClient) Snapshot(ctx context.Context) ([]byte, error) {
	reply, err := c.client.Snapshot(ctx, &pluginpb.SnapshotRequest{})
	if err != nil {
		return nil, fromRPC("snapshot", err)
	}
	return reply.Snapshot, nil
}

func (c *membershipClient) Freeze(ctx context.Context) ([]byte, error) {
	reply, err := c.client.Freeze(ctx, &pluginpb.FreezeRequest{})
	if err != nil {
		return nil, fromRPC("freeze", err)
	}
	return reply.Snapshot, nil
}

func (c *membershipClient) Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream when changed has had enough
	stream, err := c.client.Watch(ctx, &pluginpb.WatchRequest{})
	if err != nil {
		return fromRPC("watch", err)
	}
	for {
		update, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fromRPC("watch", err)
		}
		if err := changed(update); err != nil {
			return err
		}
	}
}

func (c *membershipClient) Leave(ctx context.Context) error {
	if _, err := c.client.Leave(ctx, &pluginpb.LeaveRequest{}); err != nil {
		return fromRPC("leave", err)
	}
	return nil
}

func (c *membershipClient) Status(ctx context.Context) (*pluginpb.StatusReply, error) {
	reply, err := c.client.Status(ctx, &pluginpb.StatusRequest{})
	if err != nil {
		return nil, fromRPC("status", err)
	}
	return reply, nil
}

func (c *membershipClient) Bounds(ctx context.Context, members int) (*pluginpb.BoundsReply, error) {
	reply, err := c.client.Bounds(ctx, &pluginpb.BoundsRequest{Members: uint32(members)})
	if err != nil {
		return nil, fromRPC("bounds", err)
	}
	return reply, nil
}

func (c *membershipClient) Record(
	ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
	reply func(*pluginpb.RecordReply) error,
) error {
	var closing sync.WaitGroup
	defer closing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream when reply has had enough
	stream, err := c.client.Record(ctx)
	if err != nil {
		return fromRPC("record", err)
	}
	// A stream that the other side has ended says why when it is received from.
	_ = stream.Send(request)
	closing.Go(func() {
		select {
		case <-stop:
			_ = stream.CloseSend()
		case <-ctx.Done():
		}
	})
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fromRPC("record", err)
		}
		if err := reply(r); err != nil {
			return err
		}
	}
}

// ErrUnsupported says that a plugin's program is older than the call.
var ErrUnsupported = errors.New("this plugin's program is too old for that; put a newer one in its place")

// fromRPC undoes what gRPC does to errors: the service's own come back as their text,
// and the end of a context as context's error.
func fromRPC(call string, err error) error {
	switch s := status.Convert(err); s.Code() {
	case codes.Unknown:
		return errors.New(s.Message())
	case codes.DeadlineExceeded:
		return fmt.Errorf("%s: no answer: %w", call, context.DeadlineExceeded)
	case codes.Canceled:
		return fmt.Errorf("%s: %w", call, context.Canceled)
	case codes.Unimplemented:
		return fmt.Errorf("%s: %w", call, ErrUnsupported)
	default:
		return fmt.Errorf("%s: %s: %s", call, s.Code(), s.Message())
	}
}
