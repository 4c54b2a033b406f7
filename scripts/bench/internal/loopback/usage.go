package loopback

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the time that this process has spent on processors, its system calls included.
func CPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the resource usage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
