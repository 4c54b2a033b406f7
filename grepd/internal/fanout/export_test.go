package fanout

import "time"

// Ahead compares two clocks.
var Ahead = ahead

// SetClock makes f read another clock than the machine's.
func (f *Fanout) SetClock(now func() time.Time) { f.now = now }
