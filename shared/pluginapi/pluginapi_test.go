package pluginapi

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a Membership that gives back what it got, or its error.
type served struct {
	err     error
	started *pluginpb.StartRequest
	updates []*pluginpb.MembersUpdate
}

var _ Membership = (*served)(nil)

func (s *served) Start(_ context.Context, request *pluginpb.StartRequest) (string, error) {
	s.started = request
	return "10.0.0.1:7117@1", s.err
}
func (s *served) Snapshot(context.Context) ([]byte, error) { return []byte("snapshot"), s.err }
func (s *served) Freeze(context.Context) ([]byte, error)   { return []byte("frozen"), s.err }
func (s *served) Leave(ctx context.Context) error {
	if s.err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.err
}
func (s *served) Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	for _, update := range s.updates {
		if err := changed(update); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	<-ctx.Done()
	return ctx.Err()
}
func (s *served) Status(context.Context) (*pluginpb.StatusReply, error) {
	return &pluginpb.StatusReply{Phase: "member"}, s.err
}

func (s *served) Bounds(_ context.Context, members int) (*pluginpb.BoundsReply, error) {
	return &pluginpb.BoundsReply{Members: uint32(members)}, s.err
}

func (s *served) Record(
	ctx context.Context, request *pluginpb.RecordRequest, stop <-chan struct{},
	reply func(*pluginpb.RecordReply) error,
) error {
	if s.err != nil {
		return s.err
	}
	if err := reply(&pluginpb.RecordReply{Piece: []byte("begin")}); err != nil {
		return err
	}
	select {
	case <-stop:
	case <-ctx.Done():
		return ctx.Err()
	}
	return reply(&pluginpb.RecordReply{
		Piece: []byte("end"), End: &pluginpb.RecordEnd{Why: "enough", Steps: uint64(request.BytesMax)},
	})
}

// connect returns a client of s, connected as a host and its plugin are.
func connect(t *testing.T, s *served) Membership {
	t.Helper()
	return connectTo(t, &membershipServer{s})
}

func connectTo(t *testing.T, service pluginpb.MembershipServer) Membership {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := newServer(nil)
	adapter := &membershipV1{}
	pluginpb.RegisterMembershipServer(server, service)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:///plugin", append(DialOptions(),
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Stop(); <-done })
	client, err := adapter.GRPCClient(context.Background(), nil, conn)
	if err != nil {
		t.Fatal(err)
	}
	return client.(Membership)
}

func TestCallsReachTheServiceAndComeBack(t *testing.T) {
	s := &served{}
	client := connect(t, s)
	ctx := context.Background()
	request := &pluginpb.StartRequest{
		Config:   pluginpb.Config{Advertise: "10.0.0.1:7117", Gateways: []string{"10.0.0.2:7117"}, MaxFailures: 3},
		Snapshot: []byte{1, 2}, Crashed: true,
	}
	if id, err := client.Start(ctx, request); err != nil || id != "10.0.0.1:7117@1" {
		t.Errorf("Start: %q, %v", id, err)
	}
	if !reflect.DeepEqual(s.started, request) {
		t.Errorf("the service was started with %v, want %v", s.started, request)
	}
	if state, err := client.Snapshot(ctx); err != nil || string(state) != "snapshot" {
		t.Errorf("Snapshot: %q, %v", state, err)
	}
	if state, err := client.Freeze(ctx); err != nil || string(state) != "frozen" {
		t.Errorf("Freeze: %q, %v", state, err)
	}
	if status, err := client.Status(ctx); err != nil || status.Phase != "member" {
		t.Errorf("Status: %v, %v", status, err)
	}
	if bounds, err := client.Bounds(ctx, 7); err != nil || bounds.Members != 7 {
		t.Errorf("Bounds: %v, %v", bounds, err)
	}
}

// TestCallThatAnOlderProgramLacks calls a server of the same version that has no method.
func TestCallThatAnOlderProgramLacks(t *testing.T) {
	client := connectTo(t, &pluginpb.UnimplementedMembershipServer{})
	if _, err := client.Bounds(context.Background(), 0); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Bounds: %v, want ErrUnsupported", err)
	}
	err := client.Record(context.Background(), &pluginpb.RecordRequest{}, nil, nil)
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("Record: %v, want ErrUnsupported", err)
	}
}

func TestErrorsComeBackAsTheServiceSaidThem(t *testing.T) {
	client := connect(t, &served{err: errors.New("no mood")})
	ctx := context.Background()
	_, startErr := client.Start(ctx, &pluginpb.StartRequest{})
	_, snapshotErr := client.Snapshot(ctx)
	_, freezeErr := client.Freeze(ctx)
	_, statusErr := client.Status(ctx)
	_, boundsErr := client.Bounds(ctx, 1)
	watchErr := client.Watch(ctx, func(*pluginpb.MembersUpdate) error { return nil })
	recordErr := client.Record(ctx, &pluginpb.RecordRequest{}, nil, func(*pluginpb.RecordReply) error { return nil })
	for call, err := range map[string]error{
		"Start": startErr, "Snapshot": snapshotErr, "Freeze": freezeErr, "Status": statusErr, "Bounds": boundsErr,
		"Watch": watchErr, "Record": recordErr, "Leave": client.Leave(ctx),
	} {
		if err == nil || err.Error() != "no mood" {
			t.Errorf("%s: %v, want the service's own error", call, err)
		}
	}
}

func TestDeadlineIsTheContextsError(t *testing.T) {
	client := connect(t, &served{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := client.Leave(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Leave past its deadline: %v", err)
	}
}

func TestWatchTellsEveryUpdateUntilItsReaderHasEnough(t *testing.T) {
	updates := []*pluginpb.MembersUpdate{
		{Reset_: true, Version: 1, Digest: 7, Self: "10.0.0.1:7117@1", Members: []pluginpb.Member{
			{Addr: "10.0.0.1:7117", Incarnation: 1, State: pluginpb.State_ALIVE, SinceUnixNanos: 5},
		}},
		{Version: 2, Forgotten: []string{"10.0.0.1:7117"}},
	}
	client := connect(t, &served{updates: updates})
	enough := errors.New("enough")
	var got []*pluginpb.MembersUpdate
	err := client.Watch(context.Background(), func(u *pluginpb.MembersUpdate) error {
		if got = append(got, u); len(got) == len(updates) {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("Watch: %v, want its reader's error", err)
	}
	if !slices.EqualFunc(got, updates, func(a, b *pluginpb.MembersUpdate) bool { return reflect.DeepEqual(a, b) }) {
		t.Errorf("told %v, want %v", got, updates)
	}
}

// TestRecordGoesOnUntilItIsStopped: by the channel, the reader's error or the context.
func TestRecordGoesOnUntilItIsStopped(t *testing.T) {
	client := connect(t, &served{})
	stop := make(chan struct{})
	var file []byte
	var end *pluginpb.RecordEnd
	request := &pluginpb.RecordRequest{BytesMax: 7}
	err := client.Record(context.Background(), request, stop, func(r *pluginpb.RecordReply) error {
		if file = append(file, r.Piece...); r.End == nil {
			close(stop)
		}
		end = r.End
		return nil
	})
	if err != nil || string(file) != "beginend" || end == nil || end.Why != "enough" || end.Steps != 7 {
		t.Errorf("recorded %q, %v, %v", file, end, err)
	}
	full := errors.New("the disk is full")
	err = client.Record(context.Background(), request, nil, func(*pluginpb.RecordReply) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("Record: %v, want its reader's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = client.Record(ctx, request, nil, func(*pluginpb.RecordReply) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Record: %v, want that it was cancelled", err)
	}
}
