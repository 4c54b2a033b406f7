// Package gogocodec lets gRPC carry the messages that gogo/protobuf generates.
//
// gRPC's own codec reaches such messages by reflection through a compatibility layer:
// slow, and a panic for some of gogo's field types. The codec here calls their generated
// methods, and leaves every other message (gRPC health, go-plugin's own) to gRPC's
// codec. The bytes on the wire are the same. Both sides of a connection install it:
//
//	grpc.NewServer(gogocodec.ServerOption())
//	grpc.NewClient(target, gogocodec.DialOption())
//
// # Limits
//
// What comes from the network is weighed before it is decoded: two bytes can become an entry of
// 200, so that a request of 15 MB once took 5 GB. The types of the messages say what each field
// makes room for, so that text which only looks like a message, as a log may, is not mistaken for
// one. gRPC bounds the text itself, by the length of the whole. A type of which some messages may
// be longer than others says so by being [Sized].
//
// # Concurrency
//
// A Codec is immutable; any goroutine may use it.
package gogocodec

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	stock "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// message is what the generated types have in common.
type message interface {
	Reset()
	Size() int
	MarshalToSizedBuffer(buf []byte) (int, error)
	Unmarshal(data []byte) error
}

// Sized is a message that says how long it may be.
type Sized interface {
	// CheckSize says whether a message may be so long that begins with some bytes. It is asked
	// before anything is copied or decoded, and only where there are more bytes than in first.
	CheckSize(first []byte, size int) error
}

// firstBytes is how much a Sized message is shown of itself.
const firstBytes = 64

// Codec encodes with the messages' generated methods. Its zero value is ready.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// ServerOption makes a server use the codec for every call.
func ServerOption() grpc.ServerOption { return grpc.ForceServerCodecV2(Codec{}) }

// DialOption makes a client use the codec for every call.
func DialOption() grpc.DialOption {
	return grpc.WithDefaultCallOptions(grpc.ForceCodecV2(Codec{}))
}

// Name is that of gRPC's codec, since the encoding is the same.
func (Codec) Name() string { return stock.Name }

// Marshal encodes v into one buffer, from a pool where it is large.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(message)
	if !ok {
		return encoding.GetCodecV2(stock.Name).Marshal(v)
	}
	size := m.Size()
	if mem.IsBelowBufferPoolingThreshold(size) {
		buf := make([]byte, size)
		if _, err := m.MarshalToSizedBuffer(buf); err != nil {
			return nil, fmt.Errorf("marshal %T: %w", v, err)
		}
		return mem.BufferSlice{mem.SliceBuffer(buf)}, nil
	}
	buf := pool.Get(size)
	if _, err := m.MarshalToSizedBuffer(*buf); err != nil {
		pool.Put(buf)
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return mem.BufferSlice{mem.NewBuffer(buf, &pool)}, nil
}

// Unmarshal decodes into v. The generated methods copy what they keep, so that the
// buffer goes back to its pool at once.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(message)
	if !ok {
		return encoding.GetCodecV2(stock.Name).Unmarshal(data, v)
	}
	if err := checkSize(data, v); err != nil {
		return fmt.Errorf("unmarshal %T: %w", v, err)
	}
	buf := data.MaterializeToBuffer(&pool)
	defer buf.Free()
	if err := checkSlots(buf.ReadOnlyData(), m); err != nil {
		return fmt.Errorf("unmarshal %T: %w", v, err)
	}
	m.Reset()
	if err := m.Unmarshal(buf.ReadOnlyData()); err != nil {
		return fmt.Errorf("unmarshal %T: %w", v, err)
	}
	return nil
}

// checkSize asks a message whether it may be as long as what came of it.
func checkSize(data mem.BufferSlice, v any) error {
	m, ok := v.(Sized)
	size := data.Len()
	if !ok || size <= firstBytes {
		return nil
	}
	var first [firstBytes]byte
	n := 0
	for _, buffer := range data {
		n += copy(first[n:], buffer.ReadOnlyData())
	}
	return m.CheckSize(first[:n], size)
}
