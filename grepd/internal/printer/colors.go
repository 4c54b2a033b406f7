package printer

import (
	"bytes"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Colors holds the SGR sequences of GREP_COLORS, as grep(1) describes them. Empty ones
// colour nothing.
type Colors struct {
	selectedMatch, contextMatch string // ms, mc
	selectedLine, contextLine   string // sl, cx
	name, number, offset        string // fn, ln, bn
	separator                   string // se
	reverse                     bool   // rv: -v exchanges sl and cx
	noErase                     bool   // ne
	visible                     bool   // control characters of lines are shown
}

// ParseColors reads a value of GREP_COLORS over grep's defaults. As in grep, what comes after a mistake does not count,
// and a name that is not known is none.
func ParseColors(value string) *Colors {
	c := &Colors{
		selectedMatch: "01;31", contextMatch: "01;31",
		name: "35", number: "32", offset: "32", separator: "36",
	}
	for setting := range strings.SplitSeq(value, ":") {
		name, sgr, hasValue := strings.Cut(setting, "=")
		if hasValue && name == "" || strings.Trim(sgr, "0123456789;") != "" {
			break
		}
		c.set(name, sgr, hasValue)
	}
	return c
}

// set takes in one setting.
func (c *Colors) set(name, sgr string, hasValue bool) {
	switch variable := c.variable(name); {
	case name == "rv":
		c.reverse = true
	case name == "ne":
		c.noErase = true
	case variable != nil && hasValue:
		*variable = sgr
	}
	if name == "mt" {
		c.contextMatch = c.selectedMatch
	}
}

// variable is what a name with a value stands for; nil if it is not known.
func (c *Colors) variable(name string) *string {
	return map[string]*string{
		"mt": &c.selectedMatch, "ms": &c.selectedMatch, "mc": &c.contextMatch, "sl": &c.selectedLine, "cx": &c.contextLine,
		"fn": &c.name, "ln": &c.number, "bn": &c.offset, "se": &c.separator,
	}[name]
}

// start appends the beginning of a coloured text.
func (c *Colors) start(b []byte, sgr string) []byte {
	if sgr == "" {
		return b
	}
	b = append(append(append(b, "\x1b["...), sgr...), 'm')
	return c.erase(b)
}

// end appends the end of a coloured text.
func (c *Colors) end(b []byte, sgr string) []byte {
	if sgr == "" {
		return b
	}
	return c.erase(append(b, "\x1b[m"...))
}

// erase clears the rest of the line, for terminals that wrap with a background colour.
func (c *Colors) erase(b []byte) []byte {
	if c.noErase {
		return b
	}
	return append(b, "\x1b[K"...)
}

// paint appends a coloured text; without Colors the plain one.
func (c *Colors) paint(b []byte, sgr, text string) []byte {
	if c == nil {
		return append(b, text...)
	}
	return c.end(append(c.start(b, sgr), text...), sgr)
}

// appendText appends a line whose matched parts are known, and which ends so.
func (c *Colors) appendText(b []byte, line *greppb.Line, lineColor, end string) []byte {
	text, at := line.Text, uint32(0)
	for i := 0; i < len(line.Spans); i += 2 {
		start, after := line.Spans[i], line.Spans[i]+line.Spans[i+1]
		if start == after {
			continue
		}
		b = c.show(c.start(b, lineColor), text[at:start])
		b = c.start(b, c.selectedMatch)
		b = c.end(c.show(b, text[start:after]), c.selectedMatch)
		at = after
	}
	rest := text[at:]
	// A line's colour does not extend over its end.
	body := trimEnd(rest, end)
	if lineColor != "" && len(body) > 0 {
		b = c.end(c.show(c.start(b, lineColor), body), lineColor)
	} else {
		b = c.show(b, body)
	}
	return append(b, rest[len(body):]...)
}

// trimEnd gives a line without its end, and without a carriage return before that.
func trimEnd(line []byte, end string) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte(end)), []byte("\r"))
}

// show appends a part of a line.
func (c *Colors) show(b, text []byte) []byte {
	if c.visible {
		return appendVisible(b, text)
	}
	return append(b, text...)
}

// appendPart appends a matched part that stands on a line of its own.
func (c *Colors) appendPart(b, text []byte, end string) []byte {
	part := bytes.TrimSuffix(text, []byte(end))
	b = c.end(c.show(c.start(b, c.selectedMatch), part), c.selectedMatch)
	return append(b, text[len(part):]...)
}
