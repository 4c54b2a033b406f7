package linetime

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// newYork is a zone that is not UTC and has a summer time.
func newYork(t testing.TB) *time.Location {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip(err)
	}
	return zone
}

func TestTimes(t *testing.T) {
	zone := newYork(t)
	written := time.Date(2026, 11, 24, 9, 0, 0, 0, zone)
	for _, test := range []struct {
		line string
		want string // RFC 3339 in UTC; "": none
		kind Kind
	}{
		{`{"time":"2026-11-22T06:40:00.123456789Z","level":"INFO"}`, "2026-11-22T06:40:00.123456789Z", JSON},
		{`{"level":"INFO", "time" : "2026-11-22T06:40:00+01:00"}`, "2026-11-22T05:40:00Z", JSON},
		{`{"a":{"time":"2020-01-01T00:00:00Z"},"time":"2026-11-22T06:40:00Z"}`, "2026-11-22T06:40:00Z", JSON},
		{`{"time":"2026-11-22 06:40:00,5"}`, "2026-11-22T11:40:00.5Z", JSON}, // Python's, without a zone
		{`{"ts":1763793600.25}`, "2025-11-22T06:40:00.25Z", JSON},
		{`{"ts":1763793600123}`, "2025-11-22T06:40:00.123Z", JSON},
		{`{"@timestamp":"2026-11-22T06:40:00Z"}`, "2026-11-22T06:40:00Z", JSON},
		{`{"t":1763793600123456789}`, "2025-11-22T06:40:00.123456789Z", JSON},
		{`{"time":"soon"}`, "", None},
		{`{"time":"2026-11-22T06:40:00Z and later"}`, "", None},
		{`{"time":"2026-11-22T06:40:00Z"`, "2026-11-22T06:40:00Z", JSON}, // which was cut off

		{"2026-11-22T06:40:00Z x", "2026-11-22T06:40:00Z", ISO},
		{"2026-11-22T06:40:00.123+0530 x", "2026-11-22T01:10:00.123Z", ISO},
		{"2026-11-22 06:40:00,123 INFO x", "2026-11-22T11:40:00.123Z", ISO},
		{"2026-07-22 06:40:00,123 INFO x", "2026-07-22T10:40:00.123Z", ISO}, // in summer time
		{"2026/11/22 06:40:00 [error] 7#7: x", "2026-11-22T11:40:00Z", ISO},
		{"2026-11-22 06:40:00.5 +0100 x", "2026-11-22T05:40:00.5Z", ISO},
		{"2026-11-22 06:40:00 -1 items", "2026-11-22T11:40:00Z", ISO},
		{"[2026-11-22 06:40:00] x", "2026-11-22T11:40:00Z", ISO},
		{"2026-11-22T06:40:60Z", "2026-11-22T06:40:59Z", ISO},
		{"2026-02-29T06:40:00Z", "", None},
		{"2026-13-22T06:40:00Z", "", None},
		{"2026-11-22T24:40:00Z", "", None},
		{"2026-11/22 06:40:00", "", None},
		{"2026-11-22", "", None},
		{"0001-01-01T00:00:00Z", "", None},

		{"Nov 22 06:40:01 host sshd[7]: x", "2026-11-22T11:40:01Z", Syslog},
		{"<13>Nov  2 06:40:01 host x", "2026-11-02T11:40:01Z", Syslog},
		{"Dec 31 23:59:59 host x", "2026-01-01T04:59:59Z", Syslog}, // of last year: the file was written in November
		{"Nov 25 08:59:59 host x", "2026-11-25T13:59:59Z", Syslog}, // by a clock that is ahead
		{"Feb 29 06:40:01 host x", "2024-02-29T11:40:01Z", Syslog},
		{"Nov 31 06:40:01 host x", "", None},
		{"Now 22 06:40:01 host x", "", None},

		{`10.0.0.1 - joe [22/Nov/2026:06:40:01 +0100] "GET / HTTP/1.1" 200 7`, "2026-11-22T05:40:01Z", Common},
		{`10.0.0.1 - [x] [22/Nov/2026:06:40:01 -0500] "GET`, "2026-11-22T11:40:01Z", Common},
		{`10.0.0.1 - - [22/Nov/2026 06:40:01] "GET`, "", None},

		{"I1122 06:40:00.123456       7 main.go:3] x", "2026-11-22T11:40:00.123456Z", Klog},
		{"E1301 06:40:00.123456", "", None},

		{"1763793600.123    7 10.0.0.1 TCP_MISS/200", "2025-11-22T06:40:00.123Z", Unix},
		{"1763793600", "2025-11-22T06:40:00Z", Unix},
		{"1763793600x", "", None},
		{"17637936", "", None},
		{"99999999999999999999", "", None},
		{"9999999999999999999", "", None},
		{"", "", None},
		{"\tat main.go:7", "", None},
	} {
		format := Detect([]byte(test.line + "\n"))
		if format.Kind != test.kind && !(test.kind == JSON && strings.HasSuffix(test.line, `00Z"`)) {
			t.Errorf("%s: format %v, want kind %v", test.line, format, test.kind)
			continue
		}
		if test.kind == JSON {
			format = Format{JSON, jsonKey(test.line)}
		}
		nanos, ok := NewParser(format, zone, written).Time([]byte(test.line))
		got := ""
		if ok {
			got = time.Unix(0, nanos).UTC().Format(time.RFC3339Nano)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}

func jsonKey(line string) string {
	for _, key := range []string{"@timestamp", "time", "ts", "t"} {
		if strings.Contains(line, `"`+key+`"`) {
			return key
		}
	}
	return ""
}

// The format is that of most lines: a banner, a trace or a stray line does not decide.
func TestFormatIsThatOfMostLines(t *testing.T) {
	for head, want := range map[string]Format{
		"": {}, "no\ntimes\n": {},
		"2026-11-22 06:40:00 banner\n\nNov 22 06:40:01 a\n\tat x\nNov 22 06:40:02 b\nNov 2": {Kind: Syslog},
		`{"t":7,"ts":1763793600.5}` + "\n" + `{"t":8,"ts":1763793601}` + "\n":               {JSON, "ts"},
		`{"msg":"2026-11-22T06:40:00Z","level":"INFO"}` + "\n":                              {},
	} {
		if got := Detect([]byte(head)); got != want {
			t.Errorf("%q: %v, want %v", head, got, want)
		}
	}
}

// What a logger writes is read back, whatever the time.
func TestWrittenTimesAreReadBack(t *testing.T) {
	zone := newYork(t)
	written := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for i := range 2000 {
		at := written.Add(-time.Duration(i) * 4 * time.Hour / 3 * 7).Add(-time.Duration(i) * 1234567)
		for layout, precision := range map[string]time.Duration{
			time.RFC3339Nano: 1, "2006-01-02 15:04:05,000Z0700": time.Millisecond, "[02/Jan/2006:15:04:05 -0700]": time.Second,
		} {
			line := []byte(at.In(zone).Format(layout))
			nanos, ok := NewParser(Detect(line), time.UTC, written).Time(line)
			if got := time.Unix(0, nanos); !ok || !got.Equal(at.Truncate(precision)) {
				t.Fatalf("%s is read as %v, want %v", line, got, at)
			}
		}
		if at.Before(written.AddDate(-1, 0, 2)) {
			continue
		}
		for layout, precision := range map[string]time.Duration{time.Stamp: time.Second, "I0102 15:04:05.000000": time.Microsecond} {
			line := []byte(at.Format(layout))
			nanos, ok := NewParser(Detect(line), time.UTC, written).Time(line)
			if got := time.Unix(0, nanos); !ok || !got.Equal(at.Truncate(precision)) {
				t.Fatalf("%s is read as %v, want %v", line, got, at)
			}
		}
	}
}

// FuzzTime wants a time of any line, or none, but never a failure; and the same of a line
// whatever stands behind it in memory.
func FuzzTime(f *testing.F) {
	for _, seed := range []string{
		`{"time":"2026-11-22T06:40:00Z"}`, "2026-11-22 06:40:00,123 +0100 x", "<1>Nov  2 06:40:01", "[22/Nov/2026:06:40:01 +0000]",
		"I1122 06:40:00.123456", "1763793600.123 ", `{"ts":1e9}`, "Feb 29 00:00:00", "9999-12-31T23:59:60-23:59",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		Detect(line)
		for _, format := range formats() {
			p := NewParser(format, time.UTC, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
			nanos, ok := p.Time(line)
			if !ok {
				continue
			}
			if year := time.Unix(0, nanos).UTC().Year(); year < 1677 || year > 2262 {
				t.Errorf("%v: year %d", format, year)
			}
			longer := append(bytes.Clone(line), "999"...)
			if again, ok := p.Time(longer[:len(line)]); !ok || again != nanos {
				t.Errorf("%v: %d, and %d beside other bytes", format, nanos, again)
			}
		}
	})
}

// BenchmarkTime is the cost of a line's time, which is what a file that is not in order
// costs more than a search.
func BenchmarkTime(b *testing.B) {
	for _, line := range []string{
		`{"time":"2026-11-22T06:40:00.123456789Z","level":"INFO","event":"HEARTBEAT"}`,
		`{"level":"INFO","event":"HEARTBEAT","time":"2026-11-22T06:40:00.123456789Z"}`,
		"2026-11-22 06:40:00,123 INFO x", "Nov 22 06:40:01 host sshd[7]: x",
		`10.0.0.1 - joe [22/Nov/2026:06:40:01 +0100] "GET / HTTP/1.1" 200 7`,
	} {
		p := NewParser(Detect([]byte(line)), time.UTC, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
		b.Run(fmt.Sprint(p.Format()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.Time([]byte(line)); !ok {
					b.Fatal("no time")
				}
			}
		})
	}
}
