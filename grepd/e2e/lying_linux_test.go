package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// rawCodec has messages as they travel.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// startLiar starts a node that answers all calls with the same bytes, again and again. It sends to
// refused when somebody wants no more.
func startLiar(t *testing.T, says []byte) (addr string, refused <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ends := make(chan error, 1)
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		for {
			if err := stream.SendMsg(&says); err != nil {
				select {
				case ends <- err:
				default: // nobody waits for more than the first
				}
				return err
			}
		}
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // it had not begun
			t.Error(err)
		}
	})
	return listener.Addr().String(), ends
}

// lies are answers of which each byte would take many, or that are longer than any honest one.
func lies() map[string][]byte {
	places := func(size int) []byte { return field(80, bytes.Repeat([]byte{1<<3 | 2, 0}, size/2)) }
	return map[string][]byte{
		"4 MB of places":   places(4_000_000),
		"1.5 MB of places": places(1_500_000),
		"70 MB of places":  places(70_000_000),
		"marks":            field(5, bytes.Repeat(field(40, nil), 300_000)),
		"groups":           field(20, bytes.Repeat([]byte{1<<3 | 2, 0}, 500_000)),
		"a group":          field(20, field(1, bytes.Repeat([]byte{1<<3 | 2, 0}, 500_000))),
		"paths":            field(4, append(field(1, bytes.Repeat([]byte("x"), 1<<20)), 3<<3, 1)),
	}
}

// A member that lies costs the one who asks it little, and is named.
func TestAMemberThatLiesCostsLittleAndIsNamed(t *testing.T) {
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			liar, _ := startLiar(t, lie)
			n := startAlone(t, "--nodes", liar)
			r := command(t, "dgrep", "--via", n.addr, "-h", "hello", "logs/a.log")
			if r.status != 2 || r.stdout != "hello\n" || !strings.Contains(r.stderr, "1 of 2 nodes answered") || !strings.Contains(r.stderr, liar+" refused: ") {
				t.Errorf("dgrep: %v, want the lines of the honest node, and the other one named", r)
			}
			t.Logf("dgrep says %q", r.stderr)
			n.checkMemory(floodMemoryKiB)
		})
	}
}

// Nor is dgrep taken in by a grepd that lies. It is kept from saying so, and from ending, until its
// memory was looked at: what the system says of a process that has ended may be its parent's.
func TestAGrepdThatLiesCostsDgrepLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			liar, refused := startLiar(t, field(2, field(2, lie)))
			full, drain := fullPipe(t)
			cmd := exec.Command(filepath.Join(bin, "dgrep"), "--via", liar, "hello", "logs/a.log")
			cmd.Stderr = full
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			full.Close()
			p := follow(cmd.Process, "")
			t.Cleanup(p.kill)
			select {
			case <-refused:
			case <-time.After(commandLimit):
				t.Fatal("dgrep still listens")
			}
			kib := p.memoryKiB(t)
			if said := drain(); !strings.Contains(said, "dgrep: grepd at "+liar+" refused: ") {
				t.Errorf("dgrep says %q, want what it does not take", said)
			}
			if status := p.wait(t); status != 2 {
				t.Errorf("status %d, want 2", status)
			}
			t.Logf("dgrep has had %d KiB", kib)
			if kib > floodMemoryKiB {
				t.Errorf("dgrep has had %d KiB, want at most %d", kib, floodMemoryKiB)
			}
		})
	}
}

// fullPipe gives a pipe into which nothing fits, until drain reads what it holds and what is
// written from then on.
func fullPipe(t *testing.T) (write *os.File, drain func() string) {
	t.Helper()
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read, write := os.NewFile(uintptr(ends[0]), "read"), os.NewFile(uintptr(ends[1]), "write")
	t.Cleanup(func() { read.Close(); write.Close() })
	filled := 0
	err := syscall.SetNonblock(ends[1], true)
	for n := 0; err == nil; filled += max(n, 0) {
		n, err = syscall.Write(ends[1], make([]byte, 4096))
	}
	if err != syscall.EAGAIN {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	return write, func() string {
		all, err := io.ReadAll(read)
		if err != nil {
			t.Error(err)
		}
		return string(all[filled:])
	}
}
