package match

import "golang.org/x/sys/cpu"

// hasAVX2 says that the functions below may be called. They are in kernel_amd64.s, take pointers
// without lengths, and check nothing: each says what the caller has to make sure of. lockstepLoop
// alone needs no AVX2.
var hasAVX2 = cpu.X86.HasAVX2

// pairIndex gives the first i below n with b[i+first]|maskA == a and b[i+second]|maskB == c, or n.
// n is 32 or more, and all bytes up to b[n-1+first] and b[n-1+second] are there.
//
//go:noescape
func pairIndex(b *byte, n, first, second int, a, c, maskA, maskB byte) int

// pairsIndex gives the first i below n at which some literal has both of its bytes, at b[i] and
// b[i+distance], or n. n is a multiple of 32, and b has n+distance bytes. In masks are ASCII
// characters only.
//
//go:noescape
func pairsIndex(b *byte, n, distance int, masks *[4][32]byte) int

// teddyIndex gives the first i below n at which some bucket of masks has its three bytes, or n. n
// is a multiple of 32, and b has n+2 bytes.
//
//go:noescape
func teddyIndex(b *byte, n int, masks *[6][32]byte) int

// windowIndex gives the first i below n at which each of four neighbouring bytes has a bit in both
// of its masks, those of its low and its high nibble, or n. n is a multiple of 32 above 0, and b
// has n+3 bytes.
//
//go:noescape
func windowIndex(b *byte, n int, masks *[8][32]byte) int

// lastNewlineIndex gives the last i below n with a newline at b[i], or -1. n is 32 or more.
//
//go:noescape
func lastNewlineIndex(b *byte, n int) int

// lockstepLoop lets four automata read n bytes of text each, n above 0, and stops where one meets
// an entry of the table that is special. It gives how many bytes were read before, by which it
// moves the positions, and leaves the states that were reached, and the entries met last.
//
//go:noescape
func lockstepLoop(table *uint32, text *byte, pos *[4]int, states, met *[4]uint32, n int) int

// countVectors counts the lines of n bytes in which the literal of c begins, and reports whether
// the last of them is open: none of its places was found, or it begins after n bytes. n is a
// multiple of 64 above 0, and b has countedMax bytes more.
//
//go:noescape
func countVectors(b *byte, n int, c *counted) (count int, open bool)

// surveyVectors is Survey of n bytes, 64 or more.
//
//go:noescape
func surveyVectors(b *byte, n int) (null, ascii bool)
