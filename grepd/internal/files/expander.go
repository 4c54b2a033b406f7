package files

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// ExpandBytesMaxDefault bounds by default what a compressed file may expand to: a small
	// file can expand to thousands of times its size.
	ExpandBytesMaxDefault = 10 << 30
	// zstdWindowMax bounds the memory that a .zst file makes its reader take: the file itself says
	// how much, so a stranger's could ask for gigabytes. zstd's levels up to 19 need 8 MiB.
	zstdWindowMax = 32 << 20
	// compressedBuffer is how much of a compressed file is read at once.
	compressedBuffer = 128 << 10
)

// Compression is a format that files are searched in.
type Compression uint8

const (
	Uncompressed Compression = iota
	Gzip
	Zstandard
)

// suffixes are what the names of compressed files end in.
var suffixes = map[Compression]string{Gzip: ".gz", Zstandard: ".zst"}

// withoutSuffix gives the name that a compressed file had, and how its name says that it was
// compressed. A file that is called .gz and nothing else had no name before.
func withoutSuffix(name string) (string, Compression) {
	for c, suffix := range suffixes {
		if plain, ok := strings.CutSuffix(name, suffix); ok && plain != "" {
			return plain, c
		}
	}
	return name, Uncompressed
}

// CompressionOf says how a file is compressed: its name has to say so, and its first bytes to
// agree. A name alone may lie, and then the file is searched as it is; and a log that happens to
// begin with these bytes is not expanded.
func CompressionOf(f io.ReaderAt, name string) Compression {
	_, c := withoutSuffix(name)
	var magic [4]byte
	if c == Uncompressed {
		return c
	}
	n, _ := f.ReadAt(magic[:], 0)
	switch first := binary.LittleEndian.Uint32(magic[:]); {
	case c == Gzip && n >= 2 && first&0xffff == 0x8b1f:
		return c
	case c == Zstandard && n == 4 && (first == 0xfd2fb528 || first&^0xf == 0x184d2a50): // a frame, or one to be skipped
		return c
	}
	return Uncompressed
}

// ExpandedSize gives how many bytes a compressed file says that it expands to, modulo a power of 2:
// gzip keeps no more of it. -1 if it does not say. That is a hint only: a file of several members
// says the size of one.
func ExpandedSize(f io.ReaderAt, size int64, c Compression) (expands, modulus int64) {
	switch c {
	case Gzip:
		// The last four bytes of a member are its size (RFC 1952).
		var trailer [4]byte
		if _, err := f.ReadAt(trailer[:], max(size-4, 0)); err == nil {
			return int64(binary.LittleEndian.Uint32(trailer[:])), 1 << 32
		}
	case Zstandard:
		var header zstd.Header
		head := make([]byte, zstd.HeaderMaxSize)
		n, _ := f.ReadAt(head, 0)
		if header.Decode(head[:n]) == nil && header.HasFCS {
			return int64(header.FrameContentSize), 1 << 62
		}
	}
	return -1, 1
}

// Expander decompresses one file after the other. It serves one goroutine. Its decompressors are
// made at their first use and kept for the next file, since each takes memory that is worth
// keeping.
type Expander struct {
	ctx      context.Context // whose end ends a read
	progress *Progress
	bytesMax int64         // what a file may expand to
	in       *bufio.Reader // nil until the first file
	gzip     *gzip.Reader  // nil until the first file of its kind
	zstd     *zstd.Decoder // nil until the first file of its kind
}

// NewExpander makes one that reads until ctx ends, and refuses files that expand to more than
// bytesMax. Each read counts as a step of progress.
func NewExpander(ctx context.Context, progress *Progress, bytesMax int64) *Expander {
	return &Expander{ctx: ctx, progress: progress, bytesMax: bytesMax}
}

// Open begins with a file, which stays the caller's. What it returns is valid until the next call.
// Errors of opening and reading have reasons, as NewError wants them.
func (x *Expander) Open(f *os.File, size int64, c Compression) (io.Reader, error) {
	if x.in == nil {
		x.in = bufio.NewReaderSize(nil, compressedBuffer)
	}
	// The size is the one of when the file was opened: what is appended meanwhile is not searched.
	x.in.Reset(&packedReader{io.NewSectionReader(f, 0, size), x})
	expanded := &expanded{left: x.bytesMax, max: x.bytesMax, size: size}
	var err error
	switch {
	case c == Gzip && x.gzip == nil:
		x.gzip, err = gzip.NewReader(x.in)
		expanded.r = x.gzip
	case c == Gzip:
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

// Close gives back what decompressors keep.
func (x *Expander) Close() {
	if x.zstd != nil {
		x.zstd.Close()
	}
}

// packedReader reads the compressed bytes. It counts the progress and looks at ctx here, not where
// the text comes out: a file of empty members, or of frames to be skipped, expands to nothing
// however large it is.
type packedReader struct {
	r io.Reader
	x *Expander
}

func (r *packedReader) Read(p []byte) (int, error) {
	if err := r.x.ctx.Err(); err != nil {
		return 0, err
	}
	r.x.progress.Steps.Add(1)
	return r.r.Read(p)
}

// expanded is a file as it was before it was compressed, up to a limit.
type expanded struct {
	r         io.Reader
	left, max int64 // bytes that may still come, and may come in all
	size      int64 // of the compressed file
}

func (e *expanded) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if int64(n) > e.left {
		return int(e.left), WithReason(greppb.FileError_TOO_LARGE, fmt.Errorf("expands to more than %d bytes, %d times its size:"+
			" that is the limit of this grepd, which its --max-expand sets", e.max, e.max/max(e.size, 1)))
	}
	e.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damage(err)
	}
	return n, err
}

// damage words what is wrong with a compressed file. An error of the disk stays what it is: the
// file may be whole.
func damage(err error) error {
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr): // the disk
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return WithReason(greppb.FileError_DAMAGED, errors.New("the compressed file is cut short"))
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return WithReason(greppb.FileError_TOO_LARGE,
			fmt.Errorf("to expand it takes more than %d MiB of memory, as files of zstd --ultra or --long do", zstdWindowMax>>20))
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return WithReason(greppb.FileError_NOT_EXPANDABLE,
			errors.New("it was compressed with a dictionary, and cannot be expanded without"))
	}
	return WithReason(greppb.FileError_DAMAGED, fmt.Errorf("the compressed file is damaged: %w", err))
}
