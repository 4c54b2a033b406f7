package server

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// fakeConn is a connection of which only the address, and the end, is known.
type fakeConn struct {
	net.Conn
	addr   net.Addr
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return c.addr }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

func connFrom(a *arrivals, host string) *clientConn {
	return &clientConn{Conn: &fakeConn{}, host: host, arrivals: a, seen: func() {}, left: func() {}}
}

func (c *clientConn) isClosed() bool { return c.Conn.(*fakeConn).closed }

func TestTheConnectionThatTakesMostIsClosed(t *testing.T) {
	a := newArrivals()
	a.bytesMax = 10 * streamBytes
	honest, greedy, greedier := connFrom(a, "10.0.0.1"), connFrom(a, "10.0.0.2"), connFrom(a, "10.0.0.2")
	for _, c := range []*clientConn{honest, greedy, greedier} {
		a.begin(c)
	}
	a.read(honest, 3*streamBytes) // more than either of the others, but not than both
	a.read(greedy, 2*streamBytes)
	a.read(greedier, 5*streamBytes/2)
	if honest.isClosed() || greedy.isClosed() || !greedier.isClosed() {
		t.Errorf("closed: honest %v, greedy %v, greedier %v; want only the last", honest.isClosed(), greedy.isClosed(), greedier.isClosed())
	}
	for _, c := range []*clientConn{honest, greedy, greedier} {
		a.end(c)
	}
	if a.sum != 0 || len(a.conns) != 0 {
		t.Errorf("%d bytes of %d connections are counted when all has arrived", a.sum, len(a.conns))
	}
	a.read(honest, 100*streamBytes) // of no request that is awaited
	if honest.isClosed() || a.sum != 0 {
		t.Errorf("what comes between requests counts: %d bytes", a.sum)
	}
}

func TestFramesAreCountedHoweverTheyAreCut(t *testing.T) {
	var sent bytes.Buffer
	sent.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&sent, nil)
	want := 0
	for _, size := range []int{0, 1, 100, 16 << 10, 3} {
		if err := framer.WriteData(1, false, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := framer.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		want += 2
	}
	for _, piece := range []int{1, 2, 7, 9, 24, 1000, sent.Len()} {
		f := frameCounter{}
		got := 0
		for rest := sent.Bytes(); len(rest) > 0; {
			n := min(piece, len(rest))
			got += f.count(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("in pieces of %d bytes: %d frames, want %d", piece, got, want)
		}
	}
}

func TestNoAddressGetsAllConnections(t *testing.T) {
	g := newGate(nil, newArrivals())
	admit := func(host string) *clientConn {
		return g.admit(&fakeConn{addr: &net.TCPAddr{IP: net.ParseIP(host), Port: 1}})
	}
	var first *clientConn
	for i := range connsOfAddressMax {
		c := admit("10.0.0.1")
		if c == nil {
			t.Fatalf("connection %d is not let in", i)
		}
		first = c
	}
	if admit("10.0.0.1") != nil {
		t.Errorf("an address has more than %d connections", connsOfAddressMax)
	}
	if admit("10.0.0.2") == nil {
		t.Error("another address has none")
	}
	first.left()
	first.left()
	if admit("10.0.0.1") == nil || admit("10.0.0.1") != nil {
		t.Error("want room for one more when one was closed, however often")
	}
	for i := 0; g.sum < connsMax; i++ {
		admit(net.IPv4(10, 1, byte(i>>8), byte(i)).String())
	}
	if admit("10.2.0.1") != nil {
		t.Errorf("more than %d connections are let in", connsMax)
	}
}

func TestLongErrorsReachTheClient(t *testing.T) {
	n := start(t, nil)
	q := query()
	q.Search.Pattern.Patterns = []string{strings.Repeat("\x01", 100_000) + `\(`} // each byte is escaped
	stream, err := greppb.NewGrepClient(n.client).Query(t.Context(), q)
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument || !strings.HasPrefix(status.Convert(err).Message(), `pattern "`) {
		t.Errorf("%.300v, want what is wrong with the pattern", err)
	}
}
