package eventlog

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", rand.Uint64(), "of the random tests")

// drain returns what there is to read now, by the field n of each line.
func drain(t *testing.T, f *Follower) (numbers []string) {
	t.Helper()
	for {
		line, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if line == nil {
			return numbers
		}
		_, rest, ok := strings.Cut(string(line), `"n":"`)
		if !ok || !strings.HasSuffix(rest, `"}`) {
			t.Fatalf("not a whole line: %s", line)
		}
		numbers = append(numbers, strings.TrimSuffix(rest, `"}`))
	}
}

func write(l *Log, n string) { l.Write(slog.LevelInfo, Join, self, peer, slog.String("n", n)) }

// TestFollowerReadsEachLineOnce has two writers of one log, which rotate and compress it,
// and a follower that now and then gives way to another one, which goes on at its position.
func TestFollowerReadsEachLineOnce(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	cfg := Config{Dir: t.TempDir(), Name: MembershipLog, BytesMax: 2000, RotatedMax: 1000}
	writers := []*Log{openTest(t, cfg), openTest(t, cfg)}
	f := Follow(cfg.Dir, cfg.Name, Position{})
	defer func() { f.Close() }()
	var want, got []string
	for i := range 1000 {
		n := fmt.Sprint(i)
		write(writers[random.IntN(2)], n)
		want = append(want, n)
		switch random.IntN(60) {
		case 0, 1, 2, 3, 4:
			got = append(got, drain(t, f)...)
		case 5:
			f.Close()
			f = Follow(cfg.Dir, cfg.Name, f.Position())
		case 6: // a writer that ends lets the others' files be compressed
			w := random.IntN(2)
			writers[w].Close()
			writers[w] = openTest(t, cfg)
		}
	}
	for _, w := range writers {
		w.Close()
	}
	got = append(got, drain(t, f)...)
	// A writer goes on for a while with a file that the other one has renamed, so lines of
	// different files may change places.
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || f.Lost() != 0 {
		t.Errorf("read %d lines of %d, %d files lost", len(got), len(want), f.Lost())
	}
	if zipped, _ := filepath.Glob(filepath.Join(cfg.Dir, "*"+gzipSuffix)); len(zipped) == 0 {
		t.Error("no file was compressed, so this test has not tested much")
	}
}

func TestFollowerGoesOnInACompressedFile(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Name: MembershipLog, BytesMax: 500}
	l := openTest(t, cfg)
	write(l, "0")
	write(l, "1")
	f := Follow(cfg.Dir, cfg.Name, Position{})
	if line, err := f.Next(); err != nil || !strings.Contains(string(line), `"n":"0"`) {
		t.Fatalf("first line %s, %v", line, err)
	}
	f.Close()
	n := 2
	await(t, "the first file is compressed", func() bool {
		write(l, fmt.Sprint(n))
		n++
		zipped, _ := filepath.Glob(filepath.Join(cfg.Dir, cfg.Name+".*"+gzipSuffix))
		return len(zipped) > 0
	})
	l.Close()
	f = Follow(cfg.Dir, cfg.Name, f.Position())
	defer f.Close()
	if got := drain(t, f); len(got) != n-1 || got[0] != "1" || f.Lost() != 0 {
		t.Errorf("read %d lines from %v on, want %d from 1 on; lost %d", len(got), got[:1], n-1, f.Lost())
	}
}

func TestFollowerWaitsForAFileAndForWholeLines(t *testing.T) {
	dir := t.TempDir()
	f := Follow(dir, GrepdLog, Position{})
	defer f.Close()
	if line, err := f.Next(); line != nil || err != nil {
		t.Errorf("without a file: %q, %v", line, err)
	}
	path := filepath.Join(dir, GrepdLog)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fmt.Fprint(file, `{"time":"2026-11-22T06:40:00.000000000Z","n":"1`)
	if got := drain(t, f); got != nil {
		t.Errorf("read %q of half a line", got)
	}
	fmt.Fprintln(file, `"}`)
	if got := drain(t, f); !slices.Equal(got, []string{"1"}) {
		t.Errorf("read %q", got)
	}
	fmt.Fprintln(file, strings.Repeat("x", 2*followLineMax)+"\n"+`{"time":"2026-11-22T06:40:01.000000000Z","n":"2"}`)
	if got := drain(t, f); !slices.Equal(got, []string{"2"}) {
		t.Errorf("after a line that is too long: read %q", got)
	}
	if info, err := file.Stat(); err != nil || f.Position().Offset != info.Size() {
		t.Errorf("position %+v, file %v, %v", f.Position(), info.Size(), err)
	}
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(`{"time":"2026-11-22T06:40:02.000000000Z","n":"3"}`+"\n"), 0); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, f); !slices.Equal(got, []string{"3"}) {
		t.Errorf("after the file was truncated: read %q", got)
	}
}

func TestFollowerSaysWhenItsFileIsGone(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Name: MembershipLog}
	l := openTest(t, cfg)
	write(l, "1")
	f := Follow(cfg.Dir, cfg.Name, Position{File: at("2020-01-01T00:00:00Z"), Offset: 7})
	defer f.Close()
	if got := drain(t, f); !slices.Equal(got, []string{"1"}) || f.Lost() != 1 {
		t.Errorf("read %q, lost %d files, want the oldest that is left, and 1", got, f.Lost())
	}
}

// A compressed file that is damaged or cut short, as by a full disk, holds nothing up for ever.
func TestFollowerPassesADamagedFileOver(t *testing.T) {
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, `{"time":"2026-01-01T00:00:%02d.%09dZ","n":"%d"}`+"\n", i/100, i, i)
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	zip.Write([]byte(lines.String()))
	zip.Close()
	whole := zipped.Bytes()
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0x55
	wrongSum := bytes.Clone(whole)
	wrongSum[len(wrongSum)-8] ^= 0x55
	for name, content := range map[string][]byte{"cut short": whole[:len(whole)/2], "flipped": flipped, "wrong sum": wrongSum} {
		dir := t.TempDir()
		path := filepath.Join(dir, MembershipLog)
		if err := os.WriteFile(path+".20260101T010000.000000000Z"+gzipSuffix, content, 0o644); err != nil {
			t.Fatal(err)
		}
		f := Follow(dir, MembershipLog, Position{})
		before := len(drain(t, f)) // and nothing comes after it yet
		if err := os.WriteFile(path, []byte(`{"time":"2026-01-01T02:00:00.000000000Z","n":"next"}`+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := drain(t, f); !slices.Equal(got, []string{"next"}) || f.Lost() != 1 {
			t.Errorf("%s: after %d lines read %q, lost %d files", name, before, got, f.Lost())
		}
		f.Close()
		// Nor does a position behind the damage.
		f = Follow(dir, MembershipLog, Position{File: at("2026-01-01T00:00:00Z"), Offset: int64(lines.Len())})
		if got := drain(t, f); len(got) == 0 || got[len(got)-1] != "next" {
			t.Errorf("%s: behind the damage read %q", name, got)
		}
		f.Close()
	}
}

func TestFollowSinceBeginsWithTheFileOfThatTime(t *testing.T) {
	dir := t.TempDir()
	for name, line := range map[string]string{
		MembershipLog + ".20260101T020000.000000000Z": `{"time":"2026-01-01T01:00:00.000000000Z","n":"1"}`,
		MembershipLog + ".20260101T030000.000000000Z": `{"time":"2026-01-01T02:00:00.000000000Z","n":"2"}`,
		MembershipLog: `{"time":"2026-01-01T03:00:00.000000000Z","n":"3"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for since, want := range map[string]string{
		"2025-12-31T00:00:00Z": "1 2 3", "2026-01-01T02:30:00Z": "2 3", "2026-01-01T03:00:00Z": "3", "2027-01-01T00:00:00Z": "3",
	} {
		f := FollowSince(dir, MembershipLog, at(since))
		if got := strings.Join(drain(t, f), " "); got != want || f.Lost() != 0 {
			t.Errorf("since %s: read %q, want %q", since, got, want)
		}
		f.Close()
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
