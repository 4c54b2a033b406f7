package files

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// A thousand automata that each keep what they have seen of a few names would come to hundreds of
// megabytes.
func TestManyGlobsTakeLittleMemory(t *testing.T) {
	var globs []Glob
	for i := range 1000 {
		globs = append(globs, Glob{Pattern: fmt.Sprintf("*[a-m]%s%dq", strings.Repeat("?", 28), i), Include: i%2 == 0})
	}
	list, err := NewGlobList(globs)
	if err != nil {
		t.Fatal(err)
	}
	before := heapBytes()
	s := list.scanner()
	random := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		name := make([]byte, 100)
		for i := range name {
			name[i] = byte('a' + random.IntN(26))
		}
		s.excludes(string(name), false)
	}
	if grown := heapBytes() - before; grown > 16<<20 {
		t.Errorf("a list of %d globs takes %d MB after 20 names, want 16 at the most", len(globs), grown>>20)
	}
	runtime.KeepAlive(s)
}

func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A name may hold newlines, which a glob's * matches as any other character.
func TestGlobMatchesTheWholeOfANameWithNewlines(t *testing.T) {
	list, err := NewGlobList([]Glob{{Pattern: "*.log", Include: true}})
	if err != nil {
		t.Fatal(err)
	}
	s := list.scanner()
	for name, excluded := range map[string]bool{"a.log": false, "a\nb.log": false, "a.log\nb": true, "a.log\n": true} {
		if got := s.excludes(name, false); got != excluded {
			t.Errorf("%q is left out: %v, want %v", name, got, excluded)
		}
	}
}

func TestGlobFootprintIsWhatAListKeepsAtMost(t *testing.T) {
	for _, pattern := range []string{"*.log%d", strings.Repeat("?", 50) + "%d", strings.Repeat(`[\\a]`, 10) + "%d", "[[:alpha:]%d][^[:alpha:]%d]"} {
		var globs []Glob
		most := int64(0)
		for i := range 1000 {
			globs = append(globs, Glob{Pattern: strings.ReplaceAll(pattern, "%d", fmt.Sprint(i)), Include: i%2 == 0})
			most += GlobFootprint(globs[i].Pattern)
		}
		before := heapBytes()
		list, err := NewGlobList(globs)
		if err != nil {
			t.Fatal(err)
		}
		if kept := heapBytes() - before; kept > most {
			t.Errorf("%.20q...: %d KB are kept, at most %d were expected", pattern, kept>>10, most>>10)
		} else {
			t.Logf("%.20q...: %d KB are kept, at most %d were expected", pattern, kept>>10, most>>10)
		}
		runtime.KeepAlive(list)
	}
}
