package match

import "unsafe"

// streamsBytesMin is the size below which a text is not worth splitting.
const streamsBytesMin = 4 << 10

// lanes are the parts of a text that streams steps through at once, and how far it is in each. Each
// part begins and ends with a line, so that none needs to know of the others. A Scanner keeps its
// lanes, and so the memory of found, from block to block.
type lanes struct {
	pos, end [4]int // of the next byte, and of the part's end
	line     [4]int // no match ends before it in its line; a line starts there
	state    [4]uint32
	met      [4]uint32  // the table's entry at which lockstep ended; below special, the lane was not the reason
	found    [4][]Range // the matching lines, where they are wanted
	listed   bool
	count    int // of matching lines
}

// begin cuts b, which starts with a line, between lines. A part may be empty: b may be one line.
func (l *lanes) begin(b []byte, start uint32) {
	end := 0
	for k := range l.pos {
		l.pos[k], l.line[k], l.state[k], l.found[k] = end, end, start, l.found[k][:0]
		if end = max(end, (k+1)*len(b)/4); k == 3 || end == len(b) {
			end = len(b)
		} else {
			end = endOfLineAt(b, end)
		}
		l.end[k] = end
	}
	l.count = 0
}

// left gives how many bytes are left in each lane at least.
func (l *lanes) left() int {
	return min(l.end[0]-l.pos[0], l.end[1]-l.pos[1], l.end[2]-l.pos[2], l.end[3]-l.pos[3])
}

// finish notes that the line around b[at] in lane k matches, and goes on with the next.
func (l *lanes) finish(b []byte, k, at int, start uint32) {
	end := endOfLineAt(b, at)
	if l.count++; l.listed {
		l.found[k] = append(l.found[k], Range{l.line[k] + lastNewline(b[l.line[k]:at]) + 1, end})
	}
	l.pos[k], l.line[k], l.state[k] = end, end, start
}

// streams finds all matching lines of b, which starts with a line, in up to four parts at once: a
// processor that must wait for the table's entry of one part can load those of the others. Lines
// are appended, moved by offset, unless lines is nil. It gives up where the cache is emptied on the
// way.
func (d *dfa) streams(b []byte, l *lanes, offset int, lines *[]Range) (count int, ok bool) {
	l.listed = lines != nil
	l.begin(b, d.start)
	generation := d.generation
	for n := l.left(); n > 0; n = l.left() {
		k := lockstepLoop(unsafe.SliceData(d.table), &b[0], &l.pos, &l.state, &l.met, n)
		d.served += 4 * k
		if k == n {
			continue
		}
		for k := range l.met {
			switch {
			case l.met[k] < special:
			case l.met[k] == matched:
				l.finish(b, k, l.pos[k], d.start)
			default:
				if d.single(b, l, k); d.generation != generation {
					return 0, false
				}
			}
		}
	}
	for k := range l.pos {
		if !d.rest(b, l, k) {
			return 0, false
		}
		for _, r := range l.found[k] {
			*lines = append(*lines, Range{r.Start + offset, r.End + offset})
		}
	}
	return l.count, true
}

// rest takes lane k to its end, and reports whether the cache was kept on the way. If not, the
// states of the other lanes are void, and what was found is given up.
func (d *dfa) rest(b []byte, l *lanes, k int) bool {
	generation := d.generation
	for l.pos[k] < l.end[k] || d.within(l.state[k]) {
		text, s, n := b[l.pos[k]:l.end[k]], l.state[k], 0
		for n < len(text) {
			x := d.table[s+uint32(text[n])]
			if x >= special {
				break
			}
			s = x
			n++
		}
		d.served += n
		l.state[k], l.pos[k] = s, l.pos[k]+n
		if l.pos[k] == l.end[k] && !d.within(s) {
			break
		}
		if d.single(b, l, k); d.generation != generation {
			return false
		}
	}
	if end := l.end[k]; l.line[k] < end && b[end-1] != '\n' && d.next(l.state[k], endOfLine) == matched {
		l.finish(b, k, end, d.start)
	}
	return true
}

// single takes lane k one step on, or to its next line where that decides this one. It is for the
// steps that the loops cannot take, and may empty the cache.
func (d *dfa) single(b []byte, l *lanes, k int) {
	at := l.pos[k]
	if at == l.end[k] {
		l.state[k], l.pos[k] = d.cutShort(l.state[k], b[:at])
	} else {
		l.state[k], l.pos[k] = d.step(l.state[k], b, at)
	}
	switch l.state[k] {
	case matched:
		l.finish(b, k, at, d.start)
	case dead:
		l.pos[k] = endOfLineAt(b, l.pos[k])
		l.line[k], l.state[k] = l.pos[k], d.start
	}
}

// lockstepPortable is lockstepLoop in Go. It has no bounds checks: a state is the index of a row of
// 256 entries in the table, and from each position on the text has n bytes.
func lockstepPortable(table *uint32, text *byte, pos *[4]int, states, met *[4]uint32, n int) int {
	entry := func(state uint32, at int) uint32 {
		c := *(*byte)(unsafe.Add(unsafe.Pointer(text), at))
		return *(*uint32)(unsafe.Add(unsafe.Pointer(table), uintptr(state+uint32(c))*4))
	}
	s0, s1, s2, s3 := states[0], states[1], states[2], states[3]
	p0, p1, p2, p3 := pos[0], pos[1], pos[2], pos[3]
	var x0, x1, x2, x3 uint32
	i := 0
	for ; i < n; i++ {
		x0, x1, x2, x3 = entry(s0, p0+i), entry(s1, p1+i), entry(s2, p2+i), entry(s3, p3+i)
		if x0|x1|x2|x3 >= special {
			break
		}
		s0, s1, s2, s3 = x0, x1, x2, x3
	}
	*states, *met = [4]uint32{s0, s1, s2, s3}, [4]uint32{x0, x1, x2, x3}
	*pos = [4]int{p0 + i, p1 + i, p2 + i, p3 + i}
	return i
}
