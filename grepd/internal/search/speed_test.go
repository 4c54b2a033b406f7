package search_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

var (
	speedFlag  = flag.Int("speed", 0, "MB of the text of TestSpeedAgainstPeers; 0: it is skipped")
	speedRuns  = flag.Int("speed-runs", 5, "runs of each contender")
	speedClass = flag.String("speed-class", "", "only classes whose names hold this")
)

// The test's own binary is a grep where these are set: a pattern, and single-letter options.
const (
	speedPatternEnv = "SEARCH_TEST_PATTERN"
	speedOptionsEnv = "SEARCH_TEST_OPTIONS"
)

// runAsGrep prints the lines of the file that is the last argument, and gives the exit status.
func runAsGrep(pattern string) int {
	options := os.Getenv(speedOptionsEnv)
	m, err := match.Compile([]string{pattern}, match.Options{Syntax: match.Extended, IgnoreCase: strings.Contains(options, "i")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	o := search.Options{Matcher: m, MaxCount: -1}
	if strings.Contains(options, "c") {
		o.Report = search.Count
	}
	path := os.Args[len(os.Args)-1]
	mounts, err := search.OpenMounts([]string{"m=" + filepath.Dir(path)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	out := writerSink{w: bufio.NewWriterSize(os.Stdout, 128<<10), count: o.Report == search.Count}
	if _, err := search.Run(context.Background(), mounts, []string{"m/" + filepath.Base(path)}, o, &out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	out.w.Flush()
	return 0
}

type writerSink struct {
	w     *bufio.Writer
	count bool
}

var _ search.Sink = (*writerSink)(nil)

func (s *writerSink) Begin(string, int64) error { return nil }
func (s *writerSink) Chunk(c *search.Chunk) error {
	_, err := s.w.Write(c.Data)
	return err
}
func (s *writerSink) End(f search.FileStats) error {
	if s.count {
		fmt.Fprintln(s.w, f.Matches)
	}
	return nil
}
func (s *writerSink) Error(e search.FileError) error { return e }

// writeMembershipLog writes about size bytes of a log as the membership service keeps it.
func writeMembershipLog(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("10.0.%d.%d:7117@%d", i/10, 1+r.IntN(250), 1793600000000000000+r.Int64N(1e15))
	}
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	for n := 0; n < size; {
		now = now.Add(time.Duration(r.IntN(2_000_000)))
		level, event, rest := "INFO", "HEARTBEAT", fmt.Sprintf(`,"dir":"%s","seq":%d`, []string{"sent", "received"}[r.IntN(2)], n)
		if r.IntN(50000) == 0 {
			level, event, rest = "WARN", []string{"FAIL", "JOIN", "LEAVE"}[r.IntN(3)], `,"via":"update"`
		}
		k, err := fmt.Fprintf(w, `{"time":"%s","level":"%s","event":"%s","node":"%s","peer":"%s"%s}`+"\n",
			now.Format("2006-01-02T15:04:05.000000000Z"), level, event, ids[17], ids[r.IntN(len(ids))], rest)
		if n += k; err != nil {
			return err
		}
	}
	return w.Flush()
}

// TestSpeedAgainstPeers runs this engine, ripgrep and GNU grep alternately on one file, with their output in a pipe, and
// prints medians and ratios. It fails only where outputs differ.
func TestSpeedAgainstPeers(t *testing.T) {
	if *speedFlag == 0 {
		t.Skip("a measurement: give -speed 500 -v for one on 500 MB")
	}
	path := filepath.Join(t.TempDir(), "membership.log")
	if err := writeMembershipLog(path, *speedFlag<<20); err != nil {
		t.Fatal(err)
	}
	t.Logf("%-34s %9s %9s %9s %9s   %s", "wall and processor time", "ours", "rg", "rg mmap", "GNU grep", "rg/ours")
	for _, c := range []struct{ name, options, pattern string }{
		{"rare literal", "", `FAIL`},
		{"absent literal", "", `NOWHERE`},
		{"case-insensitive literal", "i", `fail`},
		{"alternation", "", `FAIL|LEAVE|JOIN`},
		{"regex with a literal", "", `"peer":"10\.0\.3\.[0-9]+:7117@`},
		{"regex without a literal", "", `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+`},
		{"regex without a literal, counted", "c", `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+`},
		{"rare regex without a literal", "", `[A-Z]{5}[^"A-Z]`},
		{"dense, counted", "c", `HEARTBEAT`},
		{"dense, printed", "", `HEARTBEAT`},
	} {
		if !strings.Contains(c.name, *speedClass) {
			continue
		}
		contenders := speedContenders(t, c.options, c.pattern, path)
		wall, cpu := make([][]float64, len(contenders)), make([][]float64, len(contenders))
		var first [sha256.Size]byte
		for run := range *speedRuns + 1 {
			for i, args := range contenders {
				took, used, sum := timed(t, args, c.options, c.pattern)
				if i == 0 {
					first = sum
				} else if sum != first {
					t.Errorf("%s: %q prints something else", c.name, args)
				}
				if run > 0 { // the first warms the page cache
					wall[i], cpu[i] = append(wall[i], took.Seconds()*1000), append(cpu[i], used.Seconds()*1000)
				}
			}
		}
		t.Log(speedLine(c.name, wall))
		t.Log(speedLine("", cpu))
	}
}

// speedLine gives the medians, and the better ripgrep's against ours.
func speedLine(name string, times [][]float64) string {
	var medians [4]float64
	for i := range times {
		slices.Sort(times[i])
		medians[i] = times[i][len(times[i])/2]
	}
	return fmt.Sprintf("%-34s %6.0f ms %6.0f ms %6.0f ms %6.0f ms   %.2f", name, medians[0], medians[1], medians[2], medians[3],
		min(medians[1], medians[2])/medians[0])
}

// speedContenders gives the command lines: ours, ripgrep without and with mmap, GNU grep.
func speedContenders(t *testing.T, options, pattern, path string) [][]string {
	rg, err := exec.LookPath("rg")
	if err != nil {
		t.Skip("no rg to compare with")
	}
	peer := func(args ...string) []string {
		for _, o := range options {
			args = append(args, "-"+string(o))
		}
		return append(args, "-e", pattern, path)
	}
	return [][]string{{os.Args[0], path}, peer(rg, "--no-mmap", "--no-filename"), peer(rg, "--mmap", "--no-filename"), peer(gnuGrep(t), "-E")}
}

// timed gives the wall time and the processor time of a run, and a sum of what it printed.
func timed(t *testing.T, args []string, options, pattern string) (wall, cpu time.Duration, sum [sha256.Size]byte) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", speedPatternEnv+"="+pattern, speedOptionsEnv+"="+options)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	head := sha256.New()
	n := drain(out, head)
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() > 1 {
		t.Fatalf("%q: %v: %s", args, err, errs.String())
	}
	wall = time.Since(start)
	fmt.Fprint(head, n)
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), [sha256.Size]byte(head.Sum(nil))
}

// drain reads to the end. It looks at the first bytes only, so that reading does not slow the writer down.
func drain(r io.Reader, head io.Writer) (n int64) {
	io.CopyN(head, r, 1<<20)
	buf := make([]byte, 1<<20)
	for {
		k, err := r.Read(buf)
		n += int64(k)
		if err != nil {
			return n
		}
	}
}
