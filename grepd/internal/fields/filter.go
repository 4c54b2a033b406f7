package fields

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
)

// Filter is conditions that must all hold.
type Filter struct {
	conditions []Condition
	// prefilter selects each line of which the conditions may hold, much faster than
	// they do; nil if there is nothing to look for.
	prefilter *match.Matcher
}

// NewFilter reads conditions. The error names the one that is wrong, and says why.
func NewFilter(texts []string) (*Filter, error) {
	if len(texts) > limits.ConditionsMax {
		return nil, fmt.Errorf("%d conditions, at most %d are possible", len(texts), limits.ConditionsMax)
	}
	f := &Filter{}
	for _, text := range texts {
		if len(text) > limits.ConditionBytesMax {
			return nil, fmt.Errorf("a condition of %d bytes, at most %d are possible", len(text), limits.ConditionBytesMax)
		}
		c, err := ParseCondition(text)
		if err != nil {
			return nil, fmt.Errorf("condition %q: %w", text, err)
		}
		f.conditions = append(f.conditions, c)
	}
	var err error
	f.prefilter, err = prefilter(f.conditions)
	return f, err
}

// What regular expressions take at most: each of them, each byte, of which none is more than two
// instructions, and each class, which has up to 700 ranges.
const (
	conditionFootprint     = 4 << 10
	conditionByteFootprint = 256
	classFootprint         = 14 << 10
	// intervalMax is how often package regexp lets intervals within each other repeat something.
	intervalMax = 1000
)

// Footprint estimates how many bytes a Filter of conditions keeps at most. Those without a regular
// expression count for nothing, and so do those that NewFilter refuses. It does not read them,
// which may take megabytes, too.
func Footprint(texts []string) int64 {
	if len(texts) > limits.ConditionsMax {
		return 0
	}
	size := 0
	for _, text := range texts {
		_, expression, ok := strings.Cut(text, "~")
		if !ok || len(text) > limits.ConditionBytesMax {
			continue
		}
		classes := strings.Count(expression, "[") + strings.Count(expression, `\p`) + strings.Count(expression, `\P`)
		size += conditionFootprint + len(expression)*conditionByteFootprint + classes*classFootprint
		if times := repeated(expression); times > 1 {
			size += len(expression) * conditionByteFootprint / 2 * times
		}
	}
	return int64(size)
}

// repeated gives how often the intervals of an expression, such as {1,3}, repeat anything at most.
// Intervals within each other multiply, so all are taken as if they were nested.
func repeated(expression string) int {
	times := 1
	for _, interval := range strings.Split(expression, "{")[1:] {
		var least, most int
		_, _ = fmt.Sscanf(interval, "%d,%d", &least, &most) // of what is no interval nothing is read, or too much
		times = min(times*min(max(1, least, most), intervalMax), intervalMax)
	}
	return times
}

// prefilter looks for the literal that is likely the rarest: a value rather than a name, and of
// those the longest. JSON may write any character as \u and its number, so lines with \u pass too.
func prefilter(conditions []Condition) (*match.Matcher, error) {
	best, bestIsValue := "", false
	for i := range conditions {
		c := &conditions[i]
		literal := c.literal()
		isValue := c.operator == equal && literal == c.text
		if isValue && !bestIsValue || isValue == bestIsValue && len(literal) > len(best) {
			best, bestIsValue = literal, isValue
		}
	}
	if best == "" {
		return nil, nil
	}
	return match.Compile([]string{best, `\u`}, match.Options{Syntax: match.Fixed})
}

// Scanner applies a Filter.
type Scanner struct {
	filter    *Filter
	extractor *Extractor
	prefilter *match.Scanner // nil: all lines may match
	effort    effort
}

// effortUnchecked is how many instructions of regular expressions may be tried between two looks at
// whether to go on. They take some 10 ms, which nobody who waits for an answer notices.
const effortUnchecked = 1 << 20

// effort counts what regular expressions take: one may have a million instructions, each of which
// is tried at each byte.
type effort struct {
	done    <-chan struct{} // ends the work
	work    *atomic.Uint64  // counts on while it goes on; nil: nobody looks
	left    int
	stopped bool
}

// spend counts so many instructions, and reports whether the work is to end.
func (e *effort) spend(steps int) bool {
	if e.left -= steps; e.left > 0 {
		return e.stopped
	}
	e.left = effortUnchecked
	if e.work != nil {
		e.work.Add(1)
	}
	select {
	case <-e.done:
		e.stopped = true
	default:
	}
	return e.stopped
}

// NewScanner makes a scanner. When done is closed, calls in progress return soon, and from then on
// results mean nothing. It may be nil.
func (f *Filter) NewScanner(done <-chan struct{}) *Scanner {
	s := &Scanner{filter: f, effort: effort{done: done, left: effortUnchecked}}
	var names []string
	for _, c := range f.conditions {
		names = append(names, c.name)
	}
	s.extractor = NewExtractor(names)
	if f.prefilter != nil {
		s.prefilter = f.prefilter.NewScanner(done)
	}
	return s
}

// CountWork lets work go up while a call takes long, so that others see that it gets on.
func (s *Scanner) CountWork(work *atomic.Uint64) {
	s.effort.work = work
	if s.prefilter != nil {
		s.prefilter.CountWork(work)
	}
}

// Lines appends to lines those of block of which the conditions hold, their newlines included.
func (s *Scanner) Lines(block []byte, lines []match.Range) []match.Range {
	if s.prefilter == nil {
		for pos := 0; pos < len(block); {
			end := len(block)
			if n := bytes.IndexByte(block[pos:], '\n'); n >= 0 {
				end = pos + n + 1
			}
			if s.holds(block[pos:end]) {
				lines = append(lines, match.Range{Start: pos, End: end})
			}
			pos = end
		}
		return lines
	}
	from := len(lines)
	lines = s.prefilter.Lines(block, lines, -1)
	kept := lines[:from]
	for _, l := range lines[from:] {
		if s.holds(block[l.Start:l.End]) {
			kept = append(kept, l)
		}
	}
	return kept
}

// Match reports whether the conditions hold of a line, which may end in a newline.
func (s *Scanner) Match(line []byte) bool {
	if s.prefilter != nil && !s.prefilter.Match(bytes.TrimSuffix(line, []byte{'\n'})) {
		return false
	}
	return s.holds(line)
}

func (s *Scanner) holds(line []byte) bool {
	if s.effort.stopped || !s.extractor.Extract(line) {
		return false
	}
	for i := range s.filter.conditions {
		if !s.filter.conditions[i].holds(s.extractor.Value(i), &s.effort) {
			return false
		}
	}
	return true
}
