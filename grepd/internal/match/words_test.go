package match

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWordsEqualDumbSearch compares with a look for each word in turn.
func TestWordsEqualDumbSearch(t *testing.T) {
	s := seed(t)
	found := 0
	for i := range *trialsFlag {
		r := source(s, i)
		fold := r.IntN(2) == 0
		alphabet := []string{"cab", "xyzab", "\xffé.Kkab"}[r.IntN(3)]
		var strs []string
		for range 1 + r.IntN(100) {
			w := string(randomText(r, 1+r.IntN(8), alphabet))
			if fold {
				w = lowerASCII(w)
			}
			strs = append(strs, w)
		}
		w := newWords(strs, fold)
		text := randomText(r, r.IntN(100), "\nABd"+alphabet)
		folded := string(text)
		if fold {
			folded = lowerASCII(folded)
		}
		if got, want := w.index(text), dumbIndex(folded, strs); got != want {
			t.Fatalf("trial %d: %q in %q, fold %v: got %d, want %d", i, strs, text, fold, got, want)
		}
		for from := range text {
			got, ok := w.longest(text, from)
			want, wanted := dumbLongest(folded, strs, from)
			if ok != wanted || ok && got != want {
				t.Fatalf("trial %d: %q in %q from %d on, fold %v: got %v %v, want %v %v", i, strs, text, from, fold, got, ok, want, wanted)
			}
			if ok {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("nothing was ever found, so that the test shows nothing")
	}
}

func TestNodesAreCountedBeforeTheyAreMade(t *testing.T) {
	w := newWords([]string{"ab", "abc", "b", "\xff", "abd"}, false)
	if len(w.label) != 7 || cap(w.label) != 7 || len(w.first) != 8 || len(w.ends) != 7 {
		t.Errorf("%d nodes with room for %d, %d firsts, %d ends", len(w.label), cap(w.label), len(w.first), len(w.ends))
	}
}

// dumbIndex gives where the word ends that ends first.
func dumbIndex(text string, strs []string) int {
	for end := range len(text) + 1 {
		if slices.ContainsFunc(strs, func(w string) bool { return strings.HasSuffix(text[:end], w) }) {
			return end - 1
		}
	}
	return -1
}

func dumbLongest(text string, strs []string, from int) (Range, bool) {
	for start := from; start < len(text); start++ {
		longest := 0
		for _, w := range strs {
			if strings.HasPrefix(text[start:], w) {
				longest = max(longest, len(w))
			}
		}
		if longest > 0 {
			return Range{start, start + longest}, true
		}
	}
	return Range{}, false
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = c | caseMask(c)
	}
	return string(b)
}

// TestManyLiteralsSelectWhatEachSelects is about lists of words, as dgrep -F -f gives them.
func TestManyLiteralsSelectWhatEachSelects(t *testing.T) {
	long := strings.Repeat("long", literalLookedMax)
	patterns := []string{long, "ab"}
	for i := range 2000 {
		patterns = append(patterns, fmt.Sprintf("key-%d-", i*7919))
	}
	for _, c := range []struct {
		o     Options
		line  string
		parts string // of the line; it is selected if it has any
	}{
		{Options{}, "a key-7919-key-0- b", "key-7919- key-0-"},
		{Options{}, "a KEY-7919- b", ""},
		{Options{IgnoreCase: true}, "a \u212aey-7919- KEY-0-b", "\u212aey-7919- KEY-0-"},
		{Options{}, "a key-7920- b", ""},
		{Options{}, "a" + long + "er", long},
		{Options{}, long[1:], ""},
		{Options{Word: true}, "akey-7919-xab", ""},
		{Options{Word: true}, "key-7919- ab", "key-7919- ab"},
		{Options{Line: true}, "key-7919-", "key-7919-"},
		{Options{Line: true}, "key-7919- ", ""},
	} {
		c.o.Syntax = Fixed
		m := mustCompile(t, c.o, patterns...)
		if _, ok := m.prefilter.(*words); !ok {
			t.Fatalf("%+v: searched for by a %T", c.o, m.prefilter)
		}
		s := m.NewScanner(nil)
		block := append(bytes.Repeat([]byte("nothing of the kind\n"), 200), c.line...)
		if got, want := s.Count(block, -1), min(len(c.parts), 1); got != want {
			t.Errorf("%+v selects %d lines with %.20q: want %d", c.o, got, c.line, want)
		}
		var got []string
		for _, r := range s.Parts([]byte(c.line), nil) {
			got = append(got, c.line[r.Start:r.End])
		}
		if strings.Join(got, " ") != c.parts {
			t.Errorf("%+v on %.20q: got %.40q, want %.40q", c.o, c.line, got, c.parts)
		}
	}
}
