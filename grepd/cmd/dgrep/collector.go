package main

import "runtime/debug"

const (
	// garbagePercent is how much memory may be garbage, in percent of what is in use. That is a few MiB, and each chunk
	// of an answer is garbage once it is printed: by default the collector would run for every few chunks.
	garbagePercent = 400
	// memoryAimedAt is what the process is to take at most, garbage included, unless more is in use.
	memoryAimedAt = 40 << 20
)

// relaxCollector lets the collector of garbage run less often, unless the environment says how often.
func relaxCollector(getenv func(string) string) {
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(garbagePercent)
		debug.SetMemoryLimit(memoryAimedAt)
	}
}
