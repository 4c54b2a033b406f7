package match

import "sync"

// setSymbolsMax bounds the first and last symbols of all bracket expressions together. One such as
// [[:alpha:]] has 1,300 of them, and a pattern of a megabyte has room for a hundred thousand
// brackets.
const setSymbolsMax = 1 << 21

const tooManySets = "Regular expression too big: its bracket expressions are too many, or too large"

// sets holds the bracket expressions that the patterns of one Compile have. What is written alike
// is one expr.
type sets struct {
	brackets map[string]*expr // by how they are written
	symbols  int              // of all sets
}

func newSets() *sets { return &sets{brackets: make(map[string]*expr)} }

// expr makes an expr of a set that is not shared.
func (s *sets) expr(members set) *expr {
	s.symbols += len(members)
	return &expr{kind: exprSet, set: members}
}

func (s *sets) full() bool { return s.symbols > setSymbolsMax }

// What . \w \W \s and \S match, and RE2's dot, which every pattern shares.
var (
	notNewlineExpr = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: set{}.negate().without('\n')} })

	anyExpr      = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: set{}.negate()} })
	wordExpr     = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: wordSet()} })
	notWordExpr  = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: wordSet().negate()} })
	spaceExpr    = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: classes()["space"]} })
	notSpaceExpr = sync.OnceValue(func() *expr { return &expr{kind: exprSet, set: classes()["space"].negate()} })
)
