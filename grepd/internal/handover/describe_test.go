package handover

import (
	"errors"
	"testing"
)

// TestLastWordsAreOneLineForATerminal: they go to whoever asked for the upgrade.
func TestLastWordsAreOneLineForATerminal(t *testing.T) {
	s := new(successor)
	s.stderr.Write([]byte("\x1b[31mno mood\nto serve\x00\n"))
	const want = "not ready; it wrote: ?[31mno mood | to serve?"
	if got := s.describe(errors.New("not ready")).Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
