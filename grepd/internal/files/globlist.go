package files

import (
	"fmt"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
)

// Glob is one --include or --exclude: a file pattern of the shell's, where * and ? match a slash
// too, as fnmatch(3) has it without FNM_PATHNAME.
type Glob struct {
	Pattern string
	Include bool
}

// GlobList says by their names which files to search. The last glob that matches decides; where
// none does a file is searched unless the first glob is one to include. It may be used by several
// searches at once; nil excludes nothing.
type GlobList struct {
	segments []globSegment
	include  bool // the first glob is one to include
}

// globSegment is globs that follow each other in the list and say the same. One matcher does for
// all of them, since among them order does not matter.
type globSegment struct {
	include bool
	matcher *match.Matcher
}

// NewGlobList prepares a list. The error names the glob that is wrong.
func NewGlobList(globs []Glob) (*GlobList, error) {
	if len(globs) == 0 {
		return nil, nil
	}
	l := &GlobList{include: globs[0].Include}
	for first, i := 0, 1; i <= len(globs); i++ {
		if i < len(globs) && globs[i].Include == globs[first].Include {
			continue
		}
		var patterns []string
		for _, g := range globs[first:i] {
			patterns = append(patterns, globToBasic(g.Pattern))
		}
		matcher, err := match.Compile(patterns, match.Options{Syntax: match.Basic, Line: true, NullData: true})
		if err != nil {
			return nil, fmt.Errorf("--include, --exclude or --exclude-dir, as a regular expression: %w", err)
		}
		l.segments = append(l.segments, globSegment{globs[first].Include, matcher})
		first = i
	}
	return l, nil
}

// GlobFootprint estimates how many bytes a GlobList keeps for a glob at most, which may be an
// automaton of its own, and as a regular expression be twice as long.
func GlobFootprint(glob string) int64 { return 2 * match.Footprint([]string{glob}, match.Basic) }

// scanner makes the list ready for one goroutine.
func (l *GlobList) scanner() *globScanner {
	if l == nil {
		return nil
	}
	s := &globScanner{list: l}
	for _, segment := range l.segments {
		s.scanners = append(s.scanners, segment.matcher.NewScanner(nil))
	}
	return s
}

// globScanner applies a GlobList. It serves one goroutine. A list may have a thousand segments, so
// that there is no cache for each, which could come to megabytes.
type globScanner struct {
	list     *GlobList
	scanners []*match.Scanner
}

// excludes reports whether the list leaves a file out. Given by the user, a name is matched as a
// whole and from each of its elements on; otherwise it is one element.
func (s *globScanner) excludes(name string, given bool) bool {
	if s == nil {
		return false
	}
	// From the end, since the last glob that matches decides.
	for i := len(s.scanners) - 1; i >= 0; i-- {
		if s.matches(i, name, given) {
			return !s.list.segments[i].include
		}
	}
	return s.list.include
}

// matches reports whether a segment matches a name or, if it was given by the user, the rest of the
// name after any of its slashes.
func (s *globScanner) matches(segment int, name string, given bool) bool {
	for {
		text := []byte(name)
		match.Exchange(text) // a name may hold newlines
		if s.scanners[segment].MatchUncached(text) {
			return true
		}
		_, rest, ok := strings.Cut(name, "/")
		if !ok || !given {
			return false
		}
		name = rest
	}
}

// globToBasic translates a glob to a basic regular expression for the whole of a name. Package
// match then finds any number of globs in time that is linear in the name, whatever a stranger asks
// for.
func globToBasic(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		c := glob[i]
		if c == '[' {
			if expression, size := bracketToBasic(glob[i:]); size > 0 {
				b.WriteString(expression)
				i += size - 1
				continue
			}
		}
		switch {
		case c == '*':
			b.WriteString(".*")
			continue
		case c == '?':
			b.WriteString(".")
			continue
		case c == '\\' && i+1 < len(glob):
			i++
			c = glob[i]
		}
		if strings.IndexByte(`.[*^$\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// bracketToBasic translates the bracket expression that a glob begins with, and gives how long that
// is; 0 if it is not closed, so that the bracket stands for itself. The two languages differ in how
// they negate, and in the backslash, which a basic expression's bracket takes for itself.
func bracketToBasic(glob string) (expression string, size int) {
	var b strings.Builder
	b.WriteByte('[')
	i := 1
	if i < len(glob) && (glob[i] == '!' || glob[i] == '^') {
		b.WriteByte('^')
		i++
	}
	for first := i; i < len(glob); i++ {
		switch {
		case glob[i] == ']' && i > first:
			return b.String() + "]", i + 1
		case glob[i] == '\\' && i+1 < len(glob):
			i++
			b.WriteString("[." + glob[i:i+1] + ".]")
		case glob[i] == '[' && i+1 < len(glob) && strings.IndexByte(":.=", glob[i+1]) >= 0:
			n := strings.Index(glob[i+2:], glob[i+1:i+2]+"]")
			if n < 0 {
				return "", 0
			}
			b.WriteString(glob[i : i+n+4])
			i += n + 3
		default:
			b.WriteByte(glob[i])
		}
	}
	return "", 0
}
