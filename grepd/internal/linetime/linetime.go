// Package linetime reads the times that stand in the lines of logs.
//
// [Detect] looks at the head of a file and gives the [Format] that most of its lines have;
// a [Parser] then reads the time of any line:
//
//	format := linetime.Detect(head)
//	parser := linetime.NewParser(format, time.Local, written)
//	nanos, ok := parser.Time(line)
//
// # Formats
//
//	JSON     {"time":"2026-11-22T06:40:00.123Z", ...}; also the keys timestamp, @timestamp, ts
//	         and t; the value is RFC 3339, or a number: of seconds since 1970, or of their
//	         thousandths, millionths or billionths, told apart by its size
//	ISO      2026-11-22T06:40:00.123Z, 2026-11-22 06:40:00,123, 2026/11/22 06:40:00 (Go, nginx),
//	         with or without fraction and zone, also behind an opening bracket
//	Syslog   Nov 22 06:40:01 (RFC 3164), also behind its priority, <13>
//	Common   [22/Nov/2026:06:40:01 +0000] (Apache, nginx), anywhere in the line's head
//	Klog     I1122 06:40:00.123456 (Kubernetes)
//	Unix     1763793600.123 (squid)
//
// A time without a zone is in the zone that NewParser is given: that of the machine that
// wrote it. A time without a year, as in Syslog and Klog, is of the last year in which it is
// not later than the file was written.
//
// A line without a time, as those of a stack trace, is for the caller to count with the one
// before it.
//
// # Concurrency
//
// A Parser serves one goroutine. Formats are plain values.
package linetime

import (
	"bytes"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
)

// Kind is a way to write times.
type Kind uint8

// The ways that are known. Of those that read as many lines of a file, Detect
// takes the first.
const (
	None Kind = iota
	JSON
	ISO
	Syslog
	Common
	Klog
	Unix
	kinds
)

// Format is how the times in the lines of a file are written. The zero value is none.
type Format struct {
	Kind Kind
	Key  string // of JSON
}

// jsonKeys are the names that loggers give to the time: slog and zerolog, logrus and many,
// Elastic's, zap, bunyan's short form.
var jsonKeys = []string{"time", "timestamp", "@timestamp", "ts", "t"}

// headLinesMax is how many lines Detect looks at. It tries every format on each of them.
const headLinesMax = 200

// Detect gives the format that most lines of head have that have any. The last line may be
// cut off.
func Detect(head []byte) Format {
	votes := make(map[Format]int)
	var parsers []*Parser
	for _, f := range formats() {
		parsers = append(parsers, NewParser(f, time.UTC, time.Unix(0, 0)))
	}
	n := 0
	for line := range bytes.Lines(head) {
		if n++; n > headLinesMax {
			break
		}
		for _, p := range parsers {
			if _, ok := p.Time(line); ok {
				votes[p.format]++
			}
		}
	}
	best := Format{}
	for _, f := range formats() {
		if votes[f] > votes[best] {
			best = f
		}
	}
	return best
}

// formats are all there are, the likeliest first.
func formats() []Format {
	var all []Format
	for _, key := range jsonKeys {
		all = append(all, Format{JSON, key})
	}
	for kind := ISO; kind < kinds; kind++ {
		all = append(all, Format{Kind: kind})
	}
	return all
}

// Parser reads the times of lines.
type Parser struct {
	format  Format
	zone    *time.Location
	latest  time.Time // no time without a year is later
	prefix  []byte    // of most lines of a JSON file, up to the time
	extract *fields.Extractor
}

// yearSlack is how much later than its file was written a line without a year may be: the
// clock of the machine that wrote it need not be this one's.
const yearSlack = 24 * time.Hour

// NewParser reads times of a format. Those without a zone are in zone; those without a year
// were not written after written.
func NewParser(format Format, zone *time.Location, written time.Time) *Parser {
	p := &Parser{format: format, zone: zone, latest: written.Add(yearSlack)}
	if format.Kind == JSON {
		p.prefix = []byte(`{"` + format.Key + `":`)
		p.extract = fields.NewExtractor([]string{format.Key})
	}
	return p
}

// Format is what the parser reads.
func (p *Parser) Format() Format { return p.format }

// Time gives the time of a line in nanoseconds since 1970, and whether it has one. One
// outside of the years 1678 to 2261 does not count: so far do nanoseconds reach.
func (p *Parser) Time(line []byte) (nanos int64, ok bool) {
	var t time.Time
	switch p.format.Kind {
	case JSON:
		return p.json(line)
	case ISO:
		line = bytes.TrimPrefix(line, []byte("["))
		t, _, ok = parseISO(line, p.zone)
	case Syslog:
		t, ok = p.syslog(line)
	case Common:
		t, ok = parseCommon(line)
	case Klog:
		t, ok = p.klog(line)
	case Unix:
		return parseUnix(line)
	}
	return nanosOf(t, ok)
}

// nanosOf gives a time as nanoseconds since 1970, if it can be given so.
func nanosOf(t time.Time, ok bool) (int64, bool) {
	if !ok || t.Year() < 1678 || t.Year() > 2261 {
		return 0, false
	}
	return t.UnixNano(), true
}

// json reads {"time":"...",...} at once, and other orders of the fields field by field.
func (p *Parser) json(line []byte) (int64, bool) {
	if rest, ok := bytes.CutPrefix(line, p.prefix); ok && len(rest) > 0 && rest[0] == '"' {
		if t, n, ok := parseISO(rest[1:], p.zone); ok && n+1 < len(rest) && rest[n+1] == '"' {
			return nanosOf(t, ok)
		}
	}
	if len(line) == 0 || line[0] != '{' || !p.extract.Extract(line) {
		return 0, false
	}
	switch v := p.extract.Value(0); v.Kind {
	case fields.String:
		t, n, ok := parseISO(v.Text, p.zone)
		return nanosOf(t, ok && n == len(v.Text))
	case fields.Number:
		return parseUnix(v.Text)
	}
	return 0, false
}
