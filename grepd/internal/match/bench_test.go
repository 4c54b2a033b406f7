package match

import (
	"bytes"
	"fmt"
	"testing"
)

// benchmarkBlock is a block of a text like the membership service's log.
func benchmarkBlock() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 256<<10; i++ {
		event := "HEARTBEAT"
		if i%500 == 0 {
			event = "FAIL"
		}
		fmt.Fprintf(&b, `{"time":"2026-11-22T06:00:%02d.%09dZ","level":"DEBUG","event":"%s","node":"10.0.%d.%d:7117@1795305600000000000","dir":"sent","seq":%d}`+"\n",
			i/1000%60, i*7919%1_000_000_000, event, i%4, i%250, i)
	}
	return b.Bytes()
}

// BenchmarkCount isolates the search of a block that is in the cache, by each of the means.
func BenchmarkCount(b *testing.B) {
	block := benchmarkBlock()
	russian := bytes.Repeat([]byte("2026-11-22T06:00:00 узел сервер: ошибка соединения, доступ отказан\n"), 2000)
	for _, c := range []struct {
		name, pattern string
		text          []byte
	}{
		{"literal", `FAIL`, block},
		{"literals", `FAIL|LEAVE|JOIN`, block},
		{"dense literal", `HEARTBEAT`, block},
		{"dense byte", `:`, block},
		{"automaton", `[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+`, block},
		{"window", `[A-Z]{5}[^"A-Z]`, block},
		{"automaton beyond ASCII", `[а-я]{12}`, russian},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mustCompile(b, Options{Syntax: Extended}, c.pattern).NewScanner(nil)
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				s.Count(c.text, -1)
			}
		})
	}
}

// BenchmarkParts isolates the search for the parts of lines that are known to be selected.
func BenchmarkParts(b *testing.B) {
	block := benchmarkBlock()
	for _, c := range []struct {
		name, pattern string
		o             Options
	}{
		{"literal", `HEARTBEAT`, Options{}},
		{"automata", `"node":"[^"]*`, Options{Syntax: Extended}},
		{"machine", `"node":"[^"]*`, Options{Syntax: Perl}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mustCompile(b, c.o, c.pattern).NewScanner(nil)
			var parts []Range
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				for line := range bytes.Lines(block) {
					parts = s.Parts(line[:len(line)-1], parts[:0])
				}
			}
		})
	}
}

// BenchmarkSurvey isolates the look for zero bytes and those beyond ASCII.
func BenchmarkSurvey(b *testing.B) {
	block := benchmarkBlock()
	b.SetBytes(int64(len(block)))
	for b.Loop() {
		Survey(block)
	}
}

// BenchmarkCompileWords isolates what a list of words costs before the first byte is searched.
func BenchmarkCompileWords(b *testing.B) {
	var patterns []string
	for i := range 10_000 {
		patterns = append(patterns, fmt.Sprintf("word%x", i*7919))
	}
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, Options{Syntax: Fixed}, patterns...).NewScanner(nil)
	}
}

// BenchmarkWords isolates the search for many literals of which none is there.
func BenchmarkWords(b *testing.B) {
	block := benchmarkBlock()
	for _, n := range []int{100, 1000, 10_000} {
		var strs []string
		for i := range n {
			strs = append(strs, fmt.Sprintf("word%x", i*7919))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWords(strs, false)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				w.index(block)
			}
		})
	}
}
