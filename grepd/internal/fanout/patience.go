package fanout

import (
	"context"
	"sync"
	"time"
)

// patience ends the wait for somebody who is silent for too long. Only time
// between begin and end counts: while a listener is busy itself, nobody is silent.
type patience struct {
	giveUp context.CancelCauseFunc

	mu      sync.Mutex
	limit   time.Duration
	cause   error // for giveUp
	waiting bool
	timer   *time.Timer
}

func newPatience(limit time.Duration, giveUp context.CancelCauseFunc) *patience {
	p := &patience{giveUp: giveUp, limit: limit, cause: errSilent}
	p.timer = time.AfterFunc(limit, p.expire)
	p.timer.Stop()
	return p
}

// begin says that a wait begins.
func (p *patience) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = true
	p.timer.Reset(p.limit)
}

// end says that the wait is over, one way or the other.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	p.timer.Stop()
}

// shorten limits this wait and all further ones, for another cause. Only the first call
// counts.
func (p *patience) shorten(limit time.Duration, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != errSilent {
		return
	}
	p.limit, p.cause = limit, cause
	if p.waiting {
		p.timer.Reset(limit)
	}
}

// expire gives up, unless the wait ended while the timer fired.
func (p *patience) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		p.giveUp(p.cause)
	}
}
