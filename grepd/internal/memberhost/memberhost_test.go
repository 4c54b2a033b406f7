package memberhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/roster"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// quick is Timing for tests: nothing that works is given less time than a busy machine may
// need.
var quick = pluginhost.Timing{
	Launch: time.Minute, Call: 5 * time.Second, Grace: 5 * time.Second,
	PingEvery: 20 * time.Millisecond, Ping: 5 * time.Second, SnapshotEvery: 20 * time.Millisecond,
	RestartFirst: 10 * time.Millisecond, RestartMax: 50 * time.Millisecond, Settle: time.Hour,
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a host with a fake plugin.
type rig struct {
	*Host
	*hosttest.Dir
	t *testing.T
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Dir: hosttest.NewDir(t), t: t}
	r.Install(hosttest.Works)
	host, err := Start(t.Context(), r.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Stop)
	r.Host = host
	return r
}

func (r *rig) config() Config {
	return Config{Dir: r.Path, Socket: r.Conn, Start: pluginpb.Config{Advertise: "127.0.0.1:1"}, Timing: quick}
}

// starts waits until the roster is live, with the row of a plugin that was started so often.
func (r *rig) starts(n uint64) {
	r.t.Helper()
	list := func() *roster.List { return r.Roster().List() }
	hosttest.Eventually(r.t, fmt.Sprintf("start %d", n), func() bool {
		return list().StaleSince.IsZero() && len(list().Members) == 1 && list().Members[0].Incarnation == n
	}, func() string { return fmt.Sprintf("list: %+v\ninfo: %+v", list(), r.Info()) })
}

func (r *rig) phase() string {
	r.t.Helper()
	status, err := r.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return status.Phase
}

func TestRosterOutlivesThePlugin(t *testing.T) {
	r := newRig(t)
	r.starts(1)
	if phase := r.phase(); phase != "member" {
		t.Errorf("the phase is %q", phase)
	}
	r.Stop()
	if list := r.Roster().List(); list.StaleSince.IsZero() || len(list.Members) != 1 {
		t.Errorf("after Stop the list is %+v, want the last one, stale", list)
	}
}

func TestLeaveIsOnceAndReloadJoinsAfresh(t *testing.T) {
	r := newRig(t)
	r.starts(1)
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := r.Roster().List(); !list.Left || list.StaleSince.IsZero() {
		t.Errorf("after Leave the list is %+v", list)
	}
	if phase := r.phase(); phase != "left" {
		t.Errorf("the phase is %q", phase)
	}
	if err := r.Leave(t.Context()); err == nil {
		t.Error("leaving twice is no error")
	}
	if _, err := r.Bounds(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "grepd plugin reload joins again") {
		t.Errorf("bounds of one that has left: %v", err)
	}
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.starts(1)
}

// TestListsAreFreshThroughAReload: what is asked meanwhile is asked of all members.
func TestListsAreFreshThroughAReload(t *testing.T) {
	r := newRig(t)
	r.starts(1)
	stale := r.watchForStale()
	for range 2 {
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.starts(3)
	if stale() {
		t.Error("the member list was marked stale during a reload")
	}
}

func TestListIsThereWhenAnotherHostHasTakenOver(t *testing.T) {
	r := newRig(t)
	r.starts(1)
	next, err := Prepare(t.Context(), r.config())
	if err != nil {
		t.Fatal(err)
	}
	if list := next.Roster().List(); list.StaleSince.IsZero() || len(list.Members) != 0 {
		t.Errorf("before it takes over, its list is %+v", list)
	}
	stale := r.watchForStale()
	var after *Host
	err = r.HandOver(func(from pluginhost.Handed) (err error) {
		after, err = next.Begin(from)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(after.Stop)
	if list := after.Roster().List(); !list.StaleSince.IsZero() || len(list.Members) != 1 {
		t.Errorf("the new host begins with the list %+v", list)
	}
	r.Stop()
	if stale() {
		t.Error("the old host's list was marked stale, and queries under way still use it")
	}
}

func TestOneThatHasLeftIsTakenOverAsLeft(t *testing.T) {
	r := newRig(t)
	r.starts(1)
	if err := r.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := Prepare(t.Context(), r.config())
	if err != nil {
		t.Fatal(err)
	}
	var after *Host
	err = r.HandOver(func(from pluginhost.Handed) (err error) {
		after, err = next.Begin(from)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(after.Stop)
	if list := after.Roster().List(); !list.Left {
		t.Errorf("the new host begins with the list %+v", list)
	}
}

// watchForStale looks at every list from now on. What it returns ends that, and reports
// whether one was stale.
func (r *rig) watchForStale() (end func() bool) {
	stop, result := make(chan struct{}), make(chan bool)
	go func() {
		stale := false
		for {
			changed := r.Roster().Changed()
			stale = stale || !r.Roster().List().StaleSince.IsZero()
			select {
			case <-changed:
			case <-stop:
				result <- stale
				return
			}
		}
	}()
	return func() bool { close(stop); return <-result }
}

// watched is a plugin that tells some updates and then ends its host's attention.
type watched struct {
	pluginapi.Membership // what is not implemented panics
	updates              []*pluginpb.MembersUpdate
	end                  context.CancelFunc
}

func (w *watched) Watch(_ context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	defer w.end()
	for _, update := range w.updates {
		if err := changed(update); err != nil {
			return err
		}
	}
	return errors.New("no more")
}

func TestListIsLiveOnceThisNodeIsInIt(t *testing.T) {
	member := func(addr string, incarnation uint64) pluginpb.Member {
		return pluginpb.Member{Addr: addr, Incarnation: incarnation, State: pluginpb.State_ALIVE}
	}
	joining := &pluginpb.MembersUpdate{Reset_: true, Self: "b@2"}
	pulled := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("a", 1), member("b", 1)}}
	joined := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("b", 2)}}
	grown := &pluginpb.MembersUpdate{Self: "b@2", Members: []pluginpb.Member{member("c", 3)}}
	for _, test := range []struct {
		name    string
		updates []*pluginpb.MembersUpdate
		want    []string
	}{
		{"never joined", []*pluginpb.MembersUpdate{joining, pulled}, nil},
		{"joined, and told once", []*pluginpb.MembersUpdate{joining, pulled, joined, grown}, []string{"live: 2 members known"}},
	} {
		var modes []string
		ctx, cancel := context.WithCancel(t.Context())
		h := &Host{roster: roster.New(), cfg: Config{
			Log: func(_ slog.Level, _ eventlog.Event, _ string, attrs ...slog.Attr) {
				modes = append(modes, attrs[0].Value.String()+": "+attrs[1].Value.String())
			},
		}}
		(&service{Membership: &watched{updates: test.updates, end: cancel}, host: h}).Attend(ctx)
		if !slices.Equal(modes, test.want) {
			t.Errorf("%s: logged %q, want %q", test.name, modes, test.want)
		}
	}
}
