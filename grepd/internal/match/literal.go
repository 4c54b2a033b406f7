package match

import (
	"math"
	"slices"
	"sync"
	"unicode/utf8"
)

const (
	// literalsMax bounds the literals of a part of a pattern that is more than literals.
	literalsMax = 64
	// literalBytesMax bounds what is made of several literals that follow each other.
	literalBytesMax = 64
	// literalLookedMax bounds the part of each literal that is looked for: at each byte of a text
	// it may have to be compared. What follows it is left to the automaton.
	literalLookedMax = 256
	// wordsMax bounds the literals that are looked at; a pattern that needs more has none.
	wordsMax = 1 << 18
	// scoreMin is the score below which a few literals are common.
	scoreMin = 4
)

// literals are strings of which each selected line holds one.
type literals struct {
	strings []string // with fold, ASCII letters in lower case
	fold    bool     // ASCII letters match in either case
	exact   bool     // each line that holds one is selected
	lead    bool     // each match begins with one, and none is found within a character
	common  bool     // so many lines hold one that there is no use in looking for them
}

// literalsOf finds the literals of e that are best searched for. Without any, strings is empty.
func literalsOf(e *expr, fold bool) literals {
	f := literalFinder{fold: fold}
	found := f.find(e)
	best := found.best()
	// A byte of the middle of characters may be found in one, of which the automaton must know.
	inside := slices.ContainsFunc(best.strings, func(s string) bool { return s != "" && !utf8.RuneStart(s[0]) })
	return literals{strings: best.strings, fold: fold, exact: best.whole && !f.inexact, lead: best.lead && !inside,
		common: len(best.strings) <= literalsMax && score(best.strings) < scoreMin}
}

// cut leaves of each literal only what is looked for, and reports whether one had more.
func (l *literals) cut() bool {
	long := func(s string) bool { return len(s) > literalLookedMax }
	if !slices.ContainsFunc(l.strings, long) {
		return false
	}
	strs := slices.Clone(l.strings)
	for i, s := range strs {
		strs[i] = s[:min(len(s), literalLookedMax)]
	}
	l.strings = unique(strs)
	return true
}

// literalFinder goes through an expr.
type literalFinder struct {
	fold    bool
	inexact bool // a whole stands for less or more than the expr matches
}

// foundLiterals are what is known of an expr: whole is all that it matches, part is strings of
// which one is in all that it matches. Either may be nil.
type foundLiterals struct {
	whole []string
	part  []string
	lead  bool // all that the expr matches begins with one of part
}

// chosen are strings of which one is in all that an expr matches.
type chosen struct {
	strings []string
	whole   bool // they are all that it matches
	lead    bool // all that it matches begins with one of them
}

// best gives the better ones of whole and part.
func (l foundLiterals) best() chosen {
	if l.whole != nil && score(l.whole) >= score(l.part) {
		return chosen{l.whole, true, true}
	}
	return chosen{l.part, false, l.lead}
}

// or gives what is known with other strings for part, if they are better.
func (l foundLiterals) or(part []string, lead bool) foundLiterals {
	if score(part) > score(l.part) {
		l.part, l.lead = part, lead
	}
	return l
}

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
			sub := f.find(e.subs[0]).best()
			return foundLiterals{part: sub.strings, lead: sub.lead}
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

// members gives the members of a small set. With fold the two cases of an ASCII letter are one.
func (f *literalFinder) members(s set) []string {
	var strs []string
	for i := 0; i < len(s); i += 2 {
		for r := s[i]; r <= s[i+1]; r++ {
			switch {
			case f.fold && r < utf8.RuneSelf && caseMask(byte(r)) != 0:
				if r&0x20 != 0 && s.has(r&^0x20) {
					continue // its upper case stands for both
				}
				f.inexact = f.inexact || !s.has(r^0x20)
				strs = append(strs, string(r|0x20))
			default:
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
	run, first := []string{""}, true // the literals between here and what was no literal; nothing was yet
	var found foundLiterals
	for _, e := range subs {
		sub := f.find(e)
		if joined := product(run, sub.whole); joined != nil {
			run = joined
			continue
		}
		found = found.or(run, first).or(sub.part, sub.lead && first && len(run) == 1 && run[0] == "")
		first = false
		if run = sub.whole; run == nil {
			run = []string{""}
		}
	}
	if first {
		return foundLiterals{whole: run}
	}
	return found.or(run, false)
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
	found := foundLiterals{whole: make([]string, 0, len(subs)), part: make([]string, 0, len(subs)), lead: true}
	for _, e := range subs {
		sub := f.find(e)
		found.whole = joined(found.whole, sub.whole)
		best := sub.best()
		found.part, found.lead = joined(found.part, best.strings), found.lead && best.lead
	}
	found.whole, found.part = unique(found.whole), unique(found.part)
	return found
}

// joined gives those of a and b, or nil if one is nil or they are too many.
func joined(a, b []string) []string {
	if a == nil || b == nil || len(a)+len(b) > wordsMax {
		return nil
	}
	return append(a, b...)
}

func unique(strs []string) []string {
	slices.Sort(strs)
	return slices.Compact(strs)
}

// score rates how few lines hold one of strs: roughly the negative logarithm of how often one
// begins at a byte.
func score(strs []string) float64 {
	if len(strs) == 0 {
		return math.Inf(-1)
	}
	sum := 0.0
	for _, s := range strs {
		p := 1.0
		for i := 0; i < len(s) && i < 12; i++ {
			p *= frequency()[s[i]]
		}
		sum += p
	}
	return -math.Log(sum)
}

// frequency is roughly how often each byte occurs in logs. Upper and lower case count alike, since
// folded literals are lower case.
var frequency = sync.OnceValue(func() *[256]float64 {
	f := new([256]float64)
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
})
