package match

import (
	"fmt"
	"strings"
	"testing"
)

// TestPrefilters is about what is searched for, and what it decides.
func TestPrefilters(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: others are chosen")
	}
	for _, c := range []struct {
		pattern     string
		want        string
		exact, lead bool
	}{
		{`FAIL`, "pair", true, true},
		{`FAIL|LEAVE|JOIN`, "pairs", true, true},
		{`FAIL|LEAVE|JOIN|HEARTBEAT|PROBE|SUSPECT|TRUST|REJOIN|GATEWAY`, "teddy", true, true},
		{`ошибка|отказ`, "teddy", true, true},
		{`FAIL[0-9]+`, "pair", false, true},
		{`(FAIL|LEAVE)[0-9]+|JOIN`, "pairs", false, true},
		{`(FAIL[a-z])+`, "pair", false, true},
		{`[0-9]+FAIL`, "pair", false, false},
		{`FAIL[a-z]|[a-z]FAIL`, "pair", false, false},
		{`x*FAIL`, "pair", false, false},
		{`^FAIL`, "pair", false, false},
		{`\bFAIL[a-z]`, "pair", false, false},
		{`FAIL\b`, "pair", false, true},
		{"\x97\xa5[a-z]", "pair", false, false}, // which is in 日a, but matches no part of it
		{`(|a)(FAIL[a-z])+`, "pair", false, false},
		{`[0-9a-f]{8}-`, "windows", false, false},
		{`[0-9]*`, "none", false, false},
		{`e|t`, "none", false, false},
	} {
		m := mustCompile(t, Options{Syntax: Extended}, c.pattern)
		got := "none"
		switch m.prefilter.(type) {
		case *pair:
			got = "pair"
		case *pairs:
			got = "pairs"
		case *teddy:
			got = "teddy"
		case *words:
			got = "words"
		case windows:
			got = "windows"
		}
		if got != c.want || m.exact != c.exact || m.lead != c.lead {
			t.Errorf("%s: %s, exact %v, lead %v; want %s, %v, %v", c.pattern, got, m.exact, m.lead, c.want, c.exact, c.lead)
		}
	}
}

// TestManyWordsInAnyCaseAreSearchedForAsWords is about k and s, which have three cases and so make two literals of a word: an
// automaton alone would take hours for a log.
func TestManyWordsInAnyCaseAreSearchedForAsWords(t *testing.T) {
	var list strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&list, "s%x\n", i)
	}
	m := mustCompile(t, Options{Syntax: Fixed, IgnoreCase: true}, strings.TrimSuffix(list.String(), "\n"))
	if _, ok := m.prefilter.(*words); !ok {
		t.Errorf("100,000 words are searched for by %T", m.prefilter)
	}
}

// TestAWindowIsTakenOnlyIfItsPlacesAreFew is about the choice by a sample.
func TestAWindowIsTakenOnlyIfItsPlacesAreFew(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: there are no windows")
	}
	m := mustCompile(t, Options{Syntax: Extended}, `[0-9]{4}[a-f]+[0-9]`)
	for _, c := range []struct {
		text string
		size int
		want bool
	}{
		{"0123 ", 4 << 10, true}, // [a-f][0-9] is nowhere, though four digits are everywhere
		{"0123a0 ", 4 << 10, false},
	} {
		text := make([]byte, 0, c.size)
		for len(text) < c.size {
			text = append(text, c.text...)
		}
		if got := m.prefilter.tuned(text) != nil; got != c.want {
			t.Errorf("in %q: taken %v, want %v", c.text, got, c.want)
		}
	}
}

// TestTheFirstLiteralIsFound compares with a look at each place of random texts, in which literals overlap.
func TestTheFirstLiteralIsFound(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: others are chosen")
	}
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		l := literals{fold: r.IntN(2) == 0}
		alphabet := "ba.n"
		for range 1 + r.IntN(2*pairsMax) {
			l.strings = append(l.strings, string(randomText(r, 2+r.IntN(2*pairsReach), alphabet)))
		}
		if l.fold {
			alphabet = "bBaA.n\xe1"
		}
		text := randomText(r, r.IntN(400), alphabet)
		for range r.IntN(3) { // the longer ones are nowhere else
			copy(text[r.IntN(len(text)+1):], l.strings[r.IntN(len(l.strings))])
		}
		at, longest := -1, 0
		for j := range text {
			for _, literal := range l.strings {
				if literalAt(text[j:], []byte(literal), l.fold) {
					at, longest = j, max(longest, len(literal))
				}
			}
			if at >= 0 {
				break
			}
		}
		searches := []literalSearch{newTeddy(l)}
		if p := newPairs(l); p != nil {
			searches = append(searches, p)
			if tuned, ok := p.tuned(randomText(r, 4<<10, "ab.n")).(*pairs); ok {
				searches = append(searches, tuned)
			}
		}
		for _, search := range searches {
			if got := search.index(text); got != at {
				t.Fatalf("trial %d: %T of %q, fold %v, in %q: got %d, want %d", i, search, l.strings, l.fold, text, got, at)
			}
			if got, ok := search.longest(text, 0); ok != (at >= 0) || ok && got != (Range{at, at + longest}) {
				t.Fatalf("trial %d: %T of %q, fold %v, in %q: got %v, want %d bytes at %d", i, search, l.strings, l.fold, text, got, longest, at)
			}
		}
	}
}
