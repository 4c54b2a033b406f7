package fields

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
)

var seedFlag = flag.Uint64("seed", 1, "seed of random tests; 0: a new one")

func source(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func filter(t testing.TB, conditions ...string) *Filter {
	t.Helper()
	f, err := NewFilter(conditions)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestConditions(t *testing.T) {
	for _, test := range []struct {
		condition, line string
		want            bool
	}{
		{"event=FAIL", `{"event":"FAIL"}`, true},
		{"event=FAIL", ` { "event" :	"FAIL" } ` + "\r\n", true},
		{"event=FAIL", `{"event":"F\u0041IL"}`, true},
		{"event=FAIL", `{"ev\u0065nt":"FAIL"}`, true},
		{"event=FAIL", `{"event":"FAILED"}`, false},
		{"event=FAIL", `{"x":"FAIL"}`, false},
		{"event=FAIL", `{"event":"FAIL"`, false},
		{"event=FAIL", `{"event":"FAIL"} x`, false},
		{"event=FAIL", `[{"event":"FAIL"}]`, false},
		{"event=FAIL", `"event=FAIL"`, false},
		{"event=FAIL", `{"event":"JOIN","event":"FAIL"}`, true},
		{"event=FAIL", `{"event":"FAIL","event":"JOIN"}`, false},
		{"event=", `{"event":""}`, true},
		{"path=/var/log", `{"path":"\/var\/log"}`, true},
		{"event!=FAIL", `{"event":"JOIN"}`, true},
		{"event!=FAIL", `{}`, true},
		{"event!=FAIL", `{"event":["FAIL"]}`, true},
		{"event!=FAIL", `not JSON`, false},

		{"ms>1800", `{"ms":1801}`, true},
		{"ms>1800", `{"ms":1800}`, false},
		{"ms>1800", `{"ms":18.5e2}`, true},
		{"ms>1800", `{}`, false},
		{"ms<1800", `{}`, false},
		{"ms<1800", `{"ms":null}`, false},
		{"ms>=1800", `{"ms":1.8e3}`, true},
		{"ms=1800", `{"ms":1800.0}`, true},
		{"ms<=-1", `{"ms":-1}`, true},
		{"ms>1800", `{"ms":"1801"}`, true}, // byte by byte
		{"ms>1800", `{"ms":"9"}`, true},
		{`ms="1800"`, `{"ms":1800}`, false},
		{`ms="1800"`, `{"ms":"1800"}`, true},
		{"ms=soon", `{"ms":1800}`, false},
		{"ms!=soon", `{"ms":1800}`, true},
		{"n=1763793600000000001", `{"n":1763793600000000000}`, false},
		{"n<1e999", `{"n":5}`, true},

		{"time>=2026-11-22T06:40:00Z", `{"time":"2026-11-22T07:40:00.5+01:00"}`, true},
		{"time>2026-11-22T06:40:00Z", `{"time":"2026-11-22T07:40:00+01:00"}`, false},
		{"time=2026-11-22T06:40:00Z", `{"time":"2026-11-22T06:40:00.000Z"}`, true},
		{"time>2026-11-22", `{"time":"2026-11-22T06:40:00Z"}`, true}, // byte by byte

		{"a.b=1", `{"a":{"b":1}}`, true},
		{"a.b=1", `{"a.b":1}`, true},
		{"a.b.c=x", `{"a":{"b.c":"x"}}`, true},
		{"a.b=1", `{"a":{"b":1},"a":{}}`, false},
		{"a.b=1", `{"a":{"b":1},"a":7}`, false},
		{"a.b=1", `{"a":[{"b":1}]}`, false},
		{"a=1", `{"a":{"a":1}}`, false},

		{"up=true", `{"up":true}`, true},
		{"up=false", `{"up":true}`, false},
		{"up!=true", `{"up":true}`, false},
		{"up=true", `{"up":"true"}`, true},
		{"up>=true", `{"up":true}`, false},
		{"up=null", `{"up":null}`, true},
		{"up=null", `{}`, false},

		{"peer~^10[.]0", `{"peer":"10.0.0.1"}`, true},
		{"peer~^10[.]0", `{"peer":"110.0.0.1"}`, false},
		{"peer~.", `{}`, false},
		{"ms~^18..$", `{"ms":1850}`, true},
		{"peer!~^10", `{"peer":"10.0.0.1"}`, false},
		{"peer!~^10", `{"peer":"11.0.0.1"}`, true},
		{"peer!~^10", `{}`, true},
		{"peer!~^10", `x`, false},
		{" event == FAIL ", `{"event":"FAIL"}`, true},
		{"event =~ ^FA", `{"event":"FAIL"}`, true},
		{`event=" FAIL"`, `{"event":" FAIL"}`, true},
		{"text~a.b", `{"text":"a\nb"}`, false},
		{"text~(?s)a.b", `{"text":"a\nb"}`, true},
	} {
		f := filter(t, test.condition)
		if got := f.NewScanner(nil).Match([]byte(test.line)); got != test.want {
			t.Errorf("%s of %s: %t, want %t", test.condition, test.line, got, test.want)
		}
		if got := f.NewScanner(nil).Lines([]byte("x\n"+test.line+"\n"), nil); len(got) > 0 != test.want {
			t.Errorf("%s finds %v in a block with %s", test.condition, got, test.line)
		}
	}
}

func TestMistakesInConditions(t *testing.T) {
	for text, want := range map[string]string{
		"event":                               `condition "event": want a field, one of = != < <= > >= ~ !~, and a value, as in event=FAIL`,
		"event!FAIL":                          `condition "event!FAIL": want a field, one of = != < <= > >= ~ !~, and a value, as in event=FAIL`,
		"=FAIL":                               `condition "=FAIL": a field has no name`,
		"a~(":                                 "condition \"a~(\": error parsing regexp: missing closing ): `(`",
		"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1": `condition "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1": a field that lies in more than 15 objects: a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a`,
	} {
		if _, err := NewFilter([]string{text}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// object makes up a JSON object, not always a valid one.
func object(random *rand.Rand, depth int) string {
	space := func() string { return pick(random, "", "", "", " ", "\t", "  ") }
	var members []string
	for range random.IntN(5) {
		members = append(members, space()+quote(random, pick(random, "a", "b", "c", "event"))+space()+":"+space()+value(random, depth)+space())
	}
	return "{" + strings.Join(members, ",") + "}"
}

func value(random *rand.Rand, depth int) string {
	if depth < 3 && random.IntN(4) == 0 {
		return object(random, depth+1)
	}
	return pick(random, "1", "-1", "1.5", "10", "1e1", "1E+2", "0", "-0", "9007199254740993", "1e400", "12345678901234567890",
		"true", "false", "null", "[]", `[{"a":1}]`, quote(random, ""), quote(random, "FAIL"), quote(random, "FAI"), quote(random, "1"), quote(random, "a\tb"),
		"\"\xff\"", `"\ud800"`, `"2026-11-22T06:40:00Z"`, `"2026-11-22T07:40:00+01:00"`, `"2026-11-22T06:40:00.5Z"`,
		"01", "tru", "'x'", `"`, "1-2", "\"\x01\"")
}

// quote writes a JSON string, with or without escapes.
func quote(random *rand.Rand, text string) string {
	b := []byte{'"'}
	for _, c := range text {
		if c < ' ' || random.IntN(10) == 0 {
			b = fmt.Appendf(b, `\u%04x`, c)
		} else {
			b = utf8.AppendRune(b, c)
		}
	}
	return string(append(b, '"'))
}

// decoded reads a line with encoding/json.
func decoded(line string) (map[string]any, bool) {
	if !strings.HasPrefix(strings.TrimLeft(line, " \t\r\n"), "{") {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var m map[string]any
	if d.Decode(&m) != nil {
		return nil, false
	}
	_, err := d.Token()
	return m, errors.Is(err, io.EOF)
}

// lookUp gives the value of a nested field.
func lookUp(m map[string]any, name string) (any, bool) {
	first, rest, nested := strings.Cut(name, ".")
	v, ok := m[first]
	if !nested {
		return v, ok
	}
	inner, _ := v.(map[string]any)
	return lookUp(inner, rest)
}

// oracle is Condition.holds, slow and simple.
func oracle(line, name, operator, text string) bool {
	m, ok := decoded(line)
	if !ok {
		return false
	}
	v, present := lookUp(m, name)
	order, comparable := 0, false
	switch v := v.(type) {
	case string:
		comparable = true
		order = strings.Compare(v, text)
		a, errA := time.Parse(time.RFC3339, v)
		b, errB := time.Parse(time.RFC3339, text)
		if errA == nil && errB == nil {
			order = a.Compare(b)
		}
	case json.Number:
		var want json.Number
		if json.Unmarshal([]byte(text), &want) == nil && text[0] != '"' && want != "" {
			order, comparable = compareNumbers(v, want), true
		}
	case bool, nil:
		if word, _ := json.Marshal(v); present && string(word) == text {
			comparable = operator == "=" || operator == "!="
		}
	}
	if operator == "!~" {
		return !oracle(line, name, "~", text)
	}
	if operator == "~" {
		_, isObject := v.(map[string]any)
		_, isArray := v.([]any)
		return present && !isObject && !isArray && regexp.MustCompile(text).MatchString(shown(v))
	}
	if !comparable {
		return operator == "!="
	}
	return map[string]bool{"=": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]
}

func compareNumbers(a, b json.Number) int {
	x, okX := new(big.Int).SetString(a.String(), 10)
	y, okY := new(big.Int).SetString(b.String(), 10)
	if okX && okY && x.IsInt64() && y.IsInt64() {
		return x.Cmp(y)
	}
	f, _ := strconv.ParseFloat(a.String(), 64)
	g, _ := strconv.ParseFloat(b.String(), 64)
	return cmp.Compare(f, g)
}

func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// A regular expression may take thousands of times its size.
func TestFootprintIsWhatAFilterKeepsAtMost(t *testing.T) {
	for _, text := range []string{
		"a.*b", strings.Repeat("x{1000}", 50), strings.Repeat("(a){999}", 50), "(" + strings.Repeat("(a)b*|", 80) + "){999}", strings.Repeat("(|){1000}", 50),
		strings.Repeat(`\pL{1000}`, 50), strings.Repeat(`[\pL\pN]`, 50), "^" + strings.Repeat(`\pL`, 300) + "$", "^(?i:" + strings.Repeat(`\PL`, 300) + ")$",
	} {
		conditions := []string{"event=FAIL", "message~" + text}
		heap := func() int64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		most := Footprint(conditions)
		// So many of the small ones that what else comes and goes on the heap does not matter.
		filters := make([]*Filter, 1+1<<22/most)
		before := heap()
		for i := range filters {
			var err error
			if filters[i], err = NewFilter(conditions); err != nil {
				t.Fatal(err)
			}
		}
		if kept := (heap() - before) / int64(len(filters)); kept > most {
			t.Errorf("%.20q...: %d bytes are kept, at most %d were expected", text, kept, most)
		}
		runtime.KeepAlive(filters)
	}
	if n := Footprint([]string{"event=FAIL"}); n != 0 {
		t.Errorf("a condition without a regular expression counts for %d bytes", n)
	}
}

// A regular expression of 4 KiB may take 10 ms for each byte. Nobody waits for one that does not say that it gets on, and one that
// nobody waits for has to end.
func TestSlowConditionGetsOnAndEnds(t *testing.T) {
	f := filter(t, "a~"+strings.Repeat("(.?){500}", 20)+"z")
	block := bytes.Repeat([]byte(`{"a":"`+strings.Repeat("é", 100)+`"}`+"\n"), 5)
	var work atomic.Uint64
	s := f.NewScanner(nil)
	s.CountWork(&work)
	if lines := s.Lines(block, nil); len(lines) != 0 {
		t.Errorf("%d lines match", len(lines))
	}
	if n := work.Load(); n < 10 {
		t.Errorf("in 500 characters it says %d times that it gets on", n)
	}
	done := make(chan struct{})
	close(done)
	work.Store(0)
	s = f.NewScanner(done)
	s.CountWork(&work)
	s.Lines(block, nil)
	if n := work.Load(); n != 1 {
		t.Errorf("it has looked %d times whether to go on, want once, since it was to end", n)
	}
}

// Long values are read in another way.
func TestLongValuesMatchAsShortOnes(t *testing.T) {
	long := strings.Repeat("x\xff語", 1<<17)
	for condition, want := range map[string]bool{"a~x.語$": true, "a~^x": true, "a~zx": true, "a~語z": true, "a~^z": false, "a!~q": true, "a~q$": false} {
		line := fmt.Sprintf(`{"a":"%sz%s"}`, long, long)
		if got := filter(t, condition).NewScanner(nil).Match([]byte(line)); got != want {
			t.Errorf("%s: %v, want %v", condition, got, want)
		}
	}
}

// TestConditionsEqualOracle compares with encoding/json over random lines, many of which
// are not JSON, have fields twice, or are written with escapes.
func TestConditionsEqualOracle(t *testing.T) {
	random := source(t)
	held := 0
	for range 3000 {
		name := pick(random, "a", "b", "event", "a.b", "a.b.c", "event.a")
		operator := pick(random, "=", "!=", "<", "<=", ">", ">=", "~", "!~")
		text := pick(random, "FAIL", "1", "10", "100", "1.5", "", "true", "null", "FAI", "2026-11-22T06:40:00Z", "9007199254740992", "a")
		f := filter(t, name+operator+text)
		scanner := f.NewScanner(nil)
		var block bytes.Buffer
		var want []match.Range
		for range 10 {
			line := object(random, 0)
			if random.IntN(10) == 0 {
				line = line[:random.IntN(len(line)+1)]
			}
			start := block.Len()
			block.WriteString(line + "\n")
			holds := oracle(line, name, operator, text)
			if got := scanner.Match([]byte(line)); got != holds {
				t.Fatalf("%s%s%s of %q: %t, want %t", name, operator, text, line, got, holds)
			}
			if holds {
				want = append(want, match.Range{Start: start, End: block.Len()})
				held++
			}
		}
		if got := scanner.Lines(block.Bytes(), nil); !slices.Equal(got, want) {
			t.Fatalf("%s%s%s of\n%s\nlines %v, want %v", name, operator, text, block.String(), got, want)
		}
	}
	if held < 1000 {
		t.Errorf("only %d conditions held; the test says little", held)
	}
}

func TestColumns(t *testing.T) {
	for line, want := range map[string]string{
		`{"time":"t","node":"n","peer":{"ip":"p"}}`:      "t\tn\tp",
		`{"node":null,"time":1.50}`:                      "1.50\tnull\t-",
		`{"time":"a\tb\nc\\d\u001b[0m\u009b","node":""}`: `a\tb\nc\\d\u001b[0m\u009b` + "\t\t-",
		"{\"time\":\"\xff\",\"node\":[1,\t2]}":           "�\t[1,\\t2]\t-",
		`{"time":"t"`:                                    "-\t-\t-",
		`plain text`:                                     "-\t-\t-",
	} {
		x := NewExtractor([]string{"time", "node", "peer.ip"})
		x.Extract([]byte(line))
		if got := string(x.AppendColumns(nil)); got != want {
			t.Errorf("%s gives %q, want %q", line, got, want)
		}
	}
}

// One line must neither take the daemon's stack nor its memory.
func TestDeepNestingIsRefused(t *testing.T) {
	deep := []byte(`{"a":` + strings.Repeat("[", 8<<20))
	if NewExtractor([]string{"a", "a.b"}).Extract(deep) {
		t.Error("an unfinished line was taken for an object")
	}
	deep = []byte(`{"a":1,"b":` + strings.Repeat(`{"b":`, 1<<20) + "1" + strings.Repeat("}", 1<<20) + "}")
	if NewExtractor([]string{"a", "b.b.b"}).Extract(deep) {
		t.Error("an object of a million levels was read")
	}
}

func TestExtractionAllocatesNothing(t *testing.T) {
	x := NewExtractor([]string{"event", "silent_ms", "a.b"})
	line := []byte(`{"time":"2026-11-22T06:40:00.123456789Z","level":"WARN","event":"FAIL","node":"10.0.0.3:7117@1763793600000000000","a":{"b":"\u0041"},"silent_ms":1850}`)
	if n := testing.AllocsPerRun(100, func() { x.Extract(line) }); n > 0 {
		t.Errorf("%.0f allocations for a line", n)
	}
}

// FuzzExtract wants Extract to take what encoding/json takes, with the same values, and never to fail.
func FuzzExtract(f *testing.F) {
	for _, seed := range []string{`{"a":{"b":1},"event":"x"}`, `{"a":1}{}`, `{"a":"\ud83d\ude00","a":"\ud800"}`, "{\"\xff\":1}", `{"event":1e5,}`, "{\"a\":\t[[]]}"} {
		f.Add([]byte(seed))
	}
	names := []string{"event", "a.b"}
	f.Fuzz(func(t *testing.T, line []byte) {
		x := NewExtractor(names)
		before := bytes.Clone(line)
		got := x.Extract(line)
		m, want := decoded(string(line))
		if got != want {
			t.Fatalf("an object: %t, and for encoding/json: %t", got, want)
		}
		if !bytes.Equal(line, before) {
			t.Fatal("the line was changed")
		}
		columns := x.AppendColumns(nil)
		if !utf8.Valid(columns) || bytes.ContainsAny(columns, "\n\x1b") {
			t.Errorf("columns %q", columns)
		}
		if got && !bytes.Contains(line, []byte("a.b")) {
			for i, name := range names {
				v, present := lookUp(m, name)
				if s, isString := v.(string); isString && s != string(x.Value(i).Text) || present != (x.Value(i).Kind != Missing) {
					t.Errorf("%s is %q, want %q, %t", name, x.Value(i).Text, v, present)
				}
			}
		}
	})
}

// FuzzFilter wants the prefilter to let through each line of which the conditions hold, whatever they are.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"event=FAIL", "a.b!=1", "t>=2026-11-22T06:40:00Z", `s="1"`, "m~x+", "a=\u00e9", "a<b=c"} {
		f.Add(seed, []byte(`{"event":"FA\u0049L","a":{"b":1},"t":"2026-11-22T06:40:00Z","s":"1","m":"xx"}`))
	}
	f.Fuzz(func(t *testing.T, condition string, line []byte) {
		filter, err := NewFilter([]string{condition})
		if err != nil || bytes.ContainsAny(line, "\n") {
			return
		}
		filtered, plain := filter.NewScanner(nil), filter.NewScanner(nil)
		plain.prefilter = nil
		if got, want := filtered.Match(line), plain.Match(line); got != want {
			t.Errorf("%q of %q: %t with the prefilter, %t without", condition, line, got, want)
		}
	})
}

// BenchmarkFilter is the cost of conditions over a block: with a literal that is rare, and
// without one.
func BenchmarkFilter(b *testing.B) {
	var block bytes.Buffer
	for i := range 2000 {
		event := "HEARTBEAT"
		if i%500 == 0 {
			event = "FAIL"
		}
		fmt.Fprintf(&block, `{"time":"2026-11-22T06:40:00.%09dZ","level":"INFO","event":%q,"node":"10.0.0.3:7117@1763793600000000000","dir":"sent","seq":%d}`+"\n", i, event, i)
	}
	for _, condition := range []string{"event=FAIL", "event!=HEARTBEAT", "seq>1990"} {
		scanner := filter(b, condition).NewScanner(nil)
		b.Run(condition, func(b *testing.B) {
			b.SetBytes(int64(block.Len()))
			b.ReportAllocs()
			var lines []match.Range
			for b.Loop() {
				lines = scanner.Lines(block.Bytes(), lines[:0])
			}
		})
	}
}
