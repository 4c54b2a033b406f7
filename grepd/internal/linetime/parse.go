package linetime

import (
	"bytes"
	"math"
	"time"
)

// commonHeadBytes is how far into a line the time of Common is looked for: it stands
// behind the client's name and the user's.
const commonHeadBytes = 1 << 10

// cursor reads a text from left to right. Once something was not as expected, failed is set.
type cursor struct {
	rest   []byte
	failed bool
}

// digits reads a number of exactly n digits that is not above max.
func (c *cursor) digits(n, max int) int {
	if len(c.rest) < n {
		c.failed = true
		return 0
	}
	v := 0
	for _, d := range c.rest[:n] {
		if d < '0' || d > '9' {
			c.failed = true
			return 0
		}
		v = 10*v + int(d-'0')
	}
	c.rest = c.rest[n:]
	c.failed = c.failed || v > max
	return v
}

// one reads one of the characters and gives it.
func (c *cursor) one(of string) byte {
	if len(c.rest) == 0 || bytes.IndexByte([]byte(of), c.rest[0]) < 0 {
		c.failed = true
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

// clock is a time of day.
type clock struct{ hour, minute, second, nanos int }

// clock reads 06:40:01. A leap second is the last one of its minute.
func (c *cursor) clock() clock {
	hour := c.digits(2, 23)
	c.one(":")
	minute := c.digits(2, 59)
	c.one(":")
	return clock{hour, minute, min(c.digits(2, 60), 59), 0}
}

// fraction reads .123 or ,123, if there is one, as nanoseconds.
func (c *cursor) fraction() int {
	if len(c.rest) < 2 || c.rest[0] != '.' && c.rest[0] != ',' || !isDigit(c.rest[1]) {
		return 0
	}
	nanos, unit := 0, 100_000_000
	for c.rest = c.rest[1:]; len(c.rest) > 0 && isDigit(c.rest[0]); c.rest = c.rest[1:] {
		nanos += int(c.rest[0]-'0') * unit
		unit /= 10
	}
	return nanos
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// offset reads +0100 or +01:00 as seconds.
func (c *cursor) offset() int {
	sign := 1
	if c.one("+-") == '-' {
		sign = -1
	}
	hours := c.digits(2, 23)
	if len(c.rest) > 0 && c.rest[0] == ':' {
		c.rest = c.rest[1:]
	}
	return sign * (hours*3600 + c.digits(2, 59)*60)
}

// date puts a time together. A day that its month does not have is a mistake.
func (c *cursor) date(year int, month time.Month, day int, at clock, zone *time.Location) (time.Time, bool) {
	if c.failed || month < 1 || day < 1 {
		return time.Time{}, false
	}
	t := time.Date(year, month, day, at.hour, at.minute, at.second, at.nanos, zone)
	return t, day <= 28 || time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() == day
}

// parseISO reads a time at the start of text, and gives how many bytes it has. Where it has
// no zone it is in zone.
func parseISO(text []byte, zone *time.Location) (t time.Time, n int, ok bool) {
	c := cursor{rest: text}
	year := c.digits(4, 9999)
	dash := c.one("-/")
	month := c.digits(2, 12)
	if c.one("-/") != dash {
		return t, 0, false
	}
	day := c.digits(2, 31)
	c.one("Tt ")
	at := c.clock()
	if c.failed {
		return t, 0, false
	}
	at.nanos = c.fraction()
	zone, seconds := c.zone(zone)
	t, ok = c.date(year, time.Month(month), day, at, zone)
	return t.Add(-time.Duration(seconds) * time.Second), len(text) - len(c.rest), ok
}

// zone reads Z, +0100, or +01:00, also after a space, if it is there: the time is that many
// seconds east of the zone that it gives, which is byDefault where nothing is there.
func (c *cursor) zone(byDefault *time.Location) (zone *time.Location, seconds int) {
	if len(c.rest) > 0 && (c.rest[0] == 'Z' || c.rest[0] == 'z') {
		c.rest = c.rest[1:]
		return time.UTC, 0
	}
	try := cursor{rest: bytes.TrimPrefix(c.rest, []byte(" "))}
	if seconds = try.offset(); try.failed || len(try.rest) > 0 && isDigit(try.rest[0]) {
		return byDefault, 0
	}
	c.rest = try.rest
	return time.UTC, seconds
}

// month reads Nov.
func (c *cursor) month() time.Month {
	if len(c.rest) >= 3 {
		if i := bytes.Index([]byte("JanFebMarAprMayJunJulAugSepOctNovDec"), c.rest[:3]); i >= 0 && i%3 == 0 {
			c.rest = c.rest[3:]
			return time.Month(i/3 + 1)
		}
	}
	c.failed = true
	return 0
}

// syslog reads Nov 22 06:40:01, with a space for the first digit of a day below 10.
func (p *Parser) syslog(line []byte) (time.Time, bool) {
	if len(line) > 0 && line[0] == '<' { // a priority of up to three digits
		if end := bytes.IndexByte(line[:min(len(line), 5)], '>'); end > 0 {
			line = line[end+1:]
		}
	}
	c := cursor{rest: line}
	month := c.month()
	c.one(" ")
	day := 0
	if len(c.rest) > 0 && c.rest[0] == ' ' {
		c.rest = c.rest[1:]
		day = c.digits(1, 9)
	} else {
		day = c.digits(2, 31)
	}
	c.one(" ")
	at := c.clock()
	at.nanos = c.fraction()
	return p.withoutYear(&c, month, day, at)
}

// klog reads I1122 06:40:00.123456.
func (p *Parser) klog(line []byte) (time.Time, bool) {
	c := cursor{rest: line}
	c.one("IWEF")
	month := time.Month(c.digits(2, 12))
	day := c.digits(2, 31)
	c.one(" ")
	at := c.clock()
	at.nanos = c.fraction()
	return p.withoutYear(&c, month, day, at)
}

// withoutYear puts a time together that is of the last possible year: 29 February may be of
// some years ago.
func (p *Parser) withoutYear(c *cursor, month time.Month, day int, at clock) (time.Time, bool) {
	if c.failed {
		return time.Time{}, false
	}
	const leap = 8 // years between two of them at most
	latest := p.latest.In(p.zone)
	for year := latest.Year(); year >= latest.Year()-leap; year-- {
		if t, ok := c.date(year, month, day, at, p.zone); ok && !t.After(latest) {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseCommon reads [22/Nov/2026:06:40:01 +0000].
func parseCommon(line []byte) (time.Time, bool) {
	line = line[:min(len(line), commonHeadBytes)]
	for {
		bracket := bytes.IndexByte(line, '[')
		if bracket < 0 {
			return time.Time{}, false
		}
		line = line[bracket+1:]
		c := cursor{rest: line}
		day := c.digits(2, 31)
		c.one("/")
		month := c.month()
		c.one("/")
		year := c.digits(4, 9999)
		c.one(":")
		at := c.clock()
		c.one(" ")
		seconds := c.offset()
		c.one("]")
		if t, ok := c.date(year, month, day, at, time.UTC); ok {
			return t.Add(-time.Duration(seconds) * time.Second), true
		}
	}
}

// parseUnix reads a number of seconds since 1970, with or without a fraction, or a whole
// number of thousandths, millionths or billionths: of the years 2001 to 2261 they
// differ in their number of digits.
func parseUnix(text []byte) (nanos int64, ok bool) {
	c := cursor{rest: text}
	digits, whole := 0, int64(0)
	for ; digits < len(text) && isDigit(text[digits]); digits++ {
		if whole > (math.MaxInt64-9)/10 {
			return 0, false
		}
		whole = 10*whole + int64(text[digits]-'0')
	}
	c.rest = text[digits:]
	fraction := int64(c.fraction())
	if len(c.rest) > 0 && bytes.IndexByte([]byte(" \t\r\n"), c.rest[0]) < 0 {
		return 0, false
	}
	unit := int64(0)
	switch digits {
	case 10:
		unit = 1e9
	case 13:
		unit = 1e6
	case 16:
		unit = 1e3
	case 19:
		unit = 1
	}
	if unit == 0 || whole > math.MaxInt64/unit-1 {
		return 0, false
	}
	return whole*unit + fraction/(1e9/unit), true
}
