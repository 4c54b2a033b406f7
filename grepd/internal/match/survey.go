package match

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Survey reports whether any byte of b is zero, and whether all are ASCII.
func Survey(b []byte) (null, ascii bool) {
	if !hasAVX2 || len(b) < 64 {
		return surveyPortable(b)
	}
	return surveyVectors(&b[0], len(b))
}

// beyondASCII are the bits that no ASCII byte has, eight times.
const beyondASCII = 0x8080808080808080

func surveyPortable(b []byte) (null, ascii bool) {
	null = bytes.IndexByte(b, 0) >= 0
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b)&beyondASCII != 0 {
			return null, false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return null, false
		}
	}
	return null, true
}
