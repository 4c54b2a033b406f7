package match

import (
	"testing"
)

// TestWindowIndexEqualsLookingAtEachPlace compares the kernel, and that with the classes.
func TestWindowIndexEqualsLookingAtEachPlace(t *testing.T) {
	if !hasAVX2 {
		t.Skip("no AVX2 here: there is no kernel to compare")
	}
	s := seed(t)
	found := 0
	for i := range *trialsFlag {
		r := source(s, i)
		classes := make([]class, 1+r.IntN(windowPlaces))
		for j := range classes {
			for range 1 + r.IntN(3) {
				first, n := r.IntN(256), r.IntN([]int{1, 12, 100}[r.IntN(3)])
				for b := first; b <= min(first+n, 255); b++ {
					classes[j][b] = true
				}
			}
		}
		w := newWindow(classes)
		text := make([]byte, r.IntN(200))
		for j := range text {
			if text[j] = byte(r.Uint32()); r.IntN(3) > 0 {
				text[j] = '\n'
			}
		}
		want := -1
		for at := range text {
			if w.at(text[at:]) {
				want = at
				found++
				break
			}
		}
		if got := w.index(text); got != want {
			t.Fatalf("trial %d: %v in %q: got %d, want %d", i, classes, text, got, want)
		}
		for at := range text {
			inClasses := at+len(classes) <= len(text)
			for j := range classes {
				inClasses = inClasses && classes[j][text[at+j]]
			}
			if inClasses && !w.at(text[at:]) {
				t.Fatalf("trial %d: %v is not found at %d in %q", i, classes, at, text)
			}
		}
	}
	if found == 0 {
		t.Error("nothing was ever found, so that the test shows nothing")
	}
}
