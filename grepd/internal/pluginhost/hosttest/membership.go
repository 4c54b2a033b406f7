package hosttest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// fakeMembership echoes datagrams with its pid and a count that goes on through its state. Its one
// member's incarnation is the number of starts, and its address says whether the last one
// was after a crash.
type fakeMembership struct {
	pluginapi.Membership // what is not implemented panics
	what                 string
	conn                 *net.UDPConn

	mu      sync.Mutex
	state   fakeState
	crashed bool
	done    chan struct{} // of the echo loop; nil while idle
}

type fakeState struct{ starts, echoes int }

func (s fakeState) encode() []byte { return fmt.Appendf(nil, "%d %d", s.starts, s.echoes) }

func (f *fakeMembership) Start(_ context.Context, request *pluginpb.StartRequest) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done != nil {
		return "", errors.New("at work already")
	}
	if f.what == RefusesStart || f.what == RefusesState && request.Snapshot != nil {
		return "", errors.New("no mood to start")
	}
	f.state = fakeState{}
	if request.Snapshot != nil {
		if _, err := fmt.Sscan(string(request.Snapshot), &f.state.starts, &f.state.echoes); err != nil {
			return "", err
		}
	}
	f.state.starts++
	f.crashed = request.Crashed
	f.done = make(chan struct{})
	f.conn.SetReadDeadline(time.Time{})
	go f.echo(f.done)
	if f.what == ShakesTwice {
		go talk()
	}
	if f.what == PanicsLater {
		time.AfterFunc(50*time.Millisecond, func() { panic("no mood to go on") })
	}
	return "me@1", nil
}

func (f *fakeMembership) echo(done chan struct{}) {
	defer close(done)
	buf := make([]byte, 64)
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // the deadline that Freeze has set
		}
		f.mu.Lock()
		f.state.echoes++
		f.mu.Unlock()
		reply := binary.BigEndian.AppendUint64(buf[:n:n], uint64(os.Getpid()))
		f.conn.WriteToUDPAddrPort(reply, from)
	}
}

func (f *fakeMembership) Snapshot(ctx context.Context) ([]byte, error) {
	if f.what == HangsLater {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.encode(), nil
}

func (f *fakeMembership) Freeze(ctx context.Context) ([]byte, error) {
	if f.what == HangsAtFreeze {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	done := f.done
	f.mu.Unlock()
	if done == nil {
		return nil, errors.New("idle")
	}
	f.conn.SetReadDeadline(time.Unix(1, 0))
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = nil
	return f.state.encode(), nil
}

func (f *fakeMembership) Watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	f.mu.Lock()
	addr := "frozen"
	if f.crashed {
		addr = "crashed"
	}
	update := &pluginpb.MembersUpdate{Reset_: true, Self: "me@1", Members: []pluginpb.Member{
		{Addr: addr, Incarnation: uint64(f.state.starts)},
	}}
	f.mu.Unlock()
	if err := changed(update); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeMembership) Leave(context.Context) error { return nil }

func (f *fakeMembership) Status(context.Context) (*pluginpb.StatusReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &pluginpb.StatusReply{
		Phase:    "member",
		Counters: []pluginpb.Counter{{Name: "starts", Value: uint64(f.state.starts)}},
	}, nil
}
