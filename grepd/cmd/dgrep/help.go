package main

import (
	"fmt"
	"strings"
)

// synopsis is what a wrong command line is answered with.
const synopsis = `Usage: dgrep [OPTION]... PATTERNS FILE...
Try 'dgrep --help' for more information.
`

// What help says before the options, and after them.
const (
	helpHead = `Usage: dgrep [OPTION]... PATTERNS FILE...
Search for PATTERNS in each FILE of every machine of the cluster.
Example: dgrep -i 'connection refused' 'logs/*'
PATTERNS can contain multiple patterns separated by newlines.
A FILE is seen through the machines' mounts: logs/NAME is a file in each machine's log
directory. Quote globs: they are expanded on each machine.
`
	helpTail = `Lines are printed as MACHINE:FILE:LINE, MACHINE being the member's address; bare where
one machine and one FILE, not a glob, are searched. The last line on standard error says
which machines the answer speaks for.

With --where, --fields or --count-by all operands are FILEs, and PATTERNS, if any, are
given with -e or -f.

With no FILE, or where FILE is '-', search standard input, here, without any grepd.

Files whose names end in .gz or .zst, and that are such files, are searched as what they
expand to.

Exit status is 0 if any line is selected, 1 if none is and every machine has said so, or
as many as --require asks for; 2 if any error occurs, and a machine that does not answer
is one unless --require allows for it; but with -q it is 0 as soon as a line is selected.
`
)

// helpColumn is where the explanations of options begin.
const helpColumn = 28

// help is what --help prints.
func help() string {
	var b strings.Builder
	b.WriteString(helpHead)
	for _, g := range optionTable {
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		for _, o := range g.options {
			if o.help != "" {
				writeHelp(&b, &o)
			}
		}
	}
	b.WriteString("\n" + helpTail)
	return b.String()
}

// writeHelp writes the lines of one option: what it is called, and beside that what it does.
func writeHelp(b *strings.Builder, o *option) {
	names := o.names()
	last := names[strings.LastIndexByte(names, '\n')+1:]
	b.WriteString(names)
	b.WriteString(strings.Repeat(" ", max(helpColumn-len(last), 2)))
	b.WriteString(strings.ReplaceAll(o.help, "\n", "\n"+strings.Repeat(" ", helpColumn)))
	b.WriteByte('\n')
}

// names is what the option is called in help.
func (o *option) names() string {
	if o.shown != "" {
		return "  " + o.shown
	}
	names := "      --" + o.long
	if o.short != "" {
		names = "  -" + o.short + ", --" + o.long
	}
	switch {
	case o.value == "":
		return names
	case o.absent != "":
		return names + o.value
	}
	return names + "=" + o.value
}
