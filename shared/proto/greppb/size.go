package greppb

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ReplyBytesMax bounds a reply, the text of lines in it left out. A list of 20,000 nodes takes half
// of it. Only a line may be longer.
const ReplyBytesMax = 2 << 20

// Numbers of the fields that lead to the text of lines. Each stands before all others that can be
// long in its message.
const (
	queryReplyNodeStep = 2
	nodeStepReply      = 2
	searchReplyChunk   = 2
	chunkData          = 1
)

// CheckSize says from its first bytes whether a reply may have so many, before it is decoded.
func (m *SearchReply) CheckSize(first []byte, size int) error {
	return checkSize(size, textBytes(first, searchReplyChunk, chunkData))
}

// CheckSize says from its first bytes whether a reply may have so many, before it is decoded.
func (m *QueryReply) CheckSize(first []byte, size int) error {
	return checkSize(size, textBytes(first, queryReplyNodeStep, nodeStepReply, searchReplyChunk, chunkData))
}

func checkSize(size, text int) error {
	if rest := size - text; rest > ReplyBytesMax || rest < 0 {
		return fmt.Errorf("a reply of %d bytes, of which %d are lines: at most %d others are possible", size, text, ReplyBytesMax)
	}
	return nil
}

// textBytes is the length that a message claims for a field in a field in it, and so on; 0: others
// come first.
func textBytes(first []byte, path ...protowire.Number) int {
	length := uint64(0)
	for _, want := range path {
		number, kind, n := protowire.ConsumeTag(first)
		if n > 0 && kind == protowire.VarintType { // NodeStep.node
			_, value := protowire.ConsumeVarint(first[n:])
			if value < 0 {
				return 0
			}
			first = first[n+value:]
			number, kind, n = protowire.ConsumeTag(first)
		}
		if n < 0 || number != want || kind != protowire.BytesType {
			return 0
		}
		first = first[n:]
		if length, n = protowire.ConsumeVarint(first); n < 0 {
			return 0
		}
		first = first[n:]
	}
	return int(min(length, 1<<40))
}
