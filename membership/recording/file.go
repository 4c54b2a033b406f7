package recording

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/recordpb"
)

const (
	magic   = "grepdrec"
	version = 1
	// frameBytesMax bounds a frame that is read: a header with the longest list, and some.
	frameBytesMax = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendHeader appends the beginning of a file to buf.
func AppendHeader(buf []byte, h *Header) []byte {
	p := &recordpb.Header{
		Version: version, Program: h.Program, Snapshot: h.Snapshot,
		SeedHigh: h.Seed[0], SeedLow: h.Seed[1],
		MonoNanos: int64(h.Now.Mono), WallUnixNanos: h.Now.Wall.UnixNano(),
		Config: recordpb.Config{
			Addr: h.Config.Addr.String(), Gateways: texts(h.Config.Gateways), Known: texts(h.Config.Known),
			MaxFailures:       uint32(h.Config.MaxFailures),
			DetectWithinNanos: int64(h.Config.DetectWithin),
			SpreadWithinNanos: int64(h.Config.SpreadWithin),
		},
	}
	return appendFrame(append(buf, magic...), &recordpb.Frame{Header: p})
}

func texts(addrs []netip.AddrPort) (out []string) {
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// AppendStep appends a step to buf.
func AppendStep(buf []byte, s *Step) []byte {
	p := &recordpb.Step{
		Input: recordpb.Input(s.Kind), MonoNanos: int64(s.Now.Mono), WallUnixNanos: s.Now.Wall.UnixNano(),
		Packet: s.Packet, Sent: make([]recordpb.Sent, len(s.Sent)), Events: s.Events,
		WakeNanos: int64(s.Wake), Phase: uint32(s.Phase), ListVersion: s.Version, Digest: s.Digest,
	}
	if s.Kind == Packet {
		p.From = s.From.String()
	}
	for _, addr := range s.Gateways {
		p.Gateways = append(p.Gateways, addr.String())
	}
	for i, sent := range s.Sent {
		p.Sent[i] = recordpb.Sent{To: sent.To.String(), Packet: sent.Packet}
	}
	return appendFrame(buf, &recordpb.Frame{Step: p})
}

// AppendEnd appends the end of a file to buf.
func AppendEnd(buf []byte, e End) []byte {
	return appendFrame(buf, &recordpb.Frame{
		End: &recordpb.End{Reason: recordpb.Reason(e.Reason), Steps: uint64(e.Steps)},
	})
}

func appendFrame(buf []byte, f *recordpb.Frame) []byte {
	message, err := f.Marshal()
	if err != nil {
		panic(fmt.Sprintf("recording: encode a frame: %v", err)) // it has no field that could fail
	}
	buf = binary.AppendUvarint(buf, uint64(len(message)))
	buf = append(buf, message...)
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(message, castagnoli))
}

// Reader reads a recording. Its errors wrap ErrUnusable, or are the source's.
type Reader struct {
	Header Header
	End    End // valid once Next has returned io.EOF

	source *bufio.Reader
	steps  int
	frame  bytes.Buffer
}

// NewReader reads the beginning of a file.
func NewReader(source io.Reader) (*Reader, error) {
	r := &Reader{source: bufio.NewReader(source)}
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(r.source, start); err == nil && string(start) != magic ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: this is no file that grepd record has written", ErrUnusable)
	} else if err != nil {
		return nil, err
	}
	f, err := r.next()
	if err != nil {
		return nil, err
	}
	if f.Header == nil {
		return nil, fmt.Errorf("%w: it does not begin with a header", ErrUnusable)
	}
	if v := f.Header.Version; v != version {
		return nil, fmt.Errorf("%w: it is of format %d, and this program knows format %d only; "+
			"replay it with the program that recorded it: %s", ErrUnusable, v, version, f.Header.Program)
	}
	r.Header, err = headerOf(f.Header)
	return r, err
}

// Next returns the next step, or io.EOF behind the last one.
func (r *Reader) Next() (*Step, error) {
	f, err := r.next()
	switch {
	case err != nil:
		return nil, err
	case f.Step != nil:
		r.steps++
		return stepOf(f.Step, r.steps)
	case f.End == nil:
		return nil, fmt.Errorf("%w: something unknown comes behind step %d", ErrUnusable, r.steps)
	case f.End.Steps != uint64(r.steps):
		return nil, fmt.Errorf("%w: it says that it has %d steps, and has %d",
			ErrUnusable, f.End.Steps, r.steps)
	}
	if _, err := r.source.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more behind its end", ErrUnusable)
	}
	r.End = End{Reason: Reason(min(f.End.Reason, math.MaxUint8)), Steps: r.steps}
	return nil, io.EOF
}

func (r *Reader) next() (*recordpb.Frame, error) {
	message, err := r.readFrame()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: it breaks off behind step %d", ErrUnusable, r.steps)
	}
	if err != nil {
		return nil, err
	}
	f := new(recordpb.Frame)
	if err := f.Unmarshal(message); err != nil {
		return nil, r.damaged("%w", err)
	}
	return f, nil
}

// readFrame returns a message that its checksum fits to.
func (r *Reader) readFrame() ([]byte, error) {
	size, err := binary.ReadUvarint(r.source)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if err != nil {
		return nil, r.damaged("the length of a frame: %w", err)
	}
	if size > frameBytesMax {
		return nil, r.damaged("a frame of %d bytes", size)
	}
	r.frame.Reset()
	if _, err := io.CopyN(&r.frame, r.source, int64(size)); err != nil {
		return nil, err
	}
	var sum [4]byte
	if _, err := io.ReadFull(r.source, sum[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(sum[:]) != crc32.Checksum(r.frame.Bytes(), castagnoli) {
		return nil, r.damaged("a checksum is wrong")
	}
	return r.frame.Bytes(), nil
}

func (r *Reader) damaged(format string, args ...any) error {
	what := fmt.Errorf(format, args...)
	return fmt.Errorf("%w: it is damaged behind step %d: %w", ErrUnusable, r.steps, what)
}

func headerOf(p *recordpb.Header) (Header, error) {
	h := Header{
		Program: p.Program, Snapshot: p.Snapshot, Seed: [2]uint64{p.SeedHigh, p.SeedLow},
		Now: nowOf(p.MonoNanos, p.WallUnixNanos),
		Config: membership.Config{
			MaxFailures:  int(min(p.Config.MaxFailures, math.MaxInt32)),
			DetectWithin: time.Duration(p.Config.DetectWithinNanos),
			SpreadWithin: time.Duration(p.Config.SpreadWithinNanos),
		},
	}
	var problem error
	h.Config.Addr = addrOf(p.Config.Addr, &problem)
	for _, text := range p.Config.Gateways {
		h.Config.Gateways = append(h.Config.Gateways, addrOf(text, &problem))
	}
	for _, text := range p.Config.Known {
		h.Config.Known = append(h.Config.Known, addrOf(text, &problem))
	}
	if problem != nil {
		return h, fmt.Errorf("%w: its header: %v", ErrUnusable, problem)
	}
	return h, nil
}

func stepOf(p *recordpb.Step, number int) (*Step, error) {
	if int(p.Input) < 0 || int(p.Input) >= len(kindNames) {
		return nil, fmt.Errorf("%w: step %d is an input of kind %d, which this program does not know; "+
			"replay it with a newer one", ErrUnusable, number, p.Input)
	}
	s := &Step{
		Input: Input{Kind: Kind(p.Input), Now: nowOf(p.MonoNanos, p.WallUnixNanos), Packet: p.Packet},
		Output: Output{Events: p.Events, State: State{
			Wake:    time.Duration(p.WakeNanos),
			Phase:   membership.Phase(min(p.Phase, math.MaxUint8)),
			Version: p.ListVersion, Digest: p.Digest,
		}},
	}
	var problem error
	if s.Kind == Packet {
		s.From, s.Message = addrOf(p.From, &problem), new(membership.Message)
		if err := wire.Decode(p.Packet, s.Message); err != nil {
			problem = err
		}
	}
	for _, addr := range p.Gateways {
		s.Gateways = append(s.Gateways, addrOf(addr, &problem))
	}
	for i := range p.Sent {
		s.Sent = append(s.Sent, Sent{To: addrOf(p.Sent[i].To, &problem), Packet: p.Sent[i].Packet})
	}
	if problem != nil {
		return nil, fmt.Errorf("%w: step %d: %v", ErrUnusable, number, problem)
	}
	return s, nil
}

func nowOf(mono, wall int64) membership.Now {
	return membership.Now{Mono: time.Duration(mono), Wall: time.Unix(0, wall).UTC()}
}

// addrOf reads an address, or says what is wrong with it where nothing else is wrong yet.
func addrOf(text string, problem *error) netip.AddrPort {
	addr, err := netip.ParseAddrPort(text)
	if err != nil && *problem == nil {
		*problem = err
	}
	return addr
}
