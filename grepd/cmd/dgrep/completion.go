package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/client"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// completeTime is how long a shell waits for paths before it goes on without.
const completeTime = 2 * time.Second

// Scripts that complete dgrep's command line. A FILE is completed by dgrep itself, which asks a grepd. In those of bash and zsh
// stand the options, and cases that say what some of them take.
const (
	// bash makes three words of --sort=time. It quotes what it inserts only if that is said to be names of files, and then
	// shows what comes after the last slash.
	bashCompletion = `# For ~/.bashrc: eval "$(dgrep --generate-completion bash)"
_dgrep() {
  local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]}
  if [[ $word == = ]]; then word= option+==
  elif [[ $option == = ]]; then option=${COMP_WORDS[COMP_CWORD-2]}=
  fi
  COMPREPLY=()
  case $option in
%s  esac
  case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W '%s' -- "$word") ;;
    *) word=${word#[\'\"]}
       mapfile -t COMPREPLY < <(dgrep --complete-path="${word//\\/}" 2>/dev/null)
       compopt -o nospace -o filenames ;;
  esac
}
complete -F _dgrep dgrep
`
	bashValues = `    %s) mapfile -t COMPREPLY < <(compgen -W '%s' -- "$word"); return ;;
`
	bashFiles = `    %s) mapfile -t COMPREPLY < <(compgen -f -- "$word"); compopt -o filenames; return ;;
`
	zshCompletion = `#compdef dgrep
# For ~/.zshrc, after compinit: eval "$(dgrep --generate-completion zsh)"
_dgrep() {
  local -a found
  local option=$words[CURRENT-1]
  if [[ $PREFIX == --*=* ]]; then
    option=${PREFIX%%%%=*}=
    compset -P '*='
  fi
  case $option in
%s  esac
  if [[ $PREFIX == -* ]]; then
    found=(%s)
    compadd -- $found
  else
    found=(${(f)"$(dgrep --complete-path=${(Q)PREFIX} 2>/dev/null)"})
    compadd -S '' -- $found
  fi
}
compdef _dgrep dgrep
`
	zshValues = `    %s) found=(%s); compadd -- $found; return ;;
`
	zshFiles = `    %s) _files; return ;;
`
	fishCompletion = `# For ~/.config/fish/config.fish: dgrep --generate-completion fish | source
function __dgrep_paths
  set -l word (commandline -ct | string trim --left --chars "'\"" | string replace --all "\\" "")
  dgrep --complete-path="$word" 2>/dev/null
end
complete -c dgrep -f -a '(__dgrep_paths)'
`
)

// setCompletion keeps the name of a shell.
func (p *parser) setCompletion(shell string) error {
	switch shell {
	case "bash", "zsh", "fish":
		p.completion = shell
		return nil
	}
	return usageError{fmt.Sprintf("invalid argument '%s' for '--generate-completion'; want 'bash', 'zsh' or 'fish'", shell)}
}

// listedOptions are those that are completed, by their names.
func listedOptions() (listed []option) {
	for _, g := range optionTable {
		for _, o := range g.options {
			if o.long != "" && !o.hidden {
				listed = append(listed, o)
			}
		}
	}
	slices.SortFunc(listed, func(a, b option) int { return strings.Compare(a.long, b.long) })
	return listed
}

// completionScript is the script for a shell.
func completionScript(shell string) string {
	var long []string
	cases, fish := "", fishCompletion
	for _, o := range listedOptions() {
		long = append(long, "--"+o.long)
		fish += o.fishLine()
		if shell == "bash" {
			cases += o.shellCase(bashValues, bashFiles)
		} else {
			cases += o.shellCase(zshValues, zshFiles)
		}
	}
	switch shell {
	case "bash":
		return fmt.Sprintf(bashCompletion, cases, strings.Join(long, " "))
	case "zsh":
		return fmt.Sprintf(zshCompletion, cases, strings.Join(long, " "))
	}
	return fish
}

// takesNext reports whether the value may be the next argument.
func (o *option) takesNext() bool { return o.value != "" && o.absent == "" }

// shellCase is the case of the option in a script, if it is known what it takes.
func (o *option) shellCase(values, files string) string {
	names := "--" + o.long + "="
	if o.takesNext() {
		names += "|--" + o.long
	}
	if o.takesNext() && o.short != "" {
		names += "|-" + o.short
	}
	switch {
	case o.words != "":
		return fmt.Sprintf(values, names, o.words)
	case o.file:
		return fmt.Sprintf(files, names)
	}
	return ""
}

// fishLine is the line of the option in a script.
func (o *option) fishLine() string {
	line := "complete -c dgrep -l " + o.long
	if o.short != "" {
		line += " -s " + o.short
	}
	switch {
	case o.file:
		line += " -r -F"
	case o.words != "" && !o.takesNext(): // it stands after = only
		line += " -f -a '" + o.words + "'"
	case o.words != "":
		line += " -x -a '" + o.words + "'"
	case o.takesNext():
		line += " -x"
	}
	return line + "\n"
}

// completePath prints the paths on the machine of --via that begin so. There is nobody to tell errors to.
func completePath(via, prefix string, stdout io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	conn, err := client.Dial(via)
	if err != nil {
		return 1
	}
	defer conn.Close()
	reply, err := greppb.NewGrepClient(conn.ClientConn).Complete(ctx, &greppb.CompleteRequest{Prefix: prefix})
	if err != nil {
		return 1
	}
	for _, path := range reply.Paths {
		if !strings.Contains(path, "\n") { // which no shell could tell from two paths
			fmt.Fprintln(stdout, path)
		}
	}
	return 0
}
