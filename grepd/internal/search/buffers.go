package search

import "sync"

// buffers are what blocks are read into. The one that was given back last is taken first, since it is the one
// that a processor's cache still holds: reading into memory that has left the cache costs as much again.
// It may be used by any number of goroutines.
type buffers struct {
	mu   sync.Mutex
	idle [][]byte
}

// take gives an empty buffer, or nil.
func (s *buffers) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	last := len(s.idle) - 1
	b := s.idle[last]
	s.idle = s.idle[:last]
	return b[:0]
}

// give takes a buffer back, unless a long line has enlarged it. There is never more than one for each block.
func (s *buffers) give(b []byte) {
	if b == nil || cap(b) > bufferKeptMax {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, b)
}
