package match

import (
	"slices"
	"unicode/utf8"
)

const (
	// windowPlaces is how many neighbouring bytes a window is about, at most.
	windowPlaces = 4
	// windowsMax bounds the windows of a pattern that are tried.
	windowsMax = 32
	// windowVisitsMax bounds the parts of a pattern that are looked at for windows, each repetition
	// anew.
	windowVisitsMax = 1000
	// windowGapMin is how many bytes of a text there are to be for each place that a window finds:
	// where it finds more, the automaton alone, four parts at a time, is faster than a check of
	// each line.
	windowGapMin = 512
)

// windows are those of a pattern without literals, of which one is chosen when there is a text to
// try them on.
type windows []*window

var _ prefilter = windows(nil)

// window is a run of neighbouring bytes that each match holds, each of a class: [0-9a-f]{8}- gives
// four hexadecimal digits, or three and a hyphen. Whether a byte is of a class is looked up by its
// nibbles, as in Hyperscan's shufti: upper nibbles that go with the same lower ones share one of
// eight bits.
type window struct {
	masks [2 * windowPlaces][32]byte // low and high nibbles of each place; each 16 bytes twice
	size  int                        // of the places that matter
}

var _ prefilter = (*window)(nil)

// class is a set of bytes.
type class [256]bool

// newWindows finds the windows of e; nil where it has none, or there are no vectors to search for
// them with.
func newWindows(e *expr) prefilter {
	if !hasAVX2 {
		return nil
	}
	var f windowFinder
	f.find(e)
	f.cut()
	if len(f.found) == 0 {
		return nil
	}
	return f.found
}

// windowFinder goes through an expr.
type windowFinder struct {
	visits int     // parts that were looked at
	run    []class // of the bytes that end here
	found  windows
}

// cut ends a run, and makes its windows.
func (f *windowFinder) cut() {
	for len(f.run) > 0 && len(f.found) < windowsMax {
		f.found = append(f.found, newWindow(f.run[:min(len(f.run), windowPlaces)]))
		if len(f.run) <= windowPlaces {
			break
		}
		f.run = f.run[1:]
	}
	f.run = nil
}

func (f *windowFinder) find(e *expr) {
	if f.visits++; f.visits > windowVisitsMax {
		f.cut()
		return
	}
	switch e.kind {
	case exprText:
		for _, r := range e.text {
			for _, b := range appendSymbol(nil, r) {
				var c class
				c[b] = true
				f.add(c)
			}
		}
	case exprSet:
		f.set(e.set)
	case exprConcat:
		for _, s := range e.subs {
			f.find(s)
		}
	case exprRepeat:
		f.repeat(e)
	case exprNever, exprEither:
		f.cut()
	}
}

func (f *windowFinder) add(c class) {
	if f.run = append(f.run, c); len(f.run) >= 2*windowsMax {
		f.cut()
	}
}

// set adds the class of a set. A symbol beyond ASCII has any bytes beyond ASCII, and nobody knows
// how many: a run ends with the first of them, and the next begins with the last.
func (f *windowFinder) set(s set) {
	var c class
	beyond := false
	for i := 0; i < len(s); i += 2 {
		for r := s[i]; r <= s[i+1] && r < utf8.RuneSelf; r++ {
			c[r] = true
		}
		beyond = beyond || s[i+1] >= utf8.RuneSelf
	}
	for b := utf8.RuneSelf; beyond && b < len(c); b++ {
		c[b] = true
	}
	if f.add(c); beyond {
		f.cut()
		f.add(c)
	}
}

// repeat adds what is repeated: as often as it surely is, or as windows are long, and that again
// from the end where it may be more.
func (f *windowFinder) repeat(e *expr) {
	times := min(e.least, windowPlaces)
	for range times {
		f.find(e.subs[0])
	}
	if e.most != times {
		f.cut()
		for range times {
			f.find(e.subs[0])
		}
	}
}

func newWindow(classes []class) *window {
	w := &window{size: len(classes)}
	for j := range windowPlaces {
		low, high := &w.masks[2*j], &w.masks[2*j+1]
		if j >= len(classes) { // anything may follow
			for i := range low {
				low[i], high[i] = 1, 1
			}
			continue
		}
		var rows [][16]bool // lower nibbles, by bit
		for h := range 16 {
			row := [16]bool(classes[j][16*h:])
			if row == ([16]bool{}) {
				continue
			}
			bit := slices.Index(rows, row)
			if bit < 0 && len(rows) == 8 {
				bit = 7 // finds too much
			} else if bit < 0 {
				bit, rows = len(rows), append(rows, row)
			}
			for i, in := range row {
				if in {
					low[i] |= 1 << bit
					low[16+i] |= 1 << bit
				}
			}
			high[h] |= 1 << bit
			high[16+h] |= 1 << bit
		}
	}
	return w
}

// at reports whether the window is at the start of b.
func (w *window) at(b []byte) bool {
	if len(b) < w.size {
		return false
	}
	for j, c := range b[:w.size] {
		if w.masks[2*j][c&15]&w.masks[2*j+1][c>>4] == 0 {
			return false
		}
	}
	return true
}

func (w *window) index(b []byte) int {
	i := 0
	if vectors := (len(b) - windowPlaces + 1) &^ 31; vectors > 0 {
		if i = windowIndex(&b[0], vectors, &w.masks); i < vectors {
			return i
		}
	}
	for ; i < len(b); i++ {
		if w.at(b[i:]) {
			return i
		}
	}
	return -1
}

func (w *window) tuned([]byte) prefilter { return w }

func (ws windows) index(b []byte) int { return ws[0].index(b) }

// tuned gives the window that finds the fewest places, if they are few enough.
func (ws windows) tuned(sample []byte) prefilter {
	var best prefilter
	least := len(sample) / windowGapMin
	for _, w := range ws {
		if n := w.count(sample, least+1); n <= least {
			best, least = w, n-1
		}
	}
	return best
}

// count gives the number of places that the window finds, but at most max.
func (w *window) count(sample []byte, max int) int {
	n := 0
	for pos := 0; n < max; n++ {
		at := w.index(sample[pos:])
		if at < 0 {
			break
		}
		pos += at + 1
	}
	return n
}
