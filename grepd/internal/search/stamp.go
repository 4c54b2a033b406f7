package search

import (
	"math"
	"sort"
	"time"
)

// noTime is the time of a line that has none, nor has any before it.
const noTime = math.MinInt64

// stamp is where a line with a time starts in a block, and the time.
type stamp struct {
	start int
	nanos int64
}

// stamp reads the times of a block's lines.
func (w *worker) stamp(b *block) {
	b.stamps = b.stamps[:0]
	w.detect(b)
	if b.times == nil {
		return
	}
	parser := w.parser(b.times)
	for pos := 0; pos < len(b.data); {
		end := lineEnd(b.data, pos)
		if nanos, ok := parser.Time(b.data[pos:end]); ok {
			b.stamps = append(b.stamps, stamp{pos, nanos})
		}
		pos = end
	}
}

// timeOf reads the time of one line, if times are wanted. A line without one has that of the line
// before.
func (w *worker) timeOf(times *fileTimes, line []byte, before int64) int64 {
	if !w.o.Times || times == nil {
		return before
	}
	if nanos, ok := w.parser(times).Time(line); ok {
		return nanos
	}
	return before
}

// detect finds out how times are written, where that is not known of the file.
func (w *worker) detect(b *block) {
	if b.times == nil {
		b.times = detectTimes(b.data[:min(len(b.data), headBytes)], time.Now())
	}
}

// timeAt gives the time of the line that starts at an index of a block's data, or noTime where that
// is known of no line of the block up to there.
func (b *block) timeAt(start int) int64 {
	after := sort.Search(len(b.stamps), func(i int) bool { return b.stamps[i].start > start })
	if after == 0 {
		return noTime
	}
	return b.stamps[after-1].nanos
}

// lastTime gives the time of the block's last line, where before is that of the line before it.
func (b *block) lastTime(before int64) int64 {
	if len(b.stamps) == 0 {
		return before
	}
	return b.stamps[len(b.stamps)-1].nanos
}

// timesFrom completes the times of lines that are as the one before the block.
func (l *lineBuffer) timesFrom(before int64) {
	for i := range l.chunk.Times {
		if l.chunk.Times[i] != noTime {
			return
		}
		l.chunk.Times[i] = before
	}
}
