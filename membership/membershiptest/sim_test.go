package membershiptest

import (
	"testing"
	"time"
)

func TestX(t *testing.T) {
	for seed := range uint64(20) {
		start := time.Now()
		r := Trial(seed, FullRange)
		t.Logf("%v %v", time.Since(start), r)
		for _, v := range r.Report.Violations[:min(5, len(r.Report.Violations))] {
			t.Log(v)
		}
	}
}
