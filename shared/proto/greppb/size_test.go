package greppb

import (
	"bytes"
	"slices"
	"testing"
)

func TestOnlyLinesMayBeLong(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 2*ReplyBytesMax)
	line := SearchReply{Step: &SearchReply_Chunk{Chunk: &Chunk{
		Data: long, Lengths: []uint32{uint32(len(long))}, LineNumbers: []uint64{1}, Spans: make([]uint32, 1<<17),
	}}}
	manyLines := SearchReply{Step: &SearchReply_Chunk{Chunk: &Chunk{
		Data: []byte("\n"), Lengths: slices.Repeat([]uint32{1}, 2*ReplyBytesMax),
	}}}
	path := SearchReply{Step: &SearchReply_FileBegin{FileBegin: &FileBegin{Path: string(long)}}}
	for _, test := range []struct {
		name  string
		reply SearchReply
		want  bool
	}{
		{"a line", line, true}, {"columns", manyLines, false}, {"a path", path, false},
	} {
		data, err := test.reply.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(SearchReply).CheckSize(data[:64], len(data)); (err == nil) != test.want {
			t.Errorf("%s: %v, want it accepted: %v", test.name, err, test.want)
		}
		for _, node := range []uint32{0, 1, 20_000} {
			query := QueryReply{Step: &QueryReply_NodeStep{NodeStep: &NodeStep{Node: node, Reply: test.reply}}}
			data, err := query.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := new(QueryReply).CheckSize(data[:64], len(data)); (err == nil) != test.want {
				t.Errorf("%s of node %d: %v, want it accepted: %v", test.name, node, err, test.want)
			}
		}
	}
}

func TestALengthThatIsClaimedOnlyMakesNoReplyLonger(t *testing.T) {
	lie := []byte{2<<3 | 2, 0xff, 0xff, 0xff, 0x7f, 1<<3 | 2, 0xff, 0xff, 0xff, 0x7e}
	for _, size := range []int{100, ReplyBytesMax, 80 << 20} {
		if err := new(SearchReply).CheckSize(lie, size); err == nil {
			t.Errorf("a reply of %d bytes may have a line of 266,338,303", size)
		}
	}
	for n := range lie {
		if err := new(SearchReply).CheckSize(lie[:n], 80<<20); err == nil {
			t.Errorf("a reply of 80 MiB may begin with %x", lie[:n])
		}
	}
}
