package match

import "errors"

// Matcher selects lines. See the package comment for what it matches.
type Matcher struct{ warnings []string }

// Compile reads patterns; a line has to match any one of them. A pattern may hold newlines:
// each of its lines is then a pattern, as in grep. No patterns match nothing, an empty
// one matches every line. The error is an [*Error] and names the pattern.
func Compile(patterns []string, o Options) (*Matcher, error) {
	return nil, errors.ErrUnsupported
}

// Warnings are what grep says of dubious patterns that it accepts, such as "stray \ before d".
func (m *Matcher) Warnings() []string { return m.warnings }
