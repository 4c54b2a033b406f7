package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/plugins/membership/recorder"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// service is the membership service as the host calls it. Each time it is at work is an
// activation; between Freeze and Start, and before the first Start, there is none.
type service struct {
	conn *net.UDPConn

	mu         sync.Mutex // calls come from many goroutines
	activation *activation
	frozen     *udp.Driver // of the activation before; its state file may not be written yet
}

var _ pluginapi.Membership = (*service)(nil)

// activation is one stretch of work, from Start to Freeze.
type activation struct {
	driver    *udp.Driver
	log       *eventlog.Log
	publisher *publisher
	recording chan struct{} // of size one: full while there is a recording
}

var (
	errAtWork = errors.New("the membership service is at work already")
	errIdle   = errors.New("the membership service is idle")
)

func (s *service) Start(ctx context.Context, request *pluginpb.StartRequest) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.activation != nil {
		return "", errAtWork
	}
	node, err := nodeConfig(&request.Config)
	if err != nil {
		return "", err
	}
	log, err := eventlog.Open(eventlog.Config{Dir: request.Config.LogDir, Name: eventlog.MembershipLog})
	if err != nil {
		return "", err
	}
	publisher := newPublisher()
	driver, err := udp.Start(udp.Config{
		Node: node, Conn: s.conn, Snapshot: request.Snapshot, Crashed: request.Crashed,
		StateFile: request.Config.StateFile, Observer: recorder.New(log, publisher.publish),
		Resolve: newNames(&request.Config, node.Addr).resolver(),
	})
	if err != nil {
		log.Close()
		return "", err
	}
	s.activation = &activation{driver: driver, log: log, publisher: publisher, recording: make(chan struct{}, 1)}
	status, err := driver.Status(ctx)
	return status.Self.String(), err
}

// nodeConfig reads the host's configuration; the node itself checks what it means.
func nodeConfig(c *pluginpb.Config) (membership.Config, error) {
	addr, err := netip.ParseAddrPort(c.Advertise)
	if err != nil {
		return membership.Config{}, fmt.Errorf("advertised address: %w", err)
	}
	node := membership.Config{
		Addr: addr, MaxFailures: int(c.MaxFailures),
		DetectWithin: time.Duration(c.DetectWithinNanos), SpreadWithin: time.Duration(c.SpreadWithinNanos),
	}
	for _, text := range c.Gateways {
		gateway, err := netip.ParseAddrPort(text)
		if err != nil {
			return membership.Config{}, fmt.Errorf("gateway: %w", err)
		}
		node.Gateways = append(node.Gateways, gateway)
	}
	return node, nil
}

// current returns the activation under way.
func (s *service) current() (*activation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.activation == nil {
		return nil, errIdle
	}
	return s.activation, nil
}

func (s *service) Snapshot(ctx context.Context) ([]byte, error) {
	activation, err := s.current()
	if err != nil {
		return nil, err
	}
	return activation.driver.Snapshot(ctx)
}

func (s *service) Freeze(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.activation == nil {
		return nil, errIdle
	}
	snapshot, err := s.activation.driver.Freeze(ctx)
	if err != nil {
		return nil, err
	}
	s.activation.awaitRecording()
	s.activation.end()
	s.activation, s.frozen = nil, s.activation.driver
	return snapshot, nil
}

// end closes what an activation has beside its driver, which has ended.
func (s *activation) end() {
	s.publisher.close()
	s.log.Close()
}

func (s *service) Leave(ctx context.Context) error {
	activation, err := s.current()
	if err != nil {
		return err
	}
	return activation.driver.Leave(ctx)
}

func (s *service) Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	activation, err := s.current()
	if err != nil {
		return err
	}
	return activation.publisher.watch(ctx, changed)
}

func (s *service) Status(ctx context.Context) (*pluginpb.StatusReply, error) {
	activation, err := s.current()
	if err != nil {
		return &pluginpb.StatusReply{Phase: "frozen"}, nil
	}
	status, err := activation.driver.Status(ctx)
	if err != nil {
		return nil, err
	}
	reply := &pluginpb.StatusReply{
		Id: status.Self.String(), Phase: status.Phase.String(), Detail: status.Waiting,
	}
	if status.Conflict != "" {
		reply.Warnings = append(reply.Warnings, status.Conflict)
	}
	if g := status.Gray; g != nil {
		reply.Gray = &pluginpb.Gray{
			SinceUnixNanos: g.Since.UnixNano(), Answers: uint32(g.Answers), Questions: uint32(g.Questions),
		}
	}
	if status.Leader.IsValid() {
		reply.Leader = status.Leader.String()
	}
	for _, c := range status.Counters {
		reply.Counters = append(reply.Counters, pluginpb.Counter{Name: c.Name, Value: c.Value})
	}
	reply.Counters = append(reply.Counters, pluginpb.Counter{Name: "log_lines_dropped", Value: activation.log.Dropped()})
	return reply, nil
}

func (s *service) Bounds(ctx context.Context, members int) (*pluginpb.BoundsReply, error) {
	activation, err := s.current()
	if err != nil {
		return nil, err
	}
	b, err := activation.driver.Bounds(ctx, members)
	if err != nil {
		return nil, err
	}
	return &pluginpb.BoundsReply{
		Members: uint32(b.Members), MaxFailures: uint32(b.MaxFailures),
		IntervalNanos: int64(b.Interval), DoubtNanos: int64(b.Doubt), AgreedNanos: int64(b.Agreed), DeadlineNanos: int64(b.Deadline),
		MarginNanos: int64(b.Margin), DetectNanos: int64(b.Detect),
		RankNanos: int64(b.Rank), BatchNanos: int64(b.Batch), Hops: uint32(b.Hops), HopNanos: int64(b.Hop),
		TakeoverNanos: int64(b.Takeover), SpreadNanos: int64(b.Spread), AllNanos: int64(b.All),
		SpreadWithinNanos: int64(b.SpreadWithin), Text: b.String(),
	}, nil
}

// close ends the activation under way, if any, without telling the group.
func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		_ = s.frozen.Close()
	}
	if s.activation != nil {
		_ = s.activation.driver.Close()
		s.activation.end()
		s.activation = nil
	}
}
