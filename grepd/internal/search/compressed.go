package search

import (
	"errors"
	"io"
	"slices"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

// stream is a file that is read from start to end, in blocks of whole lines.
type stream struct {
	r      io.Reader
	ends   terminators
	rest   []byte // what was read after the last whole line
	offset int64  // of rest
	err    error  // why nothing more can be read
}

// fill puts the next lines, about size bytes, into b. At the end, or where the file is damaged, b is the last block.
func (s *stream) fill(b *block, size int64) {
	b.filled, b.damage = true, nil
	b.buffer = append(b.buffer[:0], s.rest...)
	stop := 0
	for stop == 0 && s.err == nil {
		have := len(b.buffer)
		if have > LineBytesMax {
			s.err, b.buffer = errLineTooLong, b.buffer[:0]
			break
		}
		room := max(int(size)-have, have/2, 1)
		if err := b.claimRoom(have + room); err != nil {
			s.err, b.buffer = err, b.buffer[:0]
			break
		}
		b.buffer = slices.Grow(b.buffer, room)[:have+room]
		var n int
		n, s.err = io.ReadFull(s.r, b.buffer[have:])
		b.buffer = b.buffer[:have+n]
		b.file.progress.Bytes.Add(uint64(n))
		stop = have + s.ends.lastIndex(b.buffer[have:]) + 1
		if stop == have {
			stop = 0
		}
	}
	switch {
	case errors.Is(s.err, io.EOF), errors.Is(s.err, io.ErrUnexpectedEOF):
		stop = len(b.buffer) // the last line may lack its newline
	case s.err != nil:
		b.damage = s.err // whole lines before it count
	}
	b.last = s.err != nil
	b.setData(b.buffer[:stop], s.offset)
	s.rest = append(s.rest[:0], b.buffer[stop:]...)
	s.offset += int64(stop)
}

// cutCompressed gives the blocks of a compressed file to the workers. It is expanded here, since that can only be done from
// start to end.
func (p *pipeline) cutCompressed(shared *file, c files.Compression) error {
	shared.users.Store(1)
	defer shared.release()
	r, err := p.expander.Open(shared.f, shared.size, c)
	shared.size = -1
	s := &stream{r: r, ends: p.o.terminators(), err: err}
	plan := p.streamPlan(shared)
	for i := int64(0); ; i++ {
		b, err := p.take(shared, i)
		if err != nil {
			return err
		}
		b.first, b.use, b.times = i == 0, searched, plan.times
		b.buffer = p.buffers.take()
		s.fill(b, p.o.blockBytes)
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
