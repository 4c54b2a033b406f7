#include "textflag.h"

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

	// 128 bytes a turn: the four results are looked at one by one only if any has a bit.
	MOVQ CX, DX
	ANDQ $~127, DX
	JZ   singles

quads:
	VPOR     (R8)(AX*1), Y2, Y4
	VPOR     (R9)(AX*1), Y3, Y5
	VPCMPEQB Y4, Y0, Y4
	VPCMPEQB Y5, Y1, Y5
	VPAND    Y4, Y5, Y4
	VPOR     32(R8)(AX*1), Y2, Y6
	VPOR     32(R9)(AX*1), Y3, Y7
	VPCMPEQB Y6, Y0, Y6
	VPCMPEQB Y7, Y1, Y7
	VPAND    Y6, Y7, Y6
	VPOR     64(R8)(AX*1), Y2, Y8
	VPOR     64(R9)(AX*1), Y3, Y9
	VPCMPEQB Y8, Y0, Y8
	VPCMPEQB Y9, Y1, Y9
	VPAND    Y8, Y9, Y8
	VPOR     96(R8)(AX*1), Y2, Y10
	VPOR     96(R9)(AX*1), Y3, Y11
	VPCMPEQB Y10, Y0, Y10
	VPCMPEQB Y11, Y1, Y11
	VPAND    Y10, Y11, Y10
	VPOR     Y4, Y6, Y12
	VPOR     Y8, Y10, Y13
	VPOR     Y12, Y13, Y12
	VPTEST   Y12, Y12
	JNZ      singles
	ADDQ     $128, AX
	CMPQ     AX, DX
	JLT      quads

singles:
	CMPQ      AX, CX
	JGE       none
	VPOR      (R8)(AX*1), Y2, Y4
	VPOR      (R9)(AX*1), Y3, Y5
	VPCMPEQB  Y4, Y0, Y4
	VPCMPEQB  Y5, Y1, Y5
	VPAND     Y4, Y5, Y4
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
	JLT       absent
	VPCMPEQB  (SI)(CX*1), Y0, Y1
	VPMOVMSKB Y1, BX
	TESTL     BX, BX
	JZ        backward
	BSRL      BX, BX
	ADDQ      BX, CX
	MOVQ      CX, ret+16(FP)
	VZEROUPPER
	RET

absent:
	MOVQ $-1, ret+16(FP)
	VZEROUPPER
	RET
