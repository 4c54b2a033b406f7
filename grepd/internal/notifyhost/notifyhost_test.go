package notifyhost

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/memberhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// quick is Timing for tests: nothing that works is given less time than a busy machine may
// need.
var quick = pluginhost.Timing{
	Launch: time.Minute, Call: 5 * time.Second, Grace: 5 * time.Second,
	PingEvery: 20 * time.Millisecond, Ping: 5 * time.Second, SnapshotEvery: 20 * time.Millisecond,
	RestartFirst: 10 * time.Millisecond, RestartMax: 50 * time.Millisecond, Settle: 30 * time.Millisecond,
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a notify plugin beside a membership plugin, both fakes.
type rig struct {
	*Host
	*hosttest.Dir
	t       *testing.T
	members *memberhost.Host
}

func newRig(t *testing.T, what string) *rig {
	t.Helper()
	r := &rig{Dir: hosttest.NewDir(t), t: t}
	r.Install(hosttest.Works)
	var err error
	r.members, err = memberhost.Start(t.Context(), memberhost.Config{Dir: r.Path, Socket: r.Conn, Timing: quick})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.members.Stop)
	r.Build(filepath.Join(r.Path, pluginapi.NotifyName), what)
	r.Host, err = Start(t.Context(), Config{Dir: r.Path, Roster: r.members.Roster(), Timing: quick})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	hosttest.Eventually(r.t, what, condition, func() string {
		return fmt.Sprintf("notify: %+v\nmembership: %+v", r.Info(), r.members.Info())
	})
}

// counters asks the plugin; there are none while it is being restarted.
func (r *rig) counters() map[string]uint64 {
	status, err := r.Status(context.Background())
	if err != nil {
		return nil
	}
	counters := map[string]uint64{}
	for _, c := range status.Counters {
		counters[c.Name] = c.Value
	}
	return counters
}

// awaitSnapshot returns when the host has a state that was taken after the call.
func (r *rig) awaitSnapshot() {
	r.t.Helper()
	began := time.Now()
	for range 2 { // the state is the host's when the next one is being taken
		r.eventually("a snapshot is taken", func() bool { return r.knownAt.Load().After(began) })
		began = *r.knownAt.Load()
	}
}

// TestTwoKindsSideBySide has a plugin that inherits no socket, speaks another API and is
// under the same supervision.
func TestTwoKindsSideBySide(t *testing.T) {
	r := newRig(t, hosttest.Notifies)
	r.eventually("it knows the members", func() bool { return r.counters()["me@1"] == 1 })
	membership := r.members.Info()

	before := r.Info()
	info, err := r.Reload(context.Background())
	if err != nil || info.Name != pluginapi.NotifyName || info.PID == before.PID || info.Restarts != 0 {
		t.Errorf("reload: %+v, %v", info, err)
	}
	if c := r.counters(); c["starts"] != 2 || c["since"] != 0 {
		t.Errorf("after a reload: %v", c)
	}
	r.eventually("the new process knows the members", func() bool { return r.counters()["me@1"] == 1 })
	r.awaitSnapshot()
	if err := syscall.Kill(info.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is restarted from its snapshot", func() bool { return r.counters()["starts"] == 3 })
	if now := r.members.Info(); now != membership {
		t.Errorf("the membership plugin is %+v, was %+v", now, membership)
	}
	r.Install(hosttest.HangsLater) // another program for the one plugin alone
	r.eventually("the other plugin has a new program", func() bool {
		return r.members.Info().Checksum != membership.Checksum
	})
	if now := r.Info(); now.Checksum != before.Checksum || now.Restarts != 1 {
		t.Errorf("a new membership program makes this one %+v, was %+v", now, before)
	}
}

// TestNotifyWithoutItsStateMissesNoLine: it begins with the lines since the last state.
func TestNotifyWithoutItsStateMissesNoLine(t *testing.T) {
	r := newRig(t, hosttest.NotifiesAfreshAlone)
	first := r.counters()["since"]
	if first == 0 {
		t.Fatalf("counters %v", r.counters())
	}
	known := func() uint64 { return uint64(r.knownAt.Load().UnixNano()) }
	r.eventually("a snapshot is taken", func() bool { return known() > first })
	pid := r.Info().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is started without its state", func() bool {
		since := r.counters()["since"]
		return r.Info().PID != pid && since > first && since <= known()
	})
}
