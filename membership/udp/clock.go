package udp

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// clock reads the machine's two clocks. Its monotonic one has the same origin in every
// process on the machine, so that a node goes on in another process with the same time.
type clock struct {
	start time.Time     // of this process's own monotonic clock
	mono  time.Duration // CLOCK_MONOTONIC at that moment
}

func newClock() (clock, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return clock{}, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return clock{start: time.Now(), mono: time.Duration(now.Nano())}, nil
}

func (c clock) now() membership.Now {
	now := time.Now()
	// Round takes the monotonic reading off the wall clock: no other process would have it, nor
	// the replay of a recording.
	return membership.Now{Mono: c.mono + now.Sub(c.start), Wall: now.Round(0)}
}

// at is the time.Time of a monotonic time.
func (c clock) at(mono time.Duration) time.Time { return c.start.Add(mono - c.mono) }
