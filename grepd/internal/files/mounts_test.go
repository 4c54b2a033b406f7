package files

import (
	"fmt"
	"strings"
	"testing"
)

func TestOpenMountsNamesTheWrongPair(t *testing.T) {
	dir := t.TempDir()
	for pair, want := range map[string]string{
		"logs":            "want name=directory",
		"a/b=" + dir:      "may not be",
		"..=" + dir:       "may not be",
		"x=" + dir + "/y": "no such file",
	} {
		if _, err := OpenMounts([]string{pair}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", pair)) {
			t.Errorf("%s: got %v", pair, err)
		}
	}
	if _, err := OpenMounts([]string{"a=" + dir, "a=" + dir}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("got %v", err)
	}
}
