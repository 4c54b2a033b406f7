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
		{`FAIL|LEAVE|JOIN`, "teddy", true, true},
		{`FAIL[0-9]+`, "pair", false, true},
		{`(FAIL|LEAVE)[0-9]+|JOIN`, "teddy", false, true},
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
