package follow

import (
	"context"
	"errors"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// Stepper is a Follow that looks when a test wants it to, with a clock of its own.
type Stepper struct {
	f     *follower
	clock time.Time
	named chan struct{}
}

// NewStepper prepares a follow that begins at some time.
func NewStepper(ctx context.Context, m *files.Mounts, paths []string, o search.Options, fo Options, sink Sink, at time.Time) (*Stepper, error) {
	s := &Stepper{clock: at, named: make(chan struct{})}
	var err error
	if s.f, err = newFollower(ctx, m, paths, o, fo, sink, s.Clock); err == nil {
		s.f.names.changed, s.f.names.batch = s.named, 0
	}
	return s, err
}

// Look has a follow look for names that waits for its sink, which calls this.
func (s *Stepper) Look() {
	s.named <- struct{}{}
	s.named <- struct{}{} // which it takes when it has looked
}

// SetHeldBytesMax says how large the files may be together that are held although they have no
// name.
func (s *Stepper) SetHeldBytesMax(n int64) { s.f.names.keptBytesMax = n }

// Held is how many files are held.
func (s *Stepper) Held() int { return len(s.f.names.kept) }

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
