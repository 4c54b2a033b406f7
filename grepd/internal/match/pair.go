package match

import "bytes"

// pair finds a literal by its two rarest bytes.
type pair struct {
	literal       []byte
	fold          bool
	first, second int  // where the bytes are in the literal
	a, b          byte // the bytes
	maskA, maskB  byte // 0x20 where either case will do
}

func newPair(s string, fold bool) *pair {
	p := &pair{literal: []byte(s), fold: fold}
	often := frequency()
	rarer := func(i, j int) bool { return often[s[i]] < often[s[j]] }
	for i := range s {
		if rarer(i, p.first) {
			p.first = i
		}
	}
	p.second = len(s) - 1
	if p.second == p.first {
		p.second = 0
	}
	for i := range s {
		if i != p.first && rarer(i, p.second) {
			p.second = i
		}
	}
	p.setBytes()
	return p
}

func (p *pair) tuned(sample []byte) prefilter {
	t := *p
	t.tune(sample)
	return &t
}

// tune chooses the bytes that find the fewest places of a sample: the rarest one, and the one that
// most rarely stands beside it.
func (p *pair) tune(sample []byte) {
	first, beside := p.places(sample)
	p.first, p.second = first, max(0, least(beside, first))
	p.setBytes()
}

// places finds the byte of the literal that is rarest in a sample, and how many of its places have
// each other byte of the literal beside it.
func (p *pair) places(sample []byte) (rarest int, beside []int) {
	var counts [256]int
	for _, c := range sample {
		counts[c]++
	}
	single := make([]int, len(p.literal))
	for i, c := range p.literal {
		if single[i] = counts[c]; p.fold && caseMask(c) != 0 {
			single[i] += counts[c^0x20]
		}
	}
	rarest, beside = least(single, -1), make([]int, len(p.literal))
	for i := 0; i+len(p.literal) <= len(sample); i++ {
		if !p.holds(sample[i:], rarest) {
			continue
		}
		for j := range beside {
			if p.holds(sample[i:], j) {
				beside[j]++
			}
		}
	}
	return rarest, beside
}

// least gives the index of the first of the least counts, that at the index but left out, or -1.
func least(counts []int, but int) int {
	best := -1
	for i, n := range counts {
		if i != but && (best < 0 || n < counts[best]) {
			best = i
		}
	}
	return best
}

// holds reports whether the literal's byte j is at b[j].
func (p *pair) holds(b []byte, j int) bool {
	c := p.literal[j]
	return b[j] == c || p.fold && b[j]|caseMask(c) == c
}

// setBytes derives the bytes from their places.
func (p *pair) setBytes() {
	p.a, p.b = p.literal[p.first], p.literal[p.second]
	if p.fold {
		p.maskA, p.maskB = caseMask(p.a), caseMask(p.b)
	}
}

// caseMask is the bit in which the cases of an ASCII letter differ, 0 for other bytes.
func caseMask(c byte) byte {
	if 'a' <= c|0x20 && c|0x20 <= 'z' {
		return 0x20
	}
	return 0
}

func (p *pair) longest(line []byte, from int) (Range, bool) {
	at := p.index(line[from:])
	return Range{from + at, from + at + len(p.literal)}, at >= 0
}

func (p *pair) index(b []byte) int {
	i := 0
	if hasAVX2 {
		for n := len(b) - max(len(p.literal), 1) + 1; n-i >= 32; i++ {
			if i += pairIndex(&b[i], n-i, p.first, p.second, p.a, p.b, p.maskA, p.maskB); i == n {
				return -1
			}
			if p.at(b, i) {
				return i
			}
		}
	}
	return p.portable(b, i)
}

// portable finds the literal at or after from without vectors.
func (p *pair) portable(b []byte, from int) int {
	if !p.fold {
		if n := bytes.Index(b[from:], p.literal); n >= 0 {
			return from + n
		}
		return -1
	}
	for i := from; i+len(p.literal) <= len(b); i++ {
		if b[i+p.first]|p.maskA == p.a && p.at(b, i) {
			return i
		}
	}
	return -1
}

// at reports whether the literal is at b[i].
func (p *pair) at(b []byte, i int) bool { return literalAt(b[i:], p.literal, p.fold) }

func literalAt(b, literal []byte, fold bool) bool {
	if len(b) < len(literal) {
		return false
	}
	if !fold {
		return string(b[:len(literal)]) == string(literal)
	}
	for i, c := range literal {
		if b[i]|caseMask(c) != c {
			return false
		}
	}
	return true
}
