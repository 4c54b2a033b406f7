package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeBytes is what an unprivileged process may ask for, as a rule (/proc/sys/fs/pipe-max-size).
const pipeBytes = 1 << 20

// widenPipe lets a pipe hold more than 64 KiB, so that its two ends do not have to wait for each other with every block. stream may
// be anything else. What all pipes of an unprivileged user may hold is 64 MiB as a rule: beyond that they hold less.
func widenPipe(stream any) {
	file, ok := stream.(*os.File)
	if !ok {
		return
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	// What is no pipe, and a pipe that may not grow, stay as they are.
	_ = conn.Control(func(fd uintptr) {
		if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && size < pipeBytes {
			_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeBytes)
		}
	})
}
