package match

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

var (
	seedFlag   = flag.Uint64("seed", 1, "of the random tests; 0: by the clock, for long runs, which may come across new quirks of grep")
	trialsFlag = flag.Int("trials", 3000, "cases of each random test")
)

// source gives the randomness of a trial.
func source(seed uint64, trial int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(trial))) }

// seed gives the seed of a random test, and prints it.
func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return s
}

func mustCompile(t testing.TB, o Options, patterns ...string) *Matcher {
	t.Helper()
	m, err := Compile(patterns, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPatternsSelectLines(t *testing.T) {
	for _, c := range []struct {
		syntax  Syntax
		pattern string
		yes, no string // lines, separated by |
	}{
		{Basic, `*a`, "*a", "a"},
		{Basic, `\(*a\)`, "*a", "a"},
		{Basic, `^*a`, "*a|*ab", "x*a"},
		{Basic, `a\|*b`, "a|*b", "b"},
		{Basic, `a^b$c`, "a^b$c", "abc"},
		{Basic, `x\(^a\)`, "", "xa|a"},
		{Basic, `a\{2\}`, "aa", "a"},
		{Basic, `\{1\}a`, "{1}a", "a"},
		{Basic, `a+b?`, "a+b?", "aab"},
		{Basic, `a\+b\?c`, "aac|abc", "bc"},
		{Basic, `[]a]b`, "]b|ab", "b"},
		{Basic, `[^]a]b`, "xb", "]b|ab|b"},
		{Basic, `[a\]b`, `ab|\b`, "b"},
		{Basic, `[[.-.]x]`, "-|x", "a"},
		{Basic, `[a-]`, "a|-", "b"},
		{Basic, `[[=a=]]b`, "ab", "b"},
		{Basic, `\<b\>`, "a b c|b", "ab|bc"},
		{Basic, "a\\`b", "", "ab"},
		{Basic, `[[:alpha:]]\{3\}`, "éÉa", "é1a"},
		{Extended, `a{1`, "a{1", "a"},
		{Extended, `a{,2}b`, "b|aab", "a"},
		{Extended, `a|`, "a|b", ""},
		{Extended, `(a|b)c`, "ac|bc", "c"},
		{Extended, `a)`, "a)", "a"},
		{Extended, `*a`, "a", "b"},
		{Extended, `\w+é\W`, "aé.", "aéb"},
		{Extended, `^.$`, "é|a", "\xc3|ab"},
		{Extended, `()`, "a", ""},
		{Fixed, `a.*`, "xa.*", "ab"},
		{Fixed, "a\nb", "a|b", "c"},
		{Perl, `a\d+?b`, "a12b", "ab"},
		{Perl, `(?i)fail`, "FAIL|fail", "fai"},
		{Perl, `^a\z`, "a", "ab"},
	} {
		s := mustCompile(t, Options{Syntax: c.syntax}, c.pattern).NewScanner(nil)
		for want, lines := range map[bool]string{true: c.yes, false: c.no} {
			for _, line := range strings.Split(lines, "|") {
				if lines != "" && s.Match([]byte(line)) != want {
					t.Errorf("%v %q selects %q: want %v", c.syntax, c.pattern, line, want)
				}
			}
		}
	}
}

func TestErrorsNamePatternAndPlace(t *testing.T) {
	for _, c := range []struct {
		syntax  Syntax
		pattern string
		offset  int
		message string
	}{
		{Basic, `ab\(c`, 2, `Unmatched ( or \(`},
		{Basic, `ab\)`, 2, `Unmatched ) or \)`},
		{Basic, `x[a`, 1, unmatchedBracket},
		{Basic, `x[[:foo:]]`, 2, `Invalid character class name "foo"`},
		{Basic, `[:space:]`, 0, "character class syntax is [[:space:]], not [:space:]"},
		{Basic, `[b-a]`, 3, "Invalid range end"},
		{Basic, `a\{2,1\}`, 1, `Invalid content of \{\}`},
		{Basic, `a\{1`, 1, `Unmatched \{`},
		{Basic, `a\`, 1, "Trailing backslash"},
		{Basic, `\(a\)\1`, 5, "back-references such as \\1 are not supported: write the repeated text out"},
		{Extended, `(a)\2`, 3, "Invalid back reference: there is no group 2 before it"},
		{Extended, `a{32768}`, 1, "Regular expression too big: a count may be 32767 at most"},
		{Perl, `a(?=b)`, 1, "invalid or unsupported Perl syntax: look-around and the like are not supported, -P takes RE2's syntax"},
		{Perl, `(a)\1`, 3, "invalid escape sequence: back-references are not supported, write the repeated text out"},
		{Perl, `a\h`, 1, "invalid escape sequence: -P takes RE2's syntax, which has not all of Perl's"},
		{Perl, `ba++`, 2, "invalid nested repetition operator: -P takes RE2's syntax, which has not all of Perl's"},
	} {
		_, err := Compile([]string{"fine\n" + c.pattern}, Options{Syntax: c.syntax})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%v %q: got %v, want an Error", c.syntax, c.pattern, err)
		} else if want := (Error{c.pattern, c.offset, c.message}); *e != want {
			t.Errorf("%v %q: got %+v, want %+v", c.syntax, c.pattern, *e, want)
		}
	}
}

func TestTooBigAPatternIsRefused(t *testing.T) {
	for _, pattern := range []string{`((a{1000}){1000}){1000}`, `(((^){32767}){32767}){32767}`} {
		if _, err := Compile([]string{pattern}, Options{Syntax: Extended}); err == nil || !strings.Contains(err.Error(), "too big") {
			t.Errorf("%q: got %v", pattern, err)
		}
	}
}

// With -w each pattern that can match nothing is a program of its own, and a megabyte would else hold 30,000 large ones.
func TestTheLimitOfIntervalsIsThatOfAllPatternsTogether(t *testing.T) {
	o := Options{Syntax: Extended, Word: true}
	if _, err := Compile([]string{`(a{0,150}){0,150}`}, o); err != nil {
		t.Errorf("one pattern: %v", err)
	}
	_, err := Compile([]string{`(a{0,150}){0,150}`, `(b{0,150}){0,150}`}, o)
	var e *Error
	if !errors.As(err, &e) || e.Pattern != `(b{0,150}){0,150}` || !strings.Contains(e.Message, "too big") {
		t.Errorf("two patterns: got %v", err)
	}
}

// TestFootprintIsWhatAMatcherKeepsAtMost is about the patterns that take the most memory for their size, and some that people use.
func TestFootprintIsWhatAMatcherKeepsAtMost(t *testing.T) {
	numbered := func(format string, n int) []string {
		patterns := make([]string, n)
		for i := range patterns {
			patterns[i] = fmt.Sprintf(format, i)
		}
		return patterns
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, c := range []struct {
		patterns []string
		o        Options
	}{
		{numbered("word%06d", 5000), Options{Syntax: Fixed}},
		{numbered("word%06d", 5000), Options{Syntax: Fixed, IgnoreCase: true}},
		{numbered("word%06d", 5000), Options{Syntax: Fixed, Word: true}},
		{numbered("word%06d", 5000), Options{Syntax: Perl, IgnoreCase: true}},
		{numbered("(%d)*", 5000), Options{Syntax: Extended, Word: true}},
		{[]string{strings.Repeat(".*a", 20000)}, Options{Syntax: Extended}},
		{[]string{strings.Repeat("(a|b)", 10000)}, Options{Syntax: Extended}},
		{[]string{strings.Repeat("|", 100000)}, Options{Syntax: Extended}},
		{[]string{strings.Repeat("a?", 50000)}, Options{Syntax: Perl}},
		{[]string{strings.Repeat(".?", 50000)}, Options{Syntax: Perl}},
		{[]string{strings.Repeat("a*b", 50000)}, Options{Syntax: Perl}},
		{[]string{strings.Repeat("a+?", 50000)}, Options{Syntax: Perl}},
		{[]string{strings.Repeat(`\d`, 50000)}, Options{Syntax: Perl}},
		{[]string{strings.Repeat(`\d?`, 50000)}, Options{Syntax: Perl}},
		{numbered("[[:alpha:]%06d]", 200), Options{Syntax: Extended}},
		{numbered("[^[:alpha:]%06d]", 200), Options{Syntax: Basic, IgnoreCase: true}},
		{numbered(`[\pL%d]`, 200), Options{Syntax: Perl}},
	} {
		before := heap()
		m, err := Compile(c.patterns, c.o)
		if err != nil {
			t.Fatal(err)
		}
		kept, most := heap()-before, Footprint(c.patterns, c.o.Syntax)
		if kept > most {
			t.Errorf("%v %.20q...: %d KB are kept, at most %d were expected", c.o.Syntax, c.patterns[0], kept>>10, most>>10)
		}
		if m.backward(); heap()-before > most {
			t.Errorf("%v %.20q...: %d KB are kept with the program that reads backwards, at most %d were expected",
				c.o.Syntax, c.patterns[0], (heap()-before)>>10, most>>10)
		}
		runtime.KeepAlive(m)
	}
}

// TestBracketsThatAreAlikeAreOneSet is about patterns that would else take gigabytes: each [[:alpha:]] has 1,300 ranges, and
// has to be searched without newlines where it is negated.
func TestBracketsThatAreAlikeAreOneSet(t *testing.T) {
	for pattern, want := range map[string]int{`[[:alpha:]]`: 1, `[^[:alpha:]]`: 1, `\W`: 1, `\S.`: 2, `[[:alpha:][:alpha:][:alpha:]]`: 1} {
		for _, o := range []Options{{Syntax: Extended}, {Syntax: Extended, IgnoreCase: true}, {Syntax: Extended, NullData: true}} {
			m := mustCompile(t, o, strings.Repeat(pattern, 1000))
			if sets := m.program.sets; len(sets) != want || len(sets[0]) > 2*len(wordSet()) {
				t.Errorf("%+v %q a thousand times: %d sets, of which one has %d ends, want %d", o, pattern, len(sets), len(sets[0]), want)
			}
		}
	}
	if m := mustCompile(t, Options{Syntax: Extended, IgnoreCase: true}, strings.Repeat("abc", 1000)); len(m.program.sets) != 3 {
		t.Errorf("3 letters in any case have %d sets", len(m.program.sets))
	}
}

func TestTooManyLargeBracketsAreRefused(t *testing.T) {
	var posix, perl strings.Builder
	for i := range rune(2 * setSymbolsMax / len(wordSet())) {
		fmt.Fprintf(&posix, "[[:alpha:]%c]", '一'+i)
		fmt.Fprintf(&perl, `[\pL%c]`, '一'+i)
	}
	for syntax, pattern := range map[Syntax]string{Extended: posix.String(), Perl: perl.String()} {
		if _, err := Compile([]string{pattern}, Options{Syntax: syntax}); err == nil || !strings.Contains(err.Error(), tooManySets) {
			t.Errorf("%v: got %.300v", syntax, err)
		}
	}
}

func TestFoldingOneByOneEqualsLookingAtAllCases(t *testing.T) {
	for r := symbol(0); r+100 < foldedMax; r += 100 {
		small, large := set{r, r + 99}, set{r, r + 99, foldedMax + 1, foldedMax + foldedOneByOne}
		got, want := small.fold(), large.fold()
		if want = want[:len(want)-2]; !slices.Equal(got, want) {
			t.Errorf("from %d: got %v, want %v", r, got, want)
		}
	}
}

func TestErrorShowsNotAllOfALongPattern(t *testing.T) {
	for length, want := range map[int]string{
		shownMax:     `pattern "` + strings.Repeat("a", shownMax) + `", at byte 1: x`,
		shownMax + 1: `pattern "` + strings.Repeat("a", shownMax) + `"..., at byte 1: x`,
	} {
		if got := (&Error{Pattern: strings.Repeat("a", length), Message: "x"}).Error(); got != want {
			t.Errorf("%d bytes: %s", length, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	m := mustCompile(t, Options{Syntax: Extended}, `*a\d`)
	if want := []string{"* at start of expression", `stray \ before d`}; !slices.Equal(m.Warnings(), want) {
		t.Errorf("got %q, want %q", m.Warnings(), want)
	}
}

func TestPartsAreLeftmostLongestButFirstInPerl(t *testing.T) {
	for _, c := range []struct {
		o       Options
		pattern string
		line    string
		want    string
	}{
		{Options{Syntax: Extended}, `a|ab|abc`, "xabcab", "abc ab"},
		{Options{Syntax: Perl}, `a|ab|abc`, "xabcab", "a a"},
		{Options{Syntax: Perl}, `<.*?>`, "<a><b>", "<a> <b>"},
		{Options{Syntax: Extended}, `x*`, "axxbx", "xx x"},
		{Options{Syntax: Extended, Word: true}, `[ab]+`, "ab abc aab", "ab aab"},
		{Options{Syntax: Extended, Word: true}, `b*`, "a b", "b"},
		{Options{Syntax: Basic}, `^a`, "aaa", "a"},
	} {
		s := mustCompile(t, c.o, c.pattern).NewScanner(nil)
		var got []string
		for _, r := range s.Parts([]byte(c.line), nil) {
			got = append(got, c.line[r.Start:r.End])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v %q on %q: got %q, want %q", c.o, c.pattern, c.line, got, c.want)
		}
	}
}

// TestScannerEqualsMachineLineByLine compares the search of whole blocks with the plain automaton applied to one
// line after the other.
func TestScannerEqualsMachineLineByLine(t *testing.T) {
	for _, vectors := range []bool{hasAVX2, false} {
		t.Run(fmt.Sprintf("AVX2 %v", vectors), func(t *testing.T) {
			defer func(v bool) { hasAVX2 = v }(hasAVX2)
			hasAVX2 = vectors
			scannerEqualsMachine(t)
		})
	}
}

func scannerEqualsMachine(t *testing.T) {
	s := seed(t)
	for i := range *trialsFlag {
		r := source(s, i)
		o := Options{Syntax: Syntax(r.IntN(4)), IgnoreCase: r.IntN(3) == 0, Word: r.IntN(6) == 0, Line: r.IntN(8) == 0}
		var patterns []string
		for range 1 + r.IntN(3) {
			patterns = append(patterns, randomPattern(r, o.Syntax))
		}
		m, err := Compile(patterns, o)
		if err != nil || len(m.retried) > 0 {
			continue
		}
		block := randomBlock(r)
		scanner, machine := m.NewScanner(nil), newVM(m.program, true)
		var want []Range
		for pos := 0; pos < len(block); {
			line := lineAt(block, pos, pos)
			if _, ok := machine.find(trimNewline(block[line.Start:line.End]), 0); ok {
				want = append(want, line)
			}
			pos = line.End
		}
		for range 2 { // the second time with a warm cache
			if got := scanner.Lines(block, nil, -1); !slices.Equal(got, want) {
				t.Fatalf("trial %d: %+v %q on %q:\ngot  %v\nwant %v", i, o, patterns, block, got, want)
			}
			if n := scanner.Count(block, -1); n != len(want) {
				t.Fatalf("trial %d: %+v %q on %q: counted %d, want %d", i, o, patterns, block, n, len(want))
			}
		}
	}
}

func TestPartsEqualMachine(t *testing.T) {
	for _, vectors := range []bool{hasAVX2, false} {
		t.Run(fmt.Sprintf("AVX2 %v", vectors), func(t *testing.T) {
			defer func(v bool) { hasAVX2 = v }(hasAVX2)
			hasAVX2 = vectors
			partsEqualMachine(t)
		})
	}
}

func partsEqualMachine(t *testing.T) {
	s := seed(t)
	ways := make(map[string]int)
	for i := range *trialsFlag {
		r := source(s, i)
		o := Options{Syntax: Syntax(r.IntN(4)), IgnoreCase: r.IntN(3) == 0, Word: r.IntN(6) == 0, Line: r.IntN(8) == 0}
		var patterns []string
		for range 1 + r.IntN(3) {
			patterns = append(patterns, randomPattern(r, o.Syntax))
		}
		m, err := Compile(patterns, o)
		if err != nil {
			continue
		}
		scanner, machine := m.NewScanner(nil), m.NewScanner(nil)
		for line := range bytes.Lines(randomBlock(r)) {
			line = trimNewline(line)
			got, want := scanner.Parts(line, nil), partsByMachine(machine, line)
			if !slices.Equal(got, want) {
				t.Fatalf("trial %d: %+v %q on %q:\ngot  %v\nwant %v", i, o, patterns, line, got, want)
			}
			var oneByOne []Range
			for pos := 0; pos < len(line); {
				oneByOne, pos = scanner.PartsFrom(line, pos, oneByOne, 1)
			}
			if !slices.Equal(oneByOne, want) {
				t.Fatalf("trial %d: %+v %q on %q:\none by one %v\nwant       %v", i, o, patterns, line, oneByOne, want)
			}
			if len(got) > 0 {
				ways[fmt.Sprintf("literals %v automata %v", m.exact, scanner.finder != nil)]++
			}
		}
	}
	if ways["literals false automata true"] == 0 || hasAVX2 && ways["literals true automata false"] == 0 {
		t.Errorf("parts were found %v times, so that some way was not tried", ways)
	}
}

// TestPartsOfAThrashingScannerAreStillRight uses a pattern with far more states than the caches hold.
func TestPartsOfAThrashingScannerAreStillRight(t *testing.T) {
	r := source(seed(t), 0)
	m := mustCompile(t, Options{Syntax: Extended}, `(a|b)*a(a|b){14}c|c(a|b){14}a(a|b)*`)
	scanner, machine := m.NewScanner(nil), m.NewScanner(nil)
	found := 0
	for range 1500 {
		line := randomText(r, 200, "cab"[r.IntN(2):])
		got, want := scanner.Parts(line, nil), partsByMachine(machine, line)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, want %v", line, got, want)
		}
		found += len(want)
	}
	if f := scanner.finder; found == 0 || !f.backward.thrashing && !f.forward.thrashing {
		t.Errorf("%d parts, and no cache thrashed, so that the test shows nothing", found)
	}
}

// TestMoreCharactersThanTheCacheHasNodesFor is about scripts with thousands of characters.
func TestMoreCharactersThanTheCacheHasNodesFor(t *testing.T) {
	r := source(seed(t), 0)
	m := mustCompile(t, Options{Syntax: Extended}, `[一-俿]..?[倀-峿]|[嶀-床].*[刀-匿]`)
	scanner, machine := m.NewScanner(nil), m.NewScanner(nil)
	found := 0
	for range 1000 {
		var b bytes.Buffer
		for range 40 {
			b.WriteRune('一' + r.Int32N('龥'-'一'))
		}
		b.WriteString([]string{"", "\xe4", "\xe4\xb8"}[r.IntN(3)])
		line := b.Bytes()
		got, want := scanner.Parts(line, nil), partsByMachine(machine, line)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, want %v", line, got, want)
		}
		if matches := scanner.Match(line); matches != (len(want) > 0) {
			t.Fatalf("%q: matches %v", line, matches)
		}
		found += len(want)
	}
	if n := len(scanner.dfa().nodes); found == 0 || n != nodesMax {
		t.Errorf("%d parts, %d nodes, so that the test shows nothing", found, n)
	}
}

func TestDoneEndsALongSearchForParts(t *testing.T) {
	m := mustCompile(t, Options{Syntax: Extended}, `a.*b|a`)
	done := make(chan struct{})
	close(done)
	s := m.NewScanner(done)
	line := bytes.Repeat([]byte("a"), 4<<20) // each of these begins a search to the line's end
	if parts := s.Parts(line, nil); len(parts) > 2 {
		t.Errorf("found %d parts though nobody waits", len(parts))
	}
}

// randomPattern writes a pattern in which literals are frequent.
func randomPattern(r *rand.Rand, syntax Syntax) string {
	words := []string{"FAIL", "fail", "skip", "é", "10", "a", "Ab", "\xff", "日本", "mask", "\x97\xa5"}
	var b strings.Builder
	for range 1 + r.IntN(4) {
		switch n := r.IntN(14); {
		case n < 7 || syntax == Fixed:
			b.WriteString(words[r.IntN(len(words))])
		case n == 7:
			b.WriteString([]string{".*", "[0-9]", "[a-f]", "[^a]", ".", "x*", "[а-я]", "[^ -~]"}[r.IntN(8)])
		case n == 8:
			b.WriteString([]string{"^", "$", `\b`, `\B`}[r.IntN(4)])
		case n == 9 && syntax != Basic:
			b.WriteString("(" + words[r.IntN(len(words))] + "|" + words[r.IntN(len(words))] + ")")
		case n == 10 && syntax != Basic:
			b.WriteString("|")
		case n == 11 && syntax != Basic:
			b.WriteString([]string{"+", "?", "{2}", "{1,3}"}[r.IntN(4)])
		default:
			b.WriteString([]string{`\w`, `\s`, " ", `\.`}[r.IntN(4)])
		}
	}
	return b.String()
}

func randomBlock(r *rand.Rand) []byte {
	words := []string{"FAIL", "fail", "Fail", "SKIP", "ſkip", "sKip", "é", "É", "10", "a", "ab", " ", ".", "x", "\xff", "\xc3", "日本", "\n", "\n",
		"a long stretch of text between one thing and another, so that vectors are used", "maſK",
		"\xe6\x97", "\xe6", "\xf0\x9f\x98", "😀", "\x97", "ж"}
	var b bytes.Buffer
	for range r.IntN(60) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.Bytes()
}

// TestThrashingScannerIsStillRight uses a pattern with far more states than the cache holds.
func TestThrashingScannerIsStillRight(t *testing.T) {
	r := source(seed(t), 0)
	m := mustCompile(t, Options{Syntax: Extended}, `(a|b)*a(a|b){14}c`)
	var block bytes.Buffer
	for range 4000 {
		for range r.IntN(80) {
			block.WriteByte("abababababababababababababc"[r.IntN(27)])
		}
		block.WriteByte('\n')
	}
	scanner, machine := m.NewScanner(nil), newVM(m.program, true)
	want := 0
	for line := range bytes.Lines(block.Bytes()) {
		if _, ok := machine.find(trimNewline(line), 0); ok {
			want++
		}
	}
	if got := scanner.Count(block.Bytes(), -1); got != want || want == 0 {
		t.Errorf("got %d lines, want %d", got, want)
	}
	if !scanner.dfa().thrashing {
		t.Error("the cache did not thrash, so that the test shows nothing")
	}
	if n := len(scanner.dfa().states); n > dfaStatesMax+1 {
		t.Errorf("%d states in the cache", n)
	}
}

func TestDoneEndsASlowSearch(t *testing.T) {
	m := mustCompile(t, Options{Syntax: Extended}, `(.{1,1000}){1,30}[0-9]`)
	done := make(chan struct{})
	close(done)
	block := bytes.Repeat([]byte("abcdefgh\u00e9"), 30000)
	watch, start := timetest.Begin(t), time.Now()
	m.NewScanner(done).Count(block, -1)
	if took := time.Since(start); took > 15*time.Second {
		watch.Errorf(t, "took %v", took)
	}
}

// TestKernelsEqualPortableSearch puts literals at every place of a buffer.
func TestKernelsEqualPortableSearch(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: there are no kernels to compare")
	}
	for _, fold := range []bool{false, true} {
		for _, set := range [][]string{{"x"}, {"needle"}, {"ab", "needle", "no"}, {"ab", "cd", "ef", "gh", "needle", "ij", "kl", "mn", "op", "qr"}} {
			search := newLiteralSearch(literals{strings: set, fold: fold}).tuned([]byte("neither need nor noodle"))
			for size := range 300 {
				for at := 0; at+6 <= size; at += 1 + size/40 {
					b := bytes.Repeat([]byte("."), size)
					copy(b[at:], set[len(set)/2])
					if fold {
						copy(b[at:], strings.ToUpper(set[len(set)/2]))
					}
					if got := search.index(b); got != at {
						t.Fatalf("%q, fold %v, in %d bytes at %d: got %d", set, fold, size, at, got)
					}
					if p, ok := search.(*pair); ok {
						if got := p.portable(b, 0); got != at {
							t.Fatalf("portable: %q, fold %v, in %d bytes at %d: got %d", set, fold, size, at, got)
						}
					}
				}
				if got := search.index(bytes.Repeat([]byte("n"), size)); got != -1 {
					t.Fatalf("%q in %d bytes without it: got %d", set, size, got)
				}
			}
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, p := range []string{`a\{1,2\}`, `[[:alpha:]-z]`, `\(^*\)`, `[[.a.]]`, `(a|b){2,3}`, "[", `\`, "a\nb"} {
		for syntax := range 4 {
			f.Add(p, uint8(syntax))
		}
	}
	f.Fuzz(func(t *testing.T, pattern string, syntax uint8) {
		m, err := Compile([]string{pattern}, Options{Syntax: Syntax(syntax % 4), IgnoreCase: syntax&4 != 0, Word: syntax&8 != 0})
		if err != nil {
			if e := (*Error)(nil); !errors.As(err, &e) {
				t.Fatalf("%v is no Error", err)
			}
			return
		}
		m.NewScanner(nil).Lines([]byte("a line\nanother é\n"+pattern[:min(len(pattern), 100)]), nil, -1)
	})
}

func ExampleCompile() {
	m, _ := Compile([]string{"FAIL"}, Options{IgnoreCase: true})
	block := []byte("one failed\nanother not\n")
	for _, r := range m.NewScanner(nil).Lines(block, nil, -1) {
		fmt.Printf("%s", block[r.Start:r.End])
	}
	// Output: one failed
}

// Each letter that has another case is found in all its cases, and nothing else is. Many pairs of cases are neighbours.
func TestEachLetterIsFoundInEachCase(t *testing.T) {
	var lines []byte
	for _, r := range folding() {
		lines = append(appendSymbol(lines, r), '\n')
	}
	for _, r := range folding() {
		var want []string
		for o := unicode.SimpleFold(r); ; o = unicode.SimpleFold(o) {
			want = append(want, string(o)+"\n")
			if o == r {
				break
			}
		}
		slices.Sort(want)
		for _, o := range []Options{{Syntax: Fixed, IgnoreCase: true}, {Syntax: Perl, IgnoreCase: true}} {
			var got []string
			for _, line := range mustCompile(t, o, string(r)).NewScanner(nil).Lines(lines, nil, -1) {
				got = append(got, string(lines[line.Start:line.End]))
			}
			if !slices.Equal(got, want) {
				t.Errorf("-i %v %q selects %q, want %q", o.Syntax, r, got, want)
			}
		}
	}
}

// partsByMachine gives the parts of a line as the machine finds them.
func partsByMachine(s *Scanner, line []byte) []Range {
	parts, _ := s.partsByMachine(line, 0, nil, -1)
	return parts
}

// At each byte of a text that is all e, half of such a literal would have to be compared, and nobody could end that.
func TestSearchForALongLiteralCanBeEnded(t *testing.T) {
	half := strings.Repeat("e", 1<<18)
	m := mustCompile(t, Options{Syntax: Fixed}, half+"z"+half)
	text := append(bytes.Repeat([]byte("zzz\n"), tuneBytes/4), bytes.Repeat([]byte("e"), 1<<22)...)
	done := make(chan struct{})
	close(done)
	watch, began := timetest.Begin(t), time.Now()
	m.NewScanner(done).Count(text, -1)
	if took := time.Since(began); took > 5*time.Second {
		watch.Errorf(t, "ending took %v", took)
	}
}

func TestLongLiteralsAreMatchedToTheirEnds(t *testing.T) {
	for _, n := range []int{literalLookedMax - 1, literalLookedMax, literalLookedMax + 1, 5 * literalLookedMax} {
		long := strings.Repeat("語ab", n)[:n-1] + "x"
		text := []byte("a" + long + "\n" + long[:n-1] + "\n" + long + "y\n" + long[:n-1] + "z\n")
		for _, patterns := range [][]string{{long}, {long, "none"}, {long, long + long, "none"}} {
			m, err := Compile(patterns, Options{Syntax: Fixed})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.NewScanner(nil).Count(text, -1); got != 2 {
				t.Errorf("%d literals of %d bytes: %d lines, want 2", len(patterns), n, got)
			}
			if parts := m.NewScanner(nil).Parts(text[:n+1], nil); len(parts) != 1 || parts[0] != (Range{1, n + 1}) {
				t.Errorf("%d literals of %d bytes: parts %v", len(patterns), n, parts)
			}
		}
	}
}
