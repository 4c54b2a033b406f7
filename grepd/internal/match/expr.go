package match

import (
	"slices"
	"sync"
	"unicode/utf8"
)

// kind is the kind of an expr.
type kind uint8

const (
	exprNever  kind = iota // matches nothing
	exprEmpty              // matches the empty string
	exprSet                // matches one symbol of set
	exprText               // matches the symbols of text in turn
	exprConcat             // matches subs one after the other
	exprEither             // matches any of subs, the earlier ones rather
	exprRepeat             // matches subs[0] from least to most times
	exprAssert             // matches the empty string where assert holds
)

// expr is a parsed pattern, whatever its syntax. It does not change once it is made, and may be
// part of several others: whoever needs another one makes a copy. Which fields count depends on its
// kind.
type expr struct {
	kind        kind
	set         set
	text        []symbol
	subs        []*expr
	least, most int  // most below 0: no limit
	lazy        bool // as few times as possible
	assert      assertion
}

// assertion is a condition on the symbols before and after a position. -w is two of them, so that
// the automaton needs no special case for it.
type assertion uint8

const (
	lineStart    assertion = iota // ^
	lineEnd                       // $
	wordStart                     // \<
	wordEnd                       // \>
	wordEdge                      // \b
	notWordEdge                   // \B
	noWordBefore                  // -w, left of the pattern
	noWordAfter                   // -w, right of it
)

// mirrored gives the assertion that holds on a reversed text where a holds on the text.
func (a assertion) mirrored() assertion {
	return [...]assertion{lineStart: lineEnd, lineEnd: lineStart, wordStart: wordEnd, wordEnd: wordStart,
		wordEdge: wordEdge, notWordEdge: notWordEdge, noWordBefore: noWordAfter, noWordAfter: noWordBefore}[a]
}

// holds reports whether a holds between before and after, of which either may be endOfLine.
func (a assertion) holds(before, after symbol, asciiWords bool) bool {
	switch a {
	case lineStart:
		return before == endOfLine
	case lineEnd:
		return after == endOfLine
	}
	b, f := isWord(before, asciiWords), isWord(after, asciiWords)
	switch a {
	case wordStart:
		return !b && f
	case wordEnd:
		return b && !f
	case wordEdge:
		return b != f
	case notWordEdge:
		return b == f
	case noWordBefore:
		return !b
	default:
		return !f
	}
}

// What symbolExpr and foldedExpr give for ASCII, which all patterns share. They are made at their
// first use, since many a program that links this package compiles no pattern.
var (
	asciiExprs = sync.OnceValue(func() *[utf8.RuneSelf]expr {
		texts, exprs := new([utf8.RuneSelf]symbol), new([utf8.RuneSelf]expr)
		for r := range exprs {
			texts[r] = symbol(r)
			exprs[r] = expr{kind: exprText, text: texts[r : r+1 : r+1]}
		}
		return exprs
	})
	foldedExprs = sync.OnceValue(func() (shared [utf8.RuneSelf]*expr) {
		for r := range shared {
			shared[r] = newFoldedExpr(symbol(r))
		}
		return shared
	})
)

// symbolExpr matches r alone.
func symbolExpr(r symbol) *expr {
	if r < utf8.RuneSelf {
		return &asciiExprs()[r]
	}
	return newSymbolExpr(r)
}

// foldedExpr matches r in any case.
func foldedExpr(r symbol) *expr {
	if r < utf8.RuneSelf {
		return foldedExprs()[r]
	}
	return newFoldedExpr(r)
}

func newSymbolExpr(r symbol) *expr { return &expr{kind: exprText, text: []symbol{r}} }

// newFoldedExpr makes a text of a symbol that has no other case: neighbouring texts become one, and
// literals are found in them.
func newFoldedExpr(r symbol) *expr {
	s := (set{r, r}).fold()
	if _, single := s.single(); single {
		return newSymbolExpr(r)
	}
	return &expr{kind: exprSet, set: s}
}

// assertExprs are what assertExpr gives, which all patterns share.
var assertExprs = sync.OnceValue(func() *[noWordAfter + 1]expr {
	exprs := new([noWordAfter + 1]expr)
	for a := range exprs {
		exprs[a] = expr{kind: exprAssert, assert: assertion(a)}
	}
	return exprs
})

func assertExpr(a assertion) *expr { return &assertExprs()[a] }

// emptyExpr is shared by all patterns, too.
var emptyExpr = &expr{kind: exprEmpty}

// concat joins subs, and neighbouring texts among them to one.
func concat(subs ...*expr) *expr {
	var flat []*expr
	var run *expr // the text at the end of flat, which is not shared yet
	for _, s := range subs {
		switch {
		case s.kind == exprEmpty:
		case s.kind == exprConcat:
			flat, run = append(flat, s.subs...), nil
		case s.kind == exprText && run != nil:
			run.text = append(run.text, s.text...)
		case s.kind == exprText:
			run = &expr{kind: exprText, text: slices.Clone(s.text)}
			flat = append(flat, run)
		default:
			flat, run = append(flat, s), nil
		}
	}
	switch len(flat) {
	case 0:
		return emptyExpr
	case 1:
		return flat[0]
	}
	return &expr{kind: exprConcat, subs: flat}
}

// either matches any of subs; without any, nothing.
func either(subs []*expr) *expr {
	switch len(subs) {
	case 0:
		return &expr{kind: exprNever}
	case 1:
		return subs[0]
	}
	return &expr{kind: exprEither, subs: subs}
}

// repeat matches e from least to most times, most below 0: without limit. It simplifies what it
// can: a pattern of a megabyte may be a million stars behind one letter.
func repeat(e *expr, least, most int, lazy bool) *expr {
	switch {
	case most == 0 || e.kind == exprEmpty:
		return emptyExpr
	case least == 1 && most == 1:
		return e
	case simpleRepeat(least, most) && !lazy && e.kind == exprRepeat && simpleRepeat(e.least, e.most) && !e.lazy:
		// (x+)? and the like are x*: chains of operators must not nest without bound.
		least *= e.least
		if e.most < 0 {
			most = -1
		}
		e = e.subs[0]
	}
	return &expr{kind: exprRepeat, subs: []*expr{e}, least: least, most: most, lazy: lazy}
}

// simpleRepeat reports whether a repetition is one of ? * +.
func simpleRepeat(least, most int) bool { return least <= 1 && (most < 0 || most == 1) }

// size is how many steps e needs, roughly, not counting what intervals repeat. It is the guess that
// memory is taken for at first, so it need not be right.
func (e *expr) size() int {
	n := len(e.text) + len(e.subs) + 1
	for _, s := range e.subs {
		n += s.size()
	}
	return n
}

// nullable reports whether e can match the empty string somewhere. An assertion counts as if it
// held.
func (e *expr) nullable() bool {
	switch e.kind {
	case exprEmpty, exprAssert:
		return true
	case exprText:
		return len(e.text) == 0
	case exprRepeat:
		return e.least == 0 || e.subs[0].nullable()
	case exprConcat:
		for _, s := range e.subs {
			if !s.nullable() {
				return false
			}
		}
		return true
	case exprEither:
		for _, s := range e.subs {
			if s.nullable() {
				return true
			}
		}
	}
	return false
}
