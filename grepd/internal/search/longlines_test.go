package search_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files/filestest"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

func TestLongLinesTakeWhatThereIsAndGiveItBack(t *testing.T) {
	const size = 3 << 20
	line := strings.Repeat("x", size) + "\n"
	m, _ := filestest.Tree(t, map[string]string{"a": line, "b": line, "c.gz": filestest.Gzipped(line), "d": strings.Repeat("x", 1<<19) + "\n"})
	for _, test := range []struct {
		bytes   int64
		matches uint64
	}{{64 << 20, 4}, {1 << 20, 1}} {
		long := search.NewLongLines(test.bytes)
		for range 20 { // which would be too many if any of it were kept
			o := options(t, "x")
			o.LongLines = long
			r := &recorder{}
			stats, err := search.Run(context.Background(), m, []string{"logs/*"}, o, r)
			if err != nil || stats.Matches != test.matches || stats.Errors != 4-test.matches {
				t.Fatalf("with %d bytes for them: %+v, %v", test.bytes, stats, err)
			}
		}
	}
}
