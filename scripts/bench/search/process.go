package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tools are the programs that are run.
type tools struct {
	dgrep, grepd string
	grep, rg     string // "": there is none
	versions     []string
}

// findTools builds the project's programs and looks for the others.
func findTools(ctx context.Context, dir string) (tools, error) {
	t := tools{dgrep: filepath.Join(dir, "dgrep"), grepd: filepath.Join(dir, "grepd")}
	// As scripts/build.sh builds what is installed.
	build := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "-o", dir, "./grepd/cmd/dgrep", "./grepd/cmd/grepd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return t, fmt.Errorf("build dgrep and grepd, which works in the project's directory: %w: %s", err, out)
	}
	t.grep, _ = exec.LookPath("grep")
	t.rg, _ = exec.LookPath("rg")
	for _, peer := range []string{t.grep, t.rg} {
		if peer == "" {
			continue
		}
		out, err := exec.CommandContext(ctx, peer, "--version").Output()
		if err != nil {
			return t, fmt.Errorf("%s --version: %w", peer, err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		t.versions = append(t.versions, first)
	}
	return t, nil
}

func (t tools) print(w io.Writer) {
	fmt.Fprintf(w, "beside   %s\n", strings.Join(t.versions, ", "))
	if t.rg == "" {
		fmt.Fprintln(w, "rg is not here, so its columns are empty: install ripgrep")
	}
	if t.grep == "" {
		fmt.Fprintln(w, "grep is not here, so its column is empty")
	}
}

// command is a program with its arguments.
type command struct {
	name  string
	args  []string
	input string // file that is its standard input; "": none
}

// result is how a run of a command went.
type result struct {
	wall  time.Duration
	first time.Duration // until the first bytes of output
	cpu   time.Duration
	rssKB int64 // the most that was resident
	bytes int64 // of output
}

// bufferBytes is how much of a pipe is read at once.
const bufferBytes = 256 << 10

// run runs a command with its output in a pipe, each part of which is handed to take, if not nil.
func (c command) run(ctx context.Context, take func([]byte)) (r result, err error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if c.input != "" {
		input, err := os.Open(c.input)
		if err != nil {
			return r, err
		}
		defer input.Close()
		cmd.Stdin = input
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	buf := make([]byte, bufferBytes)
	for {
		n, readErr := out.Read(buf)
		if r.bytes == 0 {
			r.first = time.Since(start)
		}
		r.bytes += int64(n)
		if take != nil {
			take(buf[:n])
		}
		if readErr != nil {
			break
		}
	}
	err = cmd.Wait()
	r.wall = time.Since(start)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1 is that nothing was found
		return r, fmt.Errorf("%q: %w: %s", cmd.Args, err, errs.String())
	}
	state := cmd.ProcessState
	r.cpu = state.UserTime() + state.SystemTime()
	r.rssKB = peakKB(state)
	return r, nil
}

// sum gives a hash of what a command prints, in whatever order its lines come if sorted.
func (c command) sum(ctx context.Context, sorted bool) ([sha256.Size]byte, error) {
	hash := sha256.New()
	var all []byte
	_, err := c.run(ctx, func(p []byte) {
		if sorted {
			all = append(all, p...)
		} else {
			hash.Write(p)
		}
	})
	if sorted {
		lines := bytes.SplitAfter(all, []byte{'\n'})
		slices.SortFunc(lines, bytes.Compare)
		for _, line := range lines {
			hash.Write(line)
		}
	}
	return [sha256.Size]byte(hash.Sum(nil)), err
}

// times are those of the runs of one command, and their medians.
type times struct {
	command
	wall, first, cpu []float64 // ms
	bytes            int64
}

func (t *times) add(r result) {
	t.wall, t.first = append(t.wall, milliseconds(r.wall)), append(t.first, milliseconds(r.first))
	t.cpu = append(t.cpu, milliseconds(r.cpu))
	t.bytes = r.bytes
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// alternate runs commands in turns. Each is run once before, to compare what they print, in
// whatever order if sorted; a difference is an error.
func (b *bench) alternate(sorted bool, commands ...command) ([]*times, error) {
	var all []*times
	var want [sha256.Size]byte
	for i, c := range commands {
		got, err := c.sum(b.ctx, sorted)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			want = got
		} else if got != want {
			return nil, fmt.Errorf("%q prints something else than %q", c.args, commands[0].args)
		}
		all = append(all, &times{command: c})
	}
	for range b.options.runs {
		for _, t := range all {
			r, err := t.run(b.ctx, nil)
			if err != nil {
				return nil, err
			}
			t.add(r)
		}
	}
	return all, nil
}
