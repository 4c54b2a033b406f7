package match

import (
	"fmt"
	"slices"
)

// StepsMax bounds the size of an automaton. A pattern of plain characters needs one step for each.
const StepsMax = 1 << 20

// copiedStepsMax bounds the steps that intervals such as {1,1000} add by repeating what they
// apply to, since all of them may be active at once.
const copiedStepsMax = 1 << 16

// step is one instruction of a program. There may be a million, so that it is small, and holds no
// pointers that the collector of garbage would follow.
type step struct {
	op     stepOp
	assert assertion // stepAssert
	next   int32
	other  int32  // stepSplit: the second choice; stepSet: the index of the set
	symbol symbol // stepSymbol
}

type stepOp uint8

const (
	stepMatch  stepOp = iota
	stepSymbol        // reads symbol
	stepSet           // reads a member of set
	stepSplit         // goes on at next and at other, preferring next
	stepAssert        // goes on at next where assert holds
	stepNever         // goes nowhere
)

// reads reports whether a step reads r and goes on.
func (p *program) reads(s *step, r symbol) bool {
	switch s.op {
	case stepSymbol:
		return s.symbol == r
	case stepSet:
		return p.sets[s.other].has(r)
	}
	return false
}

// program is a nondeterministic automaton over symbols.
type program struct {
	steps      []step
	sets       []set // that steps read
	start      int32
	asciiWords bool // assertions know ASCII's word characters only
	copied     int  // how many of the steps intervals have added
}

// assertsFirst reports whether a match depends on what is before it, or what comes first in it.
func (p *program) assertsFirst() bool {
	seen, todo := make([]bool, len(p.steps)), []int32{p.start}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[i] {
			continue
		}
		seen[i] = true
		switch s := &p.steps[i]; s.op {
		case stepAssert:
			return true
		case stepSplit:
			todo = append(todo, s.next, s.other)
		}
	}
	return false
}

// compileProgram makes the program of e, or with backward the one that reads from the end of a
// match to its start.
func compileProgram(e *expr, asciiWords, backward bool) (*program, error) {
	c := &compiler{backward: backward, indices: make(map[*expr]int32), steps: make([]step, 0, min(e.size(), StepsMax))}
	match := c.add(step{op: stepMatch})
	start := c.expr(e, match)
	if c.full {
		return nil, errTooBig
	}
	if cap(c.steps) > len(c.steps)*5/4 {
		c.steps = slices.Clone(c.steps) // they are kept, and the guess was far off
	}
	return &program{steps: c.steps, sets: c.sets, start: start, asciiWords: asciiWords, copied: c.copied}, nil
}

var errTooBig = fmt.Errorf("the regular expression is too big: it needs more than %d steps, or %d for its intervals", StepsMax, copiedStepsMax)

// compiler builds a program from its end: each method takes the step that follows
// and gives the step to begin with.
type compiler struct {
	steps    []step
	sets     []set
	indices  map[*expr]int32 // of sets, by their exprs
	backward bool
	copies   int  // of an expr that are being made beyond the first: how many steps count as copied
	copied   int  // steps made so
	full     bool // a limit was passed, and nothing more is added
}

func (c *compiler) add(s step) int32 {
	if c.copies > 0 {
		c.copied++
	}
	if c.full = c.full || len(c.steps) >= StepsMax || c.copied > copiedStepsMax; c.full {
		return 0
	}
	c.steps = append(c.steps, s)
	return int32(len(c.steps) - 1)
}

func (c *compiler) expr(e *expr, next int32) int32 {
	if c.full {
		return 0
	}
	switch e.kind {
	case exprNever:
		return c.add(step{op: stepNever})
	case exprSet:
		if len(e.set) == 0 {
			return c.add(step{op: stepNever})
		}
		if r, ok := e.set.single(); ok {
			return c.add(step{op: stepSymbol, symbol: r, next: next})
		}
		return c.add(step{op: stepSet, other: c.set(e), next: next})
	case exprText:
		for i := range e.text {
			next = c.add(step{op: stepSymbol, symbol: e.text[c.index(i, len(e.text))], next: next})
		}
	case exprConcat:
		for i := range e.subs {
			next = c.expr(e.subs[c.index(i, len(e.subs))], next)
		}
	case exprEither:
		return c.either(e.subs, next)
	case exprRepeat:
		return c.repeat(e, next)
	case exprAssert:
		a := e.assert
		if c.backward {
			a = a.mirrored()
		}
		return c.add(step{op: stepAssert, assert: a, next: next})
	}
	return next
}

// set gives the index of the set of e, which is one of c.sets however often e occurs.
func (c *compiler) set(e *expr) int32 {
	i, known := c.indices[e]
	if !known {
		i = int32(len(c.sets))
		c.sets, c.indices[e] = append(c.sets, e.set), i
	}
	return i
}

// index gives the i-th of n parts in the order in which they are added.
func (c *compiler) index(i, n int) int {
	if c.backward {
		return i
	}
	return n - 1 - i
}

func (c *compiler) either(subs []*expr, next int32) int32 {
	other := c.expr(subs[len(subs)-1], next)
	for i := len(subs) - 2; i >= 0; i-- {
		other = c.add(step{op: stepSplit, next: c.expr(subs[i], next), other: other})
	}
	return other
}

func (c *compiler) repeat(e *expr, next int32) int32 {
	sub, made := e.subs[0], 0
	once := func(next int32) int32 {
		if made++; made > 1 {
			c.copies++
			defer func() { c.copies-- }()
		}
		return c.expr(sub, next)
	}
	least := e.least
	if e.most < 0 {
		loop := c.add(step{op: stepSplit})
		body := once(loop)
		if !c.full {
			c.steps[loop].next, c.steps[loop].other = order(body, next, e.lazy)
		}
		if next = loop; least > 0 {
			next, least = body, least-1
		}
	}
	after := next
	for i := e.least; i < e.most && !c.full; i++ {
		first, second := order(once(next), after, e.lazy)
		next = c.add(step{op: stepSplit, next: first, other: second})
	}
	for i := 0; i < least && !c.full; i++ {
		next = once(next)
	}
	return next
}

// order gives the choices of a split in their order.
func order(body, after int32, lazy bool) (first, second int32) {
	if lazy {
		return after, body
	}
	return body, after
}
