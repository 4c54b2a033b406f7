package match

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLockstepLoopEqualsPortable(t *testing.T) {
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		const states = 5
		table := make([]uint32, states*256)
		specials := r.IntN(40)
		for j := range table {
			if table[j] = uint32(r.IntN(states)) * 256; r.IntN(1000) < specials {
				table[j] = special | uint32(r.IntN(4))
			}
		}
		n := 1 + r.IntN(200)
		text := make([]byte, 300)
		for j := range text {
			text[j] = byte(r.Uint32())
		}
		var pos [4]int
		var start [4]uint32
		for k := range pos {
			pos[k], start[k] = r.IntN(len(text)-n+1), uint32(r.IntN(states))*256
		}
		gotPos, wantPos, gotStates, wantStates := pos, pos, start, start
		var gotMet, wantMet [4]uint32
		got := lockstepLoop(&table[0], &text[0], &gotPos, &gotStates, &gotMet, n)
		want := lockstepPortable(&table[0], &text[0], &wantPos, &wantStates, &wantMet, n)
		if got != want || gotPos != wantPos || gotStates != wantStates || gotMet != wantMet {
			t.Fatalf("trial %d: %d bytes, states %v, met %v; want %d, %v, %v", i, got, gotStates, gotMet, want, wantStates, wantMet)
		}
	}
}

func TestPairEqualsPortable(t *testing.T) {
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		alphabet := []string{"Aab", "abc", "\xff\x00*b\n"}[r.IntN(3)]
		p := newPair(string(randomText(r, 1+r.IntN(5), "abc")), r.IntN(2) == 0)
		p.first, p.second = r.IntN(len(p.literal)), r.IntN(len(p.literal))
		p.setBytes()
		b := randomText(r, 32+r.IntN(500), alphabet)[r.IntN(32):]
		if got, want := p.index(b), p.portable(b, 0); got != want {
			t.Fatalf("trial %d: %q, fold %v, in %q: got %d, want %d", i, p.literal, p.fold, b, got, want)
		}
	}
}

func TestCountedLinesEqualThoseFoundOneByOne(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: lines are found one by one")
	}
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		alphabet := []string{"\nabAB", "b\naA", "xy\n*ab", "\xff\x00\na"}[r.IntN(4)]
		fold := r.IntN(2) == 0
		var literal string
		for _, c := range randomText(r, 1+r.IntN([]int{2, 4, countedMax}[r.IntN(3)]), strings.ReplaceAll(alphabet, "\n", "")) {
			if fold {
				c |= caseMask(c)
			}
			literal += string([]byte{c})
		}
		text := randomText(r, r.IntN(700), alphabet)
		for range r.IntN(8) {
			text = append(append(text, literal...), randomText(r, r.IntN(200), alphabet)...)
		}
		got, want := newCounted(literal, fold).lines(text), 0
		for line := range bytes.Lines(text) {
			if newPair(literal, fold).portable(line, 0) >= 0 {
				want++
			}
		}
		if got != want {
			t.Fatalf("trial %d: %q, fold %v, in %q: got %d lines, want %d", i, literal, fold, text, got, want)
		}
	}
}

func TestLastNewlineEqualsPortable(t *testing.T) {
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		b := randomText(r, r.IntN(200), "\n\n\x00\x0bab"[r.IntN(2):])
		if got, want := lastNewline(b), bytes.LastIndexByte(b, '\n'); got != want {
			t.Fatalf("trial %d: %q: got %d, want %d", i, b, got, want)
		}
	}
}

// randomText draws bytes of alphabet, each later one more often than those before it together.
func randomText(r *rand.Rand, n int, alphabet string) []byte {
	b := make([]byte, n)
	for i := range b {
		j := len(alphabet) - 1
		for j > 0 && r.IntN(8) == 0 {
			j--
		}
		b[i] = alphabet[j]
	}
	return b
}

func TestSurveySeesEveryByte(t *testing.T) {
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		b := randomText(r, 32+r.IntN(700), []string{"ab", "\x00ab", "\x7f\x80a", "\xffa\x00", "\x00\xff\x01"}[r.IntN(5)])[r.IntN(32):]
		wantNull, wantASCII := bytes.IndexByte(b, 0) >= 0, bytes.IndexFunc(b, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
		for name, survey := range map[string]func([]byte) (null, ascii bool){"Survey": Survey, "surveyPortable": surveyPortable} {
			if null, ascii := survey(b); null != wantNull || ascii != wantASCII {
				t.Fatalf("trial %d: %s of %q: got %v %v, want %v %v", i, name, b, null, ascii, wantNull, wantASCII)
			}
		}
	}
}
