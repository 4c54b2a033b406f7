package match

// countedMax bounds the literals whose lines are counted as fast whether they are few or many: one
// vector has 32 bytes, and counted.verified a bit for each.
const countedMax = 32

// counted counts the lines that hold a literal 64 bytes at a time, with no step for each line but,
// where the literal has more than two bytes, a look at the first place that has two of them.
type counted struct {
	pair       pair
	text, mask [countedMax]byte // the literal, and 0x20 where either case will do
	verified   uint32           // a bit for each byte of the literal, unless the pair is all of it
}

// newCounted gives nil for literals that are too long, and where there are no vectors: without them
// the scanner counts as well.
func newCounted(s string, fold bool) *counted {
	if !hasAVX2 || s == "" || len(s) > countedMax {
		return nil
	}
	c := &counted{pair: *newPair(s, fold)}
	copy(c.text[:], s)
	if fold {
		for i := range s {
			c.mask[i] = caseMask(s[i])
		}
	}
	if len(s) > 2 {
		c.verified = 1<<len(s) - 1
	}
	return c
}

// lines counts those of block that hold the literal. The vectors stop countedMax bytes before the
// end, so that they may read the whole literal at each place. Where they stop within a line that is
// counted already, that line is passed over.
func (c *counted) lines(block []byte) int {
	n, pos, open := 0, 0, true
	if vectors := (len(block) - countedMax) &^ 63; vectors > 0 {
		n, open = countVectors(&block[0], vectors, c)
		pos = vectors
	}
	if !open {
		pos = endOfLineAt(block, pos)
	}
	for pos < len(block) {
		at := c.pair.index(block[pos:])
		if at < 0 {
			break
		}
		n, pos = n+1, endOfLineAt(block, pos+at)
	}
	return n
}
