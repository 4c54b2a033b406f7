package server

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// reservedPart is what part of a room no address gets alone.
const reservedPart = 8

// room holds places for what clients ask. One that leaves its answers unread keeps its places, as dgrep does behind a
// pager, maybe for hours. So no address gets all of them.
type room struct {
	what  string // "queries"
	most  int    // places
	share int    // most of one address

	mu    sync.Mutex
	taken map[string]int // by address; none is 0
	sum   int            // of taken
}

func newRoom(what string, most int) *room {
	return &room{what: what, most: most, share: most - most/reservedPart, taken: make(map[string]int)}
}

// take takes a place for the client whose call ctx is of, or fails with a gRPC status.
func (r *room) take(ctx context.Context) (release func(), err error) {
	client := clientOf(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	const whatToDo = "at the same time: try again later, or ask another node with --via"
	switch {
	case r.sum == r.most:
		return nil, status.Errorf(codes.ResourceExhausted, "busy with %d %s, the most that it answers "+whatToDo, r.most, r.what)
	case r.taken[client] == r.share:
		return nil, status.Errorf(codes.ResourceExhausted, "busy with %d %s of %s, the most that it answers one address "+whatToDo, r.share, r.what, client)
	}
	r.taken[client]++
	r.sum++
	return func() { r.leave(client) }, nil
}

// leave gives a place of a client back.
func (r *room) leave(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum--
	if r.taken[client]--; r.taken[client] == 0 {
		delete(r.taken, client)
	}
}

// clientOf gives the address, without the port, that a call comes from.
func clientOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	return hostOf(p.Addr)
}

// hostOf gives an address without the port.
func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
