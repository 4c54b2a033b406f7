package main

import (
	"math"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// assembleFollow refuses what does not go with --follow, and has all lines sent: -m is of all files together then, and
// counted here.
func (p *parser) assembleFollow() error {
	s := p.search()
	if !p.follow {
		return nil
	}
	for _, wrong := range []struct {
		given  bool
		option string
	}{
		{s.Report == greppb.Report_COUNT, "-c counts"}, {s.Report == greppb.Report_QUIET, "-q ends at the first line, as -m1 does,"},
		{s.Report == greppb.Report_FILES_WITH_MATCHES, "-l lists files"}, {s.Report == greppb.Report_FILES_WITHOUT_MATCH, "-L lists files"},
		{s.CountBy, "--count-by counts"}, {p.find.sort != "", "--sort needs an end of what it sorts,"},
		{s.MaxCountSet && s.MaxCount == 0, "-m 0 ends before the first line,"}, {s.UntilUnixNanos != 0, "--until is an end,"}, {s.NullData, "-z is for data without lines,"},
	} {
		if wrong.given {
			return usageError{wrong.option + " and does not go with --follow, which prints lines as they are written"}
		}
	}
	if len(s.Paths) == 0 || len(s.Paths) == 1 && s.Paths[0] == "-" {
		return usageError{"--follow needs a FILE on the machines; of what is written to standard input dgrep prints lines as they come without it"}
	}
	s.Follow = &greppb.Follow{}
	p.text.Follow, p.text.Grows, p.text.Stats = true, len(p.query.Nodes) == 0, p.stats
	p.query.Clocks = true
	p.linesMax = -1
	if s.MaxCountSet {
		p.linesMax, s.MaxCountSet = int64(min(s.MaxCount, math.MaxInt64)), false
		s.LineNumbers = s.LineNumbers || s.Report == greppb.Report_PARTS
	}
	return nil
}

// countdown ends an answer after a number of selected lines, which may have several parts each.
type countdown struct {
	left       int64 // below 0: no end
	node, file uint32
	line       uint64
}

// cut shortens a chunk to the lines that are wanted still, and reports whether no more are. A
// malformed chunk is left to the printer, which says so.
func (c *countdown) cut(node uint32, chunk *greppb.Chunk, parts bool) (over bool) {
	if c.left < 0 || chunk.Validate() != nil {
		return false
	}
	wanted := 0
	for w := chunk.Walk(); w.Next() && c.take(node, chunk.File, &w.Line, parts); {
		wanted++
	}
	if wanted < len(chunk.Lengths) {
		*chunk = chunk.Cut(0, wanted)
		return true
	}
	return c.left == 0
}

// take counts a line, and reports whether it is wanted. Parts of one line count once.
func (c *countdown) take(node, file uint32, line *greppb.Line, parts bool) bool {
	if line.IsContext() {
		return c.left > 0
	}
	same := parts && line.Number > 0 && c.node == node && c.file == file && c.line == line.Number
	if !same {
		if c.left == 0 {
			return false
		}
		c.left--
	}
	c.node, c.file, c.line = node, file, line.Number
	return true
}
