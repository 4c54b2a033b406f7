package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
	"github.com/aksinghdce/cluster-membership-service/plugins/membership/recorder"
	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// node is a service with a socket, as a host sets it up.
type node struct {
	service
	config pluginpb.Config
}

func newNode(t *testing.T, gateway string) *node {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	self := conn.LocalAddr().String()
	if gateway == "" {
		gateway = self
	}
	n := &node{config: pluginpb.Config{Advertise: self, Gateways: []string{gateway}, LogDir: t.TempDir()}}
	n.conn = conn
	t.Cleanup(func() { n.close(); conn.Close() })
	return n
}

func (n *node) start(t *testing.T, snapshot []byte) string {
	t.Helper()
	id, err := n.Start(context.Background(), &pluginpb.StartRequest{Config: n.config, Snapshot: snapshot})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func (n *node) phase(t *testing.T) string {
	t.Helper()
	status, err := n.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return status.Phase
}

// lines are the log's lines as maps.
func (n *node) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(n.config.LogDir, eventlog.MembershipLog))
	if err != nil {
		t.Fatal(err)
	}
	for text := range bytes.Lines(content) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break // under way
		}
		if _, ok := eventlog.Time(text); !ok {
			t.Fatalf("line without a time: %s", text)
		}
		var line map[string]any
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

func (n *node) hasLine(t *testing.T, want map[string]any) bool {
	for _, line := range n.lines(t) {
		all := true
		for key, value := range want {
			all = all && line[key] == value
		}
		if all {
			return true
		}
	}
	return false
}

func TestTwoServicesFindEachOtherAndLogIt(t *testing.T) {
	gateway := newNode(t, "")
	gatewayID := gateway.start(t, nil)
	other := newNode(t, gateway.config.Advertise)
	other.start(t, nil)
	eventually(t, "both are members", func() bool {
		return gateway.phase(t) == "member" && other.phase(t) == "member"
	})
	status, err := other.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	otherID := status.Id
	for _, test := range []struct {
		n    *node
		want map[string]any
	}{
		{gateway, map[string]any{"event": "JOIN", "level": "INFO", "node": gatewayID, "peer": otherID, "via": "self"}},
		{gateway, map[string]any{"event": "HEARTBEAT", "level": "DEBUG", "dir": "received", "peer": otherID}},
		{gateway, map[string]any{"event": "MESSAGE", "dir": "received", "kind": "join"}},
		{other, map[string]any{"event": "HEARTBEAT", "node": otherID, "dir": "sent", "peer": gatewayID}},
		{other, map[string]any{"event": "MESSAGE", "dir": "sent", "kind": "join", "peer": gateway.config.Advertise}},
	} {
		eventually(t, fmt.Sprint("a line with ", test.want), func() bool { return test.n.hasLine(t, test.want) })
	}
	if err := other.Leave(context.Background()); err != nil {
		t.Fatal(err)
	}
	if phase := other.phase(t); phase != "left" {
		t.Errorf("after leaving, the phase is %q", phase)
	}
	eventually(t, "the gateway logs the leave", func() bool {
		return gateway.hasLine(t, map[string]any{"event": "LEAVE", "peer": otherID})
	})
}

func TestFreezeAndStartGoOnAsTheSameMember(t *testing.T) {
	n := newNode(t, "")
	if _, err := n.Freeze(context.Background()); !errors.Is(err, errIdle) {
		t.Errorf("Freeze while idle: %v", err)
	}
	n.start(t, nil)
	eventually(t, "it is a member", func() bool { return n.phase(t) == "member" })
	status, _ := n.Status(context.Background())
	watched := make(chan error, 1)
	go func() {
		watched <- n.Watch(context.Background(), func(*pluginpb.MembersUpdate) error { return nil })
	}()
	snapshot, err := n.Freeze(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-watched; err != nil && !errors.Is(err, errIdle) {
		t.Errorf("the watch ended with %v", err)
	}
	if phase := n.phase(t); phase != "frozen" {
		t.Errorf("phase %q", phase)
	}
	frozen := len(n.lines(t))
	if id := n.start(t, snapshot); id != status.Id {
		t.Errorf("it goes on as %s, was %s", id, status.Id)
	}
	for _, line := range n.lines(t)[frozen:] {
		if line["event"] == "REJOIN" || line["event"] == "JOIN" {
			t.Errorf("a reload is seen in the log: %v", line)
		}
	}
	if _, err := n.Start(context.Background(), &pluginpb.StartRequest{Config: n.config}); !errors.Is(err, errAtWork) {
		t.Errorf("Start while at work: %v", err)
	}
}

// TestAGrayServiceSaysSo: a member that goes on from the snapshot of a gray one shows it, and who
// else is gray, in its status and in its list.
func TestAGrayServiceSaysSo(t *testing.T) {
	n := newNode(t, "")
	n.start(t, nil)
	eventually(t, "it is a member", func() bool { return n.phase(t) == "member" })
	if status, err := n.Status(context.Background()); err != nil || status.Gray != nil {
		t.Errorf("before: gray %v, error %v", status.Gray, err)
	}
	frozen, err := n.Freeze(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := wire.DecodeSnapshot(frozen)
	if err != nil {
		t.Fatal(err)
	}
	snapshot.GraySince = time.Unix(1763793600, 0)
	other := netip.MustParseAddrPort("10.0.0.9:7117")
	snapshot.GrayMembers = []membership.GrayMember{{Addr: other, Until: 1 << 62}}
	snapshot.Questions = make([]membership.Question, 40) // in vain
	for i := range snapshot.Questions {
		// So few members may all be dead; what counts is how they answered some seconds ago.
		snapshot.Questions[i] = membership.Question{Seq: uint64(i), Sent: snapshot.Heard - 5*time.Second}
	}
	n.start(t, wire.AppendSnapshot(nil, snapshot))
	status, err := n.Status(context.Background())
	if err != nil || status.Gray == nil || status.Gray.SinceUnixNanos != snapshot.GraySince.UnixNano() ||
		status.Gray.Answers != 0 || status.Gray.Questions == 0 {
		t.Fatalf("gray %v, error %v; want it gray since %v", status.Gray, err, snapshot.GraySince)
	}
	stop := errors.New("that is enough")
	var gray []string
	err = n.Watch(context.Background(), func(update *pluginpb.MembersUpdate) error {
		gray = update.Gray
		return stop
	})
	if want := []string{n.config.Advertise, other.String()}; !errors.Is(err, stop) || !slices.Equal(gray, want) {
		t.Errorf("gray are %q, want %q (%v)", gray, want, err)
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		spoil func(*pluginpb.StartRequest)
		want  string
	}{
		{func(r *pluginpb.StartRequest) { r.Config.Advertise = "here" }, "advertised address"},
		{func(r *pluginpb.StartRequest) { r.Config.Gateways = []string{"there"} }, "gateway"},
		{func(r *pluginpb.StartRequest) { r.Config.Gateways = nil }, "gateway"},
		{func(r *pluginpb.StartRequest) { r.Config.LogDir = notDir }, notDir},
		{func(r *pluginpb.StartRequest) { r.Config.DetectWithinNanos = 1 }, "detect"},
		{func(r *pluginpb.StartRequest) { r.Snapshot = []byte("garbage") }, "unusable snapshot"},
	} {
		n := newNode(t, "")
		request := &pluginpb.StartRequest{Config: n.config}
		test.spoil(request)
		if _, err := n.Start(context.Background(), request); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want one with %q", err, test.want)
		}
		if phase := n.phase(t); phase != "frozen" {
			t.Errorf("after an error the phase is %q", phase)
		}
	}
}

// TestRecorderNamesPeersByTheirId is about heartbeats, which do not carry it.
func TestRecorderNamesPeersByTheirId(t *testing.T) {
	n := &node{config: pluginpb.Config{LogDir: t.TempDir()}}
	log, err := eventlog.Open(eventlog.Config{Dir: n.config.LogDir, Name: eventlog.MembershipLog})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r := recorder.New(log, newPublisher().publish)
	self, known := row(1, 10, membership.Alive), row(2, 20, membership.Alive)
	view := viewOf(self, known)
	r.Changed(view)
	stranger := netip.MustParseAddrPort("10.9.9.9:1")
	beat := func(short uint32, seq uint64) *membership.Message {
		return &membership.Message{Kind: membership.Heartbeat, Short: short, Seq: seq}
	}
	r.Received(self.ID, known.Addr, beat(known.Short(), 1))
	r.Received(self.ID, known.Addr, beat(known.Short()+1, 2)) // of another life
	r.Received(self.ID, stranger, beat(1, 3))
	r.Sent(self.ID, known.Addr, beat(0, 4))
	reborn := row(2, 30, membership.Alive)
	r.Changed(viewOf(self, reborn))
	r.Sent(self.ID, known.Addr, beat(0, 5))
	for i, want := range []string{known.ID.String(), known.Addr.String(), stranger.String(), known.ID.String(), reborn.ID.String()} {
		if got := n.lines(t)[i]; got["peer"] != want || got["seq"] != float64(i+1) {
			t.Errorf("line %d is about %v, want %s", i+1, got["peer"], want)
		}
	}
}
