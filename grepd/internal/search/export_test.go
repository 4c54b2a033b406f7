package search

import (
	"context"
	"errors"
	"time"
)

// SetBlockBytes lets tests use blocks so small that lines cross them.
func SetBlockBytes(o *Options, n int64) { o.blockBytes = n }

// Stepper is a Follow that looks when a test wants it to, with a clock of its own.
type Stepper struct {
	f     *follower
	clock time.Time
}

// NewStepper prepares a follow that begins at some time.
func NewStepper(ctx context.Context, m *Mounts, paths []string, o Options, fo FollowOptions, sink FollowSink, at time.Time) (*Stepper, error) {
	s := &Stepper{clock: at}
	var err error
	s.f, err = newFollower(ctx, m, paths, o, fo, sink, s.Clock)
	return s, err
}

// Pass looks at all files until there is nothing more to be searched.
func (s *Stepper) Pass(names bool) error {
	for range 10_000 {
		if more, err := s.f.pass(names); !more || err != nil {
			return err
		}
		names = false
	}
	return errors.New("the follow is never through")
}

// Wait lets time pass.
func (s *Stepper) Wait(d time.Duration) { s.clock = s.clock.Add(d) }

// Clock is what time it is.
func (s *Stepper) Clock() time.Time { return s.clock }

// Close ends the follow.
func (s *Stepper) Close() { s.f.close() }
