package match

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A symbol is what one step of an automaton reads: a character, or a byte that is part of
// none. Bytes that are not UTF-8 have symbols of their own above the characters, so
// that a pattern can name such a byte while "." and negated sets leave it out.
type symbol = rune

const (
	endOfLine    symbol = -1               // stands before and after a line
	invalidFirst symbol = utf8.MaxRune + 1 // of the byte 0
	invalidLast  symbol = invalidFirst + 0xff
)

// decode gives the first symbol of b, which is not empty, and how many bytes it takes.
func decode(b []byte) (symbol, int) {
	if b[0] < utf8.RuneSelf {
		return symbol(b[0]), 1
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return invalidFirst + symbol(b[0]), 1
	}
	return r, n
}

// decodeLast gives the last symbol of b, which is not empty.
func decodeLast(b []byte) (symbol, int) {
	c := b[len(b)-1]
	if c < utf8.RuneSelf {
		return symbol(c), 1
	}
	r, n := utf8.DecodeLastRune(b)
	if r == utf8.RuneError && n == 1 {
		return invalidFirst + symbol(c), 1
	}
	return r, n
}

// appendSymbol appends the bytes of s.
func appendSymbol(b []byte, s symbol) []byte {
	if s >= invalidFirst {
		return append(b, byte(s-invalidFirst))
	}
	return utf8.AppendRune(b, s)
}

// set is a set of symbols: pairs of first and last, ascending, neither touching nor overlapping.
type set []symbol

func (s set) has(r symbol) bool {
	lo, hi := 0, len(s)/2
	for lo < hi {
		mid := (lo + hi) / 2
		if r > s[2*mid+1] {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return 2*lo < len(s) && s[2*lo] <= r
}

// size is how many members the set has.
func (s set) size() int {
	n := 0
	for i := 0; i < len(s); i += 2 {
		n += int(s[i+1]-s[i]) + 1
	}
	return n
}

// single reports whether the set is one symbol.
func (s set) single() (symbol, bool) {
	if len(s) == 2 && s[0] == s[1] {
		return s[0], true
	}
	return 0, false
}

// union makes a set of pairs in any order.
func union(pairs set) set {
	type pair struct{ first, last symbol }
	sorted := make([]pair, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		sorted = append(sorted, pair{pairs[i], pairs[i+1]})
	}
	slices.SortFunc(sorted, func(a, b pair) int { return int(a.first - b.first) })
	var s set
	for _, p := range sorted {
		if n := len(s); n > 0 && p.first <= s[n-1]+1 {
			s[n-1] = max(s[n-1], p.last)
			continue
		}
		s = append(s, p.first, p.last)
	}
	return s
}

// negate gives the characters that are not in s. Invalid bytes are in neither.
func (s set) negate() set {
	var n set
	next := symbol(0)
	for i := 0; i < len(s) && s[i] <= utf8.MaxRune; i += 2 {
		if next < s[i] {
			n = append(n, next, s[i]-1)
		}
		next = s[i+1] + 1
	}
	if next <= utf8.MaxRune {
		n = append(n, next, utf8.MaxRune)
	}
	return n
}

func (s set) without(r symbol) set {
	if !s.has(r) {
		return s
	}
	var w set
	for i := 0; i < len(s); i += 2 {
		first, last := s[i], s[i+1]
		if r < first || r > last {
			w = append(w, first, last)
			continue
		}
		if first < r {
			w = append(w, first, r-1)
		}
		if r < last {
			w = append(w, r+1, last)
		}
	}
	return w
}

// foldedMax is the last character that has another case, with room for those to come.
const foldedMax = 0x1e943

// folding are the characters that have another case.
var folding = sync.OnceValue(func() []symbol {
	var rs []symbol
	for r := symbol(0); r <= foldedMax; r++ {
		if unicode.SimpleFold(r) != r {
			rs = append(rs, r)
		}
	}
	return rs
})

// foldedOneByOne is how many members of a set may be looked at each; to look at all characters that
// have another case is slower.
const foldedOneByOne = 256

// fold adds the other cases of all members.
func (s set) fold() set {
	f := slices.Clone(s)
	if s.size() <= foldedOneByOne {
		for i := 0; i < len(s); i += 2 {
			for r := s[i]; r <= s[i+1]; r++ {
				f = appendFolds(f, r)
			}
		}
		return union(f)
	}
	for _, r := range folding() {
		if s.has(r) {
			f = appendFolds(f, r)
		}
	}
	return union(f)
}

// appendFolds appends the other cases of r.
func appendFolds(s set, r symbol) set {
	if r > unicode.MaxRune {
		return s
	}
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		s = append(s, o, o)
	}
	return s
}

// ofTables gives the characters of Unicode tables.
func ofTables(tables ...*unicode.RangeTable) set {
	var s set
	add := func(first, last, stride symbol) {
		if stride == 1 {
			s = append(s, first, last)
			return
		}
		for r := first; r <= last; r += stride {
			s = append(s, r, r)
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(symbol(r.Lo), symbol(r.Hi), symbol(r.Stride))
		}
		for _, r := range t.R32 {
			add(symbol(r.Lo), symbol(r.Hi), symbol(r.Stride))
		}
	}
	return union(s)
}
