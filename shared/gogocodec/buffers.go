package gogocodec

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

const (
	// Buffers have a power of two of bytes, from bufferBitsMin up to bufferBitsMax; larger ones are
	// not kept.
	bufferBitsMin = 10
	bufferBitsMax = 20
)

// buffers is a pool that does not clear a buffer before its next use, as gRPC's own does: here
// every byte is written before it is read. Clearing costs as much as copying the message once more.
type buffers struct {
	pools [bufferBitsMax - bufferBitsMin + 1]sync.Pool // of *[]byte, by size
}

var _ mem.BufferPool = (*buffers)(nil)

// pool is every codec's.
var pool buffers

// sizeClass gives the index of the pool whose buffers are the smallest with so many bytes, or -1.
func sizeClass(size int) int {
	if size > 1<<bufferBitsMax {
		return -1
	}
	return max(0, bits.Len(uint(max(size, 1)-1))-bufferBitsMin)
}

// Get gives a buffer of so many bytes, which may be any.
func (p *buffers) Get(size int) *[]byte {
	class := sizeClass(size)
	if class < 0 {
		b := make([]byte, size)
		return &b
	}
	if b, ok := p.pools[class].Get().(*[]byte); ok {
		*b = (*b)[:size]
		return b
	}
	b := make([]byte, size, 1<<(bufferBitsMin+class))
	return &b
}

// Put takes a buffer back that Get gave.
func (p *buffers) Put(b *[]byte) {
	if class := sizeClass(cap(*b)); class >= 0 && cap(*b) == 1<<(bufferBitsMin+class) {
		p.pools[class].Put(b)
	}
}
