package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

const (
	head1 = `{"time":"2026-11-22T06:40:00.123456789Z","level":"WARN",`
	left5 = head1 + `"event":"LEAVE","node":"10.0.0.3:7117@17","peer":"10.0.0.5:7117@16","via":"update"}`
)

func TestNameIsFoundWithoutParsing(t *testing.T) {
	for line, want := range map[string]eventlog.Event{
		left5: eventlog.Leave,
		head1 + `"event":"HEARTBEAT","node":"a","detail":"\"event\":\"FAIL\""}`:    eventlog.Heartbeat,
		head1 + `"node":"` + strings.Repeat("x", nameWithin) + `","event":"FAIL"}`: "",
		head1 + `"event":"FA`: "",
		``:                    "",
	} {
		if got := nameOf([]byte(line)); got != want {
			t.Errorf("nameOf(%s) = %q, want %q", line, got, want)
		}
	}
}

func TestKeysAreTheSameInEveryLog(t *testing.T) {
	for line, want := range map[string]string{
		left5: "LEAVE/10.0.0.5:7117@16",
		strings.Replace(left5, "10.0.0.3", "10.0.0.4", 1):                     "LEAVE/10.0.0.5:7117@16",
		head1 + `"event":"PLUGIN","node":"10.0.0.3:7117@17","action":"exit"}`: "PLUGIN/10.0.0.3:7117@17/2026-11-22T06:40:00.123456789Z",
	} {
		if e, ok := parse([]byte(line)); !ok || e.key != want {
			t.Errorf("%s has the key %q, %t, want %q", line, e.key, ok, want)
		}
	}
}

func TestStrangeLinesAreRefused(t *testing.T) {
	for _, line := range []string{
		``, ` ` + left5, `{}`, `null`, `[1]`, `"event":"FAIL"`, left5[:len(left5)-1], left5 + `}`,
		head1 + `"event":"FAIL","node":7}`, `{"event":"FAIL","node":"a"}`,
	} {
		if e, ok := parse([]byte(line)); ok {
			t.Errorf("%s is taken for %+v", line, e)
		}
	}
}

func TestPayloadIsTheLinesWithTheirKeys(t *testing.T) {
	var events []event
	for _, line := range []string{left5, head1 + `"event":"WAITING","node":"a","detail":"\"}]\n"}`} {
		e, ok := parse([]byte(line))
		if !ok {
			t.Fatal(line)
		}
		events = append(events, e)
	}
	var got []map[string]any
	if err := json.Unmarshal(payload(events), &got); err != nil {
		t.Fatalf("%v: %s", err, payload(events))
	}
	if len(got) != 2 || got[0]["key"] != "LEAVE/10.0.0.5:7117@16" || got[0]["via"] != "update" || got[1]["detail"] != "\"}]\n" {
		t.Errorf("payload %s", payload(events))
	}
	if one, two := batchKey(events[:1]), batchKey(events); one != events[0].key || two == one || two != batchKey(events) {
		t.Errorf("keys of notifications: %q and %q", one, two)
	}
	if peers := distinct(append(events, events...), func(e *event) string { return e.Peer }); peers != "10.0.0.5:7117@16" {
		t.Errorf("the peers are %q", peers)
	}
}

// FuzzParse: whatever is in a log, the payload is valid JSON.
func FuzzParse(f *testing.F) {
	f.Add(left5)
	f.Add(`{"time":"x","node":"y","event":"\ud800"}`)
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := parse([]byte(line))
		if ok && !json.Valid(payload([]event{e, e})) {
			t.Errorf("%q becomes %q", line, payload([]event{e, e}))
		}
	})
}
