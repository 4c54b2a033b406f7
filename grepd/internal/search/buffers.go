package search

import "sync"

// buffers are what blocks are read into. The one that was given back last is taken first, since it
// is the one that a processor's cache still holds: reading into memory that has left the cache
// costs as much again. It may be used by any number of goroutines.
type buffers struct {
	mu   sync.Mutex
	idle [][]byte
}

// spareBuffers are *[]byte of searches that have ended, for the next ones. If each search made its
// own, they would be most of a daemon's garbage, and it would collect it during every second
// search.
var spareBuffers sync.Pool

// take gives an empty buffer, or nil.
func (s *buffers) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		if b, ok := spareBuffers.Get().(*[]byte); ok {
			return (*b)[:0]
		}
		return nil
	}
	last := len(s.idle) - 1
	b := s.idle[last]
	s.idle = s.idle[:last]
	return b[:0]
}

// give takes a buffer back, unless a long line has enlarged it. There is never more than one for
// each block.
func (s *buffers) give(b []byte) {
	if b == nil || cap(b) > bufferKeptMax {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, b)
}

// spare leaves the buffers to other searches, when nobody takes any more.
func (s *buffers) spare() {
	for _, b := range s.idle {
		spareBuffers.Put(&b)
	}
	s.idle = nil
}
