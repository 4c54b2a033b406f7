package gogocodec

import "testing"

func TestBuffersHaveTheSizeThatIsAskedFor(t *testing.T) {
	var p buffers
	for _, size := range []int{0, 1, 1023, 1024, 1025, 5000, 1<<20 - 1, 1 << 20, 1<<20 + 1} {
		for range 3 {
			b := p.Get(size)
			if len(*b) != size {
				t.Errorf("asked for %d bytes, got %d", size, len(*b))
			}
			if size <= 1<<bufferBitsMax && cap(*b) > max(2*size, 1<<bufferBitsMin) {
				t.Errorf("asked for %d bytes, got room for %d", size, cap(*b))
			}
			p.Put(b)
		}
	}
}

// TestForeignBuffersAreNotTaken is about those that are smaller than their pool's.
func TestForeignBuffersAreNotTaken(t *testing.T) {
	var p buffers
	b := make([]byte, 1500)
	p.Put(&b)
	if got := p.Get(2000); len(*got) != 2000 {
		t.Errorf("got %d bytes", len(*got))
	}
}
