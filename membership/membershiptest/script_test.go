package membershiptest

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScenarios runs the scripts in testdata: each line up to ---- is a command of Script,
// and what follows is what they print. go test -run TestScenarios -rewrite writes it anew;
// a check that fails is an error all the same.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var script Script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var output strings.Builder
			for line := range strings.Lines(d.FullCmd() + "\n" + d.Input) {
				text, err := script.Do(line)
				if err != nil {
					d.Fatalf(t, "%v", err)
				}
				output.WriteString(text)
			}
			return output.String()
		})
	})
}
