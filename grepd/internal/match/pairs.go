package match

import (
	"math"
	"math/bits"
	"unicode/utf8"
)

const (
	// pairsMax bounds the literals of a pairs: each has a bit of a byte.
	pairsMax = 8
	// pairsReach bounds where in a literal its pair may be.
	pairsReach = 16
	// pairsGapMin is how many bytes of a text there are to be for each pair that is found.
	pairsGapMin = 128
)

// pairs finds a few ASCII literals by two bytes of each, which have the same distance in all of
// them: those that are rarest together. A teddy takes 1.6 times as long for it
// (BenchmarkCount/literals, at 934dbc1 and with this).
type pairs struct {
	literals [][]byte
	fold     bool
	distance int           // of the two bytes
	at       [pairsMax]int // by literal: where the first of them is
	masks    [4][32]byte   // low and high nibbles of the first and second byte; each 16 bytes twice
	dense    *teddy        // for texts in which they are not rare
}

// newPairs gives nil for other literals. All have two bytes or more.
func newPairs(l literals) *pairs {
	if len(l.strings) > pairsMax {
		return nil
	}
	p := &pairs{fold: l.fold}
	for _, s := range l.strings {
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return nil
			}
		}
		p.literals = append(p.literals, []byte(s))
	}
	p.dense = newTeddy(l)
	often := frequency()
	p.choose(func(k, i, j int) float64 { return often[p.literals[k][i]] * often[p.literals[k][j]] })
	return p
}

// tuned chooses the pairs that have the fewest places in a sample, of those that have the literal's
// rarest byte.
func (p *pairs) tuned(sample []byte) prefilter {
	t := *p
	var rarest [pairsMax]int
	var beside [pairsMax][]int
	for k, literal := range p.literals {
		one := pair{literal: literal[:min(len(literal), pairsReach)], fold: p.fold}
		rarest[k], beside[k] = one.places(sample)
	}
	places := t.choose(func(k, i, j int) float64 {
		switch rarest[k] {
		case i:
			return float64(beside[k][j])
		case j:
			return float64(beside[k][i])
		}
		return math.Inf(1)
	})
	if places*pairsGapMin > float64(len(sample)) {
		return p.dense
	}
	return &t
}

// choose takes the distance, and the places i and j in each literal k, that cost least in all, and
// gives what they cost.
func (p *pairs) choose(cost func(k, i, j int) float64) float64 {
	best := math.Inf(1)
	for distance := 1; distance < pairsReach; distance++ {
		sum, at := 0.0, [pairsMax]int{}
		for k, literal := range p.literals {
			least := math.Inf(1)
			for i := 0; i+distance < min(len(literal), pairsReach); i++ {
				if c := cost(k, i, i+distance); c < least {
					least, at[k] = c, i
				}
			}
			sum += least
		}
		if sum < best {
			best, p.distance, p.at = sum, distance, at
		}
	}
	p.masks = [4][32]byte{}
	for k, literal := range p.literals {
		p.set(0, k, literal[p.at[k]])
		p.set(1, k, literal[p.at[k]+p.distance])
	}
	return best
}

// set enters a byte as the first or second one of a literal.
func (p *pairs) set(which, literal int, c byte) {
	p.enter(which, literal, c)
	if p.fold && caseMask(c) != 0 {
		p.enter(which, literal, c^0x20)
	}
}

func (p *pairs) enter(which, literal int, c byte) {
	for half := 0; half < 32; half += 16 {
		p.masks[2*which][half+int(c&15)] |= 1 << literal
		p.masks[2*which+1][half+int(c>>4)] |= 1 << literal
	}
}

func (p *pairs) index(b []byte) int {
	i, n := 0, len(b)-p.distance
	for ; n-i >= 32; i++ {
		vectors := (n - i) &^ 31
		k := pairsIndex(&b[i], vectors, p.distance, &p.masks)
		if i += k; k == vectors {
			break
		}
		if begin := p.begin(b, i); begin >= 0 {
			return begin
		}
	}
	for ; i < n; i++ {
		if begin := p.begin(b, i); begin >= 0 {
			return begin
		}
	}
	return -1
}

// begin gives where the first literal begins if one is there that has its pair at b[i], or else -1.
// There is none that has it before.
func (p *pairs) begin(b []byte, i int) int {
	m, c, d := &p.masks, b[i], b[i+p.distance]
	begin := -1
	for set := m[0][c&15] & m[1][c>>4] & m[2][d&15] & m[3][d>>4]; set != 0; set &= set - 1 {
		k := bits.TrailingZeros8(set)
		if from := i - p.at[k]; from >= 0 && (begin < 0 || from < begin) && literalAt(b[from:], p.literals[k], p.fold) {
			begin = from
		}
	}
	if begin < 0 {
		return -1
	}
	for k, literal := range p.literals { // one that has its pair later may begin before
		for from := max(0, i-p.at[k]+1); from < begin; from++ {
			if literalAt(b[from:], literal, p.fold) {
				begin = from
			}
		}
	}
	return begin
}

func (p *pairs) longest(line []byte, from int) (Range, bool) {
	at := p.index(line[from:])
	if at < 0 {
		return Range{}, false
	}
	return longestAt(line, from+at, p.literals, p.fold), true
}
