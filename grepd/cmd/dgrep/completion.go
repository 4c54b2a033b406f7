package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// completeTime is how long a shell waits for paths before it goes on without.
const completeTime = 2 * time.Second

// Scripts that complete dgrep's command line. A FILE is completed by dgrep itself, which asks a grepd.
const (
	bashCompletion = `# For ~/.bashrc: eval "$(dgrep --generate-completion bash)"
_dgrep() {
  local word=${COMP_WORDS[COMP_CWORD]}
  case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W '%s' -- "$word") ;;
    *) mapfile -t COMPREPLY < <(dgrep --complete-path="${word#[\'\"]}" 2>/dev/null)
       compopt -o nospace ;;
  esac
}
complete -o default -F _dgrep dgrep
`
	zshCompletion = `#compdef dgrep
# For ~/.zshrc, after compinit: eval "$(dgrep --generate-completion zsh)"
_dgrep() {
  local -a found
  if [[ $PREFIX == -* ]]; then
    found=(%s)
    compadd -- $found
  else
    found=(${(f)"$(dgrep --complete-path=$PREFIX 2>/dev/null)"})
    if (( $#found )); then compadd -S '' -- $found; else _files; fi
  fi
}
compdef _dgrep dgrep
`
	fishCompletion = `# For ~/.config/fish/config.fish: dgrep --generate-completion fish | source
complete -c dgrep -f -a '(dgrep --complete-path=(commandline -ct) 2>/dev/null)'
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

// completionScript is the script for a shell.
func completionScript(flags *pflag.FlagSet, shell string) string {
	var long []string
	fish := fishCompletion
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		long = append(long, "--"+f.Name)
		fish += "complete -c dgrep -l " + f.Name
		if f.Shorthand != "" {
			fish += " -s " + f.Shorthand
		}
		if f.NoOptDefVal == "" {
			fish += " -x"
		}
		fish += "\n"
	})
	switch shell {
	case "bash":
		return fmt.Sprintf(bashCompletion, strings.Join(long, " "))
	case "zsh":
		return fmt.Sprintf(zshCompletion, strings.Join(long, " "))
	}
	return fish
}

// completePath prints the paths on the machine of --via that begin so. There is nobody to tell errors to.
func completePath(via, prefix string, stdout io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), completeTime)
	defer cancel()
	var dialErr atomic.Pointer[error]
	conn, err := dial(via, &dialErr)
	if err != nil {
		return 1
	}
	defer conn.Close()
	reply, err := greppb.NewGrepClient(conn).Complete(ctx, &greppb.CompleteRequest{Prefix: prefix})
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
