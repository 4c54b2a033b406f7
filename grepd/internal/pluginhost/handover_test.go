package pluginhost

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// successor is a second host with the same socket and an idle plugin, as in a daemon that is
// to take over.
type successor struct {
	rig
	*Prepared
}

func (r *rig) successor() *successor {
	r.t.Helper()
	next := &successor{rig: rig{Dir: r.Dir, t: r.t}}
	var err error
	if next.Prepared, err = Prepare(context.Background(), next.config(quick)); err != nil {
		r.t.Fatal(err)
	}
	return next
}

// beginFrom has it take over.
func (s *successor) beginFrom(from Handed) *rig {
	s.t.Helper()
	var err error
	if s.Host, err = s.Prepared.Begin(from); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Stop)
	return &s.rig
}

func TestHandOverLosesNoDatagramAndKeepsTheState(t *testing.T) {
	r := newRig(t, hosttest.Works)
	oldPID := r.Info().PID
	r.row("the first list", func(pluginpb.Member) bool { return true })
	pump := startPump(t, r.Conn.LocalAddr())
	next := r.successor()
	var after *rig
	err := r.HandOver(func(from Handed) error {
		if from.Crashed || from.Retired || time.Since(from.Frozen) > time.Minute {
			t.Errorf("handed over as %+v", from)
		}
		after = next.beginFrom(from)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if info := r.Info(); info.State != HandedOver || info.PID != 0 || alive(oldPID) {
		t.Errorf("the old host: %+v, process alive: %t", info, alive(oldPID))
	}
	if _, err := r.Reload(context.Background()); !errors.Is(err, ErrStopped) {
		t.Errorf("reload of the old host: %v, want %v", err, ErrStopped)
	}
	r.Stop()
	pump.finish()
	if r.losses() > 0 {
		t.Error("the old host's service was told of its end, although the work goes on")
	}
	if uint64(len(pump.echoes)) != pump.sent || pump.twice != 0 {
		t.Errorf("%d of %d datagrams were echoed, %d of them twice", len(pump.echoes), pump.sent, pump.twice)
	}
	after.row("a second start, not from a crash", func(m pluginpb.Member) bool { return m.Addr == "frozen" && m.Incarnation == 2 })
	if r.logged("action=stop") {
		t.Errorf("the plugin was retired: %q", r.lines())
	}
	after.reload() // the new host is one like any other
}

func TestHandOverThatFailsResumes(t *testing.T) {
	r := newRig(t, hosttest.Works)
	before := r.Info()
	pump := startPump(t, r.Conn.LocalAddr())
	refused := errors.New("no mood to take over")
	if err := r.HandOver(func(Handed) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("%v, want %v", err, refused)
	}
	pump.finish()
	if after := r.Info(); after != before {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if uint64(len(pump.echoes)) != pump.sent || pump.twice != 0 {
		t.Errorf("%d of %d datagrams were echoed, %d of them twice", len(pump.echoes), pump.sent, pump.twice)
	}
	r.row("a second start, not from a crash", func(m pluginpb.Member) bool { return m.Addr == "frozen" && m.Incarnation == 2 })
	r.reload()
}

// TestBannedProgramIsNotHandedOverTo: the new host would run what this one has refused, and
// have nothing to go back to.
func TestBannedProgramIsNotHandedOverTo(t *testing.T) {
	r := newRig(t, hosttest.Works)
	try := func() (given bool, err error) {
		over := errors.New("no mood to take over")
		err = r.HandOver(func(Handed) error { given = true; return over })
		if given && !errors.Is(err, over) {
			t.Errorf("%v, want %v", err, over)
		}
		return given, err
	}
	for _, test := range []struct{ what, action, reason string }{
		{hosttest.ExitsAtOnce, "action=refuse", "no mood to work"}, {hosttest.PanicsLater, "action=rollback", "exit status 2"},
	} {
		before := r.count(test.action)
		r.Install(test.what)
		_, _ = r.Reload(context.Background()) // which may see it crash
		r.eventually("it is no good", func() bool { return r.count(test.action) > before })
		r.eventually("the old one is at work alone", func() bool {
			return r.owner(func(h *Host) bool {
				return h.reload.stage == noReload && h.stage == working && h.program.hex() != r.checksum()
			})
		})
		info := r.Info()
		given, err := try()
		if given || err == nil {
			t.Fatalf("%s: handed over all the same", test.what)
		}
		for _, want := range []string{`plugin "membership"`, r.checksum()[:12], test.reason} {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line with %q", err, want)
			}
		}
		if after := r.Info(); after != info {
			t.Errorf("before %+v\nafter %+v", info, after)
		}
	}
	r.Install(hosttest.Works) // with another program there, before the watch has seen it
	if given, err := try(); !given {
		t.Error(err)
	}
}

func TestReloadUnderWayIsToldOfTheHandOver(t *testing.T) {
	r := newRig(t, hosttest.Works)
	before := r.Info()
	r.Install(hosttest.HangsMute)
	reloaded := r.reloadInBackground()
	r.eventually("the new program hangs", func() bool {
		return r.owner(func(h *Host) bool { return h.reload.stage == launching })
	})
	refused := errors.New("no mood to take over")
	if err := r.HandOver(func(Handed) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("%v, want %v", err, refused)
	}
	if err := <-reloaded; !errors.Is(err, ErrHandOver) {
		t.Errorf("the reload ends with %v, want %v", err, ErrHandOver)
	}
	if after := r.Info(); after != before {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}

func TestPluginThatDoesNotFreezeIsHandedOverFromItsSnapshot(t *testing.T) {
	r := prepare(t)
	r.Install(hosttest.HangsAtFreeze)
	timing := quick
	timing.Call = 200 * time.Millisecond
	if err := r.start(timing); err != nil {
		t.Fatal(err)
	}
	hung := r.Info().PID
	r.eventually("there is a snapshot", func() bool { return r.snapshotted() })
	r.Dir = r.elsewhere()
	r.Install(hosttest.Works)
	next := r.successor()
	var after *rig
	err := r.HandOver(func(from Handed) error {
		if !from.Crashed {
			t.Errorf("handed over as %+v", from)
		}
		after = next.beginFrom(from)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after.row("a second start, from a crash", func(m pluginpb.Member) bool { return m.Addr == "crashed" && m.Incarnation == 2 })
	r.eventually("the hanging process is gone", func() bool { return !alive(hung) })
}

// elsewhere is another plugin directory, since a host watches its own.
func (r *rig) elsewhere() *hosttest.Dir {
	dir := *r.Dir
	dir.Path = r.t.TempDir()
	return &dir
}

// snapshotted asks the host's goroutine whether it has a state.
func (r *rig) snapshotted() bool {
	have := false
	err := r.Host.do(context.Background(), func() error { have = r.Host.current.state() != nil; return nil })
	return err == nil && have
}

func TestHandOverOfARetiredPluginStartsNothing(t *testing.T) {
	r := newRig(t, hosttest.Works)
	if err := r.Retire(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := r.successor()
	idle := next.PID()
	var after *rig
	err := r.HandOver(func(from Handed) error {
		if !from.Retired {
			t.Errorf("handed over as %+v", from)
		}
		after = next.beginFrom(from)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if info := after.Info(); info.State != Stopped || alive(idle) {
		t.Errorf("the new host: %+v, idle process alive: %t", info, alive(idle))
	}
	after.reload()
	after.row("a start without a state", func(m pluginpb.Member) bool { return m.Incarnation == 1 })
}

func TestStateThatTheNewProgramRefusesIsNoEnd(t *testing.T) {
	r := newRig(t, hosttest.Works)
	before := r.Info()
	r.Dir = r.elsewhere()
	r.Install(hosttest.RefusesState)
	next := r.successor()
	err := r.HandOver(func(from Handed) error {
		_, err := next.Begin(from)
		next.End()
		return err
	})
	if err == nil || r.Info() != before {
		t.Errorf("%v; before %+v\nafter %+v", err, before, r.Info())
	}
}

// TestPresenceLastsAsLongAsThePlugin looks at the pipe by which a daemon knows that nobody
// of its successor is left.
func TestPresenceLastsAsLongAsThePlugin(t *testing.T) {
	r := prepare(t)
	r.Install(hosttest.Works)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cfg := r.config(quick)
	cfg.Presence = write
	p, err := Prepare(context.Background(), cfg)
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("while the plugin is idle: %v", err)
	}
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := read.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after its end: %v, want %v", err, io.EOF)
	}
	p.End()
	if leftover := r.Leftover(); len(leftover) > 0 {
		t.Errorf("a host that did not begin leaves %v", leftover)
	}
}

func TestPrepareSaysWhatIsWrong(t *testing.T) {
	r := prepare(t)
	r.Install(hosttest.ExitsAtOnce)
	_, err := Prepare(context.Background(), r.config(quick))
	if want := "no mood to work"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q in it", err, want)
	}
	if leftover := r.Leftover(); len(leftover) > 0 {
		t.Errorf("it leaves %v", leftover)
	}
}
