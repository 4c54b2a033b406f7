package match

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// repeatMax is the highest count in an interval, POSIX's RE_DUP_MAX.
	repeatMax = 0x7fff
	// groupDepthMax bounds how deep groups nest.
	groupDepthMax = 1000
)

// posix parses one basic or extended regular expression by recursive descent. What the standard
// leaves undefined, such as a star at the start, is as in GNU grep.
type posix struct {
	pattern  string
	pos      int // of the next byte in pattern
	extended bool
	fold     bool
	sets     *sets

	depth  int // of groups that are open
	closed int // groups that are closed, for back-references
	// start says that a repetition here has nothing to repeat: it is a literal in a basic
	// expression, and repeats the empty string in an extended one.
	start bool
	// anchor says that ^ is an anchor here in a basic expression.
	anchor   bool
	token    token
	warnings []string
}

// token is one lexical element.
type token struct {
	kind        tokenKind
	pos         int
	expr        *expr // tokenAtom
	least, most int   // tokenRepeat
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenAtom
	tokenRepeat
	tokenOpen
	tokenClose
	tokenOr
)

func parsePOSIX(pattern string, extended, fold bool, sets *sets) (e *expr, warnings []string, err error) {
	p := &posix{pattern: pattern, extended: extended, fold: fold, sets: sets, start: true, anchor: true}
	if err := p.next(); err != nil {
		return nil, nil, err
	}
	if e, err = p.alternatives(); err != nil {
		return nil, nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, nil, p.fail(p.token.pos, "Unmatched ) or \\)")
	}
	return e, p.warnings, nil
}

func (p *posix) fail(pos int, format string, args ...any) error {
	return &Error{Pattern: p.pattern, Offset: pos, Message: fmt.Sprintf(format, args...)}
}

// alternatives parses up to the end or to the ) of the group that is open.
func (p *posix) alternatives() (*expr, error) {
	var subs []*expr
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		subs = append(subs, s)
		if p.token.kind != tokenOr {
			return either(subs), nil
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
}

func (p *posix) sequence() (*expr, error) {
	var subs []*expr
	for {
		switch p.token.kind {
		case tokenEnd, tokenOr, tokenClose:
			return concat(subs...), nil
		}
		s, err := p.repeated()
		if err != nil {
			return nil, err
		}
		subs = append(subs, s)
	}
}

// repeated parses an atom and the repetitions after it.
func (p *posix) repeated() (*expr, error) {
	e, err := p.atom()
	for err == nil && p.token.kind == tokenRepeat {
		e = repeat(e, p.token.least, p.token.most, false)
		err = p.next()
	}
	return e, err
}

func (p *posix) atom() (*expr, error) {
	switch p.token.kind {
	case tokenAtom:
		e := p.token.expr
		return e, p.next()
	case tokenOpen:
		return p.group()
	}
	return emptyExpr, nil // a repetition of nothing follows
}

func (p *posix) group() (*expr, error) {
	open := p.token.pos
	if p.depth++; p.depth > groupDepthMax {
		return nil, p.fail(open, "Groups nest deeper than %d", groupDepthMax)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	e, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenClose {
		return nil, p.fail(open, "Unmatched ( or \\(")
	}
	p.depth--
	p.closed++
	return e, p.next()
}

// next reads the next token.
func (p *posix) next() error {
	anchor := p.anchor
	p.anchor = false
	t := &p.token
	*t = token{pos: p.pos}
	if p.pos == len(p.pattern) {
		return nil
	}
	r := p.read()
	escaped := r == '\\'
	if escaped {
		if p.pos == len(p.pattern) {
			return p.fail(t.pos, "Trailing backslash")
		}
		r = p.read()
	}
	// An operator has a backslash in a basic expression and none in an extended one.
	operator := escaped != p.extended
	switch r {
	case '^':
		if !escaped && (p.extended || anchor) {
			t.kind, t.expr = tokenAtom, assertExpr(lineStart)
			return nil
		}
	case '$':
		if !escaped && (p.extended || p.atBranchEnd()) {
			t.kind, t.expr = tokenAtom, assertExpr(lineEnd)
			return nil
		}
	case '*', '+', '?':
		if r == '*' && !escaped || r != '*' && operator {
			if p.repetition(r) {
				return nil
			}
		}
	case '{':
		if operator {
			if done, err := p.interval(); done || err != nil {
				return err
			}
		}
	case '|':
		if operator {
			t.kind = tokenOr
			p.start, p.anchor = true, true
			return nil
		}
	case '(':
		if operator {
			t.kind = tokenOpen
			p.start, p.anchor = true, true
			return nil
		}
	case ')':
		if operator && (p.depth > 0 || !p.extended) {
			t.kind = tokenClose
			p.start = false
			return nil
		}
	case '[':
		if !escaped {
			p.start = false
			t.kind = tokenAtom
			var err error
			t.expr, err = p.bracket()
			return err
		}
	case '.':
		if !escaped {
			return p.atomOf(anyExpr())
		}
	default:
		if escaped {
			return p.escape(r)
		}
	}
	return p.atomOf(p.literal(r))
}

// read takes one symbol off the pattern.
func (p *posix) read() symbol {
	r, n := decode([]byte(p.pattern[p.pos:min(len(p.pattern), p.pos+utf8.UTFMax)]))
	p.pos += n
	return r
}

func (p *posix) literal(r symbol) *expr {
	if p.fold {
		return foldedExpr(r)
	}
	return symbolExpr(r)
}

func (p *posix) atomOf(e *expr) error {
	p.token.kind, p.token.expr = tokenAtom, e
	p.start = false
	return nil
}

// atBranchEnd reports whether a $ that was just read ends a branch of a basic expression.
func (p *posix) atBranchEnd() bool {
	rest := p.pattern[p.pos:]
	return rest == "" || len(rest) >= 2 && rest[0] == '\\' && (rest[1] == ')' || rest[1] == '|')
}

// repetition makes the token of * + or ?, where these repeat something.
func (p *posix) repetition(r symbol) bool {
	if !p.mayRepeat(string(r)) {
		return false
	}
	p.token.kind, p.token.most = tokenRepeat, -1
	switch r {
	case '+':
		p.token.least = 1
	case '?':
		p.token.most = 1
	}
	return true
}

// mayRepeat reports whether a repetition can stand here, and notes a warning where it is dubious.
func (p *posix) mayRepeat(operator string) bool {
	if p.start && !p.extended {
		return false
	}
	if p.start {
		p.warn(operator + " at start of expression")
	}
	return true
}

func (p *posix) warn(w string) { p.warnings = append(p.warnings, w) }

// interval makes the token of an interval of which the { was read. done is false where it is a
// literal after all.
func (p *posix) interval() (done bool, err error) {
	open, from := p.token.pos, p.pos
	least, most, closed, valid := p.intervalBody()
	if p.extended && !(closed && valid && (most < 0 || least <= most)) {
		if !p.start && (closed && valid || strings.HasPrefix(p.pattern[from:], "}")) {
			return false, p.fail(open, "Invalid content of \\{\\}")
		}
		p.pos = from
		return false, nil
	}
	if p.start && !p.extended {
		p.pos = from
		return false, nil
	}
	switch {
	case !valid || closed && most >= 0 && least > most:
		return false, p.fail(open, "Invalid content of \\{\\}")
	case !closed:
		return false, p.fail(open, "Unmatched \\{")
	case max(least, most) > repeatMax:
		return false, p.fail(open, "Regular expression too big: a count may be %d at most", repeatMax)
	}
	p.mayRepeat("{...}")
	p.start = false
	p.token.kind, p.token.least, p.token.most = tokenRepeat, least, most
	return true, nil
}

// intervalBody reads M} M,} ,N} or M,N}. It is valid as far as it goes, and closed where
// the brace is there too.
func (p *posix) intervalBody() (least, most int, closed, valid bool) {
	least, most = p.number(), -1
	if p.peek(0) == ',' {
		p.pos++
		least, most = max(least, 0), p.number()
	} else {
		most = least
	}
	if p.pos == len(p.pattern) {
		return least, most, false, true
	}
	if !p.extended {
		if p.peek(0) != '\\' {
			return least, most, false, false
		}
		p.pos++
	}
	if p.peek(0) != '}' || least < 0 {
		return least, most, false, false
	}
	p.pos++
	return least, most, true, true
}

// number reads decimal digits; without any it is -1. Large numbers are cut to something above
// repeatMax.
func (p *posix) number() int {
	n := -1
	for c := p.peek(0); '0' <= c && c <= '9'; c = p.peek(0) {
		n = min(max(n, 0)*10+int(c-'0'), repeatMax+1)
		p.pos++
	}
	return n
}

// peek gives the byte that is i after the next one, 0 after the end.
func (p *posix) peek(i int) byte {
	if p.pos+i < len(p.pattern) {
		return p.pattern[p.pos+i]
	}
	return 0
}

var escapedAsserts = map[symbol]assertion{'<': wordStart, '>': wordEnd, 'b': wordEdge, 'B': notWordEdge,
	'`': lineStart, '\'': lineEnd}

// escape makes the token of a backslash and r, where r is no operator.
func (p *posix) escape(r symbol) error {
	if a, ok := escapedAsserts[r]; ok {
		p.token.kind, p.token.expr = tokenAtom, assertExpr(a)
		return nil
	}
	switch r {
	case 'w':
		return p.atomOf(wordExpr())
	case 'W':
		return p.atomOf(notWordExpr())
	case 's':
		return p.atomOf(spaceExpr())
	case 'S':
		return p.atomOf(notSpaceExpr())
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if int(r-'0') > p.closed {
			return p.fail(p.token.pos, "Invalid back reference: there is no group %c before it", r)
		}
		return p.fail(p.token.pos, "back-references such as \\%c are not supported: write the repeated text out", r)
	case ']', '}':
		return p.atomOf(p.literal(r))
	}
	p.warn("stray \\ before " + described(r))
	return p.atomOf(p.literal(r))
}

// described names a symbol in a warning.
func described(r symbol) string {
	switch {
	case r >= invalidFirst || !unicode.IsPrint(r) && !unicode.IsSpace(r):
		return "unprintable character"
	case unicode.IsSpace(r):
		return "white space"
	}
	return string(r)
}
