package main

// synopsis is what a wrong command line is answered with.
const synopsis = `Usage: dgrep [OPTION]... PATTERNS FILE...
Try 'dgrep --help' for more information.
`

const help = `Usage: dgrep [OPTION]... PATTERNS FILE...
Search for PATTERNS in each FILE of every machine of the cluster.
Example: dgrep -i 'connection refused' 'logs/*'
PATTERNS can contain multiple patterns separated by newlines.
A FILE is seen through the machines' mounts: logs/NAME is a file in each machine's log
directory. Quote globs: they are expanded on each machine.

Pattern selection and interpretation:
  -E, --extended-regexp     PATTERNS are extended regular expressions
  -F, --fixed-strings       PATTERNS are strings
  -G, --basic-regexp        PATTERNS are basic regular expressions (default)
  -P, --perl-regexp         PATTERNS are Perl regular expressions, as far as RE2 has them
  -e, --regexp=PATTERNS     use PATTERNS for matching
  -f, --file=FILE           take PATTERNS from FILE, which is read here
  -i, --ignore-case         ignore case distinctions in patterns and data
      --no-ignore-case      do not ignore case distinctions (default)
  -w, --word-regexp         match only whole words
  -x, --line-regexp         match only whole lines
  -z, --null-data           a data line ends in 0 byte, not newline

Cluster:
      --via=HOST:PORT       ask the cluster through this grepd; default: $DGREP_VIA,
                            or 127.0.0.1:7117
      --nodes=LIST          search only these machines: HOST:PORT,HOST:PORT or @FILE
      --timeout=TIME        give up on a machine that is silent for TIME (500ms, 1m);
                            default: 10s
      --require=COVERAGE    how many machines have to answer: 'all' (default), 'quorum'
                            (more than half of them) or 'any'; fewer make it exit status 2
      --progress[=WHEN]     show on standard error how far the query has come; WHEN is
                            'always', 'never', or 'auto' (default: on a terminal, without -q and -s)
      --json                print JSON lines, the coverage last
      --generate-completion=SHELL  print what makes 'bash', 'zsh' or 'fish' complete
                            options, and FILEs as the machine that is asked has them

Times, fields and order:
      --since=TIME          search only lines of TIME or later, by the lines' own times;
                            TIME is how long ago (10m, 3d), 06:40, 2026-11-22T06:40,
                            with Z or +01:00 if not in this machine's zone, today, yesterday
      --until=TIME          search only lines before TIME
      --where=CONDITION     select only JSON lines of which CONDITION holds: a field, one of
                            = != < <= > >=, ~ and !~ (regular expression), and a value, as
                            in event=FAIL or peer.port>1024; several must all hold
      --fields=NAMES        print only these fields (NAME,NAME) of JSON lines, as columns
      --count-by=NAMES      print only how many selected lines have the same of these fields,
                            the most first; @node is the machine, @file the file
      --follow              print lines as they are written, until Ctrl-C: those that are
                            there already only with --since; also of files and machines
                            that come later, across rotations, restarts and upgrades.
                            -m NUM ends it after NUM lines of all files together
      --sort=ORDER          print lines in the order 'time', or machine by machine: 'node'
      --stats               print how much was searched, how long that took, and by how much
                            the machines' clocks differ

Miscellaneous:
  -s, --no-messages         suppress messages, the coverage line included
  -v, --invert-match        select non-matching lines
  -V, --version             display version information and exit
      --help                display this help text and exit

Output control:
  -m, --max-count=NUM       stop after NUM selected lines of each file
  -b, --byte-offset         print the byte offset with output lines
  -n, --line-number         print line number with output lines
      --line-buffered       flush output on every line
  -H, --with-filename       print machine and file name with output lines
  -h, --no-filename         suppress the machine and file name prefix on output
      --label=LABEL         use LABEL as the standard input file name prefix
  -o, --only-matching       show only nonempty parts of lines that match
  -q, --quiet, --silent     suppress all normal output
      --binary-files=TYPE   assume that binary files are TYPE;
                            TYPE is 'binary', 'text', or 'without-match'
  -a, --text                equivalent to --binary-files=text
  -I                        equivalent to --binary-files=without-match
  -d, --directories=ACTION  how to handle directories;
                            ACTION is 'read' (an error), 'recurse', or 'skip'
  -D, --devices=ACTION      how to handle devices, FIFOs and sockets that are named;
                            ACTION is 'read' (an error), or 'skip'
  -r, --recursive           search the files below each FILE that is a directory
  -R, --dereference-recursive  likewise, but follow all symlinks inside the mounts
      --include=GLOB        search only files that match GLOB (a file pattern)
      --exclude=GLOB        skip files that match GLOB
      --exclude-from=FILE   skip files that match any file pattern from FILE, which is read here
      --exclude-dir=GLOB    skip directories that match GLOB
  -L, --files-without-match  print only names of FILEs with no selected lines
  -l, --files-with-matches  print only names of FILEs with selected lines
  -c, --count               print only a count of selected lines per FILE
  -T, --initial-tab         make tabs line up (if needed)
  -Z, --null                print 0 byte after FILE name

Context control:
  -B, --before-context=NUM  print NUM lines of leading context
  -A, --after-context=NUM   print NUM lines of trailing context
  -C, --context=NUM         print NUM lines of output context
  -NUM                      same as --context=NUM
      --group-separator=SEP  print SEP on line between matches with context
      --no-group-separator  do not print separator for matches with context
      --color[=WHEN],
      --colour[=WHEN]       use markers to highlight the matching strings;
                            WHEN is 'always', 'never', or 'auto'
  -U, --binary              do not strip CR characters at EOL; has no effect here

Lines are printed as MACHINE:FILE:LINE, MACHINE being the member's address; bare where
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
