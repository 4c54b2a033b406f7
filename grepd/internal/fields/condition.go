package fields

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// operator compares a field with a value.
type operator string

const (
	equal          operator = "="
	notEqual       operator = "!="
	less           operator = "<"
	lessOrEqual    operator = "<="
	greater        operator = ">"
	greaterOrEqual operator = ">="
	matches        operator = "~"
	matchesNot     operator = "!~"
)

// operators are all spellings of the operators, those of other languages included. ParseCondition
// takes the first that fits, so a longer one stands before the one that it begins with.
var operators = []struct {
	text string
	operator
}{
	{"!=", notEqual}, {"<=", lessOrEqual}, {">=", greaterOrEqual}, {"!~", matchesNot}, {"=~", matches}, {"==", equal},
	{"=", equal}, {"<", less}, {">", greater}, {"~", matches},
}

// Condition is what a field has to be like.
//
// The value is read once, when the condition is parsed, in every way in which it can be read. Which
// of them counts is decided by the kind of the field, which may differ from line to line.
type Condition struct {
	name     string
	operator operator
	text     string // the value
	quoted   bool   // only strings are compared with it

	isNumber bool // number is the value as one
	number   number
	isTime   bool // at is the value as a time
	at       time.Time
	compiled *regexp.Regexp // of ~ and !~; nil with the other operators
	steps    int            // of compiled, roughly: what one byte of a field may cost
}

// ParseCondition reads NAME OPERATOR VALUE, as event=FAIL. The error says what is wrong.
func ParseCondition(text string) (Condition, error) {
	c := Condition{}
	if at := strings.IndexAny(text, "=!<>~"); at >= 0 {
		for _, o := range operators {
			if value, ok := strings.CutPrefix(text[at:], o.text); ok {
				c.name, c.operator, c.text = strings.TrimSpace(text[:at]), o.operator, strings.TrimSpace(value)
				break
			}
		}
	}
	if c.operator == "" {
		return c, errors.New("want a field, one of = != < <= > >= ~ !~, and a value, as in event=FAIL")
	}
	if err := CheckName(c.name); err != nil {
		return c, err
	}
	return c, c.parseValue()
}

// Name is that of the field.
func (c Condition) Name() string { return c.name }

// parseValue finds out what the value may be compared with.
func (c *Condition) parseValue() error {
	if c.operator == matches || c.operator == matchesNot {
		parsed, err := syntax.Parse(c.text, syntax.Perl)
		if err != nil {
			return err
		}
		c.steps = 2 + steps(parsed)
		c.compiled, err = regexp.Compile(c.text)
		return err
	}
	if strings.HasPrefix(c.text, `"`) {
		if inner, err := jsontext.AppendUnquote(nil, c.text); err == nil {
			c.text, c.quoted = string(inner), true
		}
	}
	if at, err := time.Parse(time.RFC3339, c.text); err == nil {
		c.at, c.isTime = at, true
	}
	if !c.quoted && jsontext.Value(c.text).Kind() == '0' && jsontext.Value(c.text).IsValid() {
		c.number, c.isNumber = parseNumber([]byte(c.text)), true
	}
	return nil
}

// number is a JSON number. A float64 has no room for all whole numbers of 64 bits, such as
// identifiers and nanoseconds, so those are kept beside it and compared exactly.
type number struct {
	whole   int64
	isWhole bool
	float   float64
}

// parseNumber reads a JSON number. One that is too large for a float64 is infinite.
func parseNumber(text []byte) number {
	var n number
	var err error
	if n.whole, err = strconv.ParseInt(string(text), 10, 64); err == nil {
		n.isWhole = true
	}
	n.float, _ = strconv.ParseFloat(string(text), 64)
	return n
}

func (n number) compare(other number) int {
	if n.isWhole && other.isWhole {
		return cmp.Compare(n.whole, other.whole)
	}
	return cmp.Compare(n.float, other.float)
}

// steps gives roughly how many instructions a regular expression has. It reckons as package regexp
// does when that refuses what is too large.
func steps(re *syntax.Regexp) int {
	sum := 0
	for _, sub := range re.Sub {
		sum += steps(sub)
	}
	switch {
	case re.Op == syntax.OpLiteral:
		return len(re.Rune)
	case re.Op == syntax.OpCapture || re.Op == syntax.OpStar:
		return 2 + sum
	case re.Op == syntax.OpRepeat && re.Max < 0:
		return 2 + sum*max(1, re.Min)
	case re.Op == syntax.OpRepeat:
		return 1 + sum*re.Max + re.Max - re.Min
	}
	return 1 + sum + len(re.Sub)
}

// holds reports whether the condition holds of a value. Once e says to stop, the answer means
// nothing.
func (c *Condition) holds(v Value, e *effort) bool {
	switch c.operator {
	case matches:
		return c.matches(v, e)
	case matchesNot:
		return !c.matches(v, e)
	}
	order, comparable := c.compare(v)
	if !comparable {
		return c.operator == notEqual
	}
	switch c.operator {
	case equal:
		return order == 0
	case notEqual:
		return order != 0
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	}
	return order >= 0
}

// matches reports whether the regular expression is found in a value.
//
// Package regexp cannot be interrupted. So the work of a short value is counted before it is done,
// and a long value is read rune by rune, where runes can end it.
func (c *Condition) matches(v Value, e *effort) bool {
	if v.Kind == Missing || v.Kind == Composite {
		return false
	}
	if len(v.Text) <= effortUnchecked/c.steps {
		return !e.spend(c.steps*len(v.Text)) && c.compiled.Match(v.Text)
	}
	return c.compiled.MatchReader(&runes{text: v.Text, steps: c.steps, effort: e})
}

// runes is a text that ends early where the work on it is to end.
type runes struct {
	text   []byte
	steps  int // that each may take
	effort *effort
}

// ReadRune gives the next character.
func (r *runes) ReadRune() (c rune, size int, err error) {
	if len(r.text) == 0 || r.effort.spend(r.steps) {
		return 0, 0, io.EOF
	}
	c, size = utf8.DecodeRune(r.text)
	r.text = r.text[size:]
	return c, size, nil
}

// compare gives the order of a value and the condition's, if they have one.
func (c *Condition) compare(v Value) (order int, comparable bool) {
	switch v.Kind {
	case Number:
		if !c.isNumber {
			return 0, false
		}
		return parseNumber(v.Text).compare(c.number), true
	case String:
		if c.isTime {
			if at, err := time.Parse(time.RFC3339, string(v.Text)); err == nil {
				return at.Compare(c.at), true
			}
		}
		return bytes.Compare(v.Text, []byte(c.text)), true
	case Null, Bool:
		// Of these only equality is defined.
		same := !c.quoted && string(v.Text) == c.text
		return 0, same && (c.operator == equal || c.operator == notEqual)
	}
	return 0, false
}

// literal is a text that stands in each line of which the condition holds, unless the line writes
// it with escapes. "" means that there is none. A number has none, since 10 may be written 1e1, and
// a time neither, since it may be in another zone: then only the field's name is sure to be there.
func (c *Condition) literal() string {
	last := c.name[strings.LastIndexByte(c.name, '.')+1:]
	switch {
	case c.operator == notEqual || c.operator == matchesNot:
		return ""
	case c.operator == equal && !c.isNumber && !c.isTime && plain(c.text):
		return c.text
	case plain(last):
		return last
	}
	return ""
}

// plain reports whether JSON may write a text differently only by \u.
func plain(text string) bool {
	for _, r := range text {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/`, r) {
			return false
		}
	}
	return text != ""
}
