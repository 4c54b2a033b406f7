package search_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

var (
	seedFlag   = flag.Uint64("seed", 1, "of the random tests; 0: by the clock, for long runs, which may come across new quirks of grep")
	trialsFlag = flag.Int("trials", 2000, "cases of the comparison with GNU grep")
)

// seed gives the seed of a random test, and prints it.
func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return s
}

// gnuGrep gives the path of GNU grep 3.8, or skips the test.
func gnuGrep(t testing.TB) string {
	path, err := exec.LookPath("grep")
	if err != nil {
		t.Skip("no grep to compare with")
	}
	out, _ := exec.Command(path, "--version").Output()
	if !bytes.HasPrefix(out, []byte("grep (GNU grep) 3.8")) {
		t.Skipf("%s is not GNU grep 3.8, of which this test knows the behaviour", path)
	}
	return path
}

// printer is a Sink that prints what it gets as grep prints one file.
type printer struct {
	o       search.Options
	out     bytes.Buffer
	matches uint64
	binary  bool
	errs    []files.FileError
	any     bool
}

var _ search.Sink = (*printer)(nil)

func (p *printer) Begin(string, int64) error { return nil }

func (p *printer) Chunk(c *search.Chunk) error {
	data := c.Data
	for i, n := range c.Lengths {
		kind := greppb.KindSelected
		if len(c.Kinds) > 0 {
			kind = c.Kinds[i]
		}
		if kind&greppb.KindGap != 0 && p.any {
			p.out.WriteString("--\n")
		}
		p.any = true
		sep := ":"
		if kind&greppb.KindContext != 0 {
			sep = "-"
		}
		if p.o.LineNumbers {
			p.out.WriteString(strconv.FormatUint(c.LineNumbers[i], 10) + sep)
		}
		if p.o.ByteOffsets {
			p.out.WriteString(strconv.FormatUint(c.ByteOffsets[i], 10) + sep)
		}
		p.out.Write(data[:n])
		data = data[n:]
	}
	if len(data) > 0 {
		return errors.New("Lengths do not add up to Data")
	}
	return nil
}

func (p *printer) End(s search.FileStats) error {
	p.matches, p.binary = s.Matches, s.Binary
	return nil
}

func (p *printer) Error(e files.FileError) error {
	p.errs = append(p.errs, e)
	return nil
}

// result is what a run of grep printed and exited with.
type result struct {
	out    string
	binary bool
	status int
}

func (r result) String() string {
	return fmt.Sprintf("%q status %d, binary %v", r.out, r.status, r.binary)
}

func (p *printer) result(path string) result {
	r := result{out: p.out.String(), binary: p.binary, status: 1}
	switch {
	case len(p.errs) > 0:
		r.status = 2
	case p.matches > 0:
		r.status = 0
	}
	switch p.o.Report {
	case search.Count:
		r.out = fmt.Sprintln(p.matches)
	case search.FilesWithMatches:
		if p.matches > 0 {
			r.out = path + "\n"
		}
	case search.FilesWithoutMatch:
		if p.matches == 0 {
			r.out = path + "\n"
		}
	case search.Quiet:
		r.out = ""
	}
	return r
}

// trial is one comparison.
type trial struct {
	patterns []string
	match    match.Options
	search   search.Options
	text     []byte
	// blockBytes is the size of the blocks, 0: as usual. Small ones let lines and groups cross
	// them.
	blockBytes int64
}

// args gives the command line of grep for the trial.
func (c *trial) args() []string {
	var args []string
	add := func(on bool, a ...string) {
		if on {
			args = append(args, a...)
		}
	}
	args = append(args, map[match.Syntax]string{match.Basic: "-G", match.Extended: "-E", match.Fixed: "-F"}[c.match.Syntax])
	add(c.match.IgnoreCase, "-i")
	add(c.match.Word, "-w")
	add(c.match.Line, "-x")
	add(c.search.Invert, "-v")
	add(c.search.Report == search.Parts, "-o")
	add(c.search.Report == search.Count, "-c")
	add(c.search.Report == search.FilesWithMatches, "-l")
	add(c.search.Report == search.FilesWithoutMatch, "-L")
	add(c.search.Report == search.Quiet, "-q")
	add(c.search.Binary == search.BinaryText, "-a")
	add(c.search.Binary == search.BinarySkip, "-I")
	add(c.search.NullData, "-z")
	add(c.search.LineNumbers, "-n")
	add(c.search.ByteOffsets, "-b")
	add(c.search.MaxCount >= 0, "-m", strconv.FormatInt(c.search.MaxCount, 10))
	add(c.search.Before > 0, "-B", strconv.Itoa(c.search.Before))
	add(c.search.After > 0, "-A", strconv.Itoa(c.search.After))
	for _, p := range c.patterns {
		args = append(args, "-e", p)
	}
	return args
}

func (c *trial) String() string {
	return fmt.Sprintf("grep %q on %q, blocks of %d", c.args(), c.text, c.blockBytes)
}

func (c *trial) gnu(t *testing.T, grep, path string) (r result, comparable bool) {
	cmd := exec.Command(grep, append(c.args(), path)...)
	cmd.Env = []string{"LC_ALL=C.UTF-8"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r = result{out.String(), strings.Contains(errs.String(), "binary file matches"), cmd.ProcessState.ExitCode()}
	// Where grep warns of a repetition of nothing, or takes one before ) for an open group, its two
	// engines disagree on what that means. It knows no collating order beyond ASCII, where we have
	// code points.
	odd := strings.Contains(errs.String(), "at start of expression") ||
		strings.Contains(errs.String(), "Unmatched (") && c.match.Syntax == match.Extended ||
		strings.Contains(errs.String(), "Invalid collation character")
	return r, !odd
}

func (c *trial) ours(t *testing.T, mounts *files.Mounts, name, path string) result {
	m, err := match.Compile(c.patterns, c.match)
	if err != nil {
		return result{status: 2}
	}
	c.search.Matcher = m
	search.SetBlockBytes(&c.search, c.blockBytes)
	p := &printer{o: c.search}
	if _, err := search.Run(context.Background(), mounts, []string{"m/" + name}, c.search, p); err != nil {
		t.Fatal(err)
	}
	return p.result(path)
}

func TestRandomSearchesEqualGNUGrep(t *testing.T) {
	grep := gnuGrep(t)
	s := seed(t)
	dir := t.TempDir()
	mounts, err := files.OpenMounts([]string{"m=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	path := filepath.Join(dir, "text")
	failures := 0
	for i := range *trialsFlag {
		r := rand.New(rand.NewPCG(s, uint64(i)))
		c := randomTrial(r)
		if err := os.WriteFile(path, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		want, comparable := c.gnu(t, grep, path)
		got := c.ours(t, mounts, "text", path)
		if c.search.Report == search.Parts {
			// Grep also separates groups of which no part is printed.
			want.out, got.out = strings.ReplaceAll(want.out, "--\n", ""), strings.ReplaceAll(got.out, "--\n", "")
		}
		if c.search.Report == search.Count && c.search.Invert && !slices.ContainsFunc(c.patterns, func(p string) bool { return strings.Trim(p, "\n") != "" }) && !c.match.Word && !c.match.Line {
			got.out = "" // grep does not even open the files
		}
		if c.search.MaxCount == 0 && c.search.Report != search.FilesWithoutMatch {
			got.out = "" // nor here, where it does not even read the patterns
			comparable = comparable && got.status != 2
		}
		if c.match.IgnoreCase && (want.status == 2) != (got.status == 2) {
			comparable = false // grep folds the ends of a range before it compares them
		}
		all := strings.Join(c.patterns, "|")
		if c.match.Syntax == match.Extended && (strings.Contains(all, "|") || c.match.Word || c.match.Line) && strings.Contains("|"+all, "|{") {
			// grep -E -e '日\s' -e '{' selects every line with 日, which neither pattern does alone.
			// And -o '{_|' finds _. '{{0}' selects every line, and none with -w, unlike 'x{0}'.
			comparable = false
		}
		if c.match.Syntax == match.Extended && c.search.NullData && slices.ContainsFunc(c.patterns, innerAnchor.MatchString) {
			// grep -zE selects "x\ny" with '\s^', and not with '\s^y'.
			comparable = false
		}
		if strings.Contains(all, "[=") && repeatedAnchor.MatchString(all) {
			// grep -e '\(^.\)\{1,\}.' selects both lines of "b-ük\n.b", and with -e '[[=a=]]'
			// beside it only the last one.
			comparable = false
		}
		if c.search.Report == search.Parts && (c.match.Word && c.match.Syntax != match.Fixed || c.match.Line && c.search.Invert) {
			// Looking for further words grep passes some over, and it finds parts in lines that do
			// not match.
			want.out, got.out = "", ""
		}
		if comparable && want != got {
			t.Errorf("trial %d: %v\ngrep %v\nours %v", i, c, want, got)
			if failures++; failures == 10 {
				t.FailNow()
			}
		}
	}
}

// innerAnchor finds an anchor that does not stand where a branch begins or ends.
var innerAnchor = regexp.MustCompile(`[^[(|]\^|\$[^)|]`)

// repeatedAnchor finds a group with an anchor that is repeated.
var repeatedAnchor = regexp.MustCompile(`[$^].*\)\\?[*+?{]`)

// logsEnv names a directory of real logs.
const logsEnv = "GREPD_TEST_LOGS"

func TestSearchesOfRealLogsEqualGNUGrep(t *testing.T) {
	grep := gnuGrep(t)
	dir := os.Getenv(logsEnv)
	if dir == "" {
		t.Skipf("%s does not name a directory of logs", logsEnv)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	mounts, err := files.OpenMounts([]string{"m=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for _, path := range paths {
		for _, pattern := range []string{"error", "WARN|ERROR|FATAL", `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`, `^[A-Z][a-z]{2} +[0-9]+`, `\<user=?\w*`,
			`[^ -~]`, `(failed|failure).*[0-9]$`, `[[:upper:]]{4,}`, "", "(.)(.)x"} {
			for _, report := range []search.Report{search.Lines, search.Parts, search.Count} {
				for _, options := range []match.Options{{}, {IgnoreCase: true}, {Word: true}} {
					for _, size := range []int64{0, 5000} {
						options.Syntax = match.Extended
						c := &trial{patterns: []string{pattern}, match: options, blockBytes: size}
						c.search = search.Options{MaxCount: -1, Report: report, LineNumbers: size > 0, Before: int(size / 2500)}
						want, _ := c.gnu(t, grep, path)
						if got := c.ours(t, mounts, filepath.Base(path), path); want != got {
							t.Errorf("grep %q %s: %d bytes with status %d, want %d with %d", c.args(), path, len(got.out), got.status, len(want.out), want.status)
						}
					}
				}
			}
		}
	}
}

func randomTrial(r *rand.Rand) *trial {
	c := &trial{}
	c.match.Syntax = match.Syntax(r.IntN(3))
	c.match.IgnoreCase = r.IntN(4) == 0
	c.match.Word = r.IntN(5) == 0
	c.match.Line = r.IntN(8) == 0
	c.search.Invert = r.IntN(5) == 0
	c.search.MaxCount = -1
	c.search.Report = []search.Report{search.Lines, search.Lines, search.Lines, search.Parts, search.Parts,
		search.Count, search.FilesWithMatches, search.FilesWithoutMatch, search.Quiet}[r.IntN(9)]
	// Given -x, -w should change nothing, but makes grep -o print empty matches.
	c.match.Line = c.match.Line && !(c.match.Word && c.search.Report == search.Parts)
	c.search.Binary = search.Binary(max(0, r.IntN(6)-3))
	if r.IntN(6) == 0 {
		c.search.MaxCount = int64(r.IntN(4))
	}
	if r.IntN(4) == 0 {
		c.search.Before = r.IntN(4)
	}
	if r.IntN(4) == 0 {
		c.search.After = r.IntN(4)
	}
	c.search.LineNumbers = r.IntN(4) == 0
	c.search.ByteOffsets = r.IntN(4) == 0
	for n := 1 + r.IntN(8)/6; n > 0; n-- {
		if c.match.Word && len(c.patterns) == 1 {
			break // of several patterns grep -wo does not find all words
		}
		if c.match.Syntax == match.Fixed {
			c.patterns = append(c.patterns, randomText(r, 4))
		} else {
			c.patterns = append(c.patterns, randomPattern(r, c.match.Syntax == match.Extended, depthMax))
		}
	}
	if r.IntN(5) == 0 {
		c.search.NullData, c.match.NullData = true, true
	}
	context := c.search.Before > 0 || c.search.After > 0
	words := c.match.Word || strings.Contains(strings.Join(c.patterns, ""), `\`)
	for n := r.IntN(12); n > 0; n-- {
		line := randomText(r, 9)
		for _, sign := range rare[rareLetters:] {
			if c.match.Word { // grep finds empty words within them
				line = strings.ReplaceAll(line, sign, "-")
			}
		}
		c.text = append(c.text, line...)
		// Around lines that are not UTF-8 grep loses track of its context, and of words.
		if r.IntN(40) == 0 && !context && !words {
			c.text = append(c.text, 0xc3)
		}
		if r.IntN(80) == 0 {
			c.text = append(c.text, 0)
		}
		if n > 1 || r.IntN(4) > 0 {
			c.text = append(c.text, '\n')
		}
	}
	if c.search.NullData {
		c.text = bytes.ReplaceAll(c.text, []byte{'\n'}, []byte{[]byte{0, 0, '\n'}[r.IntN(3)]})
	}
	if c.search.NullData || !bytes.Contains(c.text, []byte{0}) { // else it matters which block has the NUL
		c.blockBytes = []int64{0, 1, 7, 30}[r.IntN(4)]
	}
	return c
}

// alphabet is small, so that random patterns match random texts.
var alphabet = []string{"a", "b", "c", "A", "B", "k", "s", "1", "_", " ", "-", ".", "é", "É", "ü", "日", "a", "b"}

// rare holds what stands in patterns and texts now and then: white space, letters with several
// lower cases or of another length in the other case; and of several bytes, but no letters, marks,
// signs and spaces.
var rare = []string{"\r", "\t", "ſ", "č", "Č", "σ", "ς", "Σ", "ß", "ǆ", "ǅ", "Ǆ", "µ", "μ", "ɐ", "Ɐ", "𐐀", "𐐨", "٣",
	"e\u0301", "😀", "\u2003", "\u00a0"}

// rareLetters is how many of rare are letters, or of one byte.
const rareLetters = 19

// letter picks one of the alphabet.
func letter(r *rand.Rand) string {
	if r.IntN(25) == 0 {
		return rare[r.IntN(len(rare))]
	}
	return alphabet[r.IntN(len(alphabet))]
}

func randomText(r *rand.Rand, most int) string {
	var b strings.Builder
	for n := r.IntN(most + 1); n > 0; n-- {
		b.WriteString(letter(r))
	}
	return b.String()
}

// depthMax is how deep groups nest.
const depthMax = 3

// randomPattern writes a regular expression, sometimes an odd or a wrong one.
func randomPattern(r *rand.Rand, extended bool, depth int) string {
	op := func(s string) string {
		if extended {
			return s
		}
		return `\` + s
	}
	var b strings.Builder
	anchor := false // the last element is one: grep's engines disagree on what repeating it means
	for n := 1 + r.IntN(4); n > 0; n-- {
		pick := r.IntN(22)
		if anchor && 5 <= pick && pick <= 7 {
			continue
		}
		anchored := anchor
		anchor = pick <= 1 || pick == 11
		switch pick {
		case 0:
			b.WriteString("^")
		case 1:
			b.WriteString("$")
		case 2, 3:
			if depth > 0 {
				b.WriteString(op("(") + randomPattern(r, extended, depth-1) + op(")"))
			}
		case 4:
			b.WriteString(op("|"))
		case 5:
			b.WriteString("*")
		case 6:
			b.WriteString(op([]string{"+", "?"}[r.IntN(2)]))
		case 7:
			b.WriteString(op("{") + []string{"1", "2", ",2", "1,", "1,3", "0", "2,1", "x"}[r.IntN(8)] + op("}"))
		case 8, 9:
			b.WriteString(randomBracket(r))
		case 10:
			b.WriteString([]string{`\w`, `\W`, `\s`, `\S`}[r.IntN(4)])
		case 11:
			if depth < depthMax {
				continue // in groups that repeat grep gets words wrong
			}
			b.WriteString([]string{`\<`, `\>`, `\b`, `\B`, "\\`", `\'`}[r.IntN(6)])
		case 12, 13:
			b.WriteString(".")
		case 14:
			odd := []string{`\.`, `\*`, `\[`, `\]`, `\^`, `\$`, `]`, `\\`, `{`, `}`, `\-`, `\/`, `\"`, `\n`, `\é`, `\ `, `+`, `?`, `\+`, `\?`, `\{`, `\}`, "|", `{,3}`, `a\{,3\}`, `{2`, `a**`, "\n"}
			if o := odd[r.IntN(len(odd))]; !(anchored && slices.Contains([]string{"+", "?", `\+`, `\?`, "{,3}", "{", `\{`, "{2"}, o)) {
				b.WriteString(o)
			} else {
				anchor = true // it still is the last element
			}
		default:
			b.WriteString(letter(r))
		}
	}
	return b.String()
}

func randomBracket(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("[")
	if r.IntN(3) == 0 {
		b.WriteString("^")
	}
	if r.IntN(8) == 0 {
		b.WriteString("]")
	}
	for n := 1 + r.IntN(3); n > 0; n-- {
		switch r.IntN(8) {
		case 0:
			names := []string{"alnum", "alpha", "blank", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit", "cntrl"}
			b.WriteString("[:" + names[r.IntN(len(names))] + ":]")
		case 1:
			ranges := []string{"a-c", "A-Z", "1-9", "c-a", "b-", "a-[.c.]", "[.a.]-c", "[=a=]-c", "[:alpha:]-c", "a-[:alpha:]", "--/", "%--", "+--", "a-c-e"}
			b.WriteString(ranges[r.IntN(len(ranges))])
		case 2:
			elements := []string{"[=a=]", "[.b.]", "[.-.]", "[=é=]", "[.].]", "[=]=]", "[", `\`, `\n`, `\]`, "[:foo:]", "[.ab.]", ":", "[a"}
			b.WriteString(elements[r.IntN(len(elements))])
		default:
			b.WriteString(letter(r))
		}
	}
	b.WriteString("]")
	return b.String()
}
