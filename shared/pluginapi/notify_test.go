package pluginapi

import (
	"context"
	"errors"
	"net"
	"reflect"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// servedNotify is a Notify that gives back what it got, or its error.
type servedNotify struct {
	err     error
	started *notifypb.StartRequest
	members *notifypb.MembersRequest
}

var _ Notify = (*servedNotify)(nil)

func (s *servedNotify) Start(_ context.Context, request *notifypb.StartRequest) error {
	s.started = request
	return s.err
}
func (s *servedNotify) Snapshot(context.Context) ([]byte, error) { return []byte("snapshot"), s.err }
func (s *servedNotify) Freeze(context.Context) ([]byte, error)   { return []byte("frozen"), s.err }
func (s *servedNotify) Drain(context.Context) error              { return s.err }
func (s *servedNotify) Members(_ context.Context, request *notifypb.MembersRequest) error {
	s.members = request
	return s.err
}
func (s *servedNotify) Status(context.Context) (*notifypb.StatusReply, error) {
	return &notifypb.StatusReply{Counters: []notifypb.Counter{{Name: "sent", Value: 7}}}, s.err
}

// connectNotify returns a client of s, connected as a host and its plugin are.
func connectNotify(t *testing.T, s *servedNotify) Notify {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := newServer(nil)
	adapter := &notifyV1{served: s}
	if err := adapter.GRPCServer(nil, server); err != nil {
		t.Fatal(err)
	}
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
	return client.(Notify)
}

func TestNotifyCallsReachTheServiceAndComeBack(t *testing.T) {
	s := new(servedNotify)
	client := connectNotify(t, s)
	ctx := context.Background()
	start := &notifypb.StartRequest{
		Config:   notifypb.Config{LogDir: "/logs", Events: []string{"FAIL"}, Command: []string{"/bin/page", "two words"}, All: true},
		Snapshot: []byte{1}, SinceUnixNanos: 7,
	}
	if err := client.Start(ctx, start); err != nil || !reflect.DeepEqual(s.started, start) {
		t.Errorf("Start with %v, %v; want %v", s.started, err, start)
	}
	members := &notifypb.MembersRequest{Self: "a@1", Alive: []notifypb.Member{{Id: "a@1", SinceUnixNanos: 5}}}
	if err := client.Members(ctx, members); err != nil || !reflect.DeepEqual(s.members, members) {
		t.Errorf("Members with %v, %v; want %v", s.members, err, members)
	}
	if state, err := client.Snapshot(ctx); err != nil || string(state) != "snapshot" {
		t.Errorf("Snapshot: %q, %v", state, err)
	}
	if state, err := client.Freeze(ctx); err != nil || string(state) != "frozen" {
		t.Errorf("Freeze: %q, %v", state, err)
	}
	if err := client.Drain(ctx); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if status, err := client.Status(ctx); err != nil || len(status.Counters) != 1 || status.Counters[0].Value != 7 {
		t.Errorf("Status: %v, %v", status, err)
	}
}

func TestNotifyErrorsComeBackAsTheServiceSaidThem(t *testing.T) {
	client := connectNotify(t, &servedNotify{err: errors.New("no mood")})
	ctx := context.Background()
	_, snapshotErr := client.Snapshot(ctx)
	_, freezeErr := client.Freeze(ctx)
	_, statusErr := client.Status(ctx)
	for call, err := range map[string]error{
		"Start": client.Start(ctx, &notifypb.StartRequest{}), "Members": client.Members(ctx, &notifypb.MembersRequest{}),
		"Drain": client.Drain(ctx), "Snapshot": snapshotErr, "Freeze": freezeErr, "Status": statusErr,
	} {
		if err == nil || err.Error() != "no mood" {
			t.Errorf("%s: %v, want the service's own error", call, err)
		}
	}
}
