package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// option is one option of the command line. The table of them is all that the parser, --help and
// completion know of options.
type option struct {
	short string // a letter; "": none
	long  string // "": there is none, as of -NUM, which help alone shows
	// value is what help calls its value; "": it takes none. With "[=WHEN]" it may be left out, which
	// means absent.
	value, absent string
	help          string // lines; "": help does not show it
	shown         string // what help shows in place of the option's names; "": those
	hidden        bool   // its long form is neither completed nor abbreviated: grep has none, or has it no more
	words         string // what the value may be, for completion
	file          bool   // the value is a file of this machine
	bind          binding
}

// group is options that help shows together.
type group struct {
	title   string
	ofGrep  bool // grep has them too
	options []option
}

// binding puts an option into a set of flags that set fields of a parser.
type binding func(p *parser, f *pflag.FlagSet, o *option)

// do binds an option without a value to an action.
func do(action func(p *parser) error) binding {
	return func(p *parser, f *pflag.FlagSet, o *option) {
		f.BoolFuncP(o.long, o.short, "", func(string) error { return action(p) })
	}
}

// set binds an option without a value to a field.
func set[T any](field func(p *parser) *T, value T) binding {
	return do(func(p *parser) error { *field(p) = value; return nil })
}

// turn binds an option without a value to a field that it makes true.
func turn(field func(p *parser) *bool) binding { return set(field, true) }

// take binds an option to an action on its value.
func take(action func(p *parser, value string) error) binding {
	return func(p *parser, f *pflag.FlagSet, o *option) {
		f.FuncP(o.long, o.short, "", func(value string) error { return action(p, value) })
	}
}

// keep binds an option to a field for its value.
func keep(field func(p *parser) *string) binding {
	return func(p *parser, f *pflag.FlagSet, o *option) { f.StringVarP(field(p), o.long, o.short, *field(p), "") }
}

// collect binds an option to a field for all its values.
func collect(field func(p *parser) *[]string) binding {
	return func(p *parser, f *pflag.FlagSet, o *option) { f.StringArrayVarP(field(p), o.long, o.short, nil, "") }
}

// lines binds an option to a field for a number of lines. What is more than a request can say is as
// good as all.
func lines(field func(p *parser) *int64) binding {
	return take(func(p *parser, text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if n < 0 || err != nil && !errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s: invalid context length argument", text)
		}
		*field(p) = min(n, math.MaxUint32)
		return nil
	})
}

// flags binds the options to p.
func (p *parser) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("dgrep", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if strings.HasPrefix("colour", name) && len(name) > len("colo") {
			name = "color"
		}
		return pflag.NormalizedName(name)
	})
	for _, g := range optionTable {
		for _, o := range g.options {
			if o.long == "" {
				continue
			}
			o.bind(p, f, &o)
			flag := f.Lookup(o.long)
			flag.Hidden = o.hidden
			if o.absent != "" {
				flag.NoOptDefVal = o.absent
			}
			if g.ofGrep {
				flag.Annotations = ofGrep
			}
		}
	}
	return f
}

// optionTable has all options, in the order of help.
var optionTable = []group{
	{title: "Pattern selection and interpretation", ofGrep: true, options: []option{
		{
			short: "E", long: "extended-regexp",
			bind: do(func(p *parser) error { return p.setSyntax(greppb.Syntax_EXTENDED) }),
			help: "PATTERNS are extended regular expressions",
		},
		{
			short: "F", long: "fixed-strings",
			bind: do(func(p *parser) error { return p.setSyntax(greppb.Syntax_FIXED) }),
			help: "PATTERNS are strings",
		},
		{
			short: "G", long: "basic-regexp",
			bind: do(func(p *parser) error { return p.setSyntax(greppb.Syntax_BASIC) }),
			help: "PATTERNS are basic regular expressions (default)",
		},
		{
			short: "P", long: "perl-regexp",
			bind: do(func(p *parser) error { return p.setSyntax(greppb.Syntax_PERL) }),
			help: "PATTERNS are Perl regular expressions, as far as RE2 has them",
		},
		{long: "fixed-regexp", hidden: true, bind: do(func(p *parser) error { return p.setSyntax(greppb.Syntax_FIXED) })}, // an old name of -F
		{
			short: "e", long: "regexp", value: "PATTERNS",
			bind: take((*parser).addPattern),
			help: "use PATTERNS for matching",
		},
		{
			short: "f", long: "file", value: "FILE", file: true,
			bind: take((*parser).readPatterns),
			help: "take PATTERNS from FILE, which is read here",
		},
		{
			short: "i", long: "ignore-case",
			bind: turn(func(p *parser) *bool { return &p.search().Pattern.IgnoreCase }),
			help: "ignore case distinctions in patterns and data",
		},
		{short: "y", long: "obsolete-ignore-case", hidden: true, bind: turn(func(p *parser) *bool { return &p.search().Pattern.IgnoreCase })},
		{
			long: "no-ignore-case",
			bind: set(func(p *parser) *bool { return &p.search().Pattern.IgnoreCase }, false),
			help: "do not ignore case distinctions (default)",
		},
		{
			short: "w", long: "word-regexp",
			bind: turn(func(p *parser) *bool { return &p.search().Pattern.Word }),
			help: "match only whole words",
		},
		{
			short: "x", long: "line-regexp",
			bind: turn(func(p *parser) *bool { return &p.search().Pattern.Line }),
			help: "match only whole lines",
		},
		{
			short: "z", long: "null-data",
			bind: turn(func(p *parser) *bool { return &p.search().NullData }),
			help: "a data line ends in 0 byte, not newline",
		},
	}},
	{title: "Cluster", options: []option{
		{
			long: "via", value: "HOST:PORT",
			bind: keep(func(p *parser) *string { return &p.via }),
			help: "ask the cluster through this grepd; default: $DGREP_VIA,\n" +
				"or 127.0.0.1:7117",
		},
		{
			long: "nodes", value: "LIST",
			bind: keep(func(p *parser) *string { return &p.nodes }),
			help: "search only these machines: HOST:PORT,HOST:PORT or @FILE",
		},
		{
			long: "timeout", value: "TIME",
			bind: keep(func(p *parser) *string { return &p.timeout }),
			help: "give up on a machine that is silent for TIME (500ms, 1m);\n" +
				"default: 10s",
		},
		{
			long: "require", value: "COVERAGE", words: "all quorum any",
			bind: take((*parser).setRequire),
			help: "how many machines have to answer: 'all' (default), 'quorum'\n" +
				"(more than half of them) or 'any'; fewer make it exit status 2",
		},
		{
			long: "progress", value: "[=WHEN]", absent: "always", words: "always never auto",
			bind: take(func(p *parser, when string) error { return setWhen(&p.progress, "progress", when) }),
			help: "show on standard error how far the query has come; WHEN is\n" +
				"'always', 'never', or 'auto' (default: on a terminal, without -q and -s)",
		},
		{
			long: "json",
			bind: turn(func(p *parser) *bool { return &p.json }),
			help: "print JSON lines, the coverage last",
		},
		{
			long: "generate-completion", value: "SHELL", words: "bash zsh fish",
			bind: take((*parser).setCompletion),
			help: "print what makes 'bash', 'zsh' or 'fish' complete\n" +
				"options, and FILEs as the machine that is asked has them",
		},
		{long: "complete-path", hidden: true, value: "PREFIX", bind: take(func(p *parser, prefix string) error { p.completing = &prefix; return nil })}, // for the scripts of --generate-completion
	}},
	{title: "Times, fields and order", options: []option{
		{
			long: "since", value: "TIME",
			bind: keep(func(p *parser) *string { return &p.find.since }),
			help: "search only lines of TIME or later, by the lines' own times;\n" +
				"TIME is how long ago (10m, 3d), 06:40, 2026-11-22T06:40,\n" +
				"with Z or +01:00 if not in this machine's zone, today, yesterday",
		},
		{
			long: "until", value: "TIME",
			bind: keep(func(p *parser) *string { return &p.find.until }),
			help: "search only lines before TIME",
		},
		{
			long: "where", value: "CONDITION",
			bind: collect(func(p *parser) *[]string { return &p.search().Where }),
			help: "select only JSON lines of which CONDITION holds: a field, one of\n" +
				"= != < <= > >=, ~ and !~ (regular expression), and a value, as\n" +
				"in event=FAIL or peer.port>1024; several must all hold",
		},
		{
			long: "fields", value: "NAMES",
			bind: keep(func(p *parser) *string { return &p.find.fields }),
			help: "print only these fields (NAME,NAME) of JSON lines, as columns",
		},
		{
			long: "count-by", value: "NAMES",
			bind: keep(func(p *parser) *string { return &p.find.countBy }),
			help: "print only how many selected lines have the same of these fields,\n" +
				"the most first; @node is the machine, @file the file",
		},
		{
			long: "follow",
			bind: turn(func(p *parser) *bool { return &p.follow }),
			help: "print lines as they are written, until Ctrl-C: those that are\n" +
				"there already only with --since; also of files and machines\n" +
				"that come later, across rotations, restarts and upgrades.\n" +
				"-m NUM ends it after NUM lines of all files together",
		},
		{
			long: "sort", value: "ORDER", words: "time node",
			bind: keep(func(p *parser) *string { return &p.find.sort }),
			help: "print lines in the order 'time', or machine by machine: 'node'",
		},
		{
			long: "stats",
			bind: turn(func(p *parser) *bool { return &p.stats }),
			help: "print how much was searched, how long that took, and by how much\n" +
				"the machines' clocks differ",
		},
	}},
	{title: "Miscellaneous", ofGrep: true, options: []option{
		{
			short: "s", long: "no-messages",
			bind: turn(func(p *parser) *bool { return &p.text.NoMessages }),
			help: "suppress messages, the coverage line included",
		},
		{
			short: "v", long: "invert-match",
			bind: turn(func(p *parser) *bool { return &p.search().Invert }),
			help: "select non-matching lines",
		},
		{
			short: "V", long: "version",
			bind: turn(func(p *parser) *bool { return &p.options.version }),
			help: "display version information and exit",
		},
		{
			long: "help",
			bind: turn(func(p *parser) *bool { return &p.help }),
			help: "display this help text and exit",
		},
	}},
	{title: "Output control", ofGrep: true, options: []option{
		{
			short: "m", long: "max-count", value: "NUM",
			bind: take((*parser).setMaxCount),
			help: "stop after NUM selected lines of each file",
		},
		{
			short: "b", long: "byte-offset",
			bind: turn(func(p *parser) *bool { return &p.text.ByteOffsets }),
			help: "print the byte offset with output lines",
		},
		{
			short: "n", long: "line-number",
			bind: turn(func(p *parser) *bool { return &p.text.LineNumbers }),
			help: "print line number with output lines",
		},
		{
			long: "line-buffered",
			bind: turn(func(p *parser) *bool { return &p.lineBuffered }),
			help: "flush output on every line",
		},
		{
			short: "H", long: "with-filename",
			bind: set(func(p *parser) *printer.Names { return &p.text.Names }, printer.NamesAlways),
			help: "print machine and file name with output lines",
		},
		{
			short: "h", long: "no-filename",
			bind: set(func(p *parser) *printer.Names { return &p.text.Names }, printer.NamesNever),
			help: "suppress the machine and file name prefix on output",
		},
		{
			long: "label", value: "LABEL",
			bind: keep(func(p *parser) *string { return &p.label }),
			help: "use LABEL as the standard input file name prefix",
		},
		{
			short: "o", long: "only-matching",
			bind: turn(func(p *parser) *bool { return &p.parts }),
			help: "show only nonempty parts of lines that match",
		},
		{
			short: "q", long: "quiet", shown: "-q, --quiet, --silent",
			bind: turn(func(p *parser) *bool { return &p.quiet }),
			help: "suppress all normal output",
		},
		{long: "silent", bind: turn(func(p *parser) *bool { return &p.quiet })},
		{
			long: "binary-files", value: "TYPE", words: "binary text without-match",
			bind: take((*parser).setBinary),
			help: "assume that binary files are TYPE;\n" +
				"TYPE is 'binary', 'text', or 'without-match'",
		},
		{
			short: "a", long: "text",
			bind: set(func(p *parser) *greppb.Binary { return &p.search().Binary }, greppb.Binary_BINARY_TEXT),
			help: "equivalent to --binary-files=text",
		},
		{
			short: "I", long: "without-match", hidden: true, shown: "-I",
			bind: set(func(p *parser) *greppb.Binary { return &p.search().Binary }, greppb.Binary_BINARY_SKIP),
			help: "equivalent to --binary-files=without-match",
		},
		{
			short: "d", long: "directories", value: "ACTION", words: "read recurse skip",
			bind: take((*parser).setDirectories),
			help: "how to handle directories;\n" +
				"ACTION is 'read' (an error), 'recurse', or 'skip'",
		},
		{
			short: "D", long: "devices", value: "ACTION", words: "read skip",
			bind: take((*parser).setDevices),
			help: "how to handle devices, FIFOs and sockets that are named;\n" +
				"ACTION is 'read' (an error), or 'skip'",
		},
		{
			short: "r", long: "recursive",
			bind: set(func(p *parser) *greppb.Directories { return &p.search().Directories }, greppb.Directories_DIRECTORIES_RECURSE),
			help: "search the files below each FILE that is a directory",
		},
		{
			short: "R", long: "dereference-recursive",
			bind: do((*parser).dereference),
			help: "likewise, but follow all symlinks inside the mounts",
		},
		{
			long: "include", value: "GLOB",
			bind: take(func(p *parser, glob string) error { return p.addGlob(glob, true) }),
			help: "search only files that match GLOB (a file pattern)",
		},
		{
			long: "exclude", value: "GLOB",
			bind: take(func(p *parser, glob string) error { return p.addGlob(glob, false) }),
			help: "skip files that match GLOB",
		},
		{
			long: "exclude-from", value: "FILE", file: true,
			bind: take((*parser).readExcluded),
			help: "skip files that match any file pattern from FILE, which is read here",
		},
		{
			long: "exclude-dir", value: "GLOB",
			bind: collect(func(p *parser) *[]string { return &p.search().ExcludeDir }),
			help: "skip directories that match GLOB",
		},
		{
			short: "L", long: "files-without-match",
			bind: set(func(p *parser) *greppb.Report { return &p.list }, greppb.Report_FILES_WITHOUT_MATCH),
			help: "print only names of FILEs with no selected lines",
		},
		{
			short: "l", long: "files-with-matches",
			bind: set(func(p *parser) *greppb.Report { return &p.list }, greppb.Report_FILES_WITH_MATCHES),
			help: "print only names of FILEs with selected lines",
		},
		{
			short: "c", long: "count",
			bind: turn(func(p *parser) *bool { return &p.count }),
			help: "print only a count of selected lines per FILE",
		},
		{
			short: "T", long: "initial-tab",
			bind: turn(func(p *parser) *bool { return &p.text.InitialTab }),
			help: "make tabs line up (if needed)",
		},
		{
			short: "Z", long: "null",
			bind: turn(func(p *parser) *bool { return &p.text.Null }),
			help: "print 0 byte after FILE name",
		},
	}},
	{title: "Context control", ofGrep: true, options: []option{
		{
			short: "B", long: "before-context", value: "NUM",
			bind: lines(func(p *parser) *int64 { return &p.before }),
			help: "print NUM lines of leading context",
		},
		{
			short: "A", long: "after-context", value: "NUM",
			bind: lines(func(p *parser) *int64 { return &p.after }),
			help: "print NUM lines of trailing context",
		},
		{
			short: "C", long: "context", value: "NUM",
			bind: lines(func(p *parser) *int64 { return &p.context }),
			help: "print NUM lines of output context",
		},
		{
			shown: "-NUM",
			help:  "same as --context=NUM",
		},
		{
			long: "group-separator", value: "SEP",
			bind: take((*parser).setGroupSeparator),
			help: "print SEP on line between matches with context",
		},
		{
			long: "no-group-separator",
			bind: turn(func(p *parser) *bool { return &p.text.NoGroupSeparator }),
			help: "do not print separator for matches with context",
		},
		{
			long: "color", value: "[=WHEN]", absent: "auto", shown: "    --color[=WHEN],\n      --colour[=WHEN]", words: "always never auto",
			bind: take(func(p *parser, when string) error { return setWhen(&p.color, "color", when) }),
			help: "use markers to highlight the matching strings;\n" +
				"WHEN is 'always', 'never', or 'auto'",
		},
		{
			long: "raw",
			bind: turn(func(p *parser) *bool { return &p.raw }),
			help: "leave the control characters of lines as they are\n" +
				"on a terminal; else ^[ stands for an escape there",
		},
		{
			short: "U", long: "binary",
			bind: do(func(*parser) error { return nil }),
			help: "do not strip CR characters at EOL; has no effect here",
		},
		{short: "u", long: "unix-byte-offsets", hidden: true, bind: do((*parser).obsoleteOffsets)},
	}},
}
