package match

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// PatternBytesMax bounds the length of all patterns together.
const PatternBytesMax = 4 << 20

// Matcher selects lines. See the package comment for what it matches.
type Matcher struct {
	warnings []string
	longest  bool // leftmost-longest, else leftmost-first
	program  *program
	// retried are the programs of those patterns that need grep's way of looking for words.
	retried []*program
	// literal is in each line that is selected; empty: none is known. With exact, each
	// line that holds it is selected.
	literal []byte
	exact   bool
}

// Compile reads patterns; a line has to match any one of them. A pattern may hold newlines:
// each of its lines is then a pattern, as in grep. No patterns match nothing, an empty
// one matches every line. The error is an [*Error] and names the pattern.
func Compile(patterns []string, o Options) (*Matcher, error) {
	lines, err := patternLines(patterns)
	if err != nil {
		return nil, err
	}
	m := &Matcher{longest: o.Syntax != Perl}
	asciiWords := o.Syntax == Perl
	var subs []*expr
	for _, line := range lines {
		e, warnings, err := parse(line, o)
		if err != nil {
			return nil, err
		}
		m.warnings = append(m.warnings, warnings...)
		switch {
		case o.Line:
			e = concat(assertExpr(lineStart), e, assertExpr(lineEnd))
		case o.Word && e.nullable():
			p, err := compileProgram(e, asciiWords, false)
			if err != nil {
				return nil, &Error{Pattern: line, Message: err.Error()}
			}
			m.retried = append(m.retried, p)
			continue
		case o.Word:
			e = concat(assertExpr(noWordBefore), e, assertExpr(noWordAfter))
		}
		subs = append(subs, e)
	}
	all := either(subs)
	if m.program, err = compileProgram(all, asciiWords, false); err != nil {
		return nil, &Error{Pattern: strings.Join(lines, "\n"), Message: err.Error()}
	}
	if len(m.retried) == 0 {
		m.literal, m.exact = requiredLiteral(all)
	}
	return m, nil
}

// Warnings are what grep says of dubious patterns that it accepts, such as "stray \ before d".
func (m *Matcher) Warnings() []string { return m.warnings }

// patternLines splits patterns at newlines and drops duplicates.
func patternLines(patterns []string) ([]string, error) {
	var lines []string
	seen := make(map[string]bool)
	size := 0
	for _, p := range patterns {
		if size += len(p); size > PatternBytesMax {
			return nil, &Error{Pattern: p[:min(len(p), 40)], Message: fmt.Sprintf("the patterns are longer than %d bytes together", PatternBytesMax)}
		}
		for line := range strings.SplitSeq(p, "\n") {
			if !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

func parse(line string, o Options) (e *expr, warnings []string, err error) {
	switch o.Syntax {
	case Basic, Extended:
		return parsePOSIX(line, o.Syntax == Extended, o.IgnoreCase)
	case Fixed:
		return fixed(line, o.IgnoreCase), nil, nil
	case Perl:
		e, err = parsePerl(line, o.IgnoreCase)
		return e, nil, err
	}
	return nil, nil, &Error{Pattern: line, Message: "unknown " + o.Syntax.String()}
}

// fixed gives the expr of a string.
func fixed(s string, fold bool) *expr {
	subs := make([]*expr, 0, len(s))
	for b := []byte(s); len(b) > 0; {
		r, n := decode(b)
		if b = b[n:]; fold {
			subs = append(subs, foldedExpr(r))
		} else {
			subs = append(subs, symbolExpr(r))
		}
	}
	return concat(subs...)
}

// requiredLiteral gives the longest string that is part of all that e matches, and
// whether a line that holds it matches.
func requiredLiteral(e *expr) (literal []byte, exact bool) {
	switch e.kind {
	case exprText:
		exact = true
		for _, r := range e.text {
			literal = appendSymbol(literal, r)
			// A byte that is not UTF-8 may be part of a character in the line.
			exact = exact && r < invalidFirst
		}
	case exprConcat:
		for _, s := range e.subs {
			if l, _ := requiredLiteral(s); len(l) > len(literal) {
				literal = l
			}
		}
	case exprRepeat:
		if e.least > 0 {
			literal, _ = requiredLiteral(e.subs[0])
		}
	}
	return literal, exact
}

// Scanner applies a Matcher. It keeps working memory from call to call, and serves one goroutine.
type Scanner struct {
	m       *Matcher
	vm      *vm
	retried []*vm
}

// NewScanner makes a scanner, which is best used for many blocks.
func (m *Matcher) NewScanner() *Scanner {
	s := &Scanner{m: m, vm: newVM(m.program, m.longest)}
	for _, p := range m.retried {
		s.retried = append(s.retried, newVM(p, m.longest))
	}
	return s
}

// Lines appends to lines those of block that are selected, their newlines included, until there
// are max more. Below 0, max is no limit.
func (s *Scanner) Lines(block []byte, lines []Range, max int) []Range {
	s.scan(block, max, func(r Range) { lines = append(lines, r) })
	return lines
}

// Count gives the number of lines of block that are selected, but at most max. Below 0, max is no limit.
func (s *Scanner) Count(block []byte, max int) int {
	n := 0
	s.scan(block, max, func(Range) { n++ })
	return n
}

func (s *Scanner) scan(block []byte, max int, selected func(Range)) {
	for pos := 0; pos < len(block) && max != 0; {
		at := pos
		if len(s.m.literal) > 0 {
			i := bytes.Index(block[pos:], s.m.literal)
			if i < 0 {
				return
			}
			at += i
		}
		line := lineAt(block, pos, at)
		if s.m.exact || s.Match(trimNewline(block[line.Start:line.End])) {
			selected(line)
			max--
		}
		pos = line.End
	}
}

// lineAt gives the line around block[at], which does not start before from.
func lineAt(block []byte, from, at int) Range {
	line := Range{from + bytes.LastIndexByte(block[from:at], '\n') + 1, len(block)}
	if n := bytes.IndexByte(block[at:], '\n'); n >= 0 {
		line.End = at + n + 1
	}
	return line
}

func trimNewline(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\n'}) }

// Match tells whether line, without its newline, is selected.
func (s *Scanner) Match(line []byte) bool {
	if _, ok := s.vm.find(line, 0); ok {
		return true
	}
	return slices.ContainsFunc(s.retried, func(v *vm) bool {
		_, ok := v.findWord(line, 0, s.m.program.asciiWords)
		return ok
	})
}

// Parts appends to parts those of line, without its newline, that match. Empty matches are none.
func (s *Scanner) Parts(line []byte, parts []Range) []Range {
	for pos := 0; pos < len(line); {
		r, ok := s.next(line, pos)
		if !ok {
			break
		}
		if pos = r.End; r.Start < r.End {
			parts = append(parts, r)
		} else if pos < len(line) {
			_, n := decode(line[pos:])
			pos += n
		}
	}
	return parts
}

// next gives the leftmost match at or after from.
func (s *Scanner) next(line []byte, from int) (Range, bool) {
	best, ok := s.vm.find(line, from)
	for _, v := range s.retried {
		r, found := v.findWord(line, from, s.m.program.asciiWords)
		if found && (!ok || r.Start < best.Start || r.Start == best.Start && r.End > best.End) {
			best, ok = r, true
		}
	}
	return best, ok
}

// findWord finds a match between non-word characters of a program that matches the empty string too. As in
// grep, where the longest match at a place has a word character beside it shorter
// ones are tried, but not the empty one.
func (v *vm) findWord(line []byte, from int, asciiWords bool) (Range, bool) {
	for pos := from; pos <= len(line); {
		r, ok := v.find(line, pos)
		if !ok {
			break
		}
		if noWordBefore.holds(symbolBefore(line, r.Start), endOfLine, asciiWords) {
			best := -1
			v.ends(line, r.Start, func(end int) {
				if (end > r.Start || r.End == r.Start) && noWordAfter.holds(endOfLine, symbolAfter(line, end), asciiWords) {
					best = max(best, end)
				}
			})
			if best >= 0 {
				return Range{r.Start, best}, true
			}
		}
		if r.Start == len(line) {
			break
		}
		_, n := decode(line[r.Start:])
		pos = r.Start + n
	}
	return Range{}, false
}

func symbolBefore(line []byte, pos int) symbol {
	if pos == 0 {
		return endOfLine
	}
	r, _ := decodeLast(line[:pos])
	return r
}

func symbolAfter(line []byte, pos int) symbol {
	if pos == len(line) {
		return endOfLine
	}
	r, _ := decode(line[pos:])
	return r
}
