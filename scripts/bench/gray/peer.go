package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// peer is a library whose members run in processes of this program.
type peer struct {
	library string
	net     *network
	self    string // this program
}

func newPeer(library string, net *network) (peer, error) {
	self, err := os.Executable()
	return peer{library, net, self}, err
}

func (p peer) name() string { return p.library }

func (p peer) start(member int, dir string) (runner, error) {
	cmd := p.net.command(member, p.self, memberCommand, p.library, strconv.Itoa(member))
	said, err := os.Create(filepath.Join(dir, outputName))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd.Stderr = said
	r := &peerRunner{member: member, cmd: cmd}
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.reader.Go(func() { r.read(told) })
	return r, nil
}

// peerRunner is such a process.
type peerRunner struct {
	member int
	cmd    *exec.Cmd
	stdin  io.Closer // when it closes, which it also does if this process dies, the member ends
	reader sync.WaitGroup

	mu   sync.Mutex
	seen []event
	err  error
}

// read takes down what the process tells, at the times of this one.
func (r *peerRunner) read(told io.Reader) {
	lines := bufio.NewScanner(told)
	for lines.Scan() {
		e, err := parseTold(lines.Bytes())
		e.at, e.member = time.Now(), r.member
		r.mu.Lock()
		if r.err == nil {
			r.err = err
		}
		r.seen = append(r.seen, e)
		r.mu.Unlock()
	}
}

func (r *peerRunner) events() ([]event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen), r.err
}

func (r *peerRunner) wait() error {
	r.reader.Wait()
	r.stdin.Close()
	return waitKilled(r.cmd)
}

// told is a line that such a process prints.
type told struct {
	What  what     `json:"what"`
	About identity `json:"about,omitempty"`
}

func parseTold(line []byte) (event, error) {
	var t told
	if err := json.Unmarshal(line, &t); err != nil {
		return event{}, fmt.Errorf("a member told %q: %w", line, err)
	}
	return event{what: t.What, about: t.About}, nil
}

// teller prints such lines. Any goroutine may use it.
type teller struct {
	mu  sync.Mutex
	out *json.Encoder
}

func newTeller(w io.Writer) *teller { return &teller{out: json.NewEncoder(w)} }

func (t *teller) tell(w what, about identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.out.Encode(told{w, about}) // nobody listens any more: the process is about to end
}
