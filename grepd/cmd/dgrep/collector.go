package main

import (
	"os"
	"runtime/debug"
)

const (
	// garbagePercent is how much memory may be garbage, in percent of what is in use. That is a few MiB, and each chunk
	// of an answer is garbage once it is printed: by default the collector would run for every few chunks.
	garbagePercent = 400
	// memoryAimedAt is what the process is to take at most, garbage included, unless more is in use.
	memoryAimedAt = 40 << 20
)

// relaxCollector lets the collector of garbage run less often while an answer is received, unless the environment says how
// often. A search of one's own may have more in use, and near the limit the collector would always run.
func relaxCollector() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(garbagePercent)
		debug.SetMemoryLimit(memoryAimedAt)
	}
}
