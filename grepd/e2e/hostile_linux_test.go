package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// bombMemoryKiB bounds what grepd has ever taken when it was asked for what it refuses.
	bombMemoryKiB = 64 << 10
	// floodMemoryKiB bounds it when very many requests are begun and not ended.
	floodMemoryKiB = 128 << 10
	// refusalLimit bounds the time for a refusal.
	refusalLimit = 500 * time.Millisecond
	// arrivalLimit is when a request that has not arrived is given up.
	arrivalLimit = 10 * time.Second

	queryMethod    = "/grepd.grep.v1.Grep/Query"
	searchMethod   = "/grepd.grep.v1.Grep/Search"
	completeMethod = "/grepd.grep.v1.Grep/Complete"
)

// attacker is a client that keeps to HTTP/2, and to nothing else.
type attacker struct {
	conn    net.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32        // stream
	ended   atomic.Int64  // streams that the other side has ended
	closed  chan struct{} // when nothing comes any more
}

// attack connects to a node from an address of its own, which is no other client's.
func attack(t *testing.T, n *node) *attacker {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
	conn, err := dialer.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{conn: conn, framer: http2.NewFramer(conn, conn), next: 1, closed: make(chan struct{})}
	a.encoder = hpack.NewEncoder(&a.block)
	_, _ = io.WriteString(conn, http2.ClientPreface) // an error is found by read
	_ = a.framer.WriteSettings()
	go a.read()
	t.Cleanup(func() { conn.Close(); <-a.closed })
	return a
}

func (a *attacker) read() {
	defer close(a.closed)
	for {
		frame, err := a.framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			a.ended.Add(1)
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				a.ended.Add(1)
			}
		}
	}
}

// begin begins a call, and reports whether it could.
func (a *attacker) begin(method string, further ...hpack.HeaderField) (stream uint32, ok bool) {
	a.block.Reset()
	for _, h := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: method},
		{Name: ":authority", Value: "x"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}, further...) {
		_ = a.encoder.WriteField(h) // into memory
	}
	stream, a.next = a.next, a.next+2
	err := a.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: a.block.Bytes(), EndHeaders: true})
	return stream, err == nil
}

// send sends a part of a request in frames of a size, and minds no windows.
func (a *attacker) send(stream uint32, data []byte, frameBytes int) {
	for len(data) > 0 {
		n := min(len(data), frameBytes)
		if a.framer.WriteData(stream, false, data[:n]) != nil {
			return
		}
		data = data[n:]
	}
}

// framed is a message as gRPC sends it.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// field encodes one of a protobuf message.
func field(number uint64, content []byte) []byte {
	tag := binary.AppendUvarint(nil, number<<3|2)
	return append(binary.AppendUvarint(tag, uint64(len(content))), content...)
}

// startAlone starts a node without membership.
func startAlone(t *testing.T, further ...string) *node {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	n.args = append([]string{"--listen", n.addr, "--log-dir", n.logDir()}, further...)
	writeFile(t, filepath.Join(n.logDir(), "a.log"), "hello\n", 0o644)
	n.start()
	await(t, joinLimit, "it serves", func() error { return dialable(n.addr) })
	return n
}

// checkServed wants an answer, in full and soon.
func (n *node) checkServed(when string) {
	n.t.Helper()
	began := time.Now()
	if r := command(n.t, "dgrep", "--via", n.addr, "-h", "hello", "logs/a.log"); r.status != 0 || r.stdout != "hello\n" {
		n.t.Errorf("%s another client is answered with %v", when, r)
	}
	n.t.Logf("%s another client is answered in %v", when, time.Since(began).Round(time.Millisecond))
}

func (n *node) checkMemory(most int) {
	n.t.Helper()
	kib := n.process.memoryKiB(n.t)
	n.t.Logf("grepd has had %d KiB", kib)
	if kib > most {
		n.t.Errorf("grepd has had %d KiB, want at most %d", kib, most)
	}
}

// Two bytes of a request can stand for a place to go on from.
func TestRequestsOfManyEntriesAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	for _, size := range []int{1_500_000, 15_000_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			n := startAlone(t)
			search := field(80, bytes.Repeat([]byte{2<<3 | 2, 0}, size/2))
			for method, message := range map[string][]byte{searchMethod: search, queryMethod: field(1, search)} {
				a := attack(t, n)
				began := time.Now()
				stream, _ := a.begin(method)
				a.send(stream, framed(message), 16<<10)
				await(t, 10*time.Second, "the request is refused", func() error {
					select {
					case <-a.closed:
						return nil
					default:
					}
					if a.ended.Load() == 0 {
						return fmt.Errorf("it is not")
					}
					return nil
				})
				if took := time.Since(began); took > refusalLimit {
					t.Errorf("it is refused after %v, want %v", took, refusalLimit)
				}
			}
			n.checkServed("afterwards")
			n.checkMemory(bombMemoryKiB)
		})
	}
}

// A byte of a header block can stand for a header of thousands.
func TestHeadersThatExpandAreRefused(t *testing.T) {
	n := startAlone(t)
	value := base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte("A"), 2900))
	further := make([]hpack.HeaderField, 4294)
	for i := range further {
		further[i] = hpack.HeaderField{Name: "x-bin", Value: value}
	}
	const blocks = 60
	a := attack(t, n)
	for range blocks {
		a.begin(searchMethod, further...)
	}
	await(t, 10*time.Second, "all are refused", func() error {
		if ended := a.ended.Load(); ended != blocks {
			return fmt.Errorf("%d of %d are", ended, blocks)
		}
		return nil
	})
	n.checkServed("afterwards")
	n.checkMemory(bombMemoryKiB)
}

// flood is a way to begin requests and not to end them.
type flood struct {
	name       string
	conns      int
	streams    int // of each
	method     string
	size       int // of the request, of which the last byte is missing
	frameBytes int
}

var floods = []flood{
	{"requests beyond the limit", 10, 10, searchMethod, 15_000_000, 16 << 10},
	{"requests on many connections", 60, 2, searchMethod, 1_500_000, 16 << 10},
	{"requests on one connection", 1, 100, queryMethod, 1_500_000, 16 << 10},
	{"requests in tiny frames", 10, 4, queryMethod, 25_000, 1},
	{"calls without a request", 60, 334, searchMethod, 0, 1},
	{"calls without a request, of a method without streams", 60, 334, completeMethod, 0, 1},
}

func TestRequestsThatNeverEndCostLittle(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			n := startAlone(t)
			part := framed(make([]byte, f.size))
			part = part[:len(part)-1]
			for range f.conns {
				a := attack(t, n)
				for range f.streams {
					if stream, ok := a.begin(f.method); ok && f.size > 0 {
						a.send(stream, part, f.frameBytes)
					}
				}
			}
			n.checkServed("meanwhile")
			n.checkMemory(floodMemoryKiB)
		})
	}
}

// A request that does not arrive is given up, be it of a method with streams or without.
func TestRequestsThatDoNotArriveAreGivenUp(t *testing.T) {
	n := startAlone(t)
	a := attack(t, n)
	began := time.Now()
	methods := []string{searchMethod, queryMethod, completeMethod}
	for _, method := range methods {
		stream, _ := a.begin(method)
		a.send(stream, framed(make([]byte, 1000))[:500], 100)
	}
	await(t, arrivalLimit+5*time.Second, "they are given up", func() error {
		if ended := a.ended.Load(); ended < int64(len(methods)) {
			return fmt.Errorf("%d of %d are", ended, len(methods))
		}
		return nil
	})
	if took := time.Since(began); took < arrivalLimit-time.Second {
		t.Errorf("they are given up after %v already, want %v", took, arrivalLimit)
	}
	if r := command(t, "dgrep", "--via", n.addr, "-h", strings.Repeat("x", 1000), "logs/a.log"); r.status != 1 {
		t.Errorf("a request that arrives: %v", r)
	}
}

// dialable says why nobody can connect to an address.
func dialable(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err
}
