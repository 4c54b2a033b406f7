package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/notifypb"
)

// pager is a destination that does as it is told.
type pager struct {
	mu     sync.Mutex
	does   func(ctx context.Context, events []event) outcome
	keys   map[string]int // how often each was delivered
	groups []int          // how many together
}

var _ destination = (*pager)(nil)

func (*pager) name() string { return "pager" }

func (p *pager) deliver(ctx context.Context, _ string, events []event) outcome {
	p.mu.Lock()
	does := p.does
	p.mu.Unlock()
	if does != nil {
		if out := does(ctx, events); out.err != nil {
			return out
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[string]int{}
	}
	for _, e := range events {
		p.keys[e.key]++
	}
	p.groups = append(p.groups, len(events))
	return outcome{}
}

func (p *pager) set(does func(context.Context, []event) outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.does = does
}

func (p *pager) delivered() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.keys)
}

// rig is node 1 with its logs and a notifier that pages.
type rig struct {
	t        *testing.T
	dir      string
	log      *eventlog.Log
	pager    *pager
	notifier *notifier
	all      bool
	on       []eventlog.Event
}

// inBubble runs a test with a rig on a clock of its own.
func inBubble(t *testing.T, test func(*testing.T, *rig), on ...eventlog.Event) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, dir: t.TempDir(), pager: new(pager), on: on}
		var err error
		if r.log, err = eventlog.Open(eventlog.Config{Dir: r.dir, Name: eventlog.MembershipLog}); err != nil {
			t.Fatal(err)
		}
		defer func() { r.log.Close() }() // it may be another one by then
		test(t, r)
		if r.notifier != nil {
			r.stop()
		}
	})
}

func (r *rig) start(state []byte) {
	r.t.Helper()
	cfg := config{logDir: r.dir, all: r.all, wanted: map[eventlog.Event]bool{}, destinations: []destination{r.pager}}
	for _, event := range r.on {
		cfg.wanted[event] = true
	}
	var err error
	if r.notifier, err = startNotifier(cfg, &notifypb.StartRequest{Snapshot: state, SinceUnixNanos: time.Now().UnixNano()}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stop() []byte {
	r.t.Helper()
	state, err := r.notifier.stop(freezeGrace)
	if err != nil {
		r.t.Fatal(err)
	}
	r.notifier = nil
	return state
}

// alone says that this node is the only one left, so that it tells of everything.
func (r *rig) alone() {
	r.t.Helper()
	if err := r.notifier.members(context.Background(), listOf(1, 1)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) write(event eventlog.Event, peer int, attrs ...slog.Attr) {
	r.log.Write(slog.LevelInfo, event, memberID(1), memberID(peer), attrs...)
}

// after lets time pass, and compares what has been delivered.
func (r *rig) after(d time.Duration, want map[string]int) {
	r.t.Helper()
	synctestSleep(d)
	if got := r.pager.delivered(); !maps.Equal(got, want) {
		r.t.Errorf("after %v, delivered %v, want %v", d, got, want)
	}
}

// synctestSleep lets the bubble's time pass.
func synctestSleep(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// lines are those of the plugin's own log.
func (r *rig) lines() string {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, eventlog.NotifyLog))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

func failKey(peer int) string { return "FAIL/" + memberID(peer) }

func TestSessionTellsOfWhatComesTogetherAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.write(eventlog.Fail, 90)
		synctestSleep(time.Millisecond) // and so it is older than the notifier
		r.start(nil)
		r.alone()
		r.write(eventlog.Heartbeat, 2)
		r.write(eventlog.Join, 2)
		r.write(eventlog.Fail, 2)
		r.write(eventlog.Fail, 3)
		r.after(pollEvery+batchFor/2, nil)
		r.after(batchFor, map[string]int{failKey(2): 1, failKey(3): 1})
		if !slices.Equal(r.pager.groups, []int{2}) {
			t.Errorf("delivered in groups of %v", r.pager.groups)
		}
		if !strings.Contains(r.lines(), `"event":"NOTIFY","node":"`+memberID(1)+`","action":"sent","to":"pager","events":2}`) {
			t.Errorf("logged %s", r.lines())
		}
	}, eventlog.Fail)
}

func TestEventsWaitUntilThereIsAList(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.write(eventlog.Fail, 2)
		r.after(time.Minute, nil)
		state := r.stop() // and what waits so is in the state
		r.start(state)
		r.alone()
		r.after(pollEvery+batchFor, map[string]int{failKey(2): 1})
	}, eventlog.Fail)
}

func TestJoinsAreToldByTheirGatewayAndTheRestByItsNode(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.write(eventlog.Join, 1, slog.String(eventlog.KeyVia, "self")) // this node itself
		r.write(eventlog.Join, 2, slog.String(eventlog.KeyVia, "self"))
		r.write(eventlog.Join, 3, slog.String(eventlog.KeyVia, "update"))
		r.write(eventlog.Rejoin, 1)
		synctestSleep(pollEvery + batchFor)
		got := slices.Sorted(maps.Keys(r.pager.delivered()))
		if len(got) != 2 || got[0] != "JOIN/"+memberID(2) || !strings.HasPrefix(got[1], "REJOIN/"+memberID(1)+"/") {
			t.Errorf("delivered %q", got)
		}
	}, eventlog.Join, eventlog.Rejoin)
}

// TestFailureOfOneThatIsBackIsToldByWhoFoundItOut: the chosen one may have heard of the new
// incarnation first, and then never logs the failure.
func TestFailureOfOneThatIsBackIsToldByWhoFoundItOut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var c elector
		c.members(listOf(1, numbers(4)...), start.Add(time.Hour))
		others := -1 // a failure that another member is to tell of
		for peer := 100; others < 0; peer++ {
			if len(c.take(fail(1, peer), start.Add(time.Hour))) == 0 {
				others = peer
			}
		}
		again := strings.Replace(memberID(others), "@", "@9", 1)
		back := func() {
			r.log.Write(slog.LevelInfo, eventlog.Join, memberID(1), again, slog.String(eventlog.KeyVia, "update"))
		}
		for _, test := range []struct {
			name, via string
			after     time.Duration
			want      map[string]int
		}{
			{"it was found out elsewhere", "update", time.Second, nil},
			{"the chosen one has long heard of it", eventlog.ViaMonitor, heardWithin + pollEvery, nil},
			{"soon", eventlog.ViaMonitor, time.Second, map[string]int{failKey(others): 1}},
		} {
			r.start(nil)
			if err := r.notifier.members(context.Background(), listOf(1, numbers(4)...)); err != nil {
				t.Fatal(err)
			}
			r.write(eventlog.Fail, others, slog.String(eventlog.KeyVia, test.via))
			r.after(test.after, nil)
			r.start(r.stop()) // it is in the state
			r.log.Write(slog.LevelInfo, eventlog.Join, memberID(1), memberID(3), slog.String(eventlog.KeyVia, "update"))
			back()
			back()
			synctestSleep(pollEvery + batchFor)
			if got := r.pager.delivered(); !maps.Equal(got, test.want) {
				t.Errorf("%s: delivered %v, want %v", test.name, got, test.want)
			}
			r.stop()
		}
	}, eventlog.Fail)
}

func TestAllMeansWhateverOthersDo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.all = true
		r.start(nil)
		r.write(eventlog.Join, 3, slog.String(eventlog.KeyVia, "update"))
		r.write(eventlog.Fail, 2)
		r.write(eventlog.Leave, 4)
		own := "/" + memberID(1)
		r.after(pollEvery+batchFor, map[string]int{"JOIN/" + memberID(3) + own: 1, failKey(2) + own: 1})
	}, eventlog.Join, eventlog.Fail)
}

// TestReloadLosesNothingAndRepeatsNothing reloads at every time, in the middle of batches
// and of attempts that fail, while the log is written and rotated.
func TestReloadLosesNothingAndRepeatsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		random := random(t)
		r.log.Close()
		var err error
		if r.log, err = eventlog.Open(eventlog.Config{Dir: r.dir, Name: eventlog.MembershipLog, BytesMax: 5000, RotatedMax: 1000}); err != nil {
			t.Fatal(err)
		}
		moods := rand.New(rand.NewPCG(*seed, 1))
		r.pager.set(func(context.Context, []event) outcome {
			if moods.IntN(3) == 0 { // there is one delivery at a time
				return outcome{err: errRefused, retry: true}
			}
			return outcome{}
		})
		r.start(nil)
		r.alone()
		want := map[string]int{}
		for i := range 400 {
			r.write(eventlog.Fail, 2+i)
			want[failKey(2+i)] = 1
			synctestSleep(time.Duration(random.IntN(600)) * time.Millisecond)
			if random.IntN(5) == 0 {
				state := r.stop()
				synctestSleep(time.Duration(random.IntN(100)) * time.Millisecond)
				r.start(state)
				r.alone()
			}
		}
		r.pager.set(nil)
		r.after(10*time.Minute, want)
	}, eventlog.Fail)
}

// TestCrashLosesNothing goes on from a snapshot although the notifier has worked on since.
func TestCrashLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.alone()
		r.write(eventlog.Fail, 2)
		r.after(2*batchFor, map[string]int{failKey(2): 1})
		r.write(eventlog.Fail, 3)
		synctestSleep(pollEvery + batchFor/2) // it has been read, and is not delivered yet
		state, err := r.notifier.snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		r.write(eventlog.Fail, 4)
		r.after(3*batchFor, map[string]int{failKey(2): 1, failKey(3): 1, failKey(4): 1})
		r.stop() // its state is lost
		r.start(state)
		r.alone()
		r.after(3*batchFor, map[string]int{failKey(2): 1, failKey(3): 2, failKey(4): 2})
	}, eventlog.Fail)
}

// TestHostOutwaitsAFreeze: a host that did not would kill this process in the midst of a
// delivery at each reload, and have it tell again what its command had told already.
func TestHostOutwaitsAFreeze(t *testing.T) {
	const encodingAndTheCall = pluginapi.CallTimeout / 5
	if longest := freezeGrace + pipesTimeout; longest > pluginapi.CallTimeout-encodingAndTheCall {
		t.Errorf("a freeze may take %v, and the host waits %v", longest, pluginapi.CallTimeout)
	}
}

// TestFreezeCutsOffWhatTakesTooLong: the host does not wait for a slow receiver.
func TestFreezeCutsOffWhatTakesTooLong(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.alone()
		r.write(eventlog.Fail, 2)
		r.pager.set(func(ctx context.Context, _ []event) outcome {
			<-ctx.Done()
			return outcome{err: ctx.Err(), retry: true}
		})
		synctestSleep(2 * batchFor)
		began := time.Now()
		state := r.stop()
		if took := time.Since(began); took > freezeGrace {
			t.Errorf("it took %v", took)
		}
		r.pager.set(nil)
		r.start(state)
		r.alone()
		r.after(pollEvery, map[string]int{failKey(2): 1})
		if lines := r.lines(); strings.Count(lines, "NOTIFY") != 1 || !strings.Contains(lines, `"sent"`) {
			t.Errorf("logged %s", lines)
		}
	}, eventlog.Fail)
}

// TestSlowReceiverNeverHoldsUpTheHost: calls are answered, events wait, and what there is no
// room for is counted and logged.
func TestSlowReceiverNeverHoldsUpTheHost(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.alone()
		release := make(chan struct{})
		r.pager.set(func(context.Context, []event) outcome { <-release; return outcome{} })
		const events = 9000
		for i := range events {
			r.write(eventlog.Fail, 2+i)
		}
		synctestSleep(time.Minute)
		status, err := r.notifier.status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		counters := map[string]uint64{}
		for _, c := range status {
			counters[c.Name] = c.Value
		}
		if counters["matched"] != events || counters["dropped"] == 0 || counters["dropped"]+counters["waiting"] != events {
			t.Errorf("counters %v", counters)
		}
		if !strings.Contains(r.lines(), `"level":"ERROR","event":"NOTIFY","node":"`+memberID(1)+`","action":"drop"`) {
			t.Errorf("logged %s", r.lines())
		}
		if state, err := r.notifier.snapshot(context.Background()); err != nil || len(state) > 4<<20 {
			t.Errorf("a state of %d bytes, %v; a message may have 4 MiB", len(state), err)
		}
		close(release)
		synctestSleep(time.Minute)
		if got := len(r.pager.delivered()); got != events-int(counters["dropped"]) {
			t.Errorf("%d events are delivered, %d were dropped of %d", got, counters["dropped"], events)
		}
	}, eventlog.Fail)
}

func TestDrainDeliversAtOnceOrSaysWhatIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.alone()
		r.write(eventlog.Fail, 2)
		began := time.Now()
		if err := r.notifier.drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > pollEvery || len(r.pager.delivered()) != 1 {
			t.Errorf("after %v, delivered %v", took, r.pager.delivered())
		}
		r.pager.set(func(context.Context, []event) outcome { return outcome{err: errRefused, retry: true} })
		r.write(eventlog.Fail, 3)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.notifier.drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 notifications were not delivered") {
			t.Errorf("drain: %v", err)
		}
		if !strings.Contains(r.lines(), `"action":"drop","to":"pager","events":1,"error":"the daemon ends`) {
			t.Errorf("logged %s", r.lines())
		}
	}, eventlog.Fail)
}

func TestAttemptsEndAndAreLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start(nil)
		r.alone()
		r.pager.set(func(context.Context, []event) outcome { return outcome{err: errRefused, retry: true} })
		r.write(eventlog.Fail, 2)
		r.after(20*time.Minute, nil)
		lines := r.lines()
		if strings.Count(lines, `"action":"retry"`) != attemptsMax-1 || strings.Count(lines, `"action":"drop"`) != 1 ||
			!strings.Contains(lines, fmt.Sprintf("no mood to take it (attempt %d)", attemptsMax)) {
			t.Errorf("logged %s", lines)
		}
		r.pager.set(nil)
		r.write(eventlog.Fail, 3)
		r.after(2*batchFor, map[string]int{failKey(3): 1})
	}, eventlog.Fail)
}

func TestUnusableStatesAreRefused(t *testing.T) {
	newer, err := (&notifypb.State{Version: stateVersion + 1}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	badLine, err := (&notifypb.State{Version: 1, Outboxes: []notifypb.Outbox{{Destination: "pager", Lines: [][]byte{[]byte("x")}}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		state []byte
		want  string
	}{
		"newer":    {newer, "version 2, this program knows 1 to 1"},
		"garbage":  {[]byte("garbage"), errState.Error()},
		"bad line": {badLine, "not a line of a log"},
	} {
		cfg := config{logDir: t.TempDir(), destinations: []destination{new(pager)}}
		if _, err := startNotifier(cfg, &notifypb.StartRequest{Snapshot: test.state}); !errors.Is(err, errState) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServiceRefusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	for want, c := range map[string]notifypb.Config{
		`no notification can be had of "HEARTBEAT"; of FAIL, JOIN, LEAVE, MEMBERSHIP, PLUGIN, REJOIN, WAITING`: {LogDir: dir, Events: []string{"FAIL", "HEARTBEAT"}},
		"the webhook is not a URL like https://host/path":                                                      {LogDir: dir, Webhook: "host"},
		"header 1 of the webhook is not like":                                                                  {LogDir: dir, Webhook: "https://host", Headers: []string{"secret"}},
		"missing: no such file":                                                                                {LogDir: dir, Webhook: "https://host", HeaderFile: filepath.Join(dir, "missing")},
	} {
		s := new(service)
		err := s.Start(context.Background(), &notifypb.StartRequest{Config: c})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v, want %q", err, want)
		}
		if _, err := s.Snapshot(context.Background()); !errors.Is(err, errIdle) {
			t.Errorf("after that, Snapshot: %v", err)
		}
	}
}

func TestServiceIsStartedFrozenAndResumed(t *testing.T) {
	s := new(service)
	defer s.close()
	request := &notifypb.StartRequest{Config: notifypb.Config{LogDir: t.TempDir(), Events: []string{"fail"}, Command: []string{"/bin/true"}}}
	ctx := context.Background()
	if _, err := s.Freeze(ctx); !errors.Is(err, errIdle) {
		t.Errorf("Freeze while idle: %v", err)
	}
	if err := s.Start(ctx, request); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx, request); !errors.Is(err, errAtWork) {
		t.Errorf("Start while at work: %v", err)
	}
	if err := s.Members(ctx, listOf(1, 1, 2)); err != nil {
		t.Error(err)
	}
	state, err := s.Freeze(ctx)
	if err != nil {
		t.Fatal(err)
	}
	request.Snapshot = state
	if err := s.Start(ctx, request); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Status(ctx); err != nil || len(status.Counters) == 0 {
		t.Errorf("status %v, %v", status, err)
	}
	if err := s.Drain(ctx); err != nil {
		t.Error(err)
	}
}
