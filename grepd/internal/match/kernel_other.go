//go:build !amd64

package match

// hasAVX2 is false, so that all callers take their portable ways. The functions below are there for
// the compiler's sake and are never called, but for lockstepLoop.
var hasAVX2 = false

func pairIndex(b *byte, n, first, second int, a, c, maskA, maskB byte) int {
	panic("match: pairIndex without AVX2")
}

func pairsIndex(b *byte, n, distance int, masks *[4][32]byte) int {
	panic("match: pairsIndex without AVX2")
}

func teddyIndex(b *byte, n int, masks *[6][32]byte) int {
	panic("match: teddyIndex without AVX2")
}

func windowIndex(b *byte, n int, masks *[8][32]byte) int {
	panic("match: windowIndex without AVX2")
}

func lastNewlineIndex(b *byte, n int) int {
	panic("match: lastNewlineIndex without AVX2")
}

func lockstepLoop(table *uint32, text *byte, pos *[4]int, states, met *[4]uint32, n int) int {
	return lockstepPortable(table, text, pos, states, met, n)
}

func countVectors(b *byte, n int, c *counted) (count int, open bool) {
	panic("match: countVectors without AVX2")
}

func surveyVectors(b *byte, n int) (null, ascii bool) {
	panic("match: surveyVectors without AVX2")
}
