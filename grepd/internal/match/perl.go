package match

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// parsePerl parses a pattern in RE2's syntax.
func parsePerl(pattern string, fold bool, sets *sets) (*expr, error) {
	flags := syntax.Perl
	if fold {
		flags |= syntax.FoldCase
	}
	re, err := syntax.Parse(pattern, flags)
	if err != nil {
		return nil, perlError(pattern, err)
	}
	e := sets.fromRE2(re)
	if sets.full() {
		return nil, &Error{Pattern: pattern, Message: tooManySets}
	}
	return e, nil
}

func perlError(pattern string, err error) error {
	var bad *syntax.Error
	if !errors.As(err, &bad) {
		return &Error{Pattern: pattern, Message: err.Error()}
	}
	message := bad.Code.String()
	switch {
	case bad.Code == syntax.ErrInvalidPerlOp && strings.HasPrefix(bad.Expr, "(?"):
		message += ": look-around and the like are not supported, -P takes RE2's syntax"
	case bad.Code == syntax.ErrInvalidEscape && len(bad.Expr) == 2 && '1' <= bad.Expr[1] && bad.Expr[1] <= '9':
		message += ": back-references are not supported, write the repeated text out"
	case bad.Code == syntax.ErrInvalidEscape, bad.Code == syntax.ErrInvalidRepeatOp:
		message += ": -P takes RE2's syntax, which has not all of Perl's"
	}
	return &Error{Pattern: pattern, Offset: max(0, strings.Index(pattern, bad.Expr)), Message: message}
}

// fromRE2 translates a tree of the regexp package. A line is the whole text, so that ^ and \A are
// one, and so are $ and \z.
func (s *sets) fromRE2(re *syntax.Regexp) *expr {
	lazy := re.Flags&syntax.NonGreedy != 0
	switch re.Op {
	case syntax.OpEmptyMatch:
		return emptyExpr
	case syntax.OpLiteral:
		return literalRE2(re)
	case syntax.OpCharClass:
		return s.expr(slices.Clone(set(re.Rune))) // which may lie in re, as the runes of literals do
	case syntax.OpAnyCharNotNL:
		return notNewlineExpr()
	case syntax.OpAnyChar:
		return anyExpr()
	case syntax.OpBeginLine, syntax.OpBeginText:
		return assertExpr(lineStart)
	case syntax.OpEndLine, syntax.OpEndText:
		return assertExpr(lineEnd)
	case syntax.OpWordBoundary:
		return assertExpr(wordEdge)
	case syntax.OpNoWordBoundary:
		return assertExpr(notWordEdge)
	case syntax.OpCapture:
		return s.fromRE2(re.Sub[0])
	case syntax.OpStar:
		return repeat(s.fromRE2(re.Sub[0]), 0, -1, lazy)
	case syntax.OpPlus:
		return repeat(s.fromRE2(re.Sub[0]), 1, -1, lazy)
	case syntax.OpQuest:
		return repeat(s.fromRE2(re.Sub[0]), 0, 1, lazy)
	case syntax.OpRepeat:
		return repeat(s.fromRE2(re.Sub[0]), re.Min, re.Max, lazy)
	case syntax.OpConcat, syntax.OpAlternate:
		subs := make([]*expr, len(re.Sub))
		for i, sub := range re.Sub {
			subs[i] = s.fromRE2(sub)
		}
		if re.Op == syntax.OpConcat {
			return concat(subs...)
		}
		return either(subs)
	}
	return &expr{kind: exprNever}
}

func literalRE2(re *syntax.Regexp) *expr {
	if re.Flags&syntax.FoldCase == 0 {
		if len(re.Rune) == 1 {
			return symbolExpr(re.Rune[0])
		}
		return &expr{kind: exprText, text: slices.Clone(re.Rune)}
	}
	subs := make([]*expr, len(re.Rune))
	for i, r := range re.Rune {
		subs[i] = foldedExpr(r)
	}
	return concat(subs...)
}
