package search

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// ExpandBytesMaxDefault bounds by default what a compressed file may expand to.
	ExpandBytesMaxDefault = 10 << 30
	// zstdWindowMax bounds the memory that a .zst file makes its reader take. zstd's levels up to 19 need
	// 8 MiB.
	zstdWindowMax = 32 << 20
	// compressedBuffer is how much of a compressed file is read at once.
	compressedBuffer = 128 << 10
)

// compression is a format that files are searched in.
type compression uint8

const (
	uncompressed compression = iota
	gzipped
	zstandard
)

// suffixes are what the names of compressed files end in.
var suffixes = map[compression]string{gzipped: ".gz", zstandard: ".zst"}

// withoutSuffix gives the name that a compressed file had, and how its name says that it was compressed.
func withoutSuffix(name string) (string, compression) {
	for c, suffix := range suffixes {
		if plain, ok := strings.CutSuffix(name, suffix); ok && plain != "" {
			return plain, c
		}
	}
	return name, uncompressed
}

// compressionOf tells how a file is compressed: its name has to say so, and its first bytes to agree.
func compressionOf(f io.ReaderAt, name string) compression {
	_, c := withoutSuffix(name)
	var magic [4]byte
	if c == uncompressed {
		return c
	}
	n, _ := f.ReadAt(magic[:], 0)
	switch first := binary.LittleEndian.Uint32(magic[:]); {
	case c == gzipped && n >= 2 && first&0xffff == 0x8b1f:
		return c
	case c == zstandard && n == 4 && (first == 0xfd2fb528 || first&^0xf == 0x184d2a50): // a frame, or one to be skipped
		return c
	}
	return uncompressed
}

// expandedSize is what a compressed file says that it expands to, modulo a power of 2 for gzip; -1 if it does not say.
func expandedSize(f io.ReaderAt, size int64, c compression) (expands int64, modulus int64) {
	switch c {
	case gzipped:
		var trailer [4]byte
		if _, err := f.ReadAt(trailer[:], max(size-4, 0)); err == nil {
			return int64(binary.LittleEndian.Uint32(trailer[:])), 1 << 32
		}
	case zstandard:
		var header zstd.Header
		head := make([]byte, zstd.HeaderMaxSize)
		n, _ := f.ReadAt(head, 0)
		if header.Decode(head[:n]) == nil && header.HasFCS {
			return int64(header.FrameContentSize), 1 << 62
		}
	}
	return -1, 1
}

// expander decompresses one file after the other, until ctx ends. It serves one goroutine.
type expander struct {
	ctx      context.Context
	progress *Progress
	bytesMax int64
	in       *bufio.Reader
	gzip     *gzip.Reader
	zstd     *zstd.Decoder
}

// open begins with a file. What it returns is valid until the next call.
func (x *expander) open(f *os.File, size int64, c compression) (io.Reader, error) {
	if x.in == nil {
		x.in = bufio.NewReaderSize(nil, compressedBuffer)
	}
	x.in.Reset(&packedReader{io.NewSectionReader(f, 0, size), x})
	expanded := &expanded{left: x.bytesMax, max: x.bytesMax, size: size}
	var err error
	switch {
	case c == gzipped && x.gzip == nil:
		x.gzip, err = gzip.NewReader(x.in)
		expanded.r = x.gzip
	case c == gzipped:
		err = x.gzip.Reset(x.in)
		expanded.r = x.gzip
	case x.zstd == nil:
		x.zstd, err = zstd.NewReader(x.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindowMax))
		expanded.r = x.zstd
	default:
		err = x.zstd.Reset(x.in)
		expanded.r = x.zstd
	}
	if err != nil {
		return nil, damage(err)
	}
	return expanded, nil
}

func (x *expander) close() {
	if x.zstd != nil {
		x.zstd.Close()
	}
}

// packedReader reads what is expanded. A file of any size may expand to nothing, such as one of empty members or of frames to be
// skipped, so that what comes out tells neither that the search gets on, nor when to end.
type packedReader struct {
	r io.Reader
	x *expander
}

func (r *packedReader) Read(p []byte) (int, error) {
	if err := r.x.ctx.Err(); err != nil {
		return 0, err
	}
	r.x.progress.work.Add(1)
	return r.r.Read(p)
}

// expanded is a file as it was before it was compressed, up to a limit.
type expanded struct {
	r         io.Reader
	left, max int64
	size      int64 // of the compressed file
}

func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if int64(n) > e.left {
		return int(e.left), because(greppb.FileError_TOO_LARGE, fmt.Errorf("expands to more than %d bytes, %d times its size:"+
			" that is the limit of this grepd, which its --max-expand sets", e.max, e.max/max(e.size, 1)))
	}
	e.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damage(err)
	}
	return n, err
}

// damage words what is wrong with a compressed file.
func damage(err error) error {
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr): // the disk
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return because(greppb.FileError_DAMAGED, errors.New("the compressed file is cut short"))
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return because(greppb.FileError_TOO_LARGE,
			fmt.Errorf("to expand it takes more than %d MiB of memory, as files of zstd --ultra or --long do", zstdWindowMax>>20))
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return because(greppb.FileError_NOT_EXPANDABLE,
			errors.New("it was compressed with a dictionary, and cannot be expanded without"))
	}
	return because(greppb.FileError_DAMAGED, fmt.Errorf("the compressed file is damaged: %w", err))
}

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
func (p *pipeline) cutCompressed(shared *file, c compression) error {
	shared.users.Store(1)
	defer shared.release()
	r, err := p.expander.open(shared.f, shared.size, c)
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
