package eventlog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	self = "10.0.0.3:7117@1763793600000000000"
	peer = "10.0.0.5:7117@1763793500000000000"
)

// clock shows the times given to it one after the other, and then stands still.
type clock struct {
	mu    sync.Mutex
	times []time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.times[0]
	if len(c.times) > 1 {
		c.times = c.times[1:]
	}
	return t
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func openTest(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestText(t *testing.T) {
	dir := t.TempDir()
	c := &clock{times: []time.Time{at("2026-11-22T06:40:00.1+02:00")}}
	l, err := Open(Config{Dir: dir, Name: MembershipLog, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	l.Write(slog.LevelDebug, Heartbeat, self, peer, slog.String(KeyDir, Sent), slog.Uint64(KeySeq, 7))
	l.Write(slog.LevelDebug, Message, self, peer, slog.String(KeyDir, Received), slog.String(KeyKind, "update"))
	l.Write(slog.LevelInfo, Join, self, peer, slog.String(KeyVia, "update"))
	l.Write(slog.LevelWarn, Fail, self, peer, slog.String(KeyVia, "monitor"), slog.Int64(KeySilentMS, 1873),
		slog.Int(KeyProbes, 6), slog.Int(KeyAnswers, 2))
	l.Write(slog.LevelWarn, Waiting, self, "", slog.String(KeyDetail, "no gateway answers: \"a\"\nb\x00\xff"))
	l.Write(slog.LevelInfo, Rejoin, self, "", slog.String(KeyPrevious, peer))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, MembershipLog))
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "text.golden")
	if *rewrite {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the log's text has changed; look at the difference and run with -rewrite if it is meant\ngot:\n%swant:\n%s", got, want)
	}
}

func TestTimeReadsWhatWriteWrote(t *testing.T) {
	for _, text := range []string{
		"2026-11-22T06:40:00Z", "2026-11-22T06:40:00.000000001Z", "1999-12-31T23:59:59.999999999Z",
		"2024-02-29T00:00:00.5+05:30",
	} {
		want := at(text)
		if got := formatTime(want); got != want.UTC().Format(timeLayout) {
			t.Errorf("formatTime(%s) = %s", text, got)
		}
		line := `{"time":"` + formatTime(want) + `","level":"INFO"}`
		got, ok := Time([]byte(line))
		if !ok || !got.Equal(want) {
			t.Errorf("Time(%s) = %v, %t, want %v", line, got, ok, want)
		}
	}
}

func TestTimeRefusesOtherLines(t *testing.T) {
	for _, line := range []string{
		"", "{", `{"time":"`, `{"time":"2026-11-22T06:40:00Z","level":"INFO"}`,
		`{"time":"2026-13-22T06:40:00.000000000Z"}`, `{"time":"2026-02-30T06:40:00.000000000Z"}`,
		`{"time":"2026-11-22T24:40:00.000000000Z"}`, `{"time":"2026-11-22 06:40:00.000000000Z"}`,
		`{"time":"2026-11-22T06:40:00.00000000xZ"}`, `{"time":"2026-11-22T06:40:00.000000000Z`,
		`Nov 22 06:40:00 host sshd[1]: x`,
	} {
		if got, ok := Time([]byte(line)); ok {
			t.Errorf("Time(%q) = %v, want none", line, got)
		}
	}
}

func FuzzTimeAgreesWithTheStandardLibrary(f *testing.F) {
	f.Add("2026-11-22T06:40:00.123456789Z")
	f.Add("2024-02-29T23:59:59.000000000Z")
	f.Add("2023-02-29T23:59:60.000000000Z")
	f.Add("0000-00-00T00:00:00.000000000Z")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := Time([]byte(`{"time":"` + text + `"`))
		want, err := time.Parse(timeLayout, text)
		// The library takes a comma for the point; the log has none.
		wantOK := err == nil && len(text) == len(timeLayout) && !strings.Contains(text, ",")
		if ok != wantOK || ok && !got.Equal(want) {
			t.Errorf("Time of %q: %v, %t, want %v, %t", text, got, ok, want, err)
		}
	})
}

// allLines returns the lines of the log and of its rotated files, in any order.
func allLines(t *testing.T, dir string) (lines []string, plain, zipped int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, GrepdLog+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // compressed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = f
		if strings.HasSuffix(path, gzipSuffix) {
			zipped++
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		} else {
			plain++
		}
		s := bufio.NewScanner(r)
		for s.Scan() {
			lines = append(lines, s.Text())
		}
		if s.Err() != nil {
			t.Fatal(path, s.Err())
		}
		f.Close()
	}
	return lines, plain, zipped
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// Two writers of one file are what a reload makes for a moment.
func TestTwoWritersLoseNothingWhileTheyRotate(t *testing.T) {
	testWriters(t, 2, 3000, 3000)
}

// Upgrades in short succession make more of them, each for a short time.
func TestWritersThatComeAndGoLoseNothingWhileTheyRotate(t *testing.T) {
	testWriters(t, 4, 1500, 100)
}

// testWriters has writers write so many lines each, and open the log anew after some.
func testWriters(t *testing.T, writers, linesEach, linesEachTime int) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, Name: GrepdLog, BytesMax: 100_000, RotatedMax: 1000}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; i < linesEach; {
				l, err := Open(cfg)
				if err != nil {
					t.Error(err)
					return
				}
				for range linesEachTime {
					l.Write(slog.LevelInfo, Plugin, self, "", slog.Int("writer", w), slog.Int("i", i))
					i++
				}
				if n := l.Dropped(); n != 0 {
					t.Errorf("writer %d dropped %d lines", w, n)
				}
				l.Close() // or files are compressed while they are counted
			}
		})
	}
	wg.Wait()
	lines, _, _ := allLines(t, dir)
	seen := map[string]bool{}
	for _, line := range lines {
		var got struct {
			Writer, I int
			Event     string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("torn line %q: %v", line, err)
		}
		seen[fmt.Sprint(got.Writer, " ", got.I)] = true
	}
	if len(seen) != writers*linesEach {
		t.Errorf("found %d lines, want %d", len(seen), writers*linesEach)
	}
}

func TestRotatedFilesAreCompressedButTheNewest(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, Config{Dir: dir, Name: GrepdLog, BytesMax: 2000})
	const lineCount = 100
	for i := range lineCount {
		l.Write(slog.LevelInfo, Plugin, self, "", slog.Int("i", i))
	}
	poll(t, "one plain rotated file, the others compressed", func() bool {
		_, plain, zipped := allLines(t, dir)
		return plain == 2 && zipped > 2
	})
	if lines, _, _ := allLines(t, dir); len(lines) != lineCount {
		t.Errorf("%d lines, want %d", len(lines), lineCount)
	}
}

// A process died after path.gz was there and before path was gone.
func TestACompressionThatWasInterruptedIsFinished(t *testing.T) {
	dir := t.TempDir()
	written := at("2026-11-22T06:40:00Z")
	old := filepath.Join(dir, GrepdLog+".20261122T064000.000000000Z")
	newest := filepath.Join(dir, GrepdLog+".20261122T065000.000000000Z")
	for name, text := range map[string]string{old: "old\n", old + ".gz": "half of a", newest: "newest\n", filepath.Join(dir, "."+filepath.Base(old)+".gz"): "unfinished"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, written, written); err != nil {
			t.Fatal(err)
		}
	}
	openTest(t, Config{Dir: dir, Name: GrepdLog})
	poll(t, "the old file only compressed", func() bool {
		_, err := os.Stat(old)
		return errors.Is(err, fs.ErrNotExist)
	})
	lines, plain, zipped := allLines(t, dir)
	if got := strings.Join(lines, " "); got != "old newest" && got != "newest old" || plain != 2 || zipped != 1 {
		t.Errorf("lines %q in %d plain and %d compressed files", got, plain, zipped)
	}
	if info, err := os.Stat(old + ".gz"); err != nil || !info.ModTime().Equal(written) {
		t.Errorf("the compressed file is not as old as what it holds: %v, %v", info, err)
	}
	if hidden, _ := filepath.Glob(filepath.Join(dir, ".*")); len(hidden) > 0 {
		t.Errorf("%q are left", hidden)
	}
}

func TestOldestRotatedFilesGo(t *testing.T) {
	dir := t.TempDir()
	l := openTest(t, Config{Dir: dir, Name: GrepdLog, BytesMax: 1000, RotatedMax: 3})
	for i := range 200 {
		l.Write(slog.LevelInfo, Plugin, self, "", slog.Int("i", i))
	}
	poll(t, "three rotated files and the current one", func() bool {
		paths, _ := filepath.Glob(filepath.Join(dir, "*"))
		return len(paths) == 4
	})
	lines, _, _ := allLines(t, dir)
	if !strings.Contains(strings.Join(lines, "\n"), `"i":199}`) {
		t.Error("the newest line went with the oldest files")
	}
}

func TestWriterFollowsAFileThatWasMovedAway(t *testing.T) {
	dir := t.TempDir()
	c := &clock{times: []time.Time{at("2026-11-22T06:40:00Z")}}
	l, err := Open(Config{Dir: dir, Name: GrepdLog, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Write(slog.LevelInfo, Plugin, self, "")
	path := filepath.Join(dir, GrepdLog)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	c.times = []time.Time{c.times[0].Add(2 * recheckEvery)}
	l.Write(slog.LevelInfo, Plugin, self, "")
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("stat after the move: %v, %v, want a new file with a line", info, err)
	}
}

// A log directory that is removed comes back, and the lines that went with it are counted and said.
func TestRemovedLogIsMadeAgainAndItsLinesAreCounted(t *testing.T) {
	for name, remove := range map[string]func(dir string) error{
		"with its directory": os.RemoveAll,
		"alone":              func(dir string) error { return os.Remove(filepath.Join(dir, "a.log")) },
		"by renaming its directory": func(dir string) error {
			return os.Rename(dir, dir+".old")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "logs")
			now := time.Unix(1e9, 0)
			l := openTest(t, Config{Dir: dir, Name: "a.log", Now: func() time.Time { return now }})
			write := func(n int) { l.Write(slog.LevelInfo, Join, self, peer, slog.Int(KeySeq, n)) }
			write(1)
			if err := remove(dir); err != nil {
				t.Fatal(err)
			}
			now = now.Add(recheckEvery / 2)
			write(2)
			now = now.Add(recheckEvery)
			write(3)
			text, err := os.ReadFile(filepath.Join(dir, "a.log"))
			if err != nil {
				t.Fatal(err)
			}
			if s := string(text); strings.Contains(s, `"seq":2`) || !strings.Contains(s, `"seq":3`) || !strings.Contains(s, `"event":"LOG_LOST"`) {
				t.Errorf("the log is\n%s", s)
			}
			if l.Dropped() != 2 { // of the first it is not known whether anybody has read it
				t.Errorf("%d lines dropped, want 2", l.Dropped())
			}
		})
	}
}

// Whoever may replace the directory must not choose where this process writes.
func TestLogIsNotWrittenThroughANewLink(t *testing.T) {
	base := t.TempDir()
	dir, elsewhere := filepath.Join(base, "logs"), filepath.Join(base, "elsewhere")
	now := time.Unix(1e9, 0)
	l := openTest(t, Config{Dir: dir, Name: "a.log", Now: func() time.Time { return now }})
	for _, err := range []error{os.Mkdir(elsewhere, 0o700), os.RemoveAll(dir), os.Symlink(elsewhere, dir)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		now = now.Add(recheckEvery)
		l.Write(slog.LevelInfo, Join, self, peer)
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("through the link was written %v, %v", entries, err)
	}
	if l.Dropped() != 3 {
		t.Errorf("%d lines dropped, want 3", l.Dropped())
	}
	if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(recheckEvery)
	l.Check(self)
	l.Write(slog.LevelInfo, Join, self, peer)
	if text, err := os.ReadFile(filepath.Join(dir, "a.log")); err != nil || !strings.Contains(string(text), `"JOIN"`) {
		t.Errorf("with a directory again: %q, %v", text, err)
	}
}

func TestTornLineIsEndedBeforeTheNext(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, GrepdLog)
	if err := os.WriteFile(path, []byte("{\"time\":\"2026"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, Config{Dir: dir, Name: GrepdLog})
	l.Write(slog.LevelInfo, Plugin, self, "")
	lines, _, _ := allLines(t, dir)
	if len(lines) != 2 || !json.Valid([]byte(lines[1])) {
		t.Errorf("lines %q, want the torn one and a whole one", lines)
	}
}

func TestUnusableDirectoryIsAnErrorAtOnce(t *testing.T) {
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: notDir, Name: GrepdLog})
	if err == nil || !strings.Contains(err.Error(), notDir) {
		t.Errorf("Open in a file: %v, want an error that names it", err)
	}
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, GrepdLog), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: taken, Name: GrepdLog}); err == nil {
		t.Error("Open where the file's name is a directory's: no error")
	}
	if os.Geteuid() == 0 {
		t.Log("running as root: directories without permission are not tried")
		return
	}
	readOnly := t.TempDir()
	os.Chmod(readOnly, 0o500)
	if _, err := Open(Config{Dir: readOnly, Name: GrepdLog}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open in a read-only directory: %v", err)
	}
}

func TestClosedLogCountsWhatItDrops(t *testing.T) {
	l := openTest(t, Config{Dir: t.TempDir(), Name: GrepdLog})
	l.Close()
	l.Write(slog.LevelInfo, Plugin, self, "")
	if l.Dropped() != 1 {
		t.Errorf("dropped %d, want 1", l.Dropped())
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// BenchmarkHeartbeat is the cost of the line that is written most, write(2) included.
func BenchmarkHeartbeat(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir(), Name: MembershipLog, RotatedMax: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		l.Write(slog.LevelDebug, Heartbeat, self, peer, slog.String(KeyDir, Sent), slog.Uint64(KeySeq, 7))
	}
}

// BenchmarkHeartbeatFormat leaves write(2) out.
func BenchmarkHeartbeatFormat(b *testing.B) {
	l := &Log{now: time.Now, handler: slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{
		Level: slog.LevelDebug, ReplaceAttr: replaceBuiltin,
	})}
	b.ReportAllocs()
	for b.Loop() {
		l.Write(slog.LevelDebug, Heartbeat, self, peer, slog.String(KeyDir, Sent), slog.Uint64(KeySeq, 7))
	}
}

func BenchmarkTime(b *testing.B) {
	line := []byte(`{"time":"2026-11-22T06:40:00.123456789Z","level":"INFO"}`)
	b.ReportAllocs()
	for b.Loop() {
		Time(line)
	}
}
