package pluginhost

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate returns a descriptor of the same socket for a plugin to inherit.
//
// conn.File would do that too, but when os/exec takes the descriptor out of such a file it
// sets the socket to blocking mode. The mode is one for all descriptors of a socket, so
// that would pull the deadlines from under the plugin that is at work.
func duplicate(conn *net.UDPConn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("duplicate the UDP socket: %w", err)
	}
	copied, copyErr := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		copied, copyErr = unix.FcntlInt(fd, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = copyErr
	}
	if err != nil {
		return nil, fmt.Errorf("duplicate the UDP socket: %w", err)
	}
	return os.NewFile(uintptr(copied), "udp"), nil
}
