// Package subprocess has what grepd needs around the processes that it starts: descriptors for
// them to inherit, and their last words.
//
//	file, err := subprocess.Duplicate(conn)
//	cmd.ExtraFiles = append(cmd.ExtraFiles, file)
//	cmd.Stderr = new(subprocess.Tail)
//
// # Concurrency
//
// Duplicate may be called from any goroutine. One goroutine may write to a Tail while
// others read it.
package subprocess

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Duplicate returns a descriptor of the same socket for a process to inherit. It is the
// caller's to close.
//
// conn.File would do that too, but when os/exec takes the descriptor out of such a file it
// sets the socket to blocking mode. The mode is one for all descriptors of a socket, so
// that would pull the deadlines from under the process that is at work.
func Duplicate(conn syscall.Conn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("duplicate a socket: %w", err)
	}
	copied, copyErr := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		copied, copyErr = unix.FcntlInt(fd, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = copyErr
	}
	if err != nil {
		return nil, fmt.Errorf("duplicate a socket: %w", err)
	}
	return os.NewFile(uintptr(copied), "socket"), nil
}
