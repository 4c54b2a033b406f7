package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/handoverpb"
)

const (
	// A frame is the length of the message and its checksum, both in 4 bytes with the most
	// significant first, and the message.
	headerBytes = 8
	// messageBytesMax bounds a message; the largest holds the plugins' states.
	messageBytesMax = 64 << 20
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

var (
	// errGone says that the other side has ended, or closed its end.
	errGone = errors.New("the other side has ended")
	errLate = errors.New("no answer in time")
)

// conversation is one end of the socket between the two.
type conversation struct{ conn net.Conn }

// converse returns both ends; the peer's is for a process to inherit.
func converse() (*conversation, *os.File, error) {
	syscall.ForkLock.RLock() // nobody may be forked before both are close-on-exec
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	peer := os.NewFile(uintptr(fds[1]), "conversation")
	ours, err := adopt(os.NewFile(uintptr(fds[0]), "conversation"))
	if err != nil {
		peer.Close()
		return nil, nil, err
	}
	return ours, peer, nil
}

// adopt makes a conversation of a descriptor, and closes that.
func adopt(f *os.File) (*conversation, error) {
	defer f.Close() // FileConn has made its own copy
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("adopt the conversation's socket: %w", err)
	}
	if _, ok := conn.(*net.UnixConn); !ok {
		conn.Close()
		return nil, fmt.Errorf("adopt the conversation's socket: it is a %T", conn)
	}
	return &conversation{conn}, nil
}

func (c *conversation) close() { c.conn.Close() }

// send sends one message.
func (c *conversation) send(m *handoverpb.Message, within time.Duration) error {
	payload, err := m.Marshal()
	if err != nil {
		return err
	}
	if len(payload) > messageBytesMax {
		return fmt.Errorf("a message of %d bytes, more than the %d that one may have", len(payload), messageBytesMax)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, headerBytes+len(payload)), uint32(len(payload)))
	frame = binary.BigEndian.AppendUint32(frame, crc32.Checksum(payload, checksums))
	if err := c.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := c.conn.Write(append(frame, payload...)); err != nil {
		return explain(err)
	}
	return nil
}

// receive waits for a message.
func (c *conversation) receive(within time.Duration) (*handoverpb.Message, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	var header [headerBytes]byte
	if _, err := io.ReadFull(c.conn, header[:]); err != nil {
		return nil, explain(err)
	}
	size, sum := binary.BigEndian.Uint32(header[:4]), binary.BigEndian.Uint32(header[4:])
	if size > messageBytesMax {
		return nil, fmt.Errorf("a message of %d bytes, more than the %d that one may have", size, messageBytesMax)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.conn, payload); err != nil {
		return nil, explain(err)
	}
	if crc32.Checksum(payload, checksums) != sum {
		return nil, errors.New("a message arrived damaged")
	}
	m := new(handoverpb.Message)
	if err := m.Unmarshal(payload); err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}
	return m, nil
}

// explain says in plain words what the end of the conversation means.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errLate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return errGone
	}
	return err
}
