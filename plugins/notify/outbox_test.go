package main

import (
	"errors"
	"testing"
	"time"
)

var errRefused = errors.New("no mood to take it")

func TestEventsOfOneSecondAreToldTogether(t *testing.T) {
	var o outbox
	now := start
	for i := range 3 {
		o.add(fail(1, i+2), now.Add(time.Duration(i)*batchFor/4))
	}
	if events := o.begin(now.Add(batchFor-1), false); events != nil {
		t.Fatalf("%d events are told before a second is over", len(events))
	}
	now = now.Add(batchFor)
	if events := o.begin(now, false); len(events) != 3 {
		t.Fatalf("%d events are told together, want 3", len(events))
	}
	o.add(fail(1, 9), now)
	if events := o.begin(now.Add(batchFor), false); events != nil {
		t.Errorf("%d events are told while others are under way", len(events))
	}
	if v := o.finish(outcome{}, false, now); v.done != 3 {
		t.Errorf("%d events are done with, want 3", v.done)
	}
	if events := o.begin(now.Add(batchFor), false); len(events) != 1 {
		t.Errorf("%d events are told next, want 1", len(events))
	}
}

func TestLargeBatchDoesNotWait(t *testing.T) {
	var o outbox
	for i := range batchMax + 1 {
		o.add(fail(1, i+2), start)
	}
	if events := o.begin(start, false); len(events) != batchMax {
		t.Errorf("%d events are told at once, want %d", len(events), batchMax)
	}
}

// TestRefusedBatchStaysTheSame: or the receiver could not know it again.
func TestRefusedBatchStaysTheSame(t *testing.T) {
	var o outbox
	now := start
	o.add(fail(1, 2), now)
	for attempt := 1; ; attempt++ {
		now = now.Add(2 * retryAfterMax)
		events := o.begin(now, false)
		if len(events) != 1 || batchKey(events) != fail(1, 2).key {
			t.Fatalf("attempt %d is of %d events", attempt, len(events))
		}
		o.add(fail(1, 3), now)
		v := o.finish(outcome{err: errRefused, retry: true, after: 3 * time.Minute}, false, now)
		if v.done > 0 {
			if v.done != 1 || attempt != attemptsMax {
				t.Errorf("%d events are given up after %d attempts, want 1 after %d", v.done, attempt, attemptsMax)
			}
			return
		}
		if v.retry < 3*time.Minute || v.retry > retryAfterMax {
			t.Errorf("attempt %d is repeated in %v, though the receiver asked for 3m", attempt, v.retry)
		}
		if o.begin(now.Add(v.retry-1), true) != nil {
			t.Errorf("attempt %d is repeated before that", attempt)
		}
	}
}

func TestDeliveryThatWasCutOffIsNoAttempt(t *testing.T) {
	var o outbox
	o.add(fail(1, 2), start)
	o.begin(start, true)
	if v := o.finish(outcome{err: errRefused, retry: true}, true, start); v != (verdict{}) || o.attempts != 0 || o.batch != 1 {
		t.Errorf("verdict %+v, %d attempts, batch %d", v, o.attempts, o.batch)
	}
	if events := o.begin(start, true); len(events) != 1 {
		t.Errorf("%d events are told again", len(events))
	}
	if v := o.finish(outcome{err: errRefused}, false, start); v.done != 1 {
		t.Errorf("what is no use repeating is repeated: %+v", v)
	}
}

func TestQueueIsBoundedAndCounts(t *testing.T) {
	var o outbox
	e := fail(1, 2)
	room := queueBytesMax / len(e.line)
	for i := range room + 5 {
		if taken := o.add(e, start); taken != (i < room) {
			t.Fatalf("event %d of %d is taken: %t", i, room, taken)
		}
	}
	if o.dropped != 5 {
		t.Errorf("%d dropped, want 5", o.dropped)
	}
	o.begin(start, true)
	o.finish(outcome{}, false, start)
	if !o.add(e, start) || o.bytes != (room-batchMax+1)*len(e.line) {
		t.Errorf("after a delivery there is no room; %d bytes are reckoned", o.bytes)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: retryFirst, 3: 4 * retryFirst, 7: retryMax, 1000: retryMax} {
		if got := backoff(attempts); got < want/2 || got > want {
			t.Errorf("after %d attempts %v, want %v to %v", attempts, got, want/2, want)
		}
	}
}
