package match

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// classes are POSIX's named classes as glibc's C.UTF-8 locale derives them from Unicode's tables.
var classes = sync.OnceValue(func() map[string]set {
	space := without(ofTables(unicode.Zs, unicode.Zl, unicode.Zp), 0xa0, 0x2007, 0x202f)
	space = union(append(space, '\t', '\r'))
	blank := union(append(without(ofTables(unicode.Zs), 0xa0, 0x2007, 0x202f), '\t', '\t'))
	// Digits of other scripts are letters: POSIX allows only ten in digit.
	alpha := ofTables(unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.Nd)
	for r := symbol('0'); r <= '9'; r++ {
		alpha = alpha.without(r)
	}
	alnum := union(append(slices.Clone(alpha), '0', '9'))
	// Surrogates cannot occur; what no version of Unicode has assigned yet is not printable.
	assigned := ofTables(unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs, unicode.Cf, unicode.Co)
	graph := intersect(assigned, space.negate())
	return map[string]set{
		"alnum":  alnum,
		"alpha":  alpha,
		"blank":  blank,
		"cntrl":  union(append(ofTables(unicode.Cc), 0x2028, 0x2029)),
		"digit":  {'0', '9'},
		"graph":  graph,
		"lower":  cased(unicode.ToUpper),
		"print":  union(append(slices.Clone(assigned), ' ', ' ')),
		"punct":  intersect(graph, alnum.negate()),
		"space":  space,
		"upper":  cased(unicode.ToLower),
		"xdigit": {'0', '9', 'A', 'F', 'a', 'f'},
	}
})

// wordSet is what \w matches: [_[:alnum:]]. It is made at its first use, as the classes are: most
// patterns need neither, and the tables take a while.
var wordSet = sync.OnceValue(func() set {
	return union(append(slices.Clone(classes()["alnum"]), '_', '_'))
})

// cased gives the characters that a mapping to the other case changes.
func cased(other func(rune) rune) set {
	var s set
	for r := symbol(0); r <= foldedMax; r++ {
		if other(r) != r {
			s = append(s, r, r)
		}
	}
	return union(s)
}

// without gives s but for some symbols.
func without(s set, rs ...symbol) set {
	for _, r := range rs {
		s = s.without(r)
	}
	return s
}

// intersect gives the characters that are in both a and b.
func intersect(a, b set) set {
	var s set
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if first, last := max(a[i], b[j]), min(a[i+1], b[j+1]); first <= last {
			s = append(s, first, last)
		}
		if a[i+1] < b[j+1] {
			i += 2
		} else {
			j += 2
		}
	}
	return s
}

// isWord reports whether r is a word character: by Unicode's tables, or among ASCII only.
func isWord(r symbol, ascii bool) bool {
	if r < utf8.RuneSelf {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	return !ascii && wordSet().has(r)
}
