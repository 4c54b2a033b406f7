package search_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

// pieces cuts a text after lines, at random.
func pieces(r *rand.Rand, text []byte) (all [][]byte) {
	for len(text) > 0 {
		n := 0
		for lines := 1 + r.IntN(3); lines > 0 && n < len(text); lines-- {
			if end := bytes.IndexByte(text[n:], '\n'); end >= 0 {
				n += end + 1
			} else {
				n = len(text)
			}
		}
		all, text = append(all, text[:n]), text[n:]
	}
	return all
}

// feedAll feeds a text to a search piece by piece, and where again says so to a new Feed, which has
// the state of the one before and the lines that can be context.
func feedAll(t *testing.T, o search.Options, all [][]byte, again func() bool) result {
	t.Helper()
	s, err := search.NewSearcher(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	p := &printer{o: o}
	feed, err := s.Begin("a", -1, p)
	matches, binary := uint64(0), false
	for i, piece := range all {
		if err == nil && again() {
			matches, binary = matches+feed.Stats().Matches, binary || feed.Stats().Binary
			state := feed.State()
			feed, err = s.Begin("a", -1, p)
			feed.Restore(state)
			if o.Before > 0 {
				feed.Recall(slices.Concat(all[:i]...))
			}
		}
		if err == nil {
			err = feed.Lines(bytes.Clone(piece))
		}
	}
	if err == nil {
		err = feed.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.matches, p.binary = p.matches+matches, p.binary || binary
	return p.result("a")
}

// A text gives the same whether a file is searched, a Feed gets it piece by piece, or many Feeds go
// on one after the other, each with the state of the one before.
func TestAFeedGoesOnInAnotherOne(t *testing.T) {
	s := seed(t)
	tried := 0
	for i := range 3000 {
		r := rand.New(rand.NewPCG(s, uint64(i)))
		c := randomTrial(r)
		lists := c.search.Report == search.Lines || c.search.Report == search.Parts
		if !lists || c.search.NullData || bytes.IndexByte(c.text, 0) >= 0 {
			continue // of counts and binary texts a State says nothing
		}
		c.search.MaxCount = -1
		m, err := match.Compile(c.patterns, c.match)
		if err != nil {
			continue
		}
		tried++
		c.search.Matcher = m
		want := &printer{o: c.search}
		if _, err := search.Reader(t.Context(), bytes.NewReader(c.text), "a", c.search, want); err != nil {
			t.Fatal(err)
		}
		all := pieces(r, c.text)
		for name, again := range map[string]func() bool{
			"one feed": func() bool { return false }, "many feeds": func() bool { return r.IntN(2) == 0 },
		} {
			if got, want := feedAll(t, c.search, all, again), want.result("a"); got != want {
				t.Fatalf("trial %d, %s: %v in %d pieces:\ngot  %v\nwant %v", i, name, c, len(all), got, want)
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d trials were about lists of lines", tried)
	}
}
