package match

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// dfaStatesMax and dfaItemsMax bound the cache of a dfa: states of 1 KiB each, and steps in all
	// of them together. A full cache is emptied. Without these bounds a pattern could have as many
	// states as there are sets of its steps.
	dfaStatesMax = 2048
	dfaItemsMax  = 1 << 20
	// dfaWideMax bounds the cached transitions on symbols beyond ASCII that are not in the table.
	dfaWideMax = 1 << 16
	// dfaPayBytes is how many bytes a state must have served, on average, for the cache to
	// pay; dfaPoorMax times in a row it may fail to before the dfa is given up.
	dfaPayBytes = 16
	dfaPoorMax  = 4
)

// Values in the table of a dfa that are not states. All have the highest bit, so that the loops
// over bytes need one comparison to see that something is to be done.
const (
	special = 1 << 31
	unknown = special     // not computed yet
	wide    = special | 1 // not computed yet, for a byte of a symbol of several; see stepWide
	matched = special | 2 // the line matches
	dead    = special | 3 // the line cannot match any more
)

// endsBefore is added to an entry in the table of a dfa with bounds where a match ends before the
// symbol. States are far below it, since dfaStatesMax and nodesMax bound them.
const endsBefore = 1 << 30

// dfa runs a program as a deterministic automaton whose states, sets of steps, are made as they are
// reached and kept in a bounded cache. It finds whether and where a line matches first, not where a
// match starts. It serves one goroutine.
//
// A state holds the steps that may read the next symbol, and the assertions that wait for that
// symbol to be decided. Assertions look at the symbols on both sides of a place, so they can be
// decided only when the second one is there. What the first one was is part of the state then.
//
// Whatever computes a new state may empty the cache, which makes all states void. Callers compare
// generation before and after, and enter nothing into the table if it has changed.
//
// With bounds it does not stop at a match, but tells of all the places where one ends; see
// partFinder.
type dfa struct {
	program  *program
	bounds   bool
	anchored bool      // with bounds: a match begins only where the dfa does
	starts   [3]uint32 // with bounds: the states to begin in after each kind of symbol
	table    []uint32  // by state + byte, where a state is 256 times its number
	states   []dfaState
	ids      map[string]uint32  // states by their key, see state
	wides    map[wideKey]uint32 // entries for symbols that are not in the table
	nodes    map[node]uint32    // states within a symbol of several bytes
	items    int                // steps in all states, at most dfaItemsMax
	start    uint32             // the state in which a line begins, or matched, or dead

	generation uint32 // counts how often the cache was emptied
	served     int    // bytes since then, roughly
	poor       int    // how many caches in a row did not pay
	thrashing  bool   // the cache does not pay for this program on this text

	// Working memory, used again for each state. A step is marked where mark has the round, so that
	// nothing needs to be cleared for the next one.
	mark    []uint32
	round   uint32
	stack   []int32
	key     []byte
	steps   []int32 // being collected
	settled []int32
}

// dfaState is what a state stands for: a sorted set of steps, or a node.
type dfaState struct {
	steps   []int32
	before  symbol // one of its kind, where an assertion is among the steps
	asserts bool   // some of the steps are assertions or, with bounds, a match
	node    node   // where count is above 0 there are no steps
}

// wideKey is a transition that is not in the table, which has room for single bytes only.
type wideKey struct {
	state  uint32
	symbol symbol
}

func newDFA(p *program) *dfa { return newDFAWith(dfa{program: p}) }

// newDFAWith makes a dfa of which the program and what is to be found are given.
func newDFAWith(d dfa) *dfa {
	p := d.program
	d = dfa{program: p, bounds: d.bounds, anchored: d.anchored, mark: make([]uint32, len(p.steps)), ids: make(map[string]uint32), wides: make(map[wideKey]uint32), nodes: make(map[node]uint32)}
	d.reset()
	return &d
}

// reset empties the cache, all but the start. Its memory stays.
func (d *dfa) reset() {
	d.generation++
	d.table, d.states, d.items, d.served = d.table[:0], d.states[:0], 0, 0
	clear(d.ids)
	clear(d.wides)
	clear(d.nodes)
	if d.starts = [3]uint32{unknown, unknown, unknown}; d.bounds {
		return
	}
	d.begin()
	if d.close(d.program.start, endOfLine) {
		d.start = matched
		return
	}
	d.start = d.state(endOfLine)
}

// begin starts the collection of a set of steps.
func (d *dfa) begin() {
	if d.round++; d.round == 0 {
		clear(d.mark)
		d.round = 1
	}
	d.steps = d.steps[:0]
}

// close adds the steps that are reached from i without reading, up to assertions. It reports
// whether one of them is a match; with bounds, that is a step like any other.
func (d *dfa) close(i int32, before symbol) bool {
	d.stack = append(d.stack[:0], i)
	for len(d.stack) > 0 {
		i := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		if d.mark[i] == d.round {
			continue
		}
		d.mark[i] = d.round
		switch s := &d.program.steps[i]; s.op {
		case stepMatch:
			if !d.bounds {
				return true
			}
			d.steps = append(d.steps, i)
		case stepSplit:
			d.stack = append(d.stack, s.other, s.next)
		case stepAssert:
			if s.assert != lineStart || before == endOfLine {
				d.steps = append(d.steps, i)
			}
		case stepSymbol, stepSet:
			d.steps = append(d.steps, i)
		}
	}
	return false
}

// state gives the state of the collected steps, after a symbol of the kind of before. The kind is
// part of the state's key only where assertions will ask for it: otherwise each state would be
// there three times.
func (d *dfa) state(before symbol) uint32 {
	if len(d.steps) == 0 {
		return dead
	}
	slices.Sort(d.steps)
	asserts := slices.ContainsFunc(d.steps, func(i int32) bool {
		op := d.program.steps[i].op
		return op == stepAssert || op == stepMatch
	})
	d.key = d.key[:0]
	if asserts {
		d.key = binary.LittleEndian.AppendUint32(d.key, uint32(before))
	}
	for _, i := range d.steps {
		d.key = binary.LittleEndian.AppendUint32(d.key, uint32(i))
	}
	if id, ok := d.ids[string(d.key)]; ok {
		return id
	}
	id := d.addState(dfaState{steps: slices.Clone(d.steps), before: before, asserts: asserts})
	d.ids[string(d.key)] = id
	d.items += len(d.steps)
	row := d.table[id:]
	for b := range row {
		row[b] = unknown
		if b >= 0x80 {
			row[b] = wide
		}
	}
	return id
}

// addState makes room for a state in the table.
func (d *dfa) addState(s dfaState) uint32 {
	id := uint32(len(d.states)) * 256
	d.states = append(d.states, s)
	d.table = slices.Grow(d.table, 256)[:len(d.table)+256]
	return id
}

// kindOf gives a symbol that stands for all that are like r before an assertion: assertions ask
// only whether a symbol is of a word. endOfLine is not given here; it is a third kind.
func (d *dfa) kindOf(r symbol) symbol {
	if isWord(r, d.program.asciiWords) {
		return 'a'
	}
	return ' '
}

// next gives the state after reading r, which may be endOfLine, in state s. The cache may be
// emptied, by which all states but the given one become void.
func (d *dfa) next(s uint32, r symbol) uint32 {
	from := &d.states[s/256]
	steps, before := from.steps, uint32(0)
	if from.asserts {
		var match bool
		if steps, match = d.settle(from, r); match {
			if !d.bounds {
				return matched
			}
			before = endsBefore
		}
	}
	if r == endOfLine {
		if d.bounds {
			return dead | before
		}
		return d.start
	}
	return d.read(steps, r) | before
}

// read gives the state after some steps of a state that can read r have done so.
func (d *dfa) read(steps []int32, r symbol) uint32 {
	d.begin()
	before := d.kindOf(r)
	for _, i := range steps {
		if step := &d.program.steps[i]; d.program.reads(step, r) && d.close(step.next, before) {
			return matched
		}
	}
	// A match may begin after any symbol. Its steps are added even where a dead end is all they
	// lead to.
	if !d.anchored && d.close(d.program.start, before) {
		return matched
	}
	if len(d.states)-len(d.nodes) >= dfaStatesMax || d.items > dfaItemsMax || len(d.wides) > dfaWideMax {
		d.flush()
	}
	return d.state(before)
}

// settle decides the assertions among the steps of a state, now that the symbol after them is
// known. It gives the steps that can read that symbol, and reports whether a match ends before it.
func (d *dfa) settle(from *dfaState, after symbol) (steps []int32, match bool) {
	d.begin()
	d.settled = d.settled[:0]
	d.stack = append(d.stack[:0], from.steps...)
	for len(d.stack) > 0 {
		i := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		if d.mark[i] == d.round {
			continue
		}
		d.mark[i] = d.round
		switch s := &d.program.steps[i]; s.op {
		case stepMatch:
			if match = true; !d.bounds {
				return nil, true
			}
		case stepSplit:
			d.stack = append(d.stack, s.other, s.next)
		case stepAssert:
			if s.assert.holds(from.before, after, d.program.asciiWords) {
				d.stack = append(d.stack, s.next)
			}
		default:
			d.settled = append(d.settled, i)
		}
	}
	return d.settled, match
}

// flush empties the full cache, but for the steps that are being collected. One that has served few
// bytes cost more than it brought. After several of them in a row the dfa is given up for good: the
// text that is to come will be no better.
func (d *dfa) flush() {
	if d.poor++; d.served >= dfaPayBytes*len(d.states) {
		d.poor = 0
	}
	d.thrashing = d.poor >= dfaPoorMax
	steps := slices.Clone(d.steps)
	d.reset()
	d.steps = append(d.steps[:0], steps...)
}

// step gives the state after the symbol at b[i] in state s, and the index after it. A newline is
// the end of a line. It is called where the fast loops have met an entry that is no state.
func (d *dfa) step(s uint32, b []byte, i int) (uint32, int) {
	c := b[i]
	x := d.table[s+uint32(c)]
	switch x {
	case wide:
		return d.stepWide(s, b, i)
	case unknown:
		r, generation := symbol(c), d.generation
		if c == '\n' {
			r = endOfLine
		}
		if x = d.next(s, r); d.generation == generation {
			d.table[s+uint32(c)] = x
		}
	}
	return x, i + 1
}

// find looks for the first line of b, which starts with a line, that matches. It gives an index in
// that line, its newline included, or the length of b, where the end decides; or -1. Once it is
// thrashing, it may give a line that does not match.
func (d *dfa) find(b []byte) int {
	s := d.start
	for i := 0; ; {
		switch s {
		case matched:
			return i
		case dead: // the rest of the line need not be read
			n := bytes.IndexByte(b[i:], '\n')
			if n < 0 {
				return -1
			}
			if s, i = d.start, i+n+1; s == dead {
				return -1
			}
			continue
		}
		// The loop that all the rest is for: one load and one comparison for each byte.
		from, t := i, d.table
		for i < len(b) {
			x := t[s+uint32(b[i])]
			if x >= special {
				break
			}
			s = x
			i++
		}
		d.served += i - from
		if i == len(b) && d.within(s) {
			s, i = d.cutShort(s, b)
			continue
		}
		if i == len(b) {
			if d.next(s, endOfLine) == matched && i > 0 && b[i-1] != '\n' {
				return i
			}
			return -1
		}
		at := i
		if s, i = d.step(s, b, i); s == matched || d.thrashing {
			return at
		}
	}
}

// matches reports whether a line, given without its newline, matches. Once d is thrashing, it may
// be wrong.
func (d *dfa) matches(line []byte) bool {
	if len(line) == 0 {
		return d.start == matched || d.start != dead && d.next(d.start, endOfLine) == matched
	}
	return d.find(line) >= 0
}
