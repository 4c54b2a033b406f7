package match

import "slices"

// liner makes of exprs what can be in lines: without the terminator, which is written as a newline
// in data and program. With nullData the data come with newlines and zero bytes exchanged, and so
// are the symbols. Exprs that need no change, and shared ones, stay shared.
type liner struct {
	nullData bool
	changed  map[*expr]*expr // sets
}

func newLiner(nullData bool) *liner { return &liner{nullData, make(map[*expr]*expr)} }

func (l *liner) expr(e *expr) *expr {
	switch e.kind {
	case exprText:
		return l.text(e)
	case exprSet:
		return l.set(e)
	}
	out := e
	for i, s := range e.subs {
		if sub := l.expr(s); sub != s {
			if out == e {
				changed := *e
				changed.subs = slices.Clone(e.subs)
				out = &changed
			}
			out.subs[i] = sub
		}
	}
	return out
}

func (l *liner) text(e *expr) *expr {
	newline, null := slices.Contains(e.text, '\n'), l.nullData && slices.Contains(e.text, 0)
	switch {
	case null || newline && !l.nullData:
		return &expr{kind: exprNever}
	case newline:
		return &expr{kind: exprText, text: exchangedText(e.text)}
	}
	return e
}

func (l *liner) set(e *expr) *expr {
	if !e.set.has('\n') && !(l.nullData && e.set.has(0)) {
		return e
	}
	if l.changed[e] == nil {
		s := e.set
		if l.nullData {
			s = s.exchanged(0, '\n')
		}
		l.changed[e] = &expr{kind: exprSet, set: s.without('\n')}
	}
	return l.changed[e]
}

// exchanged gives the set with a for b and b for a.
func (s set) exchanged(a, b symbol) set {
	e := s.without(a).without(b)
	if s.has(a) {
		e = append(slices.Clone(e), b, b)
	}
	if s.has(b) {
		e = append(slices.Clone(e), a, a)
	}
	return union(e)
}

func exchangedText(text []symbol) []symbol {
	out := slices.Clone(text)
	for i, r := range out {
		switch r {
		case 0:
			out[i] = '\n'
		case '\n':
			out[i] = 0
		}
	}
	return out
}

// Exchange swaps newlines and zero bytes, which makes lines that end in zero bytes ordinary ones,
// and the other way round.
func Exchange(b []byte) {
	for i, c := range b {
		// Both are below any other byte that logs are full of, so that one comparison passes most
		// over.
		if c > '\n' {
			continue
		}
		switch c {
		case 0:
			b[i] = '\n'
		case '\n':
			b[i] = 0
		}
	}
}
