package search

import (
	"fmt"
	"sync/atomic"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// LongLines bounds the memory that blocks of more than 1 MiB take, those of one long line, in all
// searches that share it. Where the lines of a thousand files are put in order each may hold one,
// and a file of 64 MiB may be a hole on the disk. It may be used by any number of goroutines; nil
// is no bound.
type LongLines struct {
	max  int64
	left atomic.Int64
}

// NewLongLines gives one for so many bytes.
func NewLongLines(max int64) *LongLines {
	l := &LongLines{max: max}
	l.left.Store(max)
	return l
}

// claim takes what a buffer of size bytes takes beside what was claimed for it before, and gives
// what is claimed now.
func (l *LongLines) claim(before int64, size int) (claimed int64, err error) {
	claimed = int64(size)
	if l == nil || claimed <= max(before, bufferKeptMax) {
		return before, nil
	}
	if l.left.Add(before-claimed) < 0 {
		l.left.Add(claimed - before)
		return before, files.WithReason(greppb.FileError_BUSY, fmt.Errorf("a line is longer than 1 MiB, and such lines that are"+
			" being searched take %d MiB, which is the most: try again later, or name fewer files", l.max>>20))
	}
	return claimed, nil
}

// give gives back what was claimed.
func (l *LongLines) give(claimed int64) {
	if l != nil {
		l.left.Add(claimed)
	}
}
