package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchAfter is how long a search takes at least that has its reader watched: many are over before,
// and the watch costs a thread.
const watchAfter = 50 * time.Millisecond

// watchReader calls gone when nobody can read any more what is written to stdout, a pipe or socket:
// otherwise that would show only at the next line, for which some machine may let us wait. The
// function that it returns ends that.
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
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		select {
		case <-time.After(watchAfter):
			watch(ctx, conn, gone)
		case <-ctx.Done():
		}
	})
	return func() { cancel(); group.Wait() }
}

// watch returns when the reader of conn is gone, of which it tells, or ctx is done. An error is no
// reason to end a query: without the watch it is as it would be.
func watch(ctx context.Context, conn syscall.RawConn, gone func()) {
	wake, waker, err := os.Pipe()
	if err != nil {
		return
	}
	defer wake.Close()
	defer waker.Close()
	defer context.AfterFunc(ctx, func() { waker.Close() })()
	_ = conn.Control(func(fd uintptr) { awaitReader(int32(fd), int32(wake.Fd()), gone) })
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
