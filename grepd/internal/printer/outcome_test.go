package printer_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/printer"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// TestEveryOutcomeHasWords: each reason why a node did not answer is worded for people, and named
// in JSON.
func TestEveryOutcomeHasWords(t *testing.T) {
	for number, name := range greppb.NodeEnd_Outcome_name {
		replies := []*greppb.QueryReply{begin("n1"), nodeEnd(0, greppb.NodeEnd_Outcome(number), ""), end()}
		_, outcome := printText(t, printer.TextOptions{}, replies...)
		if words := outcome.Coverage(); strings.HasSuffix(words, "n1 "+strings.ToLower(name)) {
			t.Errorf("%s: nothing but its name is in %q; word it in Outcome.describe", name, words)
		}
		var out bytes.Buffer
		p := printer.NewJSON(&out, false)
		for _, reply := range replies {
			if err := p.Print(reply); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), `"outcome":""`) {
			t.Errorf("%s has no name in JSON: %s; give it one in outcomeNames", name, out.String())
		}
	}
}
