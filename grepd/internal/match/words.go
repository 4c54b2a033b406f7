package match

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// wordsBytesMax bounds the literals together, and so the nodes of the automaton.
	wordsBytesMax = 1 << 22
	// wordHashBits is the length of a hash: the filter takes 64 KiB, and ten thousand literals fill
	// a fiftieth of it.
	wordHashBits = 19
)

// words finds any number of literals. A filter tells from the next few bytes of the text where one
// may begin; from there an automaton reads on (Aho and Corasick, "Efficient string matching", 1975)
// until it knows of no beginning any more. However the text looks, each byte costs a bounded number
// of steps.
//
// The automaton's nodes are the beginnings of the literals, the shorter ones first, so that the
// children of a node stand in a row.
type words struct {
	fold   bool
	mask   uint32                          // selects as many bytes as the shortest literal has, four at most
	filter *[1 << wordHashBits / 64]uint64 // bits, by the hash of those first bytes of the literals

	roots [256]int32 // by byte: the root's child, 0 where it has none
	first []int32    // by node: its first child; those up to the next node's first are all
	label []byte     // by node: its last byte
	fail  []int32    // by node: that of its longest end that is a node too
	ends  []nodeEnds // by node
}

// nodeEnds tells what ends at a node.
type nodeEnds uint8

const (
	endsWord   nodeEnds = 1 << iota // a literal
	endsWithin                      // a literal, be it only an end of what was read
)

// newWords makes the automaton of strings, of which none is empty; with fold, their ASCII letters
// are lower case. It gives nil where they are too many.
func newWords(strings []string, fold bool) *words {
	total := 0
	for _, s := range strings {
		total += len(s)
	}
	if total > wordsBytesMax {
		return nil
	}
	w := &words{fold: fold}
	w.addNodes(unique(slices.Clone(strings)))
	w.addFails()
	w.addFilter(strings)
	return w
}

// addNodes makes a node of each beginning of strs, which are sorted and different.
func (w *words) addNodes(strs []string) {
	type span struct{ from, to int32 } // of the strings that begin as a node does
	total := nodesOf(strs)
	w.label, w.first, w.ends = make([]byte, 1, total), make([]int32, 0, total+1), make([]nodeEnds, total)
	level, below := []span{{0, int32(len(strs))}}, []span(nil) // the nodes of one depth, and their children
	for depth := 0; len(level) > 0; depth++ {
		below = below[:0]
		for _, s := range level {
			n := len(w.first)
			w.first = append(w.first, int32(len(w.label)))
			if len(strs[s.from]) == depth {
				w.ends[n] = endsWord | endsWithin
				s.from++
			}
			for s.from < s.to {
				c, next := strs[s.from][depth], s.from+1
				for next < s.to && strs[next][depth] == c {
					next++
				}
				if n == 0 {
					w.roots[c] = int32(len(w.label))
				}
				below, w.label = append(below, span{s.from, next}), append(w.label, c)
				s.from = next
			}
		}
		level, below = below, level
	}
	w.first = append(w.first, int32(len(w.label)))
}

// nodesOf counts the beginnings of strs, which are sorted and different.
func nodesOf(strs []string) int {
	nodes, last := 1, ""
	for _, s := range strs {
		common := 0
		for common < min(len(s), len(last)) && s[common] == last[common] {
			common++
		}
		nodes, last = nodes+len(s)-common, s
	}
	return nodes
}

// addFails finds where to go on at each node when the text does not go on as any of its children.
func (w *words) addFails() {
	w.fail = make([]int32, len(w.label))
	for n := range w.label {
		for child := w.first[n]; child < w.first[n+1]; child++ {
			if n != 0 {
				w.fail[child] = w.next(w.fail[n], w.label[child])
			}
			w.ends[child] |= w.ends[w.fail[child]] & endsWithin
		}
	}
}

// addFilter sets the bits of the literals.
func (w *words) addFilter(strs []string) {
	shortest := len(slices.MinFunc(strs, func(a, b string) int { return len(a) - len(b) }))
	w.mask = uint32(1<<(8*min(shortest, 4)) - 1)
	w.filter = new([1 << wordHashBits / 64]uint64)
	for _, s := range strs {
		var first [4]byte
		copy(first[:], s)
		h := wordHash(binary.LittleEndian.Uint32(first[:]), w.mask)
		w.filter[h/64] |= 1 << (h % 64)
	}
}

// wordHash is that of those of four bytes that mask selects. For the sake of folding, it takes
// letters, and some other bytes, for the same in either case.
func wordHash(four, mask uint32) uint32 {
	return (four | 0x20202020) & mask * 0x9e3779b1 >> (32 - wordHashBits)
}

// candidate gives the first place at or after from where a literal may begin, or one from which on
// there is too little left to tell.
func (w *words) candidate(b []byte, from int) int {
	filter, mask := w.filter, w.mask
	i := from
	for ; i+8 <= len(b); i += 4 {
		eight := binary.LittleEndian.Uint64(b[i:])
		h0, h1 := wordHash(uint32(eight), mask), wordHash(uint32(eight>>8), mask)
		h2, h3 := wordHash(uint32(eight>>16), mask), wordHash(uint32(eight>>24), mask)
		switch {
		case filter[h0/64]>>(h0%64)&1 != 0:
			return i
		case filter[h1/64]>>(h1%64)&1 != 0:
			return i + 1
		case filter[h2/64]>>(h2%64)&1 != 0:
			return i + 2
		case filter[h3/64]>>(h3%64)&1 != 0:
			return i + 3
		}
	}
	return i
}

// child gives the node after n and c, or 0.
func (w *words) child(n int32, c byte) int32 {
	if n == 0 {
		return w.roots[c]
	}
	first, end := w.first[n], w.first[n+1]
	if i := bytes.IndexByte(w.label[first:end], c); i >= 0 {
		return first + int32(i)
	}
	return 0
}

// next gives the node of the longest end of what was read that is one: up to n, and then c.
func (w *words) next(n int32, c byte) int32 {
	for {
		if child := w.child(n, c); child != 0 || n == 0 {
			return child
		}
		n = w.fail[n]
	}
}

// folded gives c as it is in the labels.
func (w *words) folded(c byte) byte {
	if w.fold {
		c |= caseMask(c)
	}
	return c
}

func (w *words) index(b []byte) int {
	for i := w.candidate(b, 0); i < len(b); i = w.candidate(b, i) {
		for n := int32(0); i < len(b); {
			n = w.next(n, w.folded(b[i]))
			if w.ends[n]&endsWithin != 0 {
				return i
			}
			if i++; n == 0 {
				break
			}
		}
	}
	return -1
}

// longest finds the first place at or after from where a literal begins, and the longest one there.
func (w *words) longest(line []byte, from int) (Range, bool) {
	for start := w.candidate(line, from); start < len(line); start = w.candidate(line, start+1) {
		end := -1
		for n, i := int32(0), start; i < len(line); i++ {
			if n = w.child(n, w.folded(line[i])); n == 0 {
				break
			}
			if w.ends[n]&endsWord != 0 {
				end = i + 1
			}
		}
		if end >= 0 {
			return Range{start, end}, true
		}
	}
	return Range{}, false
}

func (w *words) tuned([]byte) prefilter { return w }
