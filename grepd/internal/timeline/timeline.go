// Package timeline merges streams of lines into one, in the order of the lines' times.
//
// A [Merge] lets one stream speak at a time: the one whose next line is the earliest. Each
// stream has a goroutine of its own, which hands its lines to a [Stream] in chunks:
//
//	merge := timeline.New(len(targets))
//	stream := merge.Stream(i)
//	defer stream.End()
//	err := stream.Chunk(ctx, chunk, send)
//
// # Order
//
// Lines of a stream stay in its order. Where each stream is in the order of times, so is the whole,
// and lines with the same time come in the order of the streams' numbers. A line that is earlier
// than one of its stream before it comes as soon as it can. A group of lines with context is as one
// line, with the time of its first one.
//
// # Memory and waiting
//
// A Merge keeps nothing but a time for each stream: a stream waits in Chunk until its lines are
// due. All wait until the last one has said its next line, or that it has ended.
//
// # Concurrency
//
// The methods of a Merge may be called by any number of goroutines, those of a Stream by one. Chunk
// calls send while no other stream of the Merge does.
package timeline

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Merge lets several streams speak in the order of their times.
type Merge struct {
	mu      sync.Mutex
	waiting waiters
	// busy is how many streams have neither said what their next line is, nor that they ended. The
	// one that may speak is among them.
	busy int
}

// waiter is a stream that waits until its next line is the earliest.
type waiter struct {
	stream int           // its number, by which equal times are put in order
	at     int64         // Unix nanoseconds
	due    chan struct{} // capacity 1, so that whoever gives the word does not wait
	index  int           // in the heap; below 0 once it is not there any more
}

// New returns a Merge of so many streams.
func New(streams int) *Merge { return &Merge{busy: streams} }

// Stream is one of the streams of a Merge.
type Stream struct {
	merge  *Merge
	number int
	due    chan struct{}
	goesOn bool // its last group of lines is not complete
	ended  bool
}

// Stream gives the stream of a number from 0. Each must be asked for once, and ended.
func (m *Merge) Stream(number int) *Stream {
	return &Stream{merge: m, number: number, due: make(chan struct{}, 1)}
}

// End says that the stream has no more lines. Only the first call counts.
func (s *Stream) End() {
	if s.ended {
		return
	}
	s.ended = true
	s.merge.mu.Lock()
	defer s.merge.mu.Unlock()
	s.merge.busy--
	s.merge.next()
}

// Await returns when no other stream has a line before this time. Until the next call of the
// stream's methods no other stream may speak.
func (s *Stream) Await(ctx context.Context, at int64) error {
	m := s.merge
	w := &waiter{stream: s.number, at: at, due: s.due}
	m.mu.Lock()
	heap.Push(&m.waiting, w)
	m.busy--
	m.next()
	m.mu.Unlock()
	select {
	case <-w.due:
		return nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.index >= 0 {
		heap.Remove(&m.waiting, w.index)
		m.busy++
	} else {
		<-w.due // it was its turn just now
	}
	return context.Cause(ctx)
}

// next gives the word to the stream with the earliest line, once all have said theirs.
func (m *Merge) next() {
	if m.busy == 0 && len(m.waiting) > 0 {
		m.busy++
		heap.Pop(&m.waiting).(*waiter).due <- struct{}{}
	}
}

// mayGoOn reports whether the stream that has the word may send a line of this time too: no other
// stream has an earlier one.
func (s *Stream) mayGoOn(at int64) bool {
	s.merge.mu.Lock()
	defer s.merge.mu.Unlock()
	return len(s.merge.waiting) == 0 || before(at, s.number, s.merge.waiting[0])
}

func before(at int64, stream int, w *waiter) bool {
	return cmp.Or(cmp.Compare(at, w.at), cmp.Compare(stream, w.stream)) < 0
}

// Chunk hands the lines of a chunk to send when they are due, in as many pieces as needed. What a
// malformed chunk holds is handed on as it is. The error is that of send, or why ctx ended.
func (s *Stream) Chunk(ctx context.Context, c *greppb.Chunk, send func(*greppb.Chunk) error) error {
	if c.Validate() != nil || len(c.Times) != len(c.Lengths) {
		if err := s.Await(ctx, math.MinInt64); err != nil {
			return err
		}
		return send(c)
	}
	for rest := c.Cutter(); rest.Line() < len(c.Lengths); {
		if !s.goesOn || c.StartsGroup(rest.Line()) {
			if err := s.Await(ctx, c.Times[rest.Line()]); err != nil {
				return err
			}
		}
		s.goesOn = false
		end := rest.Line() + 1
		for end < len(c.Lengths) && (!c.StartsGroup(end) || s.mayGoOn(c.Times[end])) {
			end++
		}
		piece := rest.Take(end)
		if err := send(&piece); err != nil {
			return err
		}
	}
	s.goesOn = c.More
	return nil
}

// waiters is a heap, the earliest first.
type waiters []*waiter

var _ heap.Interface = (*waiters)(nil)

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return before(w[i].at, w[i].stream, w[j]) }

func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is called by package heap.
func (w *waiters) Push(x any) {
	added := x.(*waiter)
	added.index = len(*w)
	*w = append(*w, added)
}

// Pop is called by package heap.
func (w *waiters) Pop() any {
	last := (*w)[len(*w)-1]
	last.index = -1
	(*w)[len(*w)-1] = nil
	*w = (*w)[:len(*w)-1]
	return last
}
