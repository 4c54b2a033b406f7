package match

import "sync/atomic"

// vm runs a program over one line by stepping all its threads at once (Pike's method): slow,
// but in time proportional to the line for any program, and with the bounds of a match. It
// serves one goroutine.
type vm struct {
	program *program
	longest bool     // the longest match at the leftmost start, else the preferred one
	threads []thread // at the current position, in order of preference
	reading []thread // that have read the symbol there
	seen    []uint32 // by step: the round in which it was added
	round   uint32
	stack   []int32

	done    <-chan struct{} // ends the work; then nothing is found any more
	turns   uint
	stopped bool
	work    *atomic.Uint64 // counts on while it works; nil: nobody looks
}

// turnsUnchecked is how many symbols are read between two looks at done: a step may be as dear as
// the program is long.
const turnsUnchecked = 1 << 7

// stop reports whether the work is to end. It looks from time to time only.
func (v *vm) stop() bool {
	if v.turns++; v.turns%turnsUnchecked == 0 {
		return v.look()
	}
	return v.stopped
}

// look reports whether the work is to end, and others that it goes on.
func (v *vm) look() bool {
	if v.work != nil {
		v.work.Add(1)
	}
	select {
	case <-v.done:
		v.stopped = true
	default:
	}
	return v.stopped
}

// thread is a step that has been reached, and where its match began.
type thread struct {
	step  int32
	start int
}

func newVM(p *program, longest bool) *vm {
	return &vm{program: p, longest: longest, seen: make([]uint32, len(p.steps))}
}

// find gives the leftmost match in line that starts at or after from.
func (v *vm) find(line []byte, from int) (Range, bool) {
	return v.run(line, from, false, nil)
}

// ends calls end for each place where a match that starts at start ends.
func (v *vm) ends(line []byte, start int, end func(int)) {
	v.run(line, start, true, end)
}

// run looks for the leftmost match, and stops as soon as it is certain. When end is
// given it gets all ends on the way.
func (v *vm) run(line []byte, from int, anchored bool, end func(int)) (found Range, ok bool) {
	before := endOfLine
	if from > 0 {
		before, _ = decodeLast(line[:from])
	}
	v.reading = v.reading[:0]
	for pos := from; !v.stop(); {
		after, size := endOfLine, 0
		if pos < len(line) {
			after, size = decode(line[pos:])
		}
		v.enter(before, after, pos, !ok && !(anchored && pos > from))
		if matched := v.step(after, end == nil); matched >= 0 {
			if end != nil {
				end(pos)
			}
			// A later match is a better one: step ended all threads that could give a worse.
			found, ok = Range{matched, pos}, true
		}
		if size == 0 || len(v.reading) == 0 && (ok || anchored) {
			return found, ok
		}
		before, pos = after, pos+size
	}
	return Range{}, false
}

// enter makes v.threads: all steps that can be reached from those that have read the last symbol,
// and from the start where a match may begin here.
func (v *vm) enter(before, after symbol, pos int, begin bool) {
	if v.round++; v.round == 0 {
		clear(v.seen)
		v.round = 1
	}
	v.threads = v.threads[:0]
	for _, t := range v.reading {
		v.follow(t, before, after)
	}
	if begin {
		v.follow(thread{v.program.start, pos}, before, after)
	}
	v.reading = v.reading[:0]
}

// follow adds the steps that are reached from t without reading.
func (v *vm) follow(t thread, before, after symbol) {
	v.stack = append(v.stack[:0], t.step)
	for len(v.stack) > 0 {
		i := v.stack[len(v.stack)-1]
		v.stack = v.stack[:len(v.stack)-1]
		if v.seen[i] == v.round {
			continue
		}
		v.seen[i] = v.round
		switch s := &v.program.steps[i]; s.op {
		case stepSplit:
			v.stack = append(v.stack, s.other, s.next)
		case stepAssert:
			if s.assert.holds(before, after, v.program.asciiWords) {
				v.stack = append(v.stack, s.next)
			}
		default:
			v.threads = append(v.threads, thread{i, t.start})
		}
	}
}

// step lets all threads read r, and gives where the best match that ends before r started, or -1.
// With cut, threads that cannot give a better match any more end.
func (v *vm) step(r symbol, cut bool) (matched int) {
	matched = -1
	for _, t := range v.threads {
		if cut && v.longest && matched >= 0 && t.start > matched {
			break
		}
		s := &v.program.steps[t.step]
		if s.op == stepMatch {
			matched = t.start
			if cut && !v.longest {
				break
			}
		} else if v.program.reads(s, r) {
			v.reading = append(v.reading, thread{s.next, t.start})
		}
	}
	return matched
}
