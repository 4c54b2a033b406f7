package match

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf8"
)

const (
	// literalsMax bounds the literals that are searched for at once; a pattern that needs more has none.
	literalsMax = 64
	// literalBytesMax bounds the part of a literal that is looked at.
	literalBytesMax = 64
	// scoreMin is the score below which literals are too common to search for.
	scoreMin = 4
)

// literals are strings of which each selected line holds one.
type literals struct {
	strings []string // with fold, ASCII letters in lower case
	fold    bool     // ASCII letters match in either case
	exact   bool     // each line that holds one is selected
}

// literalsOf finds the literals of e that are best searched for. Without any, strings is empty.
func literalsOf(e *expr, fold bool) literals {
	f := literalFinder{fold: fold}
	found := f.find(e)
	if found.whole != nil && score(found.whole) > score(found.part) {
		found.part = found.whole
	} else {
		found.whole = nil
	}
	if score(found.part) < scoreMin {
		return literals{}
	}
	return literals{strings: found.part, fold: fold, exact: found.whole != nil && !f.inexact}
}

// literalFinder goes through an expr.
type literalFinder struct {
	fold    bool
	inexact bool // a whole stands for less or more than the expr matches
}

// foundLiterals are what is known of an expr: whole is all that it matches, part is strings of which one is in all
// that it matches. Either may be nil.
type foundLiterals struct{ whole, part []string }

func (f *literalFinder) find(e *expr) foundLiterals {
	switch e.kind {
	case exprEmpty:
		return foundLiterals{whole: []string{""}}
	case exprAssert:
		f.inexact = true
		return foundLiterals{whole: []string{""}}
	case exprText:
		var b []byte
		for _, r := range e.text {
			b = f.append(b, r)
		}
		return foundLiterals{whole: []string{string(b)}}
	case exprSet:
		return foundLiterals{whole: f.members(e.set)}
	case exprConcat:
		return f.concat(e.subs)
	case exprEither:
		return f.either(e.subs)
	case exprRepeat:
		if e.least > 0 {
			sub := f.find(e.subs[0])
			return foundLiterals{part: better(sub.whole, sub.part)}
		}
	}
	return foundLiterals{}
}

func (f *literalFinder) append(b []byte, r symbol) []byte {
	if f.fold && r < utf8.RuneSelf && caseMask(byte(r)) != 0 {
		r |= 0x20
		f.inexact = true // this letter's case was meant; see members for those that fold
	}
	// A byte that is not UTF-8 may be part of a character in the line.
	f.inexact = f.inexact || r >= invalidFirst
	return appendSymbol(b, r)
}

// members gives the members of a small set. With fold the two cases of an ASCII letter are one, and a letter that
// has a case beyond ASCII, as k and s have, gives none.
func (f *literalFinder) members(s set) []string {
	var strs []string
	lower := func(r symbol) bool { return 'a' <= r && r <= 'z' }
	for i := 0; i < len(s); i += 2 {
		for r := s[i]; r <= s[i+1]; r++ {
			if f.fold && (lower(r|0x20) || r == 'ſ' || r == '\u212a') {
				if r|0x20 == 'k' || r|0x20 == 's' || r > utf8.RuneSelf {
					return nil
				}
				if lower(r) && s.has(r&^0x20) {
					continue // its upper case stands for both
				}
				f.inexact = f.inexact || !s.has(r^0x20)
				strs = append(strs, string(r|0x20))
			} else {
				strs = append(strs, string(f.append(nil, r)))
			}
			if len(strs) > literalsMax/4 {
				return nil
			}
		}
	}
	return strs
}

func (f *literalFinder) concat(subs []*expr) foundLiterals {
	whole, run := true, []string{""}
	var best []string
	for _, e := range subs {
		sub := f.find(e)
		if joined := product(run, sub.whole); joined != nil {
			run = joined
			continue
		}
		best = better(best, better(run, sub.part))
		whole = false
		if run = sub.whole; run == nil {
			run = []string{""}
		}
	}
	if whole {
		return foundLiterals{whole: run}
	}
	return foundLiterals{part: better(best, run)}
}

// product gives each of a followed by each of b, or nil where there are none or too many.
func product(a, b []string) []string {
	if len(b) == 0 || len(a)*len(b) > literalsMax {
		return nil
	}
	joined := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if joined = append(joined, x+y); len(x)+len(y) > literalBytesMax {
				return nil
			}
		}
	}
	return joined
}

func (f *literalFinder) either(subs []*expr) foundLiterals {
	var whole, part []string
	allWhole, allPart := true, true
	for _, e := range subs {
		sub := f.find(e)
		allWhole = allWhole && sub.whole != nil
		whole = append(whole, sub.whole...)
		p := better(sub.whole, sub.part)
		allPart = allPart && p != nil
		part = append(part, p...)
	}
	found := foundLiterals{}
	if allWhole && len(whole) <= literalsMax {
		found.whole = unique(whole)
	}
	if allPart && len(part) <= literalsMax {
		found.part = unique(part)
	}
	return found
}

func unique(strs []string) []string {
	slices.Sort(strs)
	return slices.Compact(strs)
}

func better(a, b []string) []string {
	if score(b) > score(a) {
		return b
	}
	return a
}

// score rates how few lines hold one of strs: roughly the negative logarithm of how often one begins at a byte.
func score(strs []string) float64 {
	if len(strs) == 0 {
		return math.Inf(-1)
	}
	sum := 0.0
	for _, s := range strs {
		p := 1.0
		for i := 0; i < len(s) && i < 12; i++ {
			p *= frequency[s[i]]
		}
		sum += p
	}
	return -math.Log(sum)
}

// frequency is roughly how often each byte occurs in logs. Upper and lower case count alike, since folded
// literals are lower case.
var frequency = func() (f [256]float64) {
	for b := range f {
		f[b] = 0.001
	}
	for b, v := range map[string]float64{"0123456789": 0.03, "etaoinsr": 0.04, "dlcumhp": 0.02, "bfgvwy": 0.012, "kjxqz": 0.004,
		"ETAOINSRDLCUMHP": 0.01, "BFGVWYKJXQZ": 0.006, ".:-/,=_[]()": 0.02, "\"": 0.03, " ": 0.08} {
		for i := range len(b) {
			f[b[i]] = v
		}
	}
	return f
}()

// index gives the index of the first literal in b, or -1.
func (f *literalSearch) index(b []byte) int {
	switch {
	case f.teddy != nil:
		return f.teddy.index(b)
	case f.fold:
		return f.pair.index(b)
	case hasAVX2:
		return f.pair.index(b)
	}
	return bytes.Index(b, f.pair.literal)
}

// length gives the length of the longest literal at the start of b, where index has found one.
func (f *literalSearch) length(b []byte) int {
	if f.teddy == nil {
		return len(f.pair.literal)
	}
	longest := 0
	for _, literal := range f.teddy.literals {
		if len(literal) > longest && literalAt(b, literal, f.fold) {
			longest = len(literal)
		}
	}
	return longest
}

// literalSearch finds literals in a block.
type literalSearch struct {
	fold  bool
	pair  pair   // for a single literal
	teddy *teddy // for several
}

const (
	// A literal's bytes are chosen by the first tuneBytes of a text that has at least tuneBytesMin.
	tuneBytes    = 32 << 10
	tuneBytesMin = 2 << 10
)

// tuned gives f as it does best on texts like sample.
func (f *literalSearch) tuned(sample []byte) *literalSearch {
	if f.teddy != nil {
		return f
	}
	return &literalSearch{fold: f.fold, pair: f.pair.tuned(sample[:min(len(sample), tuneBytes)])}
}

// newLiteralSearch gives nil where an automaton does better.
func newLiteralSearch(l literals) *literalSearch {
	shortest := math.MaxInt
	for _, s := range l.strings {
		shortest = min(shortest, len(s))
	}
	switch {
	case len(l.strings) == 0 || shortest == 0:
		return nil
	case len(l.strings) == 1:
		return &literalSearch{fold: l.fold, pair: newPair(l.strings[0], l.fold)}
	case hasAVX2 && shortest >= 2:
		return &literalSearch{fold: l.fold, teddy: newTeddy(l)}
	}
	return nil
}

// pair finds a literal by its two rarest bytes.
type pair struct {
	literal       []byte
	fold          bool
	first, second int  // where the bytes are in the literal
	a, b          byte // the bytes
	maskA, maskB  byte // 0x20 where either case will do
}

func newPair(s string, fold bool) pair {
	p := pair{literal: []byte(s), fold: fold}
	rarer := func(i, j int) bool { return frequency[s[i]] < frequency[s[j]] }
	for i := range s {
		if rarer(i, p.first) {
			p.first = i
		}
	}
	p.second = len(s) - 1
	if p.second == p.first {
		p.second = 0
	}
	for i := range s {
		if i != p.first && rarer(i, p.second) {
			p.second = i
		}
	}
	p.setBytes()
	return p
}

// tuned gives p with the bytes that find the fewest places of a sample: the rarest one, and the one that most
// rarely stands beside it.
func (p pair) tuned(sample []byte) pair {
	var counts [256]int
	for _, c := range sample {
		counts[c]++
	}
	rarest := func(count func(i int) int, but int) int {
		best := -1
		for i := range p.literal {
			if i != but && (best < 0 || count(i) < count(best)) {
				best = i
			}
		}
		return best
	}
	p.first = rarest(func(i int) int {
		if c := p.literal[i]; p.fold && caseMask(c) != 0 {
			return counts[c] + counts[c^0x20]
		}
		return counts[p.literal[i]]
	}, -1)
	beside := make([]int, len(p.literal))
	for i := 0; i+len(p.literal) <= len(sample); i++ {
		if !p.holds(sample[i:], p.first) {
			continue
		}
		for j := range beside {
			if p.holds(sample[i:], j) {
				beside[j]++
			}
		}
	}
	p.second = max(0, rarest(func(i int) int { return beside[i] }, p.first))
	p.setBytes()
	return p
}

// holds tells whether the literal's byte j is at b[j].
func (p *pair) holds(b []byte, j int) bool {
	c := p.literal[j]
	return b[j] == c || p.fold && b[j]|caseMask(c) == c
}

// setBytes derives the bytes from their places.
func (p *pair) setBytes() {
	p.a, p.b = p.literal[p.first], p.literal[p.second]
	if p.fold {
		p.maskA, p.maskB = caseMask(p.a), caseMask(p.b)
	}
}

// caseMask is the bit in which the cases of an ASCII letter differ, 0 for other bytes.
func caseMask(c byte) byte {
	if 'a' <= c|0x20 && c|0x20 <= 'z' {
		return 0x20
	}
	return 0
}

func (p *pair) index(b []byte) int {
	i := 0
	if hasAVX2 {
		for n := len(b) - max(len(p.literal), 1) + 1; n-i >= 32; i++ {
			// The kernel looks at whole vectors; what is left is done below.
			vectors := (n - i) &^ 31
			k := pairIndex(&b[i], vectors, p.first, p.second, p.a, p.b, p.maskA, p.maskB)
			if i += k; k == vectors {
				break
			}
			if p.at(b, i) {
				return i
			}
		}
	}
	return p.portable(b, i)
}

// portable finds the literal at or after from without vectors.
func (p *pair) portable(b []byte, from int) int {
	if !p.fold {
		if n := bytes.Index(b[from:], p.literal); n >= 0 {
			return from + n
		}
		return -1
	}
	for i := from; i+len(p.literal) <= len(b); i++ {
		if b[i+p.first]|p.maskA == p.a && p.at(b, i) {
			return i
		}
	}
	return -1
}

// at tells whether the literal is at b[i].
func (p *pair) at(b []byte, i int) bool { return literalAt(b[i:], p.literal, p.fold) }

func literalAt(b, literal []byte, fold bool) bool {
	if len(b) < len(literal) {
		return false
	}
	if !fold {
		return string(b[:len(literal)]) == string(literal)
	}
	for i, c := range literal {
		if b[i]|caseMask(c) != c {
			return false
		}
	}
	return true
}

// teddy finds several literals by tables of the nibbles of their first three bytes, after the algorithm of
// that name in Intel's Hyperscan. A literal belongs to one of eight buckets, which are the bits in the tables.
type teddy struct {
	literals [][]byte
	fold     bool
	masks    [6][32]byte // low and high nibbles of the first, second and third byte; each 16 bytes twice
	buckets  [8][][]byte
}

func newTeddy(l literals) *teddy {
	t := &teddy{fold: l.fold}
	strs := slices.Clone(l.strings)
	slices.Sort(strs) // neighbours share first bytes, and so a bucket does with few nibbles
	for i, s := range strs {
		bucket := i * 8 / len(strs)
		t.literals = append(t.literals, []byte(s))
		t.buckets[bucket] = append(t.buckets[bucket], []byte(s))
		for j := range 3 {
			if j >= len(s) { // anything may follow a literal of two bytes
				t.set(j, bucket, 0, 255)
				continue
			}
			t.set(j, bucket, s[j], s[j])
			if l.fold && caseMask(s[j]) != 0 {
				t.set(j, bucket, s[j]^0x20, s[j]^0x20)
			}
		}
	}
	return t
}

// set enters the bytes from first to last at place j of a bucket.
func (t *teddy) set(j, bucket int, first, last byte) {
	for c := int(first); c <= int(last); c++ {
		for half := 0; half < 32; half += 16 {
			t.masks[2*j][half+c&15] |= 1 << bucket
			t.masks[2*j+1][half+c>>4] |= 1 << bucket
		}
	}
}

func (t *teddy) index(b []byte) int {
	i := 0
	for n := len(b) - 2; n-i >= 32; i++ {
		vectors := (n - i) &^ 31
		k := teddyIndex(&b[i], vectors, &t.masks)
		if i += k; k == vectors {
			break
		}
		if t.at(b, i) {
			return i
		}
	}
	for ; i < len(b); i++ {
		for _, literal := range t.literals {
			if literalAt(b[i:], literal, t.fold) {
				return i
			}
		}
	}
	return -1
}

// at tells whether a literal is at b[i], of which the tables left only some buckets.
func (t *teddy) at(b []byte, i int) bool {
	m := &t.masks
	bits := m[0][b[i]&15] & m[1][b[i]>>4] & m[2][b[i+1]&15] & m[3][b[i+1]>>4] & m[4][b[i+2]&15] & m[5][b[i+2]>>4]
	for bucket, literals := range t.buckets {
		if bits>>bucket&1 == 0 {
			continue
		}
		for _, literal := range literals {
			if literalAt(b[i:], literal, t.fold) {
				return true
			}
		}
	}
	return false
}
