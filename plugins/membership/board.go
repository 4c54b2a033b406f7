package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/udp"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/pluginpb"
)

// board shows the newest view to those who watch. The driver puts it up and never waits;
// a slow watcher skips views.
type board struct {
	mu  sync.Mutex
	now posted
}

// posted is what a board shows at one time.
type posted struct {
	view   udp.View
	closed bool
	next   chan struct{} // closed when the board shows something else
}

func newBoard() *board { return &board{now: posted{next: make(chan struct{})}} }

func (b *board) read() posted {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *board) post(view udp.View) { b.change(func(p *posted) { p.view = view }) }

// close ends all watches, and those to come.
func (b *board) close() { b.change(func(p *posted) { p.closed = true }) }

func (b *board) change(f func(*posted)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.now.next)
	b.now.next = make(chan struct{})
	f(&b.now)
}

// watch tells changed of the whole list first, then of what changes, until the board is
// closed, the context ends or changed fails.
func (b *board) watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	var told *teller
	for {
		p := b.read()
		if p.closed {
			return nil
		}
		var update *pluginpb.MembersUpdate
		if told == nil {
			told = new(teller)
			update = told.whole(p.view)
		} else {
			update = told.difference(p.view)
		}
		if update != nil {
			if err := changed(update); err != nil {
				return err
			}
		}
		select {
		case <-p.next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// teller remembers what a watcher knows.
type teller struct {
	view udp.View
	rows map[netip.AddrPort]*membership.Member
}

func (t *teller) whole(view udp.View) *pluginpb.MembersUpdate {
	t.rows = make(map[netip.AddrPort]*membership.Member, len(view.Rows))
	update := t.difference(view)
	if update == nil { // an empty list is news too, at first
		update = header(view)
	}
	update.Reset_ = true
	return update
}

// difference is what leads from the view told last to this one; nil if nothing does. Rows
// are never written to, so one that is in both views has not changed.
func (t *teller) difference(view udp.View) *pluginpb.MembersUpdate {
	update := header(view)
	for _, row := range view.Rows {
		if t.rows[row.Addr] != row {
			t.rows[row.Addr] = row
			update.Members = append(update.Members, toProto(row))
		}
	}
	if len(t.rows) > len(view.Rows) {
		update.Forgotten = t.forget(view)
	}
	same := len(update.Members) == 0 && len(update.Forgotten) == 0 &&
		view.Self == t.view.Self && view.Version == t.view.Version && view.Digest == t.view.Digest && slices.Equal(view.Gray, t.view.Gray)
	t.view = view
	if same {
		return nil
	}
	return update
}

// forget drops the rows that the view has no more, and names them.
func (t *teller) forget(view udp.View) (addrs []string) {
	kept := make(map[netip.AddrPort]bool, len(view.Rows))
	for _, row := range view.Rows {
		kept[row.Addr] = true
	}
	for addr := range t.rows {
		if !kept[addr] {
			delete(t.rows, addr)
			addrs = append(addrs, addr.String())
		}
	}
	return addrs
}

func header(view udp.View) *pluginpb.MembersUpdate {
	update := &pluginpb.MembersUpdate{Version: view.Version, Digest: view.Digest, Self: view.Self.String()}
	for _, addr := range view.Gray {
		update.Gray = append(update.Gray, addr.String())
	}
	return update
}

var protoStates = map[membership.State]pluginpb.State{
	membership.Alive: pluginpb.State_ALIVE, membership.Failed: pluginpb.State_FAILED, membership.Left: pluginpb.State_LEFT,
}

func toProto(row *membership.Member) pluginpb.Member {
	return pluginpb.Member{
		Addr: row.Addr.String(), Incarnation: row.Incarnation,
		State: protoStates[row.State], SinceUnixNanos: row.Since.UnixNano(),
	}
}
