package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
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
		if f.what == notifiesAfreshAlone {
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

// startNotify starts a fake notify plugin beside the rig's membership plugin.
func (r *rig) startNotify(what string) *Notify {
	r.t.Helper()
	r.build(filepath.Join(r.dir, pluginapi.NotifyName), what)
	n, err := StartNotify(context.Background(), NotifyConfig{Dir: r.dir, Roster: r.Roster(), Timing: quick})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(n.Stop)
	return n
}

// counters asks the plugin; there are none while it is being restarted.
func (n *Notify) counters() map[string]uint64 {
	status, err := n.Status(context.Background())
	if err != nil {
		return nil
	}
	counters := map[string]uint64{}
	for _, c := range status.Counters {
		counters[c.Name] = c.Value
	}
	return counters
}

// TestTwoKindsSideBySide has a plugin that inherits no socket, speaks another API and is
// under the same supervision.
func TestTwoKindsSideBySide(t *testing.T) {
	r := newRig(t, works)
	n := r.startNotify(notifies)
	r.row("the list of a first start", func(m pluginpb.Member) bool { return m.Incarnation == 1 })
	r.eventually("it knows the members", func() bool { return n.counters()["me@1"] == 1 })
	membership := r.Info()

	before := n.Info()
	info, err := n.Reload(context.Background())
	if err != nil || info.Name != pluginapi.NotifyName || info.PID == before.PID || info.Restarts != 0 {
		t.Errorf("reload: %+v, %v", info, err)
	}
	if c := n.counters(); c["starts"] != 2 || c["since"] != 0 {
		t.Errorf("after a reload: %v", c)
	}
	r.eventually("the new process knows the members", func() bool { return n.counters()["me@1"] == 1 })
	r.eventually("a snapshot is taken", func() bool {
		taken := ""
		n.host.do(context.Background(), func() error { taken = string(n.host.current.state()); return nil })
		return taken == "2"
	})
	if err := syscall.Kill(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is restarted from its snapshot", func() bool { return n.counters()["starts"] == 3 })
	if now := r.Info(); now != membership {
		t.Errorf("the membership plugin is %+v, was %+v", now, membership)
	}
	r.install(hangsLater) // another program for the one plugin alone
	r.eventually("the other plugin has a new program", func() bool { return r.Info().Checksum != membership.Checksum })
	if now := n.Info(); now.Checksum != before.Checksum || now.Restarts != 1 {
		t.Errorf("a new membership program makes this one %+v, was %+v", now, before)
	}
}

// TestNotifyWithoutItsStateMissesNoLine: it begins with the lines since the last state.
func TestNotifyWithoutItsStateMissesNoLine(t *testing.T) {
	r := newRig(t, works)
	n := r.startNotify(notifiesAfreshAlone)
	first := n.counters()["since"]
	if first == 0 {
		t.Fatalf("counters %v", n.counters())
	}
	known := func() uint64 { return uint64(n.knownAt.Load().UnixNano()) }
	r.eventually("a snapshot is taken", func() bool { return known() > first })
	pid := n.Info().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is started without its state", func() bool {
		since := n.counters()["since"]
		return n.Info().PID != pid && since > first && since <= known()
	})
}

// TestVersionsAreNegotiated: the highest that both sides have is spoken, and where there is
// none the error says so. Version 2 of these tests is version 1 under another number.
func TestVersionsAreNegotiated(t *testing.T) {
	kindOf := func(versions ...int) pluginapi.Kind {
		kind := pluginapi.MembershipKind(nil)
		adapter := kind.Versions[1]
		clear(kind.Versions)
		for _, version := range versions {
			kind.Versions[version] = adapter
		}
		return kind
	}
	r := prepare(t)
	r.install(works) // which speaks 1
	m := &Membership{roster: newRoster()}
	cfg := Config{
		Kind: kindOf(1, 2), Dir: r.dir, Socket: r.conn, Timing: quick,
		Bind: func(raw any) Service { return &membershipService{Membership: raw.(pluginapi.Membership), owner: m} },
	}
	cfg.Timing.Settle = 1 << 40 // no reload but those asked for
	host, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Stop()
	if got := host.Info().APIVersion; got != 1 {
		t.Errorf("a host of 1 and 2 and a plugin of 1 speak %d", got)
	}
	for what, want := range map[string]int{speaksTwo: 2, works: 1} {
		r.install(what)
		if info, err := host.Reload(t.Context()); err != nil || info.APIVersion != want {
			t.Errorf("a plugin that %s: %+v, %v; want version %d", what, info, err, want)
		}
	}
	r.install(works)
	cfg.Kind = kindOf(2, 3)
	if host, err := New(t.Context(), cfg); err == nil {
		host.Stop()
		t.Error("a host of 2 and 3 takes a plugin of 1")
	} else if !strings.Contains(err.Error(), "Plugin version: 1, Client versions: [") {
		t.Errorf("a host of 2 and 3, and a plugin of 1: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) != 1 {
		t.Errorf("beside the running host's directory there is %v", left)
	}
}
