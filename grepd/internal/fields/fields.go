// Package fields looks at the fields of JSON lines: it takes values out of them, shows them
// as columns, and checks conditions on them.
//
//	condition, err := fields.ParseCondition("silent_ms>1800")
//	filter, err := fields.NewFilter([]string{"event=FAIL", "silent_ms>1800"})
//	ok := filter.NewScanner().Match(line)
//
// # Names
//
// A name is that of a field of the line's object; a.b is the field b of the object a, or
// the field named "a.b". Of fields with the same name the last one counts, as for
// encoding/json. Elements of arrays have no names.
//
// # Conditions
//
// A condition is NAME OPERATOR VALUE: NAME ends at the first of = ! < > ~, and all after the
// operator is VALUE; spaces around them do not count. OPERATOR is = (or ==), !=, <, <=, >, >=, ~
// (or =~) or !~. The field's kind decides how it is compared:
//
//	number   with VALUE as a number: exactly where both are whole and have 64 bits, else as
//	         floating point numbers
//	string   as times where both are RFC 3339; else byte by byte
//	boolean, null   = and != only: by their JSON text
//	object, array   equal to nothing
//
// VALUE may stand in double quotes, as a JSON string: then only strings are compared with it.
// ~ searches a string, or the JSON text of a number, boolean or null, for a regular expression in
// RE2's syntax; !~ is its negation.
//
// What cannot be compared is not equal: != and !~ hold, and no other operator does. That goes for a
// field which is missing too, as it is null in jq, but unlike there < does not hold, and = null
// only of a null that is written. No condition holds of a line that is not a JSON object.
//
// # The decoder
//
// Lines are read by jsontext, of encoding/json/v2 as it is in Go 1.27's standard library, in the
// mirror that its authors keep for earlier versions; it depends on nothing, gives values without
// building maps, and bounds the depth of nesting. Of the usual libraries made for speed,
// gjson and jsonparser find values in text that is not JSON, so that a line's meaning would
// depend on which field is asked for, and fastjson takes numbers such as 1-2 and characters
// that JSON forbids. A line is refused that encoding/json refuses, and no other.
//
// # Concurrency
//
// A Filter does not change. An Extractor and a Scanner serve one goroutine each.
package fields

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
)

// levelsMax bounds how many objects a name may lead into. An Extractor has a decoder for each.
const levelsMax = 16

// CheckName says what is wrong with the name of a field.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a field has no name")
	case len(name) > limits.FieldNameBytesMax:
		return fmt.Errorf("a field's name of %d bytes, at most %d are possible", len(name), limits.FieldNameBytesMax)
	case strings.Count(name, ".") >= levelsMax:
		return fmt.Errorf("a field that lies in more than %d objects: %s", levelsMax-1, name)
	}
	return nil
}

// Kind is the kind of a value.
type Kind uint8

const (
	Missing Kind = iota // no such field, or a line that is no JSON object
	Null
	Bool
	Number
	String
	Composite // an object or an array
)

// Value is the value of a field.
type Value struct {
	Kind Kind
	// Text is the content of a String, without quotes and escapes and with the replacement
	// character for what is not UTF-8; of other kinds the JSON text.
	Text []byte
}

// Extractor takes the values of some fields out of lines. It reads a line once, however many fields
// are wanted, and uses its memory again for the next line.
type Extractor struct {
	names  []string
	values []Value
	texts  [][]byte // owned, for strings with escapes
	levels []level
}

// level reads one object on the way to a field.
type level struct {
	text    bytes.Buffer
	decoder *jsontext.Decoder
	rests   []string // of each name, what is left of it inside the object; "": nothing is wanted
	name    []byte   // of a member, where it has escapes
}

// decoderOptions take objects with a name twice, as encoding/json does: the last one counts.
var decoderOptions = jsontext.AllowDuplicateNames(true)

// NewExtractor makes an extractor of these fields, whose names CheckName has seen.
func NewExtractor(names []string) *Extractor {
	x := &Extractor{names: names, values: make([]Value, len(names)), texts: make([][]byte, len(names))}
	depth := 0
	for _, name := range names {
		depth = max(depth, strings.Count(name, "."))
	}
	x.levels = make([]level, depth+1)
	for i := range x.levels {
		x.levels[i].decoder = jsontext.NewDecoder(&x.levels[i].text)
		x.levels[i].rests = make([]string, len(names))
	}
	return x
}

// Extract reads a line, and reports whether it is a JSON object. If not, all values
// are missing.
func (x *Extractor) Extract(line []byte) bool {
	clear(x.values)
	line = bytes.TrimLeft(line, " \t\r\n")
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	copy(x.levels[0].rests, x.names)
	if x.object(line, 0) {
		return true
	}
	clear(x.values)
	return false
}

// Value gives the value of a field by its index, as long as the line has not changed and no other
// has been read.
func (x *Extractor) Value(i int) Value { return x.values[i] }

// object reads an object, and reports whether it is one and nothing follows it.
func (x *Extractor) object(text []byte, depth int) bool {
	l := &x.levels[depth]
	// The decoder reads from a Buffer's own memory, to which nothing may be written then.
	l.text = *bytes.NewBuffer(text[:len(text):len(text)])
	l.decoder.Reset(&l.text, decoderOptions, jsontext.AllowInvalidUTF8(true))
	if _, err := l.decoder.ReadToken(); err != nil {
		return false
	}
	for l.decoder.PeekKind() != '}' {
		if !x.member(l, depth) {
			return false
		}
	}
	if _, err := l.decoder.ReadToken(); err != nil {
		return false
	}
	return len(bytes.TrimLeft(text[l.decoder.InputOffset():], " \t\r\n")) == 0
}

// member reads a name and its value.
//
// A name that occurs again replaces all that the first one gave, also what was found inside it.
// So the values are cleared before the new one is read.
func (x *Extractor) member(l *level, depth int) bool {
	quoted, err := l.decoder.ReadValue()
	if err != nil {
		return false
	}
	name, _ := unquoted(&l.name, quoted)
	wanted, deeper := false, false
	for i, rest := range l.rests {
		inner, leads := "", false
		if len(rest) > len(name) && rest[len(name)] == '.' && rest[:len(name)] == string(name) {
			inner, leads = rest[len(name)+1:], true
		}
		if depth+1 < len(x.levels) {
			x.levels[depth+1].rests[i] = inner
		}
		if leads || rest != "" && rest == string(name) {
			x.values[i] = Value{}
			wanted, deeper = true, deeper || leads
		}
	}
	if !wanted {
		return l.decoder.SkipValue() == nil
	}
	value, err := l.decoder.ReadValue()
	if err != nil {
		return false
	}
	for i, rest := range l.rests {
		if rest != "" && rest == string(name) {
			x.set(i, value)
		}
	}
	return !deeper || value[0] != '{' || x.object(value, depth+1)
}

// set keeps a value.
func (x *Extractor) set(i int, text jsontext.Value) {
	v := Value{Kind: Composite, Text: text}
	switch text.Kind() {
	case '"':
		v.Kind = String
		v.Text, _ = unquoted(&x.texts[i], text)
	case '0':
		v.Kind = Number
	case 'n':
		v.Kind = Null
	case 't', 'f':
		v.Kind = Bool
	}
	x.values[i] = v
}

// unquoted gives the content of a JSON string. It needs the buffer only where that
// differs from what stands between the quotes.
func unquoted(buffer *[]byte, quoted []byte) ([]byte, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner, nil
	}
	var err error
	*buffer, err = jsontext.AppendUnquote((*buffer)[:0], quoted)
	return *buffer, err
}

// AppendColumns appends the values that were read last, with tabs between them. A missing one
// is "-". As with jq's @tsv, a backslash is \\ and a control character is
// \t, \n, \r or \u and four digits.
func (x *Extractor) AppendColumns(b []byte) []byte {
	for i := range x.values {
		if i > 0 {
			b = append(b, '\t')
		}
		if x.values[i].Kind == Missing {
			b = append(b, '-')
			continue
		}
		b = appendEscaped(b, x.values[i].Text)
	}
	return b
}

// appendEscaped keeps a value on one line and in one column: no tab, newline or terminal escape of
// a log gets into the output as such.
func appendEscaped(b, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\\':
			b = append(b, `\\`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case unicode.IsControl(r):
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = utf8.AppendRune(b, r) // which replaces what is not UTF-8
		}
		text = text[n:]
	}
	return b
}
