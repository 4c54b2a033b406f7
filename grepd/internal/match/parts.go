package match

// partFinder finds where in a line the matches are, by automata: one that reads the line backwards
// and tells where matches start, and one that reads from such a place on and tells where the
// longest ends. It serves one goroutine.
type partFinder struct {
	backward *dfa
	forward  *dfa
	starts   []int // of the matches in a line, the last one first
	stepped  int   // symbols read since anybody looked whether to go on
}

// partsUnchecked is how many symbols are read between two looks at whether to go on.
const partsUnchecked = 1 << 20

func newPartFinder(forward, backward *program) *partFinder {
	return &partFinder{
		backward: newDFAWith(dfa{program: backward, bounds: true}),
		forward:  newDFAWith(dfa{program: forward, bounds: true, anchored: true}),
	}
}

// startIn gives the state to begin in after a symbol of the kind of before.
func (d *dfa) startIn(before symbol) uint32 {
	kind := &d.starts[0]
	if before != endOfLine {
		kind = &d.starts[1]
		if before = d.kindOf(before); before == 'a' {
			kind = &d.starts[2]
		}
	}
	if *kind == unknown {
		d.begin()
		d.close(d.program.start, before)
		*kind = d.state(before)
	}
	return *kind
}

// compute gives the table's entry for r in state s, which is not in the table yet. c is r's byte,
// or a newline for the end of the line, if it has a single one.
func (d *dfa) compute(s uint32, r symbol, c byte) uint32 {
	generation := d.generation
	x := d.next(s, r)
	if d.generation == generation {
		d.table[s+uint32(c)] = x
	}
	return x
}

// entryAtEnd gives the entry for the end of the line. No line holds a newline, so that its place in
// the table is free.
func (d *dfa) entryAtEnd(s uint32) uint32 {
	x := d.table[s+'\n']
	if x == unknown {
		x = d.compute(s, endOfLine, '\n')
	}
	return x
}

// findStarts finds all places in line at which a match starts. It fails where the automaton does
// not pay.
func (f *partFinder) findStarts(line []byte) (ok bool) {
	d := f.backward
	f.starts = f.starts[:0]
	f.stepped += len(line)
	d.served += len(line)
	s := d.startIn(endOfLine)
	for i := len(line); s != dead; {
		if i == 0 && !d.within(s) {
			if d.entryAtEnd(s)&endsBefore != 0 {
				f.starts = append(f.starts, 0)
			}
			break
		}
		// Where the symbol ends is asked before the step, which may empty the cache.
		x, end, next := uint32(wide), i, i-1
		if i > 0 {
			x = d.table[s+uint32(line[i-1])]
		}
		switch {
		case i == 0:
			_, end = d.symbolBackwards(s, i)
			x, next = d.cutShortBackwards(s, line)
		case x == wide:
			_, end = d.symbolBackwards(s, i)
			x, next = d.stepWideBackwards(s, line, i)
		case x == unknown:
			x = d.compute(s, symbol(line[i-1]), line[i-1])
		case x&endsBefore != 0:
			_, end = d.symbolBackwards(s, i)
		}
		if x&endsBefore != 0 {
			f.starts = append(f.starts, end)
		}
		s, i = x&^endsBefore, next
	}
	return !d.thrashing
}

// longest gives the end of the longest match that starts at start, where one does. It fails where
// the automaton does not pay.
func (f *partFinder) longest(line []byte, start int) (end int, ok bool) {
	d := f.forward
	end = start
	s := d.startIn(symbolBefore(line, start))
	i := start
	for s != dead {
		if i == len(line) && !d.within(s) {
			if d.entryAtEnd(s)&endsBefore != 0 {
				end = i
			}
			break
		}
		x, begin, next := uint32(wide), i, i+1
		if i < len(line) {
			x = d.table[s+uint32(line[i])]
		}
		switch {
		case i == len(line):
			_, begin = d.symbolAt(s, i)
			x, next = d.cutShort(s, line)
		case x == wide:
			_, begin = d.symbolAt(s, i)
			x, next = d.stepWide(s, line, i)
		case x == unknown:
			x = d.compute(s, symbol(line[i]), line[i])
		case x&endsBefore != 0:
			_, begin = d.symbolAt(s, i)
		}
		if x&endsBefore != 0 {
			end = begin
		}
		s, i = x&^endsBefore, next
	}
	f.stepped += i - start
	d.served += i - start
	return end, !d.thrashing
}

// partsByAutomata is PartsFrom unless an automaton does not pay.
func (s *Scanner) partsByAutomata(line []byte, pos int, parts []Range, max int) (_ []Range, next int, ok bool) {
	f := s.partFinder()
	if f == nil || f.backward.thrashing || f.forward.thrashing || !f.findStarts(line) {
		return nil, 0, false
	}
	found := len(parts)
	for ; len(f.starts) > 0 && len(parts)-found != max; f.starts = f.starts[:len(f.starts)-1] {
		start := f.starts[len(f.starts)-1]
		if start < pos {
			continue
		}
		end, ok := s.endOf(line, start)
		if !ok {
			return nil, 0, false
		}
		if pos = end; start < end {
			parts = append(parts, Range{start, end})
		}
		if f.stepped >= partsUnchecked {
			if f.stepped = 0; s.vm.look() {
				break
			}
		}
	}
	if len(parts)-found != max {
		pos = len(line)
	}
	return parts, pos, true
}

// endOf gives the end of the match that starts at start, where one does. It fails where the
// automaton does not pay.
func (s *Scanner) endOf(line []byte, start int) (end int, ok bool) {
	if s.m.longest {
		return s.finder.longest(line, start)
	}
	r, _ := s.vm.run(line, start, true, nil)
	return r.End, true
}

// partFinder gives the scanner's, which is made when it is needed, or nil where there can be none.
func (s *Scanner) partFinder() *partFinder {
	if s.finder == nil && len(s.retried) == 0 {
		if backward := s.m.backward(); backward != nil {
			s.finder = newPartFinder(s.m.program, backward)
		}
	}
	return s.finder
}

// literalsOfParts gives the literals that the parts are, or nil if the pattern is more than that.
// Perl prefers one of several by their order, not their length.
func (s *Scanner) literalsOfParts() literalSearch {
	if !s.m.exact {
		return nil
	}
	if _, single := s.prefilter.(*pair); single || s.m.longest {
		return s.prefilter.(literalSearch)
	}
	return nil
}

// partsByLiterals is PartsFrom where the parts are literals.
func partsByLiterals(l literalSearch, line []byte, pos int, parts []Range, max int) ([]Range, int) {
	for n := 0; pos < len(line) && n != max; n++ {
		part, ok := l.longest(line, pos)
		if !ok {
			return parts, len(line)
		}
		parts, pos = append(parts, part), part.End
	}
	return parts, pos
}
