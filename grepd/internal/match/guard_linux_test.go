package match

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingIsReadBesideABlock has blocks that end, and blocks that begin, where no memory is.
func TestNothingIsReadBesideABlock(t *testing.T) {
	page := unix.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	for _, guard := range [][]byte{memory[:page], memory[2*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	room := memory[page : 2*page]
	s := seed(t)
	for i, pattern := range []string{
		"a", "ab", "abba", "b{9}", "ab|ba|aab", "aa|ab|ba|bb|ca|ac|cb|bc|cc|abc", "(ab|ba)c[ab]", "[ab]{3}[^ab]", "[a-c]+d", "x|y|z|ab|[^a]b",
	} {
		for _, o := range []Options{{Syntax: Extended}, {Syntax: Extended, IgnoreCase: true}} {
			scanner := mustCompile(t, o, pattern).NewScanner(nil)
			for size := range 300 {
				text := randomText(source(s, i*300+size), size, []string{"\nabc", "abc\n", "a", "c\xffAB\nab"}[size%4])
				for _, block := range [][]byte{room[:size], room[page-size:]} {
					copy(block, text)
					Survey(block)
					lines := scanner.Lines(block, nil, -1)
					if n := scanner.Count(block, -1); n != len(lines) {
						t.Fatalf("%s in %q: %d lines, %d counted", pattern, block, len(lines), n)
					}
					for _, l := range lines {
						scanner.Parts(trimNewline(block[l.Start:l.End]), nil)
					}
				}
			}
		}
	}
}
