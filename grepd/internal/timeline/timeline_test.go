package timeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a line of a stream.
type line struct {
	at     int64
	stream int
	text   string
	kind   byte
}

// chunks packs lines at random, each with a number and a span.
func chunks(random *rand.Rand, lines []line, groups bool) (packed []*greppb.Chunk) {
	for len(lines) > 0 {
		n := 1 + random.IntN(min(len(lines), 5))
		c := &greppb.Chunk{}
		for i, l := range lines[:n] {
			c.Data = append(c.Data, l.text+"\n"...)
			c.Lengths = append(c.Lengths, uint32(len(l.text)+1))
			c.Times = append(c.Times, l.at)
			c.LineNumbers = append(c.LineNumbers, uint64(l.at))
			c.ByteOffsets = append(c.ByteOffsets, uint64(i))
			if groups {
				c.Kinds = append(c.Kinds, l.kind)
			}
			if l.kind&greppb.KindContext == 0 {
				c.Spans = append(c.Spans, 1, 0, uint32(l.at%3))
			}
		}
		lines = lines[n:]
		c.More = groups && len(lines) > 0 && lines[0].kind&greppb.KindGap == 0
		packed = append(packed, c)
	}
	return packed
}

// unpacked gives the texts of a chunk, and fails unless what it says of each line belongs to it.
func unpacked(t *testing.T, c *greppb.Chunk) (texts []string) {
	pos, span := 0, 0
	for i, length := range c.Lengths {
		text := string(c.Data[pos : pos+int(length)-1])
		pos += int(length)
		texts = append(texts, text)
		var stream, number int
		var at int64
		if _, err := fmt.Sscanf(text, "%d %d %d", &at, &stream, &number); err != nil {
			t.Fatal(err)
		}
		if c.LineNumbers[i] != uint64(at) {
			t.Errorf("line %q has the number of another", text)
		}
		if len(c.Kinds) == 0 || c.Kinds[i]&greppb.KindContext == 0 {
			if c.Spans[span] != 1 || c.Spans[span+2] != uint32(at%3) {
				t.Errorf("line %q has the spans of another", text)
			}
			span += 3
		}
	}
	if pos != len(c.Data) || span != len(c.Spans) {
		t.Errorf("%d bytes and %d spans belong to no line", len(c.Data)-pos, len(c.Spans)-span)
	}
	return texts
}

// TestMergeEqualsStableSort merges random streams that are in order, and compares with a stable
// sort of all their lines, or groups of lines.
func TestMergeEqualsStableSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for trial := range 300 {
		groups := trial%2 == 1
		merge := New(1 + random.IntN(6))
		streams := merge.busy
		var all [][]line // groups
		var got []string
		var wait sync.WaitGroup
		for s := range streams {
			var lines []line
			at := int64(0)
			for i := range random.IntN(40) {
				at += random.Int64N(4)
				l := line{at: at, stream: s, text: fmt.Sprint(at, " ", s, " ", i), kind: greppb.KindGap}
				if groups && i > 0 && random.IntN(2) == 0 {
					l.kind = byte(random.IntN(2)) // goes on with the group
					all[len(all)-1] = append(all[len(all)-1], l)
				} else {
					all = append(all, []line{l})
				}
				lines = append(lines, l)
			}
			packed := chunks(random, lines, groups)
			stream := merge.Stream(s)
			wait.Go(func() {
				defer stream.End()
				for _, c := range packed {
					err := stream.Chunk(t.Context(), c, func(c *greppb.Chunk) error {
						got = append(got, unpacked(t, c)...)
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		slices.SortStableFunc(all, func(a, b []line) int {
			return cmp.Or(cmp.Compare(a[0].at, b[0].at), cmp.Compare(a[0].stream, b[0].stream))
		})
		var want []string
		for _, group := range all {
			for _, l := range group {
				want = append(want, l.text)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("trial %d: got %q, want %q", trial, got, want)
		}
	}
}

// A stream that has not said what its next line is holds the others up, until it ends or speaks.
func TestStreamsWaitForTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		merge := New(3)
		first, second, silent := merge.Stream(0), merge.Stream(1), merge.Stream(2)
		spoke := make(chan int, 9)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		go func() {
			defer first.End()
			if err := first.Await(t.Context(), 7); err != nil {
				t.Error(err)
			}
			spoke <- 0
		}()
		go func() {
			defer second.End()
			if err := second.Await(ctx, 5); !errors.Is(err, gone) {
				t.Errorf("awaiting ended with %v, want the cause", err)
			}
		}()
		synctest.Wait()
		if len(spoke) > 0 {
			t.Fatal("a line came before it was known that it is the earliest")
		}
		cancel(gone) // the second one, which waits too, gives up
		synctest.Wait()
		if len(spoke) > 0 {
			t.Fatal("a line came while the silent stream might have an earlier one")
		}
		silent.End()
		silent.End()
		synctest.Wait()
		if len(spoke) != 1 {
			t.Fatal("the last stream with a line may not speak")
		}
	})
}

// What a node makes up must not take the others down.
func FuzzChunk(f *testing.F) {
	f.Add([]byte("ab\ncd\n"), []byte{3, 3}, []byte{2, 0}, []byte{1, 0, 2, 0}, uint8(2))
	f.Add([]byte("ab\n"), []byte{1, 9}, []byte{1}, []byte{200, 1}, uint8(9))
	f.Fuzz(func(t *testing.T, data, lengths, kinds, spans []byte, times uint8) {
		c := &greppb.Chunk{Data: data, Kinds: kinds, Times: make([]int64, times)}
		for _, n := range lengths {
			c.Lengths = append(c.Lengths, uint32(n))
		}
		for _, n := range spans {
			c.Spans = append(c.Spans, uint32(n)<<(n%29))
		}
		stream := New(1).Stream(0)
		defer stream.End()
		lines := 0
		err := stream.Chunk(t.Context(), c, func(piece *greppb.Chunk) error {
			lines += len(piece.Lengths)
			return nil
		})
		if err != nil || lines != len(lengths) {
			t.Errorf("%d of %d lines, %v", lines, len(lengths), err)
		}
	})
}
