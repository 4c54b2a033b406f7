package match

import "slices"

// teddyMax bounds the literals of a teddy: with more of them, too many places have the bytes of
// some bucket.
const teddyMax = 64

// teddy finds several literals by tables of the nibbles of their first three bytes, after the
// algorithm of that name in Intel's Hyperscan. A literal belongs to one of eight buckets, which are
// the bits in the tables.
type teddy struct {
	literals [][]byte
	fold     bool
	masks    [6][32]byte // low and high nibbles of the first, second and third byte; each 16 bytes twice
	buckets  [8][][]byte
}

func newTeddy(l literals) *teddy {
	t := &teddy{fold: l.fold}
	strs := slices.Clone(l.strings)
	slices.Sort(strs) // neighbours share first bytes, and so a bucket does with few nibbles
	for i, s := range strs {
		bucket := i * 8 / len(strs)
		t.literals = append(t.literals, []byte(s))
		t.buckets[bucket] = append(t.buckets[bucket], []byte(s))
		for j := range 3 {
			if j >= len(s) { // anything may follow a literal of two bytes
				t.set(j, bucket, 0, 255)
				continue
			}
			t.set(j, bucket, s[j], s[j])
			if l.fold && caseMask(s[j]) != 0 {
				t.set(j, bucket, s[j]^0x20, s[j]^0x20)
			}
		}
	}
	return t
}

// set enters the bytes from first to last at place j of a bucket.
func (t *teddy) set(j, bucket int, first, last byte) {
	for c := int(first); c <= int(last); c++ {
		for half := 0; half < 32; half += 16 {
			t.masks[2*j][half+c&15] |= 1 << bucket
			t.masks[2*j+1][half+c>>4] |= 1 << bucket
		}
	}
}

func (t *teddy) index(b []byte) int {
	i := 0
	for n := len(b) - 2; n-i >= 32; i++ {
		vectors := (n - i) &^ 31
		k := teddyIndex(&b[i], vectors, &t.masks)
		if i += k; k == vectors {
			break
		}
		if t.at(b, i) {
			return i
		}
	}
	for ; i < len(b); i++ {
		for _, literal := range t.literals {
			if literalAt(b[i:], literal, t.fold) {
				return i
			}
		}
	}
	return -1
}

// at reports whether a literal is at b[i], of which the tables left only some buckets.
func (t *teddy) at(b []byte, i int) bool {
	m := &t.masks
	bits := m[0][b[i]&15] & m[1][b[i]>>4] & m[2][b[i+1]&15] & m[3][b[i+1]>>4] & m[4][b[i+2]&15] & m[5][b[i+2]>>4]
	for bucket, literals := range t.buckets {
		if bits>>bucket&1 == 0 {
			continue
		}
		for _, literal := range literals {
			if literalAt(b[i:], literal, t.fold) {
				return true
			}
		}
	}
	return false
}

func (t *teddy) longest(line []byte, from int) (Range, bool) {
	at := t.index(line[from:])
	if at < 0 {
		return Range{}, false
	}
	return longestAt(line, from+at, t.literals, t.fold), true
}

// longestAt gives the longest of the literals that begin at an index.
func longestAt(line []byte, at int, literals [][]byte, fold bool) Range {
	found := Range{at, at}
	for _, literal := range literals {
		if at+len(literal) > found.End && literalAt(line[at:], literal, fold) {
			found.End = at + len(literal)
		}
	}
	return found
}

func (t *teddy) tuned([]byte) prefilter { return t }
