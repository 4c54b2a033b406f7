package match

import (
	"slices"
	"strings"
)

// unmatchedBracket is grep's own message, which people look up.
const unmatchedBracket = "Unmatched [, [^, [:, [., or [="

// element is one element of a bracket expression.
type element struct {
	pos    int    // of its first byte in the pattern, for errors
	symbol symbol // unless it is a class
	class  string // the name of a class
	equals bool   // an equivalence class, which cannot end a range either
}

// ranges reports whether the element can begin or end a range: a class is no single symbol.
func (e element) ranges() bool { return e.class == "" && !e.equals }

// bracket parses a bracket expression of which the [ was read. One that is written like an earlier
// one is the same expr: a list of a thousand patterns often has the same bracket in each, and the
// sets of classes are large.
func (p *posix) bracket() (*expr, error) {
	open := p.pos - 1
	negated := p.peek(0) == '^'
	if negated {
		p.pos++
	}
	if p.pos == len(p.pattern) {
		return nil, p.fail(open, unmatchedBracket)
	}
	body := p.pos
	var members set
	var classNames []string
	named := false // it has a range or a class, so that its colons are no mistake
	for first := true; first || p.peek(0) != ']'; first = false {
		from, err := p.element(open)
		if err != nil {
			return nil, err
		}
		if from.symbol == '-' && from.ranges() && !first && p.pattern[from.pos] == '-' && p.peek(0) != ']' {
			return nil, p.fail(from.pos, "Invalid range end")
		}
		switch {
		case from.class != "":
			named = true
			if !slices.Contains(classNames, from.class) {
				classNames = append(classNames, from.class)
			}
		case from.ranges() && p.peek(0) == '-' && p.pos+1 < len(p.pattern) && p.peek(1) != ']':
			p.pos++
			to, err := p.element(open)
			if err != nil {
				return nil, err
			}
			if !to.ranges() || to.symbol < from.symbol {
				return nil, p.fail(to.pos, "Invalid range end")
			}
			members, named = append(members, from.symbol, to.symbol), true
		default:
			members = append(members, from.symbol, from.symbol)
		}
	}
	// As grep does, refuse [:space:]: whoever writes it means [[:space:]], and would not notice.
	if text := p.pattern[body:p.pos]; !named && len(text) > 2 && text[0] == ':' && text[len(text)-1] == ':' {
		return nil, p.fail(open, "character class syntax is [[:space:]], not [:space:]")
	}
	p.pos++ // the closing bracket
	text := p.pattern[open:p.pos]
	if known := p.sets.brackets[text]; known != nil {
		return known, nil
	}
	for _, name := range classNames {
		members = append(members, classes()[name]...)
	}
	s := union(members)
	if p.fold {
		s = s.fold()
	}
	if negated {
		s = s.negate()
	}
	e := p.sets.expr(s)
	if p.sets.full() {
		return nil, p.fail(open, tooManySets)
	}
	p.sets.brackets[text] = e
	return e, nil
}

// element reads a character, a named class, an equivalence class or a collating symbol.
func (p *posix) element(open int) (element, error) {
	e := element{pos: p.pos}
	if p.pos == len(p.pattern) {
		return e, p.fail(open, unmatchedBracket)
	}
	kind := p.peek(1)
	if p.peek(0) != '[' || kind != ':' && kind != '=' && kind != '.' {
		e.symbol = p.read()
		return e, nil
	}
	p.pos += 2
	// The name may begin with the ] that would close it: [[.].]].
	n := strings.Index(p.pattern[p.pos:], string(kind)+"]")
	if n == 0 && kind != ':' {
		if m := strings.Index(p.pattern[p.pos+1:], string(kind)+"]"); m == 0 {
			n = 1
		}
	}
	if n < 0 {
		return e, p.fail(open, unmatchedBracket)
	}
	name := p.pattern[p.pos : p.pos+n]
	p.pos += n + 2
	if kind == ':' {
		if p.fold && (name == "upper" || name == "lower") {
			name = "alpha"
		}
		if classes()[name] == nil {
			return e, p.fail(e.pos, "Invalid character class name %q", name)
		}
		e.class = name
		return e, nil
	}
	r, size := symbol(0), 0
	if name != "" {
		r, size = decode([]byte(name))
	}
	if name == "" || size < len(name) {
		return e, p.fail(e.pos, "Invalid collation character %q", name)
	}
	e.symbol, e.equals = r, kind == '='
	return e, nil
}
