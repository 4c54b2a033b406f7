package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests")

// midnight is when the scripts' clock shows 0.
var midnight = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func clock(text string) time.Time {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return midnight.Add(duration(1000 * seconds))
}

// memberID turns a1 into the first incarnation of 10.0.0.1:7117, b2 into the second of
// 10.0.0.2:7117.
func memberID(name string) string {
	return fmt.Sprintf("10.0.0.%d:7117@%s", name[0]-'a'+1, name[1:])
}

// TestScripts runs the scripts in testdata. Each is a log and what the audit says of it. The
// log is a file of testdata that daemons wrote,
//
//	audit file=NAME [OPTION...]
//
// or is written in short, a line an event, the times in seconds:
//
//	audit [OPTION...]
//	1.5 b1 FAIL c1 monitor silent_ms=1850 probes=6 answers=4
//	2.0 c2 REJOIN c2 previous=c1
//
// Options are since=, asked= (else 100), alive=(a1,b1), unread=(a,b) for machines whose logs
// are not read, and from=(a,SECONDS) for one whose log begins so late. The logs of all others
// that wrote a line, or are alive, are read, and begin at 0. The report of "audit json" is
// JSON. -rewrite writes what is said anew.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			datadriven.RunTest(t, script, runScript)
		})
	}
}

func runScript(t *testing.T, d *datadriven.TestData) string {
	asked := clock("100")
	var since time.Time
	if d.HasArg("asked") {
		asked = clock(arg(t, d, "asked"))
	}
	if d.HasArg("since") {
		since = clock(arg(t, d, "since"))
	}
	a := New(Config{DetectWithin: 2 * time.Second, SpreadWithin: 6 * time.Second, Asked: asked, Since: since})
	log := []byte(d.Input)
	if d.HasArg("file") {
		var err error
		if log, err = os.ReadFile(filepath.Join("testdata", arg(t, d, "file"))); err != nil {
			d.Fatalf(t, "%v", err)
		}
	}
	log = longLog(log)
	addAll(t, a, log)
	if alive, ok := d.Arg("alive"); ok {
		for _, name := range alive.Vals {
			if err := a.Alive(memberID(name), midnight); err != nil {
				d.Fatalf(t, "%v", err)
			}
		}
	}
	coverAll(d, a, log)
	return printed(t, a.Report(), d.HasArg("json"))
}

func arg(t *testing.T, d *datadriven.TestData, key string) (value string) {
	d.ScanArgs(t, key, &value)
	return value
}

func addAll(t *testing.T, a *Audit, log []byte) {
	t.Helper()
	for text := range bytes.Lines(log) {
		if err := a.Add(text); err != nil {
			t.Fatal(err)
		}
	}
}

// longLog writes out the lines that are in short.
func longLog(log []byte) (long []byte) {
	for text := range bytes.Lines(log) {
		if text[0] != '{' {
			text = longLine(string(text))
		}
		long = append(long, text...)
	}
	return long
}

// longLine is the line of a log for a short one.
func longLine(short string) []byte {
	words := strings.Fields(short)
	line := map[string]any{}
	for _, word := range words[4:] {
		key, value, ok := strings.Cut(word, "=")
		number, err := strconv.ParseFloat(value, 64)
		switch {
		case !ok:
			line[eventlog.KeyVia] = word
		case err == nil:
			line[key] = number
		default:
			line[key] = memberID(value)
		}
	}
	rest, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf(`{"time":"%s","level":"%v","event":"%s","node":"%s","peer":"%s"`,
		clock(words[0]).Format("2006-01-02T15:04:05.000000000Z"), slog.LevelInfo, words[2], memberID(words[1]), memberID(words[3]))
	if len(line) > 0 {
		text += "," + strings.TrimPrefix(string(rest), "{")
	} else {
		text += "}"
	}
	return []byte(text + "\n")
}

// coverAll says of each machine that wrote a part of the log that this was all.
func coverAll(d *datadriven.TestData, a *Audit, log []byte) {
	unread := map[string]bool{}
	if names, ok := d.Arg("unread"); ok {
		for _, name := range names.Vals {
			unread[eventlog.AddrOf(memberID(name+"0"))] = true
		}
	}
	for _, m := range a.machines {
		if !unread[m.addr] && bytes.Contains(log, []byte(`"node":"`+m.addr+"@")) || listed(m) {
			a.Covers(m.addr, midnight)
		}
	}
	if from, ok := d.Arg("from"); ok {
		a.Covers(eventlog.AddrOf(memberID(from.Vals[0]+"0")), clock(from.Vals[1]))
	}
}

func listed(m *machine) bool {
	for _, l := range m.lives {
		if l.listed != 0 {
			return true
		}
	}
	return false
}

func printed(t *testing.T, r *Report, asJSON bool) string {
	t.Helper()
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestOrderOfLinesDoesNotMatter shuffles a log, and repeats lines of it.
func TestOrderOfLinesDoesNotMatter(t *testing.T) {
	t.Logf("-seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	log, err := os.ReadFile("testdata/one_of_five_killed.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(log), []byte("\n"))
	var want string
	for try := range 20 {
		a := New(Config{DetectWithin: 2 * time.Second, SpreadWithin: 6 * time.Second, Asked: midnight})
		for _, line := range lines {
			if err := a.Add(line); err != nil {
				t.Fatal(err)
			}
			if try > 0 && random.IntN(4) == 0 {
				if err := a.Add(line); err != nil {
					t.Fatal(err)
				}
			}
		}
		for addr := range a.byAddr {
			a.Covers(addr, midnight)
		}
		got := printed(t, a.Report(), true)
		if try == 0 {
			want = got
		} else if got != want {
			t.Fatalf("try %d:\n%s\nwant\n%s", try, got, want)
		}
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
}

func TestLinesThatCannotBeReadAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		"":          1,
		"no JSON\n": 1,
		`{"time":"yesterday","event":"FAIL","node":"10.0.0.1:7117@1","peer":"10.0.0.2:7117@1"}`:                                          1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"FAIL","node":"10.0.0.1:7117","peer":"10.0.0.2:7117@1"}`:                       1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"FAIL","node":"10.0.0.1:7117@1","peer":"10.0.0.2:7117@x"}`:                     1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"FAIL","node":"10.0.0.1:7117@1","peer":"10.0.0.2:7117@1","silent_ms":-1}`:      1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"FAIL","node":"10.0.0.1:7117@1","peer":"10.0.0.2:7117@1","silent_ms":1e300}`:   1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"REJOIN","node":"10.0.0.1:7117@1","peer":"10.0.0.1:7117@1","previous":"zero"}`: 1,
		`{"time":"2026-11-22T00:00:00.000000000Z","event":"SUSPECT","node":"10.0.0.1:7117@1","peer":"10.0.0.2:7117@1"}`:                  0,
	} {
		a := New(Config{})
		if err := a.Add([]byte(text)); err != nil || a.malformed != want || len(a.Report().Changes) != 0 {
			t.Errorf("%q: %d malformed, %v, want %d; %+v", text, a.malformed, err, want, a.Report().Changes)
		}
	}
}

func TestMoreThanCanBeJudgedIsRefused(t *testing.T) {
	a := New(Config{})
	a.sightings, a.lives = linesMax, 0
	if err := a.Add(longLine("1 a1 JOIN a1 self")); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a line too many: %v", err)
	}
	a = New(Config{})
	a.lives = livesMax
	if err := a.Add(longLine("1 a1 JOIN a1 self")); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a life too many: %v", err)
	}
}

func TestLinesFromBeforeSinceAreNotKept(t *testing.T) {
	a := New(Config{SpreadWithin: 6 * time.Second, Since: clock("90"), Asked: clock("100")})
	addAll(t, a, longLog([]byte("1 a1 JOIN a1 self\n2 b1 JOIN b1 self\n95 a1 FAIL b1 update\n")))
	if a.sightings != 1 {
		t.Errorf("%d lines kept, want 1", a.sightings)
	}
}

// TestSinceLongAgoLeavesOutNothing: nanoseconds in 64 bits begin in 1677, and a time before
// used to be one far ahead, since which nothing had changed and all bounds had held.
func TestSinceLongAgoLeavesOutNothing(t *testing.T) {
	for _, year := range []int{-1, 1, 1600, 1969, 1970} {
		a := New(Config{SpreadWithin: 6 * time.Second, Since: time.Date(year, 2, 1, 0, 0, 0, 0, time.UTC), Asked: clock("100")})
		addAll(t, a, longLog([]byte("1 a1 JOIN a1 self\n")))
		if changes := a.Report().Changes; len(changes) != 1 {
			t.Errorf("since %d: %d changes, want 1", year, len(changes))
		}
	}
}

// TestGrayLinesChangeNoVerdict: a member that says that it is gray, or well again, is in no list
// for it and out of none.
func TestGrayLinesChangeNoVerdict(t *testing.T) {
	const before, after = "0 a1 JOIN a1 self\n1 a1 JOIN b1 self\n1.2 b1 JOIN b1 self\n", "9 a1 LEAVE b1 update\n"
	const gray = "5 b1 GRAY b1 answers=17 questions=60\n7 b1 GRAY b1 answers=40 questions=60\n"
	var reports []string
	for _, log := range []string{before + after, before + gray + after} {
		a := New(Config{DetectWithin: 2 * time.Second, SpreadWithin: 6 * time.Second, Asked: clock("100")})
		addAll(t, a, longLog([]byte(log)))
		reports = append(reports, printed(t, a.Report(), false))
	}
	if reports[0] != reports[1] {
		t.Errorf("with lines GRAY the report is\n%s\nand without\n%s", reports[1], reports[0])
	}
}
