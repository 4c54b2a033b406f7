package pluginhost

import (
	"math/rand/v2"
	"time"
)

// backoff says how long to wait before the next attempt to restart a plugin: not at all
// at first, since a plugin that is back within a second was never missed, then twice as
// long each time, up to a limit. Half of each wait is random, so that machines that were
// given the same bad plugin do not fall in step.
type backoff struct {
	first, max time.Duration
	attempts   int
}

func (b *backoff) next() time.Duration {
	b.attempts++
	if b.attempts == 1 {
		return 0
	}
	wait := b.max
	if doublings := b.attempts - 2; doublings < 32 {
		wait = min(b.first<<doublings, b.max)
	}
	return wait/2 + rand.N(wait/2+1)
}

func (b *backoff) reset() { b.attempts = 0 }
