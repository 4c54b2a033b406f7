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

// publisher gives the newest view to those who watch. The driver publishes it and never waits;
// a slow watcher skips views.
type publisher struct {
	mu  sync.Mutex
	now published
}

// published is the newest view, until the next one.
type published struct {
	view   udp.View
	closed bool
	next   chan struct{} // closed when there is another one
}

func newPublisher() *publisher { return &publisher{now: published{next: make(chan struct{})}} }

func (p *publisher) read() published {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *publisher) publish(view udp.View) { p.change(func(now *published) { now.view = view }) }

// close ends all watches, and those to come.
func (p *publisher) close() { p.change(func(now *published) { now.closed = true }) }

func (p *publisher) change(f func(*published)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.now.next)
	p.now.next = make(chan struct{})
	f(&p.now)
}

// watch tells changed of the whole list first, then of what changes, until the publisher is
// closed, the context ends or changed fails.
func (p *publisher) watch(ctx context.Context, changed func(*pluginpb.MembersUpdate) error) error {
	var told *differ
	for {
		now := p.read()
		if now.closed {
			return nil
		}
		var update *pluginpb.MembersUpdate
		if told == nil {
			told = new(differ)
			update = told.whole(now.view)
		} else {
			update = told.difference(now.view)
		}
		if update != nil {
			if err := changed(update); err != nil {
				return err
			}
		}
		select {
		case <-now.next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// differ remembers what a watcher knows, and tells it no more than what is different.
type differ struct {
	view udp.View
	rows map[netip.AddrPort]*membership.Member
}

func (d *differ) whole(view udp.View) *pluginpb.MembersUpdate {
	d.rows = make(map[netip.AddrPort]*membership.Member, len(view.Rows))
	update := d.difference(view)
	if update == nil { // an empty list is news too, at first
		update = header(view)
	}
	update.Reset_ = true
	return update
}

// difference is what leads from the view told last to this one; nil if nothing does. Rows
// are never written to, so one that is in both views has not changed.
func (d *differ) difference(view udp.View) *pluginpb.MembersUpdate {
	update := header(view)
	for _, row := range view.Rows {
		if d.rows[row.Addr] != row {
			d.rows[row.Addr] = row
			update.Members = append(update.Members, toProto(row))
		}
	}
	if len(d.rows) > len(view.Rows) {
		update.Forgotten = d.forget(view)
	}
	same := len(update.Members) == 0 && len(update.Forgotten) == 0 &&
		view.Self == d.view.Self && view.Version == d.view.Version && view.Digest == d.view.Digest && slices.Equal(view.Gray, d.view.Gray)
	d.view = view
	if same {
		return nil
	}
	return update
}

// forget drops the rows that the view has no more, and names them.
func (d *differ) forget(view udp.View) (addrs []string) {
	kept := make(map[netip.AddrPort]bool, len(view.Rows))
	for _, row := range view.Rows {
		kept[row.Addr] = true
	}
	for addr := range d.rows {
		if !kept[addr] {
			delete(d.rows, addr)
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
