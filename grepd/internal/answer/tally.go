package answer

import (
	"bytes"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/tally"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// tallySink counts lines by their columns instead of sending them.
type tallySink struct {
	*sink
	names  []string // of the columns, those that are no fields of the lines included
	tally  tally.Tally
	file   string   // the current file, as it stands in a column
	values []string // of the current line
}

var _ search.Sink = (*tallySink)(nil)

func newTallySink(s *sink, names []string) *tallySink {
	return &tallySink{sink: s, names: names, values: make([]string, len(names))}
}

// Begin starts a file.
func (t *tallySink) Begin(path string, size int64) error {
	t.file = strings.ToValidUTF8(path, "\uFFFD")
	return nil
}

// Chunk counts lines, of which only the columns were handed out.
func (t *tallySink) Chunk(c *search.Chunk) error {
	for w := c.Walk(); w.Next(); {
		rest := bytes.TrimSuffix(w.Text, []byte{'\n'})
		for i, name := range t.names {
			switch name {
			case tally.NodeColumn: // which the node that asks fills in
			case tally.FileColumn:
				t.values[i] = t.file
			default:
				var value []byte
				value, rest, _ = bytes.Cut(rest, []byte{'\t'})
				t.values[i] = string(value)
			}
		}
		t.tally.Add(t.values, 1)
	}
	return nil
}

// End finishes a file, of which nothing is said.
func (t *tallySink) End(search.FileStats) error { return nil }

// end says what was counted, and finishes the answer.
func (t *tallySink) end(sums search.Stats) error {
	for _, step := range t.tally.Steps() {
		if err := t.say(&greppb.SearchReply{Step: &greppb.SearchReply_Groups{Groups: step}}); err != nil {
			return err
		}
	}
	return t.sink.end(sums)
}
