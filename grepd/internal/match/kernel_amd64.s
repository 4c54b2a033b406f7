#include "go_asm.h"
#include "textflag.h"

// Sets the bytes of out at whose places, offset bytes on, both bytes of a pair are.
#define HASPAIR(offset, out, other) \
	VPOR     offset(R8)(AX*1), Y2, out   \
	VPOR     offset(R9)(AX*1), Y3, other \
	VPCMPEQB out, Y0, out                \
	VPCMPEQB other, Y1, other            \
	VPAND    out, other, out

// func pairIndex(b *byte, n, first, second int, a, c, maskA, maskB byte) int
TEXT ·pairIndex(SB), NOSPLIT, $0-48
	MOVQ b+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ first+16(FP), R8
	MOVQ second+24(FP), R9
	VPBROADCASTB a+32(FP), Y0
	VPBROADCASTB c+33(FP), Y1
	VPBROADCASTB maskA+34(FP), Y2
	VPBROADCASTB maskB+35(FP), Y3
	ADDQ SI, R8
	ADDQ SI, R9
	XORQ AX, AX

	// The first 32 places alone; those after them from where the loads of one byte are aligned, since a load of parts of two
	// cache lines takes two.
	HASPAIR(0, Y4, Y5)
	VPMOVMSKB Y4, BX
	TESTL     BX, BX
	JNZ       found
	MOVQ      R8, AX
	NEGQ      AX
	ANDQ      $31, AX
	JNZ       aligned
	MOVQ      $32, AX

aligned:
	// 128 bytes a turn: the four results are looked at one by one only if any has a bit.
	LEAQ -128(CX), DX
	CMPQ AX, DX
	JGT  singles

quads:
	HASPAIR(0, Y4, Y5)
	HASPAIR(32, Y6, Y7)
	HASPAIR(64, Y8, Y9)
	HASPAIR(96, Y10, Y11)
	VPOR     Y4, Y6, Y12
	VPOR     Y8, Y10, Y13
	VPOR     Y12, Y13, Y12
	VPTEST   Y12, Y12
	JNZ      singles
	ADDQ     $128, AX
	CMPQ     AX, DX
	JLE      quads

singles:
	CMPQ      AX, CX
	JGE       none
	LEAQ      -32(CX), BX
	CMPQ      AX, BX
	CMOVQGT   BX, AX
	HASPAIR(0, Y4, Y5)
	VPMOVMSKB Y4, BX
	TESTL     BX, BX
	JNZ       found
	ADDQ      $32, AX
	JMP       singles

found:
	BSFL BX, BX
	ADDQ BX, AX
	MOVQ AX, ret+40(FP)
	VZEROUPPER
	RET

none:
	MOVQ CX, ret+40(FP)
	VZEROUPPER
	RET

// func pairsIndex(b *byte, n, distance int, masks *[4][32]byte) int
//
// The tables are asked for whole bytes as the low nibbles: bits 4 to 6 do not matter to VPSHUFB, and bytes with bit 7,
// which are no ASCII, find nothing.
TEXT ·pairsIndex(SB), NOSPLIT, $0-40
	MOVQ    b+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    distance+16(FP), DI
	MOVQ    masks+24(FP), DX
	ADDQ    SI, DI
	VMOVDQU (DX), Y0
	VMOVDQU 32(DX), Y1
	VMOVDQU 64(DX), Y2
	VMOVDQU 96(DX), Y3
	MOVL    $15, AX
	VMOVD   AX, X6
	VPBROADCASTB X6, Y6
	VPXOR   Y7, Y7, Y7
	XORQ    AX, AX

twos:
	LEAQ    64(AX), DX
	CMPQ    DX, CX
	JGT     ones
	VMOVDQU (SI)(AX*1), Y8
	VMOVDQU 32(SI)(AX*1), Y9
	VMOVDQU (DI)(AX*1), Y10
	VMOVDQU 32(DI)(AX*1), Y11
	VPSRLW  $4, Y8, Y12
	VPSRLW  $4, Y9, Y13
	VPSRLW  $4, Y10, Y14
	VPSRLW  $4, Y11, Y15
	VPAND   Y6, Y12, Y12
	VPAND   Y6, Y13, Y13
	VPAND   Y6, Y14, Y14
	VPAND   Y6, Y15, Y15
	VPSHUFB Y8, Y0, Y8
	VPSHUFB Y9, Y0, Y9
	VPSHUFB Y10, Y2, Y10
	VPSHUFB Y11, Y2, Y11
	VPSHUFB Y12, Y1, Y12
	VPSHUFB Y13, Y1, Y13
	VPSHUFB Y14, Y3, Y14
	VPSHUFB Y15, Y3, Y15
	VPAND   Y8, Y12, Y8
	VPAND   Y9, Y13, Y9
	VPAND   Y10, Y14, Y10
	VPAND   Y11, Y15, Y11
	VPAND   Y8, Y10, Y8
	VPAND   Y9, Y11, Y9
	VPOR    Y8, Y9, Y10
	VPTEST  Y10, Y10
	JNZ     either
	MOVQ    DX, AX
	JMP     twos

either:
	VPTEST Y8, Y8
	JNZ    hit
	ADDQ   $32, AX
	VMOVDQA Y9, Y8
	JMP    hit

ones:
	CMPQ    AX, CX
	JGE     missing
	VMOVDQU (SI)(AX*1), Y8
	VMOVDQU (DI)(AX*1), Y10
	VPSRLW  $4, Y8, Y12
	VPSRLW  $4, Y10, Y14
	VPAND   Y6, Y12, Y12
	VPAND   Y6, Y14, Y14
	VPSHUFB Y8, Y0, Y8
	VPSHUFB Y10, Y2, Y10
	VPSHUFB Y12, Y1, Y12
	VPSHUFB Y14, Y3, Y14
	VPAND   Y8, Y12, Y8
	VPAND   Y10, Y14, Y10
	VPAND   Y8, Y10, Y8
	VPTEST  Y8, Y8
	JNZ     hit
	ADDQ    $32, AX
	JMP     ones

hit:
	// Bytes that are zero belong to no literal.
	VPCMPEQB  Y7, Y8, Y8
	VPMOVMSKB Y8, BX
	NOTL      BX
	BSFL      BX, BX
	ADDQ      BX, AX
	MOVQ      AX, ret+32(FP)
	VZEROUPPER
	RET

missing:
	MOVQ CX, ret+32(FP)
	VZEROUPPER
	RET

// func teddyIndex(b *byte, n int, masks *[6][32]byte) int
TEXT ·teddyIndex(SB), NOSPLIT, $0-32
	MOVQ    b+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    masks+16(FP), DI
	VMOVDQU (DI), Y0
	VMOVDQU 32(DI), Y1
	VMOVDQU 64(DI), Y2
	VMOVDQU 96(DI), Y3
	VMOVDQU 128(DI), Y4
	VMOVDQU 160(DI), Y5
	MOVL    $15, AX
	VMOVD   AX, X6
	VPBROADCASTB X6, Y6
	VPXOR   Y7, Y7, Y7
	XORQ    AX, AX

turn:
	CMPQ     AX, CX
	JGE      missing
	VMOVDQU  (SI)(AX*1), Y8
	VMOVDQU  1(SI)(AX*1), Y9
	VMOVDQU  2(SI)(AX*1), Y10
	VPSRLW   $4, Y8, Y11
	VPSRLW   $4, Y9, Y12
	VPSRLW   $4, Y10, Y13
	VPAND    Y6, Y8, Y8
	VPAND    Y6, Y9, Y9
	VPAND    Y6, Y10, Y10
	VPAND    Y6, Y11, Y11
	VPAND    Y6, Y12, Y12
	VPAND    Y6, Y13, Y13
	VPSHUFB  Y8, Y0, Y8
	VPSHUFB  Y11, Y1, Y11
	VPSHUFB  Y9, Y2, Y9
	VPSHUFB  Y12, Y3, Y12
	VPSHUFB  Y10, Y4, Y10
	VPSHUFB  Y13, Y5, Y13
	VPAND    Y8, Y11, Y8
	VPAND    Y9, Y12, Y9
	VPAND    Y10, Y13, Y10
	VPAND    Y8, Y9, Y8
	VPAND    Y8, Y10, Y8
	VPTEST   Y8, Y8
	JNZ      hit
	ADDQ     $32, AX
	JMP      turn

hit:
	// Bytes that are zero have no bucket.
	VPCMPEQB  Y7, Y8, Y8
	VPMOVMSKB Y8, BX
	NOTL      BX
	BSFL      BX, BX
	ADDQ      BX, AX
	MOVQ      AX, ret+24(FP)
	VZEROUPPER
	RET

missing:
	MOVQ CX, ret+24(FP)
	VZEROUPPER
	RET

// func lastNewlineIndex(b *byte, n int) int
TEXT ·lastNewlineIndex(SB), NOSPLIT, $0-24
	MOVQ b+0(FP), SI
	MOVQ n+8(FP), CX
	MOVL $10, AX
	VMOVD AX, X0
	VPBROADCASTB X0, Y0

backward:
	SUBQ      $32, CX
	JLT       head
	VPCMPEQB  (SI)(CX*1), Y0, Y1
	VPMOVMSKB Y1, BX
	TESTL     BX, BX
	JZ        backward
	JMP       there

head:
	// Up to 31 bytes are left. They are looked at together with some that have been already.
	CMPQ      CX, $-32
	JEQ       absent
	XORQ      CX, CX
	VPCMPEQB  (SI), Y0, Y1
	VPMOVMSKB Y1, BX
	TESTL     BX, BX
	JZ        absent

there:
	BSRL BX, BX
	ADDQ BX, CX
	MOVQ CX, ret+16(FP)
	VZEROUPPER
	RET

absent:
	MOVQ $-1, ret+16(FP)
	VZEROUPPER
	RET

// func lockstepLoop(table *uint32, text *byte, pos *[4]int, states, met *[4]uint32, n int) int
TEXT ·lockstepLoop(SB), NOSPLIT, $0-56
	MOVQ table+0(FP), SI
	MOVQ text+8(FP), DI
	MOVQ pos+16(FP), AX
	MOVQ 0(AX), R8
	MOVQ 8(AX), R9
	MOVQ 16(AX), R10
	MOVQ 24(AX), R11
	ADDQ DI, R8
	ADDQ DI, R9
	ADDQ DI, R10
	ADDQ DI, R11
	MOVQ states+24(FP), AX
	MOVL 0(AX), R12
	MOVL 4(AX), R13
	MOVL 8(AX), R14
	MOVL 12(AX), R15
	MOVQ n+40(FP), DI
	ADDQ DI, R8
	ADDQ DI, R9
	ADDQ DI, R10
	ADDQ DI, R11
	NEGQ DI

	// Each byte is added to its part's state, which gives the place of the next state in the table.
step:
	MOVBLZX (R8)(DI*1), AX
	MOVBLZX (R9)(DI*1), BX
	MOVBLZX (R10)(DI*1), CX
	MOVBLZX (R11)(DI*1), DX
	ADDL    R12, AX
	ADDL    R13, BX
	ADDL    R14, CX
	ADDL    R15, DX
	MOVL    (SI)(AX*4), AX
	MOVL    (SI)(BX*4), BX
	MOVL    (SI)(CX*4), CX
	MOVL    (SI)(DX*4), DX
	TESTL   AX, AX
	JS      meets
	TESTL   BX, BX
	JS      meets
	TESTL   CX, CX
	JS      meets
	TESTL   DX, DX
	JS      meets
	MOVL    AX, R12
	MOVL    BX, R13
	MOVL    CX, R14
	MOVL    DX, R15
	INCQ    DI
	JNZ     step

meets:
	MOVQ met+32(FP), R8
	MOVL AX, 0(R8)
	MOVL BX, 4(R8)
	MOVL CX, 8(R8)
	MOVL DX, 12(R8)
	MOVQ states+24(FP), R8
	MOVL R12, 0(R8)
	MOVL R13, 4(R8)
	MOVL R14, 8(R8)
	MOVL R15, 12(R8)
	ADDQ n+40(FP), DI
	MOVQ DI, ret+48(FP)
	MOVQ pos+16(FP), R8
	ADDQ DI, 0(R8)
	ADDQ DI, 8(R8)
	ADDQ DI, 16(R8)
	ADDQ DI, 24(R8)
	RET

// func surveyVectors(b *byte, n int) (null, ascii bool)
TEXT ·surveyVectors(SB), NOSPLIT, $0-18
	MOVQ     b+0(FP), SI
	MOVQ     n+8(FP), CX
	VPCMPEQB Y0, Y0, Y0
	VPXOR    Y1, Y1, Y1
	VMOVDQU  Y0, Y2
	VMOVDQU  Y1, Y3
	ADDQ     SI, CX

	// The first 32 bytes alone; those after them from where loads are aligned.
	VMOVDQU (SI), Y4
	VPMINUB Y4, Y0, Y0
	VPOR    Y4, Y1, Y1
	ADDQ    $32, SI
	ANDQ    $~31, SI
	SUBQ    $64, CX
	SUBQ    CX, SI
	JGT     rest

	// Two registers collect the least of the bytes, two the bits that any of them has.
pair:
	VMOVDQU (CX)(SI*1), Y4
	VMOVDQU 32(CX)(SI*1), Y5
	VPMINUB Y4, Y0, Y0
	VPMINUB Y5, Y2, Y2
	VPOR    Y4, Y1, Y1
	VPOR    Y5, Y3, Y3
	ADDQ    $64, SI
	JLE     pair

rest:
	// The last 64, of which some have been seen.
	VMOVDQU (CX), Y4
	VMOVDQU 32(CX), Y5
	VPMINUB Y4, Y0, Y0
	VPMINUB Y5, Y2, Y2
	VPOR    Y4, Y1, Y1
	VPOR    Y5, Y3, Y3

	VPMINUB      Y2, Y0, Y0
	VPOR         Y3, Y1, Y1
	VPXOR        Y2, Y2, Y2
	VPCMPEQB     Y2, Y0, Y0
	VPMOVMSKB    Y0, AX
	TESTL        AX, AX
	SETNE        null+16(FP)
	VPMOVMSKB    Y1, AX
	TESTL        AX, AX
	SETEQ        ascii+17(FP)
	VZEROUPPER
	RET

// func countVectors(b *byte, n int, c *counted) (count int, open bool)
TEXT ·countVectors(SB), NOSPLIT, $0-33
	MOVQ         b+0(FP), SI
	MOVQ         n+8(FP), CX
	MOVQ         c+16(FP), DI
	MOVL         $1, R9
	MOVQ         (counted_pair+pair_first)(DI), R10
	MOVQ         (counted_pair+pair_second)(DI), R11
	MOVL         counted_verified(DI), R8
	VPBROADCASTB (counted_pair+pair_a)(DI), Y0
	VPBROADCASTB (counted_pair+pair_b)(DI), Y1
	VPBROADCASTB (counted_pair+pair_maskA)(DI), Y2
	VPBROADCASTB (counted_pair+pair_maskB)(DI), Y3
	VMOVDQU      counted_text(DI), Y6
	VMOVDQU      counted_mask(DI), Y7
	MOVL         $10, AX
	VMOVD        AX, X4
	VPBROADCASTB X4, Y4
	XORQ         DI, DI

	// DX are the places among 64 that have both bytes, R13 those of newlines.
turn:
	VPOR      (SI)(R10*1), Y2, Y8
	VPOR      32(SI)(R10*1), Y2, Y9
	VPOR      (SI)(R11*1), Y3, Y10
	VPOR      32(SI)(R11*1), Y3, Y11
	VPCMPEQB  Y8, Y0, Y8
	VPCMPEQB  Y9, Y0, Y9
	VPCMPEQB  Y10, Y1, Y10
	VPCMPEQB  Y11, Y1, Y11
	VPAND     Y8, Y10, Y8
	VPAND     Y9, Y11, Y9
	VPCMPEQB  (SI), Y4, Y12
	VPCMPEQB  32(SI), Y4, Y13
	VPMOVMSKB Y8, DX
	VPMOVMSKB Y9, AX
	SHLQ      $32, AX
	ORQ       AX, DX
	VPMOVMSKB Y12, R13
	VPMOVMSKB Y13, AX
	SHLQ      $32, AX
	ORQ       AX, R13

	// A bit at the start of each open line is added to the ones that stand for all other bytes: the carry
	// stops at the line's first place, if there is any before its newline.
add:
	MOVQ  DX, R14
	ORQ   R13, R14
	NOTQ  R14
	LEAQ  (R9)(R13*2), R15
	ADDQ  R14, R15
	SETCS R12
	ANDQ  DX, R15
	TESTL R8, R8
	JZ    counts
	MOVQ  R15, R14

	// The literal has to be at each of these places. One at which it is not is struck out.
verify:
	TESTQ     R14, R14
	JZ        counts
	BSFQ      R14, BX
	VPOR      (SI)(BX*1), Y7, Y5
	VPCMPEQB  Y5, Y6, Y5
	VPMOVMSKB Y5, AX
	ANDL      R8, AX
	CMPL      AX, R8
	JNE       strike
	LEAQ      -1(R14), AX
	ANDQ      AX, R14
	JMP       verify

strike:
	BTRQ BX, DX
	JMP  add

counts:
	POPCNTQ R15, R15
	ADDQ    R15, DI
	SHRQ    $63, R13
	MOVBLZX R12, R9
	ORQ     R13, R9
	ADDQ    $64, SI
	SUBQ    $64, CX
	JNZ     turn

	MOVQ DI, count+24(FP)
	MOVB R9, open+32(FP)
	VZEROUPPER
	RET

// Sets the bytes of out at which the text, offset bytes on, is not of the class of the tables low and high.
#define NOTOFCLASS(offset, low, high, out) \
	VMOVDQU  offset(SI)(AX*1), Y10 \
	VPSRLW   $4, Y10, Y11          \
	VPAND    Y8, Y10, Y10          \
	VPAND    Y8, Y11, Y11          \
	VPSHUFB  Y10, low, Y10         \
	VPSHUFB  Y11, high, Y11        \
	VPAND    Y10, Y11, Y10         \
	VPCMPEQB Y9, Y10, out

// func windowIndex(b *byte, n int, masks *[8][32]byte) int
TEXT ·windowIndex(SB), NOSPLIT, $0-32
	MOVQ    b+0(FP), SI
	MOVQ    n+8(FP), CX
	MOVQ    masks+16(FP), DI
	VMOVDQU (DI), Y0
	VMOVDQU 32(DI), Y1
	VMOVDQU 64(DI), Y2
	VMOVDQU 96(DI), Y3
	VMOVDQU 128(DI), Y4
	VMOVDQU 160(DI), Y5
	VMOVDQU 192(DI), Y6
	VMOVDQU 224(DI), Y7
	MOVL    $15, AX
	VMOVD   AX, X8
	VPBROADCASTB X8, Y8
	VPXOR   Y9, Y9, Y9
	XORQ    AX, AX

places:
	NOTOFCLASS(0, Y0, Y1, Y12)
	NOTOFCLASS(1, Y2, Y3, Y13)
	NOTOFCLASS(2, Y4, Y5, Y14)
	NOTOFCLASS(3, Y6, Y7, Y15)
	VPOR      Y12, Y13, Y12
	VPOR      Y14, Y15, Y14
	VPOR      Y12, Y14, Y12
	VPMOVMSKB Y12, BX
	XORL      $-1, BX
	JNZ       seen
	ADDQ      $32, AX
	CMPQ      AX, CX
	JLT       places
	MOVQ      CX, ret+24(FP)
	VZEROUPPER
	RET

seen:
	BSFL BX, BX
	ADDQ BX, AX
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET
