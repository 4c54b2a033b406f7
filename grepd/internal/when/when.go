// Package when reads the times that a person gives: how long ago, a time of day, a date.
//
//	at, err := when.Parse("3d", time.Now())
//
// # Concurrency
//
// Its functions may be called by any number of goroutines.
package when

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of a time. One without a zone is of this machine's zone.
var layouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05", "2006-01-02 15:04:05",
	"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04Z07:00",
	"2006-01-02",
}

// Parse reads a time: how long before now (10m, 3d), a time of day, a date, or both; or today or yesterday, which
// begin at midnight. What has no zone is of now's. The error says what is wanted instead of text. Nanoseconds since 1970 can
// tell each time that it gives.
func Parse(text string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	switch text {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if ago, ok := parseAgo(text); ok {
		return now.Add(-ago), nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, check(at)
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			hour, minute, second := at.Clock()
			return time.Date(year, month, day, hour, minute, second, at.Nanosecond(), now.Location()), nil
		}
	}
	return time.Time{}, errors.New("want how long ago (10m, 2h30m, 3d), a time (06:40, 2026-11-22T06:40, 2026-11-22T06:40:00Z), today or yesterday")
}

// check refuses years of which nanoseconds since 1970 cannot tell.
func check(at time.Time) error {
	if at.Year() < 1700 || at.Year() > 2200 {
		return errors.New("want a year from 1700 to 2200")
	}
	return nil
}

// agoMax is the longest time ago.
const agoMax = 100 * 365 * 24 * time.Hour

// parseAgo reads a duration as Go writes them, or a number of days or weeks before such: 1w2d12h.
func parseAgo(text string) (ago time.Duration, ok bool) {
	rest := text
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, false
		}
		ago += time.Duration(n) * unit.length
		rest = after
	}
	if rest != "" || text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > agoMax {
			return 0, false
		}
		ago += d
	}
	return ago, ago <= agoMax
}
