package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// What the load asks for: every second line of a file on every node.
	loadFile  = "load.log"
	loadLines = 40
	// longFile is too long to wait in any buffer between its reader and its searcher.
	longFile = "long.log"
)

// longLines is how many lines longFile has. An upgraded daemon has half a minute for the rest of an answer, which the
// race detector makes last several times as long.
var longLines = 200_000

func init() {
	if raceEnabled {
		longLines = 80_000
	}
}

// writeLoad writes the files that are searched.
func (n *node) writeLoad() {
	n.t.Helper()
	var short, long strings.Builder
	for i := range loadLines {
		fmt.Fprintf(&short, "line %d is %s\n", i, []string{"even", "odd"}[i%2])
	}
	for i := range longLines {
		fmt.Fprintf(&long, "%s has line %06d of a file that takes long to read to its very end\n", n.addr, i)
	}
	writeFile(n.t, filepath.Join(n.logDir(), loadFile), short.String(), 0o644)
	writeFile(n.t, filepath.Join(n.logDir(), longFile), long.String(), 0o644)
}

// load asks a cluster all the time, and remembers what was not answered in full.
type load struct {
	nodes int
	stop  context.CancelFunc
	done  sync.WaitGroup
	slots chan struct{}

	asked atomic.Int64
	mu    sync.Mutex
	wrong []string
}

// startLoad asks each of vias so often, but has no more than four queries under way at a time: a slow machine
// asks less often.
func startLoad(t *testing.T, nodes int, every time.Duration, vias ...*node) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{nodes: nodes, stop: cancel, slots: make(chan struct{}, 4)}
	t.Cleanup(l.end)
	for _, via := range vias {
		l.done.Go(func() { l.ask(ctx, via, every) })
	}
	return l
}

func (l *load) ask(ctx context.Context, via *node, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case l.slots <- struct{}{}:
		default:
			continue
		}
		l.done.Go(func() {
			l.query(via)
			<-l.slots
		})
	}
}

func (l *load) query(via *node) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "dgrep"), "--via", via.addr, "-h", "even", "logs/"+loadFile)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	began := time.Now()
	err := cmd.Run()
	lines := strings.Count(stdout.String(), " is even\n")
	coverage := fmt.Sprintf("dgrep: %d of %d members answered\n", l.nodes, l.nodes)
	l.asked.Add(1)
	if err != nil || lines != l.nodes*loadLines/2 || stderr.String() != coverage {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.wrong = append(l.wrong, fmt.Sprintf("%s via %s: %v, %d lines, %q", began.UTC().Format(time.RFC3339Nano), via.addr, err, lines, stderr.String()))
	}
}

// awaitMore waits until so many more queries have been answered.
func (l *load) awaitMore(t *testing.T, queries int64) {
	t.Helper()
	target := l.asked.Load() + queries
	await(t, time.Minute, fmt.Sprintf("%d more queries", queries), func() error {
		if asked := l.asked.Load(); asked < target {
			return fmt.Errorf("%d are missing", target-asked)
		}
		return nil
	})
}

// end stops the load and waits for the last answer.
func (l *load) end() {
	l.stop()
	l.done.Wait()
}

// longQuery is a query whose output is read slowly, so that it lasts for as long as its
// reader wants.
type longQuery struct {
	t      *testing.T
	nodes  []*node
	cmd    *exec.Cmd
	pipe   *os.File
	stderr bytes.Buffer
	output []byte
}

// startLongQuery asks via for the long file, and reads until every node has said something.
func startLongQuery(t *testing.T, via *node, nodes []*node) *longQuery {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	q := &longQuery{t: t, nodes: nodes, pipe: read, cmd: exec.Command(filepath.Join(bin, "dgrep"), "--via", via.addr, "--timeout", "1m", "line", "logs/"+longFile)}
	q.cmd.Stdout, q.cmd.Stderr = write, &q.stderr
	err = q.cmd.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); _ = q.cmd.Process.Kill() }) // if it still runs
	for !q.begun() {
		q.read()
	}
	return q
}

func (q *longQuery) begun() bool {
	for _, n := range q.nodes {
		if !bytes.Contains(q.output, []byte(n.addr+":")) {
			return false
		}
	}
	return true
}

// read reads some more, and reports whether there is more.
func (q *longQuery) read() bool {
	q.t.Helper()
	buf := make([]byte, 32<<10)
	n, err := q.pipe.Read(buf)
	q.output = append(q.output, buf[:n]...)
	return err == nil
}

// finish reads the rest, and checks that all has come: each node's lines, in order.
func (q *longQuery) finish() {
	q.t.Helper()
	before := len(q.output)
	for q.read() {
	}
	err := q.cmd.Wait()
	if want := fmt.Sprintf("dgrep: %d of %d members answered\n", len(q.nodes), len(q.nodes)); err != nil || q.stderr.String() != want {
		q.t.Errorf("the long query: %v, %q", err, q.stderr.String())
	}
	unread := map[string][]byte{}
	for _, n := range q.nodes {
		if unread[n.addr], err = os.ReadFile(filepath.Join(n.logDir(), longFile)); err != nil {
			q.t.Fatal(err)
		}
	}
	for line := range bytes.Lines(q.output) {
		addr, rest, _ := bytes.Cut(line, []byte(":logs/"+longFile+":"))
		after, isNext := bytes.CutPrefix(unread[string(addr)], rest)
		if !isNext || len(rest) == 0 {
			next, _, _ := bytes.Cut(unread[string(addr)], []byte("\n"))
			q.t.Fatalf("the long query: %q, and %q of %s was to come", line, next, addr)
		}
		unread[string(addr)] = after
	}
	for _, n := range q.nodes {
		if rest := unread[n.addr]; len(rest) > 0 {
			q.t.Errorf("the long query lacks %d of %d lines of %s", bytes.Count(rest, []byte("\n")), longLines, n.addr)
		}
	}
	q.t.Logf("the long query read %d KiB before the upgrades and %d KiB after them", before>>10, (len(q.output)-before)>>10)
}
