package main

import "testing"

// What abbreviates an option of grep goes on to, whatever options of our own begin so too.
func TestAbbreviationsOfGrep(t *testing.T) {
	flags := (&parser{}).flags()
	for prefix, want := range map[string]string{
		"s": "silent", "si": "silent", "cou": "count", "col": "color", "cont": "context", "v": "version", "t": "text",
		"where": "where", "sin": "since", "so": "sort", "count-": "count-by", "fie": "fields",
	} {
		flag := flags.Lookup(prefix)
		var err error
		if flag == nil {
			flag, err = abbreviated(flags, prefix)
		}
		if err != nil || flag.Name != want {
			t.Errorf("--%s: %v, %v, want --%s", prefix, flag, err, want)
		}
	}
}
