package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// viaDefault is the grepd of this machine.
const viaDefault = "127.0.0.1:7117"

// unset is a number that no option has set.
const unset = -1

// options are a command line that has been understood.
type options struct {
	query        greppb.QueryRequest
	matcher      *match.Matcher // of its patterns, once they were checked
	text         printer.TextOptions
	json         bool
	lineBuffered bool
	label        string // of standard input
	require      printer.Require
	progress     string   // always, never or auto
	warnings     []string // of the command line
	script       string   // that completes command lines, if one is asked for
	completing   *string  // a path that a shell wants completed
	via          string
	timeout      time.Duration
	stats        bool
	follow       bool
	linesMax     int64 // with follow: selected lines that are wanted; below 0: any number
	help         bool
	version      bool
}

func (o *options) search() *greppb.SearchRequest { return &o.query.Search }

func (o *options) quiet() bool { return o.search().Report == greppb.Report_QUIET }

// parser holds what the options have said before it is put together.
type parser struct {
	options
	stdin                  io.Reader
	patterns               []string
	patternsGiven          bool
	syntax                 greppb.Syntax
	syntaxGiven            bool
	before, after, context int64
	count, parts, quiet    bool
	list                   greppb.Report // FILES_WITH_MATCHES, FILES_WITHOUT_MATCH; LINES: neither
	color                  string
	raw                    bool
	completion             string // the shell to complete for
	nodes                  string
	timeout                string
	find                   find
}

// parse understands a command line.
func parse(args []string, stdin io.Reader, stdout io.Writer, getenv func(string) string) (*options, error) {
	p := &parser{stdin: stdin, before: unset, after: unset, context: unset, color: "never"}
	p.progress, p.label = "auto", standardInput

	flags := p.flags()
	interspersed := getenv("POSIXLY_CORRECT") == ""
	flags.SetInterspersed(interspersed)
	args, err := normalize(flags, args, interspersed)
	if err != nil {
		return nil, err
	}
	if err := flags.Parse(args); err != nil {
		return nil, parseError(err)
	}
	if err := checkValues(flags); err != nil {
		return nil, err
	}
	if p.completion != "" {
		p.script = completionScript(p.completion)
	}
	if p.completing != nil {
		return &p.options, p.assembleVia(getenv)
	}
	if p.help || p.options.version || p.script != "" {
		return &p.options, nil
	}
	operands := flags.Args()
	switch {
	case p.patternsGiven:
	case p.byFields():
		if p.patterns, err = p.allLines(operands); err != nil {
			return nil, err
		}
	case len(operands) == 0:
		return nil, usageError{}
	default:
		p.patterns, operands = operands[:1], operands[1:]
	}
	return p.assemble(operands, stdout, getenv)
}

// addPattern takes what -e says.
func (p *parser) addPattern(text string) error {
	p.patterns, p.patternsGiven = append(p.patterns, text), true
	return nil
}

// setSyntax refuses two syntaxes at once, as grep does.
func (p *parser) setSyntax(syntax greppb.Syntax) error {
	if p.syntaxGiven && p.syntax != syntax {
		return errors.New("conflicting matchers specified")
	}
	p.syntax, p.syntaxGiven = syntax, true
	return nil
}

// readPatterns takes one pattern from each line of a file; an empty file holds none.
func (p *parser) readPatterns(name string) error {
	p.patternsGiven = true
	data, err := p.readFile(name)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		p.patterns = append(p.patterns, strings.TrimSuffix(string(data), "\n"))
	}
	return nil
}

// readFile reads a file that an option names; "-" is standard input.
func (p *parser) readFile(name string) (data []byte, err error) {
	if name == "-" {
		data, err = io.ReadAll(p.stdin)
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, reason(err))
	}
	return data, nil
}

func (p *parser) setBinary(kind string) error {
	switch kind {
	case "binary":
		p.search().Binary = greppb.Binary_BINARY_REPORT
	case "text":
		p.search().Binary = greppb.Binary_BINARY_TEXT
	case "without-match":
		p.search().Binary = greppb.Binary_BINARY_SKIP
	default:
		return errors.New("unknown binary-files type")
	}
	return nil
}

// setMaxCount takes a negative number for no limit, as grep does.
func (p *parser) setMaxCount(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errors.New("invalid max count")
	}
	p.search().MaxCountSet, p.search().MaxCount = n >= 0, uint64(max(n, 0))
	return nil
}

func (p *parser) setGroupSeparator(text string) error {
	p.text.GroupSeparator, p.text.NoGroupSeparator = &text, false
	return nil
}

// dereference is -R, which a later -r does not undo.
func (p *parser) dereference() error {
	s := p.search()
	s.Directories, s.Dereference = greppb.Directories_DIRECTORIES_RECURSE, true
	return nil
}

func (p *parser) obsoleteOffsets() error {
	p.warnings = append(p.warnings, "--unix-byte-offsets (-u) is obsolete")
	return nil
}

// setWhen reads the argument of an option that says when something is shown.
func setWhen(variable *string, option, when string) error {
	switch when {
	case "always", "yes", "force":
		*variable = "always"
	case "never", "no", "none":
		*variable = "never"
	case "auto", "tty", "if-tty":
		*variable = "auto"
	default:
		return usageError{fmt.Sprintf("invalid argument '%s' for '--%s'; want 'always', 'never' or 'auto'", when, option)}
	}
	return nil
}

// setDirectories takes an action that is abbreviated too, as grep does.
func (p *parser) setDirectories(action string) error {
	var found []greppb.Directories
	for i, name := range []string{"read", "recurse", "skip"} {
		if strings.HasPrefix(name, action) && action != "" {
			found = append(found, greppb.Directories(i))
		}
	}
	switch len(found) {
	case 0:
		return usageError{fmt.Sprintf("invalid argument '%s' for '--directories'; want 'read', 'recurse' or 'skip'", action)}
	case 1:
		p.search().Directories = found[0]
		return nil
	}
	return usageError{fmt.Sprintf("ambiguous argument '%s' for '--directories'; want 'read', 'recurse' or 'skip'", action)}
}

func (p *parser) setDevices(action string) error {
	switch action {
	case "read":
		p.search().SkipDevices = false
	case "skip":
		p.search().SkipDevices = true
	default:
		return errors.New("unknown devices method")
	}
	return nil
}

func (p *parser) addGlob(glob string, include bool) error {
	p.search().Globs = append(p.search().Globs, greppb.Glob{Pattern: glob, Include: include})
	return nil
}

// readExcluded takes one glob to exclude from each line of a file that is not blank. White space after it does
// not count unless a backslash stands before it.
func (p *parser) readExcluded(name string) error {
	data, err := p.readFile(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		glob := strings.TrimRight(line, " \t\r\n\v\f")
		if escaped := len(glob) - len(strings.TrimRight(glob, `\`)); escaped%2 == 1 && len(glob) < len(strings.TrimSuffix(line, "\n")) {
			glob = line[:len(glob)+1]
		}
		if glob != "" {
			p.addGlob(glob, false)
		}
	}
	return nil
}

func (p *parser) setRequire(coverage string) error {
	switch coverage {
	case "all":
		p.require = printer.RequireAll
	case "quorum":
		p.require = printer.RequireQuorum
	case "any":
		p.require = printer.RequireAny
	default:
		return usageError{fmt.Sprintf("invalid argument '%s' for '--require'; want 'all', 'quorum' or 'any'", coverage)}
	}
	return nil
}

// assemble puts the query and the printer's options together.
func (p *parser) assemble(files []string, stdout io.Writer, getenv func(string) string) (*options, error) {
	s := p.search()
	s.Pattern.Patterns, s.Pattern.Syntax = p.patterns, p.syntax
	s.Paths = files
	s.Report = p.report()
	s.BeforeContext, s.AfterContext = p.contextLines(p.before), p.contextLines(p.after)

	p.text.Program, p.text.Report, p.text.Invert, p.text.NullData = "dgrep", s.Report, s.Invert, s.NullData
	p.text.OneFile = len(files) < 2 && s.Directories != greppb.Directories_DIRECTORIES_RECURSE && !strings.ContainsAny(strings.Join(files, ""), `*?[{`)
	p.text.Groups = max(p.before, p.after, p.context) > unset
	p.text.Adjacent = p.text.Groups && s.BeforeContext == 0 && s.AfterContext == 0
	if p.color == "always" || p.color == "auto" && isTerminal(stdout, getenv) {
		p.text.Colors = printer.ParseColors(getenv("GREP_COLORS"))
	}

	p.text.Visible = !p.raw && leadsToTerminal(stdout)
	s.LineNumbers = p.text.LineNumbers || p.text.Adjacent || p.json
	s.ByteOffsets = p.text.ByteOffsets || p.json
	s.Spans = p.text.Colors != nil || p.json
	if err := p.checkJSON(); err != nil {
		return nil, err
	}
	if err := p.assembleFind(time.Now()); err != nil {
		return nil, err
	}
	if err := p.assembleCluster(getenv); err != nil {
		return nil, err
	}
	return &p.options, p.assembleFollow()
}

// report is what is asked for, by grep's precedence.
func (p *parser) report() greppb.Report {
	switch {
	case p.quiet:
		return greppb.Report_QUIET
	case p.list != greppb.Report_LINES:
		return p.list
	case p.count:
		return greppb.Report_COUNT
	case p.parts:
		return greppb.Report_PARTS
	}
	return greppb.Report_LINES
}

// contextLines is what -A or -B says, or else -C.
func (p *parser) contextLines(own int64) uint32 {
	if own == unset {
		own = max(p.context, 0)
	}
	return uint32(own)
}

// checkJSON refuses what JSON has no form for.
func (p *parser) checkJSON() error {
	if p.json && p.search().Report != greppb.Report_LINES {
		return usageError{"--json cannot be combined with -c, -l, -L, -o or -q: it holds counts, names and matched parts"}
	}
	return nil
}

// assembleVia decides whom to ask.
func (p *parser) assembleVia(getenv func(string) string) error {
	from := "--via"
	if p.via == "" {
		from, p.via = "DGREP_VIA", getenv("DGREP_VIA")
	}
	if p.via == "" {
		p.via = viaDefault
	}
	if host, port, err := net.SplitHostPort(p.via); err != nil || host == "" || port == "" {
		return fmt.Errorf("%s %q: want host:port", from, p.via)
	}
	return nil
}

// assembleCluster reads what concerns the nodes.
func (p *parser) assembleCluster(getenv func(string) string) error {
	if err := p.assembleVia(getenv); err != nil {
		return err
	}
	if p.nodes != "" {
		nodes, err := client.ParseNodes(context.Background(), p.nodes)
		if err != nil {
			return fmt.Errorf("--nodes: %w", err)
		}
		p.query.Nodes = nodes
	}
	p.options.timeout = limits.TimeoutDefault
	if p.timeout != "" {
		timeout, err := parseTime(p.timeout)
		if err != nil {
			return err
		}
		p.options.timeout = timeout
	}
	p.query.TimeoutNanos = int64(p.options.timeout)
	return nil
}

// parseTime reads a duration, or a number of seconds.
func parseTime(text string) (time.Duration, error) {
	withUnit := text
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		withUnit += "s"
	}
	d, err := time.ParseDuration(withUnit)
	if err != nil || d <= 0 || d > limits.TimeoutMax {
		return 0, fmt.Errorf("--timeout %q: want a time as 500ms, 10s or 1m, at most %v", text, limits.TimeoutMax)
	}
	return d, nil
}

// isTerminal reports whether colours can be shown.
func isTerminal(w io.Writer, getenv func(string) string) bool {
	return leadsToTerminal(w) && !slices.Contains([]string{"", "dumb"}, getenv("TERM"))
}

// leadsToTerminal reports whether a terminal, of whatever kind, shows what is written.
func leadsToTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
