package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watchReader calls gone when nobody can read any more what is written to stdout, a pipe or socket: otherwise that would
// show only at the next line, for which some machine may let us wait. The function that it returns ends that.
func watchReader(stdout io.Writer, gone func()) (stop func()) {
	file, ok := stdout.(*os.File)
	if !ok {
		return func() {}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) == 0 {
		return func() {}
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return func() {}
	}
	wake, waker, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	var group sync.WaitGroup
	group.Go(func() {
		// An error is no reason to end a query: without the watch it is as it would be.
		_ = conn.Control(func(fd uintptr) { awaitReader(int32(fd), int32(wake.Fd()), gone) })
	})
	return func() {
		waker.Close()
		group.Wait()
		wake.Close()
	}
}

// awaitReader returns when the reader of fd is gone, of which it tells, or wake is closed at its other end.
func awaitReader(fd, wake int32, gone func()) {
	for {
		fds := []unix.PollFd{{Fd: fd}, {Fd: wake, Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || fds[1].Revents != 0:
			return
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0:
			gone()
			return
		}
	}
}
