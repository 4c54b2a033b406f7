package pluginhost

import (
	"testing"
	"time"
)

func TestBackoffGrowsFromNothingToItsLimit(t *testing.T) {
	b := backoff{first: 100 * time.Millisecond, max: time.Second}
	for i, want := range []time.Duration{0, 100, 200, 400, 800, 1000, 1000, 1000} {
		want *= time.Millisecond
		if got := b.next(); got < want/2 || got > want {
			t.Errorf("wait %d is %v, want %v to %v", i, got, want/2, want)
		}
	}
	for range 100 { // no overflow, however long it goes on
		if got := b.next(); got < b.max/2 || got > b.max {
			t.Fatalf("wait %v, want %v to %v", got, b.max/2, b.max)
		}
	}
	b.reset()
	if got := b.next(); got != 0 {
		t.Errorf("the first wait after a reset is %v", got)
	}
}
