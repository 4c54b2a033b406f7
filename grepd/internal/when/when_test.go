package when

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 22, 6, 40, 30, 500, zone)
	for text, want := range map[string]string{
		"now":                       "2026-11-22T06:40:30.0000005+01:00",
		"10m":                       "2026-11-22T06:30:30.0000005+01:00",
		"1h30m":                     "2026-11-22T05:10:30.0000005+01:00",
		"1.5s":                      "2026-11-22T06:40:28.5000005+01:00",
		"1w2d12h":                   "2026-11-12T18:40:30.0000005+01:00",
		"3d":                        "2026-11-19T06:40:30.0000005+01:00",
		"today":                     "2026-11-22T00:00:00+01:00",
		"yesterday":                 "2026-11-21T00:00:00+01:00",
		"06:40":                     "2026-11-22T06:40:00+01:00",
		"06:40:01.5":                "2026-11-22T06:40:01.5+01:00",
		"2026-11-22":                "2026-11-22T00:00:00+01:00",
		"2026-11-22T06:40":          "2026-11-22T06:40:00+01:00",
		"2026-11-22 06:40:01":       "2026-11-22T06:40:01+01:00",
		"2026-11-22T06:40:01.25":    "2026-11-22T06:40:01.25+01:00",
		"2026-11-22T06:40Z":         "2026-11-22T07:40:00+01:00",
		"2026-11-22T06:40:01-05:00": "2026-11-22T12:40:01+01:00",

		"": "", "-10m": "", "10": "", "10x": "", "d": "", "5d3w": "", "25:00": "", "2026-02-30": "", "tomorrow": "",
		"999999w": "", "0001-01-01": "", "2300-01-01": "",
	} {
		at, err := Parse(text, now)
		got := ""
		if err == nil {
			got = at.In(zone).Format(time.RFC3339Nano)
		} else if !strings.HasPrefix(err.Error(), "want ") {
			t.Errorf("%q: error %q", text, err)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// FuzzWhen wants a time of which nanoseconds since 1970 can tell, whatever is asked for, or an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"10m", "1w2d12h", "06:40", "2026-11-22T06:40:00+01:00", "yesterday", "9999999h"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 22, 6, 40, 30, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := Parse(text, now)
		if err == nil && !time.Unix(0, at.UnixNano()).Equal(at) {
			t.Errorf("%q is %v, beyond what nanoseconds tell", text, at)
		}
	})
}
