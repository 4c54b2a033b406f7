package match

import (
	"fmt"
	"strings"
	"sync"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
)

// Matcher selects lines. See the package comment for what it matches.
//
// All patterns together are one program, but for those in retried. A prefilter only ever saves
// work: without it the program finds the same lines.
type Matcher struct {
	warnings []string
	longest  bool // leftmost-longest, else leftmost-first
	program  *program
	// retried are the programs of those patterns that need grep's way of looking for words: with
	// -w, those that match the empty string. An automaton cannot say of these where the next
	// shorter match ends, which grep tries; see findWord.
	retried []*program
	// backward gives the program that reads from a match's end to its start, or nil where that
	// would be too big. It is compiled at its first use, since only Parts needs it.
	backward func() *program
	// prefilter finds the lines that can be selected, where there is such a thing.
	prefilter prefilter
	exact     bool     // prefilter is a literalSearch, and decides
	gapMin    int      // where prefilter finds a place more often than every so many bytes, the automaton alone is faster
	counted   *counted // counts lines of which many are selected, where there is such a thing
	lead      bool     // each match begins at a place that prefilter gives, whatever is before it
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
	subs := make([]*expr, 0, len(lines))
	sets, liner := newSets(), newLiner(o.NullData)
	// Each of the retried programs has its own limit of steps, so that a thousand of them need
	// another one together.
	copied := 0 // steps, in programs of their own
	for _, line := range lines {
		e, warnings, err := parse(line, o, sets)
		if err != nil {
			return nil, err
		}
		m.warnings = append(m.warnings, warnings...)
		e = liner.expr(e)
		switch {
		case o.Line:
			e = concat(assertExpr(lineStart), e, assertExpr(lineEnd))
		case o.Word && e.nullable():
			p, err := compileProgram(e, asciiWords, false)
			if err == nil {
				if copied += p.copied; copied > copiedStepsMax {
					err = errTooBig
				}
			}
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
	m.backward = sync.OnceValue(func() *program {
		p, err := compileProgram(all, asciiWords, true)
		if err != nil {
			return nil
		}
		return p
	})
	if len(m.retried) == 0 {
		m.choosePrefilter(all, o.IgnoreCase)
	}
	if m.exact && m.longest {
		m.backward = func() *program { return nil } // nobody asks for it, and all exprs would be kept for it
	}
	return m, nil
}

// Warnings are what grep says of dubious patterns that it accepts, such as "stray \ before d".
func (m *Matcher) Warnings() []string { return m.warnings }

// patternLines splits patterns at newlines and drops duplicates, which lists of patterns often
// have. The size is looked at first: nothing is made of patterns that are refused.
func patternLines(patterns []string) ([]string, error) {
	size, number := 0, 0
	for _, p := range patterns {
		if size += len(p); size > limits.PatternBytesMax {
			return nil, &Error{Pattern: p[:min(len(p), 40)], Message: fmt.Sprintf("the patterns are longer than %d bytes together", limits.PatternBytesMax)}
		}
		number += 1 + strings.Count(p, "\n")
	}
	lines := make([]string, 0, number)
	seen := make(map[string]bool, number)
	for _, p := range patterns {
		for line := range strings.SplitSeq(p, "\n") {
			if !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

const (
	// patternByteFootprint is more than a matcher keeps for each byte of its patterns: 107 for
	// (.*a)(.*a)..., the worst that is known, and 24 for words.
	patternByteFootprint = 128
	// bracketFootprint is that of a bracket expression with 1,300 ranges, and setsFootprintMax that
	// of all of them.
	bracketFootprint = 10 << 10
	setsFootprintMax = 4 * setSymbolsMax
)

// Footprint estimates from patterns how many bytes a Matcher of them keeps at most. What intervals
// add, some 2 MB at the most, is not in it. It only counts characters, so that a server can refuse
// a query before it has spent memory on it.
//
// Patterns of a megabyte, the most there may be, take 20 to 220 MB while they are compiled, and a
// Matcher keeps some of that: up to 22 MB of words, up to 110 MB of anything else. What is written
// alike is kept once, and bracket expressions that differ have a limit, since a short one such as
// [[:alpha:]] is 1,300 ranges. A Scanner takes 4 bytes more for each step of the automaton.
func Footprint(patterns []string, syntax Syntax) int64 {
	size, brackets := 0, 0
	for _, p := range patterns {
		size += len(p) + 1
		if syntax == Perl {
			brackets += strings.Count(p, `\p`) + strings.Count(p, `\P`)
		}
		if syntax != Fixed {
			brackets += strings.Count(p, "[")
		}
	}
	return int64(size*patternByteFootprint + min(brackets*bracketFootprint, setsFootprintMax))
}

// parse reads one pattern without newlines. Only POSIX syntaxes have warnings, as in grep.
func parse(line string, o Options, sets *sets) (e *expr, warnings []string, err error) {
	switch o.Syntax {
	case Basic, Extended:
		return parsePOSIX(line, o.Syntax == Extended, o.IgnoreCase, sets)
	case Fixed:
		return fixed(line, o.IgnoreCase), nil, nil
	case Perl:
		e, err = parsePerl(line, o.IgnoreCase, sets)
		return e, nil, err
	}
	return nil, nil, &Error{Pattern: line, Message: "unknown " + o.Syntax.String()}
}

// fixed gives the expr of a string. With fold each symbol is a set, so that the text is no
// exprText.
func fixed(s string, fold bool) *expr {
	if s == "" {
		return emptyExpr
	}
	var text []symbol
	var subs []*expr
	for b := []byte(s); len(b) > 0; {
		r, n := decode(b)
		if b = b[n:]; fold {
			subs = append(subs, foldedExpr(r))
		} else {
			text = append(text, r)
		}
	}
	if fold {
		return concat(subs...)
	}
	return &expr{kind: exprText, text: text}
}
