package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// quietMax is how long no line may come before those that are missing count as lost. A rotated file
// that nobody knows is compressed is searched after half a minute.
const quietMax = 40 * time.Second

// globs are what is followed: all files, and the logs alone without those that they are rotated to.
var globs = []string{"app/*", "app/app?.log"}

// follow is a dgrep that follows the group's logs.
type follow struct {
	glob    string
	tally   *tally
	cmd     *exec.Cmd
	readers sync.WaitGroup
	once    sync.Once
	settled chan string // gets what dgrep says when it follows all members
}

// startFollows starts a dgrep for each glob, each through another daemon, and waits until all
// follow. It gives those that were started where that fails, too.
func startFollows(ctx context.Context, g *group, logs int) ([]*follow, error) {
	var follows []*follow
	for i, glob := range globs {
		f, err := startFollow(g.nodes[i], glob, logs)
		if err != nil {
			return follows, err
		}
		follows = append(follows, f)
	}
	for _, f := range follows {
		select {
		case said := <-f.settled:
			want := fmt.Sprintf("following %d of %d members", len(g.nodes), len(g.nodes))
			if !strings.Contains(said, want) {
				return follows, fmt.Errorf("dgrep says %q, want %q", said, want)
			}
		case <-time.After(startMax):
			return follows, fmt.Errorf("dgrep does not follow %s", f.glob)
		case <-ctx.Done():
			return follows, ctx.Err()
		}
	}
	return follows, nil
}

func startFollow(n *node, glob string, logs int) (*follow, error) {
	f := &follow{
		glob: glob, tally: newTally(logs), settled: make(chan string, 1),
		cmd: exec.Command(filepath.Join(n.bin, "dgrep"), "--via", n.addr, "--follow", "SEQ", glob),
	}
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which ends it then
	lines, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	messages, err := f.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	f.read(lines, f.tally.line)
	f.read(messages, f.message)
	return f, nil
}

// read hands on each line, until there are no more.
func (f *follow) read(r io.Reader, take func(string)) {
	f.readers.Go(func() {
		s := bufio.NewScanner(r)
		for s.Scan() {
			take(s.Text())
		}
	})
}

func (f *follow) message(text string) {
	if strings.HasPrefix(text, "dgrep: following ") {
		f.settled <- text
	}
	f.tally.message(text)
}

// awaitAll waits until so many lines are printed, or none has come for long.
func (f *follow) awaitAll(ctx context.Context, written []int) error {
	want := 0
	for _, n := range written {
		want += n
	}
	printed, since := -1, time.Now()
	err := await(ctx, catchUpMax, func() error {
		f.tally.mu.Lock()
		lines := f.tally.lines
		f.tally.mu.Unlock()
		if lines != printed {
			printed, since = lines, time.Now()
		}
		if lines < want && time.Since(since) < quietMax {
			return errors.New("lines are missing still")
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return nil // the verdict says which
	}
	if err != nil {
		return err
	}
	// What comes twice, or is told as a gap, comes later.
	return sleep(ctx, quietMax)
}

// stop ends the dgrep.
func (f *follow) stop() {
	f.once.Do(func() {
		_ = f.cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself
		kill := time.AfterFunc(10*time.Second, func() { _ = f.cmd.Process.Kill() })
		f.readers.Wait()
		kill.Stop()
		_ = f.cmd.Wait() // its status says that it was interrupted
	})
}
