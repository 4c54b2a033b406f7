package membershiptest

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Clocks says how far the hosts' clocks are apart. Each host draws its own.
type Clocks struct {
	// MonoOffset is the most that a monotonic clock shows when the simulation begins.
	MonoOffset time.Duration
	// DriftPPM is the most that a monotonic clock gains or loses, in parts per million.
	DriftPPM int
	// WallOffset is the most that a wall clock is ahead or behind.
	WallOffset time.Duration
}

// WildClocks are the clocks that the protocol must put up with.
var WildClocks = Clocks{MonoOffset: 100 * time.Hour, DriftPPM: 200, WallOffset: 3 * time.Hour}

// never is later than any simulation lasts.
const never = time.Duration(math.MaxInt64)

// epoch is the wall time at which every simulation begins.
var epoch = time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)

// elapsedMax is the longest time that a clock converts; a later deadline is none.
const elapsedMax = 10_000 * time.Hour

// clock is a host's view of time.
type clock struct {
	monoOffset time.Duration
	driftPPM   int64
	wallOffset time.Duration
}

func (c Clocks) draw(r *rand.Rand) clock {
	return clock{
		monoOffset: uniform(r, 0, c.MonoOffset),
		driftPPM:   int64(uniform(r, -time.Duration(c.DriftPPM), time.Duration(c.DriftPPM))),
		wallOffset: uniform(r, -c.WallOffset, c.WallOffset),
	}
}

// uniform draws from low to high, both inclusive.
func uniform(r *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}

const million = 1_000_000

// now is what the clock shows at the instant t.
func (c *clock) now(t time.Duration) membership.Now {
	elapsed := c.elapsed(t)
	return membership.Now{Mono: c.monoOffset + elapsed, Wall: epoch.Add(c.wallOffset + elapsed)}
}

func (c *clock) elapsed(t time.Duration) time.Duration {
	return t + t*time.Duration(c.driftPPM)/million
}

// when is the first instant at which the monotonic clock shows mono, or later.
func (c *clock) when(mono time.Duration) time.Duration {
	elapsed := mono - c.monoOffset
	if elapsed <= 0 {
		return 0
	}
	if elapsed > elapsedMax {
		return never
	}
	const rounding = 2 // nanoseconds, of the two divisions
	t := max(0, elapsed-elapsed*time.Duration(c.driftPPM)/time.Duration(million+c.driftPPM)-rounding)
	for c.elapsed(t) < elapsed {
		t++
	}
	return t
}
