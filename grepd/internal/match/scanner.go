package match

import (
	"bytes"
	"slices"
	"sync/atomic"
)

// Scanner applies a Matcher. It keeps working memory from call to call, and serves one goroutine.
type Scanner struct {
	m       *Matcher
	vm      *vm
	made    *dfa // see dfa
	retried []*vm
	lanes   lanes
	finder  *partFinder // nil until it is needed

	prefilter prefilter // m's, tuned to the first large block
	tuned     bool
}

// NewScanner makes a scanner, which is best used for many blocks. When done is closed, calls in
// progress return soon, and from then on results mean nothing. It may be nil.
func (m *Matcher) NewScanner(done <-chan struct{}) *Scanner {
	s := &Scanner{m: m, vm: newVM(m.program, m.longest), prefilter: m.prefilter}
	for _, p := range m.retried {
		s.retried = append(s.retried, newVM(p, m.longest))
	}
	for _, v := range append(s.retried, s.vm) {
		v.done = done
	}
	return s
}

// dfa gives the scanner's, which is made when it is needed: the start of one for thousands of
// literals is dear.
func (s *Scanner) dfa() *dfa {
	if s.made == nil {
		s.made = newDFA(s.m.program)
	}
	return s.made
}

// CountWork lets work go up while a call takes long, so that others see that it gets on.
func (s *Scanner) CountWork(work *atomic.Uint64) {
	for _, v := range append(s.retried, s.vm) {
		v.work = work
	}
}

// Lines appends to lines those of block that are selected, their newlines included, until there
// are max more. Below 0, max is no limit.
func (s *Scanner) Lines(block []byte, lines []Range, max int) []Range {
	s.scan(block, max, &lines)
	return lines
}

// Count gives the number of lines of block that are selected, but at most max. Below 0, max is no
// limit.
func (s *Scanner) Count(block []byte, max int) int { return s.scan(block, max, nil) }

// countedGapMin is how many bytes there are to be for each line with the literal that is found
// before the next one is looked for, where lines are only counted.
const countedGapMin = 512

// candidatesMin is how many candidates there must be in a block before it matters how close
// together they are.
const candidatesMin = 32

// scan counts the selected lines, and appends them to lines where that is not nil.
func (s *Scanner) scan(block []byte, max int, lines *[]Range) int {
	if s.prefilter != nil && !s.tuned && len(block) >= tuneBytesMin {
		s.prefilter, s.tuned = s.prefilter.tuned(block[:min(len(block), tuneBytes)]), true
	}
	if s.prefilter == nil {
		if lines == nil && max < 0 && s.m.counted != nil {
			return s.m.counted.lines(block)
		}
		return s.scanAll(block, 0, max, lines)
	}
	n := 0
	for pos, candidates := 0, 1; pos < len(block) && n != max; candidates++ {
		at := s.prefilter.index(block[pos:])
		if at < 0 {
			break
		}
		if s.m.exact && lines == nil {
			n, pos = n+1, endOfLineAt(block, pos+at)
			if max < 0 && s.m.counted != nil && candidates >= candidatesMin && pos < candidates*countedGapMin {
				return n + s.m.counted.lines(block[pos:])
			}
			continue
		}
		line := lineAt(block, pos, pos+at)
		if s.m.exact || s.matchesAt(block, line, pos+at) {
			if n++; lines != nil {
				*lines = append(*lines, line)
			}
		}
		pos = line.End
		if candidates >= candidatesMin && pos < candidates*s.m.gapMin {
			return n + s.scanAll(block, pos, max-n, lines)
		}
	}
	return n
}

// matchesAt reports whether a line of block is selected in which the prefilter has found something
// first at the index at.
func (s *Scanner) matchesAt(block []byte, line Range, at int) bool {
	if s.m.lead && !s.dfa().thrashing {
		matches := s.dfa().matches(trimNewline(block[at:line.End]))
		if !s.dfa().thrashing {
			return matches
		}
	}
	return s.Match(trimNewline(block[line.Start:line.End]))
}

// scanAll is scan from a line's start on, without the help of literals.
func (s *Scanner) scanAll(block []byte, pos, max int, lines *[]Range) int {
	if max < 0 && s.streamable(block[pos:]) {
		if n, ok := s.dfa().streams(block[pos:], &s.lanes, pos, lines); ok {
			return n
		}
	}
	n := 0
	for pos < len(block) && n != max {
		at, sure := 0, false
		if len(s.retried) == 0 {
			at = s.dfa().find(block[pos:])
			sure = !s.dfa().thrashing
		}
		if at < 0 {
			break
		}
		line := lineAt(block, pos, pos+at)
		if sure || s.Match(trimNewline(block[line.Start:line.End])) {
			if n++; lines != nil {
				*lines = append(*lines, line)
			}
		}
		pos = line.End
	}
	return n
}

// streamable reports whether the automaton alone finds the lines of block, and in several parts.
func (s *Scanner) streamable(block []byte) bool {
	return len(s.retried) == 0 && len(block) >= streamsBytesMin && s.dfa().start < special && !s.dfa().thrashing
}

// lineAt gives the line around block[at], which does not start before from.
func lineAt(block []byte, from, at int) Range {
	return Range{from + lastNewline(block[from:at]) + 1, endOfLineAt(block, at)}
}

// endOfLineAt gives the end of the line around block[at], its newline included.
func endOfLineAt(block []byte, at int) int {
	if n := bytes.IndexByte(block[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(block)
}

// lastNewline gives the index of the last newline of b, or -1.
func lastNewline(b []byte) int {
	if !hasAVX2 || len(b) < 32 {
		return bytes.LastIndexByte(b, '\n')
	}
	return lastNewlineIndex(&b[0], len(b))
}

func trimNewline(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\n'}) }

// Match reports whether line, without its newline, is selected.
func (s *Scanner) Match(line []byte) bool {
	matches := s.dfa().matches(line)
	if s.dfa().thrashing {
		return s.MatchUncached(line)
	}
	return matches || s.matchesRetried(line)
}

// MatchUncached is Match, slower, but with no memory that grows with what was matched: for short
// lines and a lot of matchers.
func (s *Scanner) MatchUncached(line []byte) bool {
	_, matches := s.vm.find(line, 0)
	return matches || s.matchesRetried(line)
}

func (s *Scanner) matchesRetried(line []byte) bool {
	return slices.ContainsFunc(s.retried, func(v *vm) bool {
		_, ok := v.findWord(line, 0, s.m.program.asciiWords)
		return ok
	})
}

// Parts appends to parts those of line, without its newline, that match. Empty matches are none.
func (s *Scanner) Parts(line []byte, parts []Range) []Range {
	parts, _ = s.PartsFrom(line, 0, parts, -1)
	return parts
}

// partsLineMax is the length from which on the parts of a line are left to the machine: it needs no
// memory for the places where they start, and may be stopped at any byte.
const partsLineMax = 64 << 10

// PartsFrom is Parts from a place on that an earlier call gave, or 0, until there are max more.
// Below 0, max is no limit. It gives the place to go on at, which is the line's end when there are
// no more.
func (s *Scanner) PartsFrom(line []byte, pos int, parts []Range, max int) ([]Range, int) {
	if len(line) < partsLineMax {
		if l := s.literalsOfParts(); l != nil {
			return partsByLiterals(l, line, pos, parts, max)
		}
		if found, next, ok := s.partsByAutomata(line, pos, parts, max); ok {
			return found, next
		}
	}
	return s.partsByMachine(line, pos, parts, max)
}

// partsByMachine is PartsFrom for any pattern and line.
func (s *Scanner) partsByMachine(line []byte, pos int, parts []Range, max int) ([]Range, int) {
	for n := 0; pos < len(line) && n != max; {
		r, ok := s.next(line, pos)
		if !ok {
			return parts, len(line)
		}
		if pos = r.End; r.Start < r.End {
			parts = append(parts, r)
			n++
		} else if pos < len(line) {
			_, n := decode(line[pos:])
			pos += n
		}
	}
	return parts, pos
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

// findWord finds a match between non-word characters of a program that matches the empty string
// too. As in grep, where the longest match at a place has a word character beside it shorter ones
// are tried, but not the empty one.
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
