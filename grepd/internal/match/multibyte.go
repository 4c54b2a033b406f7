package match

import "unicode/utf8"

// A symbol of several bytes is read byte by byte too: the bytes that have been read of one make a
// state of their own, a node, which knows the state before them. The last byte leads to the state
// after the symbol. So a text in any language passes through the table alone. Where the bytes turn
// out to be no symbol, the first of them is one, and those after it are read again.

// nodesMax bounds the nodes in the cache of a dfa, which are states of 1 KiB. Symbols for which
// there is no room go through the map.
const nodesMax = 1024

// node is the bytes of a symbol that have been read in a state.
type node struct {
	origin uint32  // the state before the symbol
	bytes  [3]byte // in the order of the text
	count  uint8
}

// nodeAfter gives the state for the bytes, up to three, that have been read of a symbol since
// origin.
func (d *dfa) nodeAfter(origin uint32, read []byte) (id uint32, ok bool) {
	n := node{origin: origin, count: uint8(len(read))}
	copy(n.bytes[:], read)
	if id, ok := d.nodes[n]; ok {
		return id, true
	}
	if len(d.nodes) >= nodesMax {
		return 0, false
	}
	id = d.addState(dfaState{node: n})
	d.nodes[n] = id
	row := d.table[id:]
	for b := range row {
		row[b] = wide
	}
	return id, true
}

// entryFor gives the entry for a symbol of several bytes, or one that is not UTF-8, in a state that
// is no node.
func (d *dfa) entryFor(s uint32, r symbol) uint32 {
	key := wideKey{s, r}
	x, ok := d.wides[key]
	if !ok {
		generation := d.generation
		if x = d.next(s, r); d.generation == generation {
			d.wides[key] = x
		}
	}
	return x
}

// stepWide reads b[i] in state s, where either is part of a symbol of several bytes. It gives the
// entry for it, and the index after what was read for good.
func (d *dfa) stepWide(s uint32, b []byte, i int) (uint32, int) {
	origin, begin := d.symbolAt(s, i)
	read := b[begin : i+1]
	complete := utf8.FullRune(read)
	if !complete {
		if x, ok := d.nodeAfter(origin, read); ok {
			d.table[s+uint32(b[i])] = x
			return x, i + 1
		}
	}
	r, n := decode(b[begin:])
	generation := d.generation
	x := d.entryFor(origin, r)
	if complete && n == len(read) && d.generation == generation {
		d.table[s+uint32(b[i])] = x
	}
	return x, begin + n
}

// symbolAt gives the state before the symbol that is being read in state s at index i, and where it
// begins.
func (d *dfa) symbolAt(s uint32, i int) (origin uint32, begin int) {
	if n := &d.states[s/256].node; n.count > 0 {
		return n.origin, i - int(n.count)
	}
	return s, i
}

// within reports whether s, which is a state, is one within a symbol.
func (d *dfa) within(s uint32) bool { return d.states[s/256].node.count > 0 }

// cutShort is stepWide where the text ends within a symbol, so that the bytes of it are none.
func (d *dfa) cutShort(s uint32, b []byte) (uint32, int) {
	origin, begin := d.symbolAt(s, len(b))
	return d.entryFor(origin, invalidFirst+symbol(b[begin])), begin + 1
}

// symbolBackwards is symbolAt for a dfa that reads backwards.
func (d *dfa) symbolBackwards(s uint32, i int) (origin uint32, end int) {
	if n := &d.states[s/256].node; n.count > 0 {
		return n.origin, i + int(n.count)
	}
	return s, i
}

// stepWideBackwards is stepWide for b[i-1].
func (d *dfa) stepWideBackwards(s uint32, b []byte, i int) (uint32, int) {
	origin, end := d.symbolBackwards(s, i)
	read := b[i-1 : end]
	complete := utf8.RuneStart(read[0]) || len(read) == utf8.UTFMax
	if !complete {
		if x, ok := d.nodeAfter(origin, read); ok {
			d.table[s+uint32(b[i-1])] = x
			return x, i - 1
		}
	}
	r, n := decodeLast(b[:end])
	generation := d.generation
	x := d.entryFor(origin, r)
	if complete && n == len(read) && d.generation == generation {
		d.table[s+uint32(b[i-1])] = x
	}
	return x, end - n
}

// cutShortBackwards is cutShort where the text begins within a symbol.
func (d *dfa) cutShortBackwards(s uint32, b []byte) (uint32, int) {
	origin, end := d.symbolBackwards(s, 0)
	return d.entryFor(origin, invalidFirst+symbol(b[end-1])), end - 1
}
