package gogocodec_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/mem"

	"github.com/aksinghdce/cluster-membership-service/shared/gogocodec"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// field encodes one of a message, with its content.
func field(number uint64, content []byte) []byte {
	tag := binary.AppendUvarint(nil, number<<3|2)
	return append(binary.AppendUvarint(tag, uint64(len(content))), content...)
}

type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func decode(data []byte, into any) error {
	return gogocodec.Codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, into)
}

// bombs are messages of which each byte would take many.
func bombs(size int) map[string]struct {
	data []byte
	into any
} {
	entries := func(tag byte) []byte { return bytes.Repeat([]byte{tag, 0}, size/2) }
	type bomb = struct {
		data []byte
		into any
	}
	return map[string]bomb{
		"places in a follow":          {field(80, entries(2<<3|2)), &greppb.SearchRequest{}},
		"places in a query's search":  {field(1, field(80, entries(2<<3|2))), &greppb.QueryRequest{}},
		"nodes to resume":             {bytes.Repeat(field(80, nil), size/3), &greppb.QueryRequest{}},
		"many follows, one kept":      {bytes.Repeat(field(80, nil), size/3), &greppb.SearchRequest{}},
		"places in a reply":           {field(80, entries(1<<3|2)), &greppb.SearchReply{}},
		"places in a node's reply":    {field(2, field(2, field(80, entries(1<<3|2)))), &greppb.QueryReply{}},
		"groups":                      {field(20, entries(1<<3|2)), &greppb.QueryReply{}},
		"values in a group":           {field(20, field(1, entries(1<<3|2))), &greppb.QueryReply{}},
		"marks":                       {field(5, bytes.Repeat(field(40, nil), size/3)), &greppb.SearchReply{}},
		"replies, of which one stays": {entries(2<<3 | 2), &greppb.SearchReply{}},
		"line numbers":                {field(2, field(3, make([]byte, size))), &greppb.SearchReply{}},
		"empty patterns":              {field(1, entries(1<<3|2)), &greppb.SearchRequest{}},
		"members":                     {entries(3<<3 | 2), &greppb.MembersReply{}},
	}
}

func TestBombsAreRefusedBeforeTheyAreDecoded(t *testing.T) {
	const size = 2_000_000
	for name, bomb := range bombs(size) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode(bomb.data, bomb.into)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "hold so many entries") {
			t.Errorf("%s: %v, want that it holds too many entries", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 {
			t.Errorf("%s: %d bytes were taken to refuse it", name, took)
		}
	}
}

// honest are the largest messages that grepd itself makes, by kind.
func honest() map[string]message {
	places := slices.Repeat([]greppb.Place{{
		Path: "logs/some/directory/application.log", Device: 1, Inode: 2, Offset: 1 << 40,
		Head: greppb.Print{Length: 1024, Hash: 3}, Tail: greppb.Print{Length: 1024, Hash: 4},
	}}, 12_000)
	members := slices.Repeat([]greppb.Member{{Addr: "192.168.100.100:7117", Incarnation: math.MaxInt64, State: "alive", SinceUnixNanos: 1}}, 20_000)
	values := slices.Repeat([]string{"value"}, 100)
	text := bytes.Repeat([]byte{1<<3 | 2, 0}, 32<<20) // which only looks like a message
	return map[string]message{
		"places":  &greppb.SearchReply{Step: &greppb.SearchReply_Places{Places: &greppb.Places{Places: places}}},
		"members": &greppb.MembersReply{Members: members},
		"nodes":   &greppb.QueryRequest{Nodes: slices.Repeat([]string{"192.168.100.100:7117"}, 20_000)},
		"groups": &greppb.SearchReply{Step: &greppb.SearchReply_Groups{
			Groups: &greppb.Groups{Groups: slices.Repeat([]greppb.Group{{Values: values, Count: 1}}, 1_000)},
		}},
		"patterns": &greppb.SearchRequest{Pattern: greppb.Pattern{Patterns: slices.Repeat([]string{"four"}, 200_000)}},
		"a line": &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{
			Data: text, Lengths: []uint32{uint32(len(text))}, LineNumbers: []uint64{1 << 60},
			Spans: append([]uint32{1 << 16}, slices.Repeat([]uint32{1 << 25, 1}, 1<<16)...),
		}}},
		"times": &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{
			Data: text[:1<<16], Lengths: slices.Repeat([]uint32{2}, 1<<15), Times: slices.Repeat([]int64{1}, 1<<15),
		}}},
	}
}

func TestLargeHonestMessagesAreDecoded(t *testing.T) {
	for name, m := range honest() {
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var into message
		switch m.(type) {
		case *greppb.SearchReply:
			into = &greppb.SearchReply{}
		case *greppb.SearchRequest:
			into = &greppb.SearchRequest{}
		case *greppb.QueryRequest:
			into = &greppb.QueryRequest{}
		default:
			into = &greppb.MembersReply{}
		}
		if err := decode(data, into); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := into.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: it is not what it was, %v", name, err)
		}
	}
}

// FuzzUnmarshal wants no panic, and what is accepted to be decoded again from what it encodes to.
func FuzzUnmarshal(f *testing.F) {
	for _, bomb := range bombs(64) {
		f.Add(bomb.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{&greppb.QueryRequest{}, &greppb.SearchRequest{}, &greppb.QueryReply{}, &greppb.SearchReply{}, &greppb.MembersReply{}} {
			if decode(data, into) != nil { // most of it is malformed
				continue
			}
			again, err := into.(message).Marshal()
			if err == nil {
				err = decode(again, into)
			}
			if err != nil {
				t.Errorf("%T: encoded anew it is refused: %v", into, err)
			}
		}
	})
}

func BenchmarkUnmarshalChunk(b *testing.B) {
	line := []byte(strings.Repeat("x", 99) + "\n")
	reply := &greppb.SearchReply{Step: &greppb.SearchReply_Chunk{Chunk: &greppb.Chunk{
		Data: bytes.Repeat(line, 640), Lengths: slices.Repeat([]uint32{100}, 640), LineNumbers: slices.Repeat([]uint64{100_000}, 640),
	}}}
	data, err := reply.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := decode(data, &greppb.SearchReply{}); err != nil {
			b.Fatal(err)
		}
	}
}
