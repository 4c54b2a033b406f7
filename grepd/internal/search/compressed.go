package search

import (
	"errors"
	"io"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// cutCompressed gives the blocks of a compressed file to the workers. It is expanded here, since
// that can only be done from start to end.
func (p *pipeline) cutCompressed(shared *file, format files.Compression) error {
	shared.users.Store(1)
	defer shared.release()
	r, err := p.expander.Open(shared.f, shared.size, format)
	shared.size = -1
	c := NewCutter(p.o, false)
	c.Reset(r)
	c.err = err
	plan := p.streamPlan(shared)
	offset := int64(0)
	for i := int64(0); ; i++ {
		b, err := p.take(shared, i)
		if err != nil {
			return err
		}
		b.first, b.use, b.times = i == 0, searched, plan.times
		b.room.text = p.buffers.take()
		offset += b.fill(c, offset, p.o.blockBytes)
		if plan.empty {
			b.use, b.last, b.damage = nothing, true, nil
		} else if i == 0 && p.o.timed() {
			plan.times = detectTimes(b.data[:min(len(b.data), headBytes)], plan.written)
			b.times = plan.times
		}
		if last, err := p.give(b); last || err != nil {
			return err
		}
	}
}

// fill puts the next lines of a stream, which are at an offset in it, into the block. It gives how
// long they are.
func (b *block) fill(c *Cutter, offset, size int64) int64 {
	c.room = &b.room
	text, err := c.Next(int(size))
	b.setData(text, offset)
	b.filled, b.last, b.damage = true, err != nil, nil
	if !errors.Is(err, io.EOF) {
		b.damage = err
	}
	return int64(len(text))
}
