// Package server offers a node's grep service, and its administration, over gRPC.
//
// A Server answers Query (ask the cluster: package fanout), Search (this node's files:
// package search) and, where the daemon gives it a backend, Admin:
//
//	s, err := server.New(server.Config{Mounts: mounts, Members: members, Admin: admin})
//	go s.Serve(listener)
//	...
//	s.Stop(ctx) // lets running queries end until ctx does
//
// What a client may ask for is limited; see the constants and [Config]. A request
// beyond a limit is refused with InvalidArgument, one too many with ResourceExhausted, and
// the message says which limit it was.
//
// So is one for whose patterns there is no memory: those of all searches that run may take 1 GiB together, by an
// estimate (match.Footprint, fields.Footprint), and those of all follows as much again. Less than 1 MiB, as of some 8,000 bytes of
// plain patterns, or 100 bracket expressions, counts for nothing: it always finds room.
//
// A client may leave an answer unread for hours, as dgrep does behind a pager, and keeps its place among the queries for so long. It
// loses it when it does not answer pings any more, within 30 s; and the clients at one address never have all places.
//
// What has not become a request yet is limited as well, since anybody can begin one: connections, calls
// on each, headers, the length of a request and what it would take when it is decoded. It has 10 s to arrive. All that have
// begun and not arrived take 32 MiB together; beyond that the connection which takes most is closed, of
// the address that takes most.
//
// Follows are counted apart from queries and searches, since they last for hours. Stop ends them at once: whoever listens
// goes on with another daemon, where it was.
//
// # Concurrency
//
// The methods of a Server may be called by any number of goroutines. Serve is called once.
package server

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fanout"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// QueriesMaxDefault is how many queries a node answers at the same time.
	QueriesMaxDefault = 64
	// SearchesMaxDefault is how many searches of its files it runs at the same time. Each
	// query of anybody in the cluster is a search here.
	SearchesMaxDefault = 256
	// FollowsMaxDefault is how many follows it answers at the same time, and runs of its own files, beside those.
	FollowsMaxDefault = 64

	// A client that does not answer pings for so long is gone, and its queries end.
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 10 * time.Second
	// Clients may ping no more often than this.
	pingTimeMin = 5 * time.Second
	// A client that connects has so long to say hello. Stop waits for it.
	helloTimeout = 5 * time.Second
	// gateTimeout bounds the wait for gRPC to look at new connections; it does so at once.
	gateTimeout = time.Second
	// streamsMax bounds the calls on a connection. A daemon may ask another one for all its queries
	// and follows at once.
	streamsMax = QueriesMaxDefault + FollowsMaxDefault
	// headerListBytesMax bounds the headers of a call when they are expanded: one byte can stand for
	// thousands. gRPC's own limit is 16 MB.
	headerListBytesMax = 16 << 10
	// A connection without calls is closed after idleTime.
	idleTime = 15 * time.Minute
	// writeBufferBytes is what is gathered for one write to a connection.
	writeBufferBytes = 128 << 10
)

// Config is what a Server needs.
type Config struct {
	Mounts  *files.Mounts  // the directories that may be searched
	Members fanout.Members // whom queries go to
	// Admin answers administrators. Its plain errors reach them as messages. Embed
	// greppb.UnimplementedAdminServer in it for what it lacks; nil lacks everything.
	Admin greppb.AdminServer
	// QueriesMax, SearchesMax and FollowsMax bound what runs at the same time. 0 means the defaults.
	QueriesMax, SearchesMax, FollowsMax int
	// ExpandBytesMax bounds what a compressed file may expand to. 0: files.ExpandBytesMaxDefault.
	ExpandBytesMax int64
}

// Server is a node's gRPC server.
type Server struct {
	grpc    *grpc.Server
	local   *local
	fanout  *fanout.Fanout
	queries *room // for queries that end
	follows *room // for queries that follow
	gate    atomic.Pointer[gate]

	arrivals *arrivals
}

// New returns a server that is ready to Serve.
func New(c Config) (*Server, error) {
	if c.Mounts == nil || c.Members == nil {
		return nil, errors.New("a server needs mounts and members")
	}
	if c.Admin == nil {
		c.Admin = &greppb.UnimplementedAdminServer{}
	}
	follows := orDefault(c.FollowsMax, FollowsMaxDefault)
	searches := newLocal(c.Mounts, orDefault(c.SearchesMax, SearchesMaxDefault), follows, c.ExpandBytesMax)
	a := newArrivals()
	s := &Server{
		grpc: grpc.NewServer(grpcOptions(a)...), arrivals: a,
		local:   searches,
		fanout:  fanout.New(c.Members, searches),
		queries: newRoom("queries", orDefault(c.QueriesMax, QueriesMaxDefault)),
		follows: newRoom("follows", follows),
	}
	greppb.RegisterGrepServer(s.grpc, grepService{s})
	greppb.RegisterAdminServer(s.grpc, c.Admin)
	return s, nil
}

// grpcOptions are what every client is served by.
func grpcOptions(a *arrivals) []grpc.ServerOption {
	return []grpc.ServerOption{
		gogocodec.ServerOption(),
		grpc.MaxRecvMsgSize(limits.RequestBytesMax),
		grpc.MaxHeaderListSize(headerListBytesMax),
		grpc.MaxConcurrentStreams(streamsMax),
		grpc.Creds(plain{insecure.NewCredentials()}),
		grpc.InTapHandle(a.tap),
		grpc.UnaryInterceptor(serveUnary),
		grpc.StreamInterceptor(serveStream),
		grpc.WriteBufferSize(writeBufferBytes),
		grpc.ConnectionTimeout(helloTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTime, Time: keepaliveTime, Timeout: keepaliveTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: pingTimeMin, PermitWithoutStream: true,
		}),
	}
}

func orDefault(n, byDefault int) int {
	if n == 0 {
		return byDefault
	}
	return n
}

// Serve answers calls on the listener until Stop, and returns nil then.
func (s *Server) Serve(listener net.Listener) error {
	g := newGate(listener, s.arrivals)
	s.gate.Store(g)
	return s.grpc.Serve(g)
}

// Stop takes no more calls, breaks off follows, waits for the other calls under way until ctx is done, breaks off the
// rest, and returns when nothing runs any more. It reports whether all came to their end.
// No client gets an error for having come too late: connections are closed by telling the
// client first (GOAWAY), and calls that crossed with that are made again by its gRPC, on
// a new connection. So where another process accepts from the same socket, none is lost.
func (s *Server) Stop(ctx context.Context) bool {
	if g := s.gate.Load(); g != nil {
		shutCtx, cancel := context.WithTimeout(ctx, gateTimeout)
		g.Shut(shutCtx)
		cancel()
	}
	s.local.end() // follows, which would not end by themselves
	all := true
	stopped := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		all = false
		s.grpc.Stop()
		<-stopped
	}
	s.fanout.Close()
	s.local.wait(ctx)
	return all
}

// Searches is how many searches of this node's files are under way now.
func (s *Server) Searches() int { return len(s.local.slots) }

// grepService is a Server as gRPC sees it.
type grepService struct{ *Server }

var _ greppb.GrepServer = grepService{}

// Search searches this node's files.
func (s grepService) Search(request *greppb.SearchRequest, stream greppb.Grep_SearchServer) error {
	return s.local.Search(stream.Context(), request, stream.Send)
}

// Complete lists paths of this node.
func (s grepService) Complete(ctx context.Context, request *greppb.CompleteRequest) (*greppb.CompleteReply, error) {
	return s.local.Complete(ctx, request)
}

// Query searches the cluster.
func (s grepService) Query(request *greppb.QueryRequest, stream greppb.Grep_QueryServer) error {
	room := s.queries
	if request.Search.Follow != nil {
		room = s.follows
	}
	leave, err := room.take(stream.Context())
	if err != nil {
		return err
	}
	defer leave()
	own, err := s.local.compileQuery(stream.Context(), request)
	if err != nil {
		return err
	}
	defer own.drop()
	if !s.fanout.AsksItself(request) {
		own.drop() // the query may take hours
	}
	if request.Search.Follow != nil {
		return s.follow(request, own, stream)
	}
	err = s.fanout.With(own).Query(stream.Context(), request, stream.Send)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return err
}

// follow answers a query that does not end by itself.
func (s grepService) follow(request *greppb.QueryRequest, own *compiledQuery, stream greppb.Grep_QueryServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.local.ending, cancel)()
	err := s.fanout.With(own).Query(ctx, request, stream.Send)
	switch {
	case s.local.ending.Err() != nil:
		return status.Error(codes.Unavailable, errEnding.Error())
	case errors.Is(err, context.Canceled):
		return status.FromContextError(err).Err()
	}
	return err
}
