package follow_test

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
)

var seedFlag = flag.Uint64("seed", 1, "seed of the random tests; 0: a new one")

func TestMain(m *testing.M) {
	time.Local = time.UTC // for lines without a zone
	goleak.VerifyTestMain(m)
}

// seed gives the seed of a random test, and prints it.
func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return s
}

func options(t testing.TB, pattern string) search.Options {
	t.Helper()
	m, err := match.Compile([]string{pattern}, match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return search.Options{Matcher: m, MaxCount: -1}
}
