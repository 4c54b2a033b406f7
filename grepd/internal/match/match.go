// Package match turns grep patterns into a matcher over blocks of bytes.
//
// [Compile] reads patterns in one of grep's four syntaxes and gives a [Matcher], which
// finds the lines of a block that a pattern selects, and the parts of a line that match.
// A block is any number of whole lines; only its last line may lack its newline.
//
// They are those of GNU grep 3.8 in a UTF-8 locale; [Syntax] lists where they differ, and why. A
// pattern never matches a newline, and ^ and $ stand for the start and end of each line.
//
// # How it works
//
// A pattern of any syntax becomes a small tree (posix.go, perl.go, expr.go), and the tree becomes
// an automaton over symbols (program.go). A symbol is a character, or a single byte that is not
// UTF-8 (symbol.go). Lines are found in whole blocks, by the cheapest means that the pattern
// allows:
//
//   - Literals that each selected line must hold (literal.go): one by its two rarest bytes (pair.go),
//     up to eight by two bytes of each (pairs.go), up to 64 by Hyperscan's Teddy (teddy.go), any
//     number by the automaton of Aho and Corasick (words.go). If the pattern is nothing else, they
//     decide; otherwise the automaton looks at their lines. Where many lines hold a literal and are
//     only counted, that is done for 64 bytes at once (counted.go).
//   - A window: up to four neighbouring bytes of known classes, as in [0-9a-f]{8}-, where a sample of
//     the text has few (window.go).
//   - A DFA that is made as it is needed, in a bounded cache (dfa.go). It reads characters of several
//     bytes byte by byte too (multibyte.go), and takes four parts of the block at once (lanes.go).
//   - Where that cache does not pay, a Pike machine (vm.go).
//
// prefilter.go chooses among the first two, scanner.go when to go on to the others. The loops over
// bytes are in assembly where there is AVX2; their portable equals are tested beside them.
//
// Where in a line the matches are is known from the literals, if the pattern is nothing else.
// Otherwise a DFA that reads the line backwards finds where matches start, and from there another
// finds where the longest ends, as in RE2 (parts.go). What Perl prefers to the longest only the
// Pike machine can tell. It is also asked where a cache does not pay.
//
// # Concurrency
//
// A Matcher does not change after Compile; all its methods may be called by any number of
// goroutines at once. A Scanner serves one goroutine.
package match

import "fmt"

// Syntax is the language that patterns are written in. Package request holds the values to those of
// greppb.Syntax.
//
// Basic, Extended and Fixed match leftmost-longest, Perl (RE2's syntax) leftmost-first. Deviations
// from GNU grep, each with its reason:
//
//   - Back-references are refused: no automaton of bounded size matches them, and a daemon must not
//     be made to backtrack by a stranger's pattern.
//   - Perl is RE2's syntax: no look-around, no possessive quantifiers, same reason.
//   - Collating elements are single characters, and ranges go by code point.
//   - Case folds by Unicode's simple folding, either way. Grep asks the C library for the other case,
//     which has none for a few letters (as ß, the dotless i, and the signs for kelvin and ångström).
//   - A repetition of nothing, as in (*a), and one after an anchor, as in ^*, are read one way only;
//     the two engines inside grep disagree on them.
//   - With -w and -o, words are found that grep passes over when it looks on after a word it had to
//     refuse.
//   - With -w an empty match lies between two characters; grep finds it within one of several bytes,
//     too.
//   - With -w an empty match of one of several patterns counts, as if that was the only one. Grep
//     refuses it where a longer match of another pattern begins that is no word.
//   - A byte of a pattern that is not UTF-8 matches such a byte alone; grep finds it within
//     characters too, but not with -i.
//   - In Basic a $ before a | is a dollar sign; grep has a$|b match nothing.
//   - In Extended a ) that closes nothing is itself with -w and -x too. Grep puts parentheses around
//     the pattern then, and finds other lines.
//   - A pattern that needs more than [StepsMax] automaton steps is refused.
type Syntax uint8

const (
	Basic    Syntax = iota // -G: POSIX basic regular expressions with GNU's extensions
	Extended               // -E: POSIX extended regular expressions with GNU's extensions
	Fixed                  // -F: strings
	Perl                   // -P: RE2's syntax
)

var syntaxNames = [...]string{Basic: "basic", Extended: "extended", Fixed: "fixed", Perl: "perl"}

// String names the syntax as errors do.
func (s Syntax) String() string {
	if int(s) < len(syntaxNames) {
		return syntaxNames[s]
	}
	return fmt.Sprintf("syntax(%d)", uint8(s))
}

// Options say how patterns are read and what they have to match. The zero value is grep without
// options.
type Options struct {
	Syntax     Syntax
	IgnoreCase bool // -i: upper and lower case are one
	Word       bool // -w: a match has no word character before it or after it
	Line       bool // -x: a match is a whole line; Word then has no effect
	// NullData is -z: lines end in zero bytes and may hold newlines. The data are to be given
	// with both exchanged: see Exchange.
	NullData bool
}

// Error says what is wrong with a pattern. A query may have thousands of patterns, so it names the
// one, and the place in it.
type Error struct {
	Pattern string // the one pattern (one line) that is wrong
	Offset  int    // of the byte in Pattern at which it is
	Message string // what is wrong, in grep's words, and what to do where that is not plain
}

// shownMax is how many bytes of a pattern an error shows; a pattern may have a million.
const shownMax = 200

func (e *Error) Error() string {
	shown, rest := e.Pattern, ""
	if len(shown) > shownMax {
		shown, rest = shown[:shownMax], "..."
	}
	return fmt.Sprintf("pattern %q%s, at byte %d: %s", shown, rest, e.Offset+1, e.Message)
}

// Range is a part of a block or a line: from Start up to, not including, End.
type Range struct{ Start, End int }
