package match

import "math"

// prefilter finds the places of a block that can be in a selected line.
type prefilter interface {
	// index gives a place in the first such line of b, or -1: where what was found first begins,
	// with words where it ends. b begins with a line.
	index(b []byte) int
	// tuned gives the prefilter as it does best on texts like sample, or nil where it does no good.
	tuned(sample []byte) prefilter
}

// literalSearch is a prefilter that finds literals.
type literalSearch interface {
	prefilter
	// longest finds the first place at or after from where a literal begins, and the longest one
	// that does.
	longest(line []byte, from int) (Range, bool)
}

var (
	_ literalSearch = (*pair)(nil)
	_ literalSearch = (*pairs)(nil)
	_ literalSearch = (*teddy)(nil)
	_ literalSearch = (*words)(nil)
)

const (
	// A prefilter is tuned by the first tuneBytes of a text that has at least tuneBytesMin.
	tuneBytes    = 32 << 10
	tuneBytesMin = 2 << 10
)

// literalGapMin is how many bytes of a text there are to be for each literal that is found, where
// the automaton must decide.
const literalGapMin = 96

// choosePrefilter finds how lines that e selects can be found faster than by an automaton.
func (m *Matcher) choosePrefilter(e *expr, fold bool) {
	l := literalsOf(e, fold)
	if l.exact && len(l.strings) == 1 {
		m.counted = newCounted(l.strings[0], fold)
	}
	if l.cut() {
		l.exact = false
	}
	search := newLiteralSearch(l)
	if search == nil {
		m.prefilter, m.gapMin = newWindows(e), windowGapMin
		return
	}
	m.prefilter, m.exact = search, l.exact
	if _, ok := search.(*words); !ok {
		m.lead = l.lead && !m.program.assertsFirst()
	}
	if !m.exact {
		m.gapMin = literalGapMin
	}
}

// newLiteralSearch chooses how l is searched for; it gives nil where an automaton does better.
func newLiteralSearch(l literals) literalSearch {
	if l.common {
		return nil
	}
	shortest := math.MaxInt
	for _, s := range l.strings {
		shortest = min(shortest, len(s))
	}
	switch n := len(l.strings); {
	case n == 0 || shortest == 0:
		return nil
	case n == 1:
		return newPair(l.strings[0], l.fold)
	case n <= teddyMax && hasAVX2 && shortest >= 2:
		if p := newPairs(l); p != nil {
			return p
		}
		return newTeddy(l)
	default:
		if w := newWords(l.strings, l.fold); w != nil {
			return w
		}
	}
	return nil
}
