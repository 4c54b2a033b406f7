package main

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// batchFor is how long an event waits for others to be told together with it: a
	// partition gives as many as there are members.
	batchFor = time.Second
	// batchMax bounds how many are told together.
	batchMax = 100
	// queueBytesMax bounds what waits for one destination, some 4,000 failures. Beyond it new
	// events are dropped.
	queueBytesMax = 1 << 20
	// attemptsMax is how often a delivery is tried, for about 7 minutes, before it is dropped.
	attemptsMax = 12
	// retryFirst and retryMax bound the wait before another attempt. Half of it is random, so
	// that members do not fall in step.
	retryFirst = time.Second
	retryMax   = time.Minute
	// retryAfterMax bounds what a receiver may ask for.
	retryAfterMax = 10 * time.Minute
)

// destination is where notifications go.
type destination interface {
	// name is what logs and states call it.
	name() string
	// deliver tells of the events, of which there is at least one, in this member's name. It
	// returns soon after ctx ends.
	deliver(ctx context.Context, self string, events []event) outcome
}

// outcome is what became of a delivery.
type outcome struct {
	err   error
	retry bool          // it may go better next time
	after time.Duration // that the receiver wants to be left alone
}

// outbox holds what a destination has not been given yet, the oldest first.
type outbox struct {
	destination
	queue []event
	bytes int // of the queue's lines
	// batch is how many of them, the first ones, are being delivered or will be again,
	// together: a receiver must see the same notification under the same key.
	batch    int
	busy     bool      // a delivery is under way
	attempts int       // of this batch
	first    time.Time // when the first event of the next batch came
	next     time.Time // not before then
	dropped  uint64    // for want of room, since that was logged
}

// add takes an event in, or drops it.
func (o *outbox) add(e event, now time.Time) bool {
	if o.bytes+len(e.line) > queueBytesMax {
		o.dropped++
		return false
	}
	o.bytes += len(e.line)
	if len(o.queue) == o.batch {
		o.first = now
	}
	o.queue = append(o.queue, e)
	return true
}

// begin returns the events that are to be delivered now, if any. finish has to follow.
func (o *outbox) begin(now time.Time, hurry bool) []event {
	ripe := hurry || len(o.queue) >= batchMax || !now.Before(o.first.Add(batchFor))
	if o.busy || len(o.queue) == 0 || now.Before(o.next) || o.batch == 0 && !ripe {
		return nil
	}
	if o.batch == 0 {
		o.batch = min(len(o.queue), batchMax)
	}
	o.busy = true
	o.attempts++
	return o.queue[:o.batch:o.batch]
}

// verdict is what comes of an outcome.
type verdict struct {
	done  int // so many events are no longer waiting
	retry time.Duration
}

// finish takes in what became of the delivery. One that was cut off is as if not begun.
func (o *outbox) finish(out outcome, cutOff bool, now time.Time) (v verdict) {
	o.busy = false
	switch {
	case out.err != nil && cutOff:
		o.attempts--
	case out.err != nil && out.retry && o.attempts < attemptsMax:
		v.retry = max(backoff(o.attempts), min(out.after, retryAfterMax))
		o.next = now.Add(v.retry)
	default:
		v.done = o.batch
		for _, e := range o.queue[:o.batch] {
			o.bytes -= len(e.line)
		}
		o.queue = o.queue[o.batch:]
		o.batch, o.attempts, o.next, o.first = 0, 0, time.Time{}, now
	}
	return v
}

// backoff is the wait after so many attempts.
func backoff(attempts int) time.Duration {
	wait := min(retryFirst<<min(attempts-1, 16), retryMax)
	return wait/2 + rand.N(wait/2+1)
}
