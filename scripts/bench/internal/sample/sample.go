// Package sample sums up what a benchmark has measured.
//
// # Concurrency
//
// The functions keep no state and may be called from any goroutine.
package sample

import "slices"

// Median returns the middle of the values, of which there is at least one.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
