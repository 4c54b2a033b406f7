package match

import "slices"

// inLines gives e without what cannot be in a line: the terminator, which is written as a newline in data and program.
// With NullData the data come with newlines and zero bytes exchanged, and so are the symbols of e.
func (e *expr) inLines(nullData bool) *expr {
	if e.kind == exprText && !nullData && !slices.Contains(e.text, '\n') {
		return e
	}
	out := *e
	switch e.kind {
	case exprSet:
		if nullData {
			out.set = e.set.exchanged(0, '\n')
		}
		out.set = out.set.without('\n')
	case exprText:
		if nullData {
			out.text = exchangedText(e.text)
		}
		if slices.Contains(out.text, '\n') {
			return &expr{kind: exprNever}
		}
	}
	out.subs = nil
	for _, s := range e.subs {
		out.subs = append(out.subs, s.inLines(nullData))
	}
	return &out
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

// Exchange swaps newlines and zero bytes, which makes lines that end in zero bytes ordinary ones, and the
// other way round.
func Exchange(b []byte) {
	for i, c := range b {
		// Both are below any other byte that logs are full of, so that one comparison passes most over.
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
