package main

import (
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

// at builds an event of a second after the start. About is the last byte of an address, or
// 0, and extra what makes an identity of it.
func at(second float64, member int, w what, about int, extra string) event {
	e := event{at: start.Add(time.Duration(second * float64(time.Second))), member: member, what: w}
	if about != 0 {
		e.about = identity(addrOf(about).String() + extra)
	}
	return e
}

// lines is a timeline: gray at 10 s, member 3 killed at 100 s, the end at 130 s.
var lines = timeline{
	gray: start.Add(10 * time.Second), crash: start.Add(100 * time.Second),
	end: start.Add(130 * time.Second), victim: 3,
}

func TestVerdictsAreToldApart(t *testing.T) {
	gray := grayMember
	for _, test := range []struct {
		name   string
		events []event
		want   []verdict
	}{
		{"one verdict in two lists", []event{
			at(20, gray, lost, 4, ""), at(21, 1, lost, 4, ""),
		}, []verdict{{4, true}}},
		{"in the gray list alone", []event{at(20, gray, lost, 4, "")}, []verdict{{4, false}}},
		{"of a member that all lists had held again", []event{
			at(20, gray, lost, 4, ""), at(21, gray, held, 4, ""), at(22, 1, lost, 4, ""),
		}, []verdict{{4, false}, {4, true}}},
		{"by a list that had held it again while another still did not", []event{
			at(20, gray, lost, 4, ""), at(20, 1, lost, 4, ""),
			at(21, 1, held, 4, ""), at(22, 1, lost, 4, ""),
		}, []verdict{{4, true}, {4, true}}},
		{"of two members", []event{
			at(20, gray, lost, 4, ""), at(20, gray, lost, 5, ""),
		}, []verdict{{4, false}, {5, false}}},
		{"of two incarnations", []event{
			at(20, gray, lost, 4, ":7117@1"), at(21, gray, held, 4, ":7117@2"),
			at(22, 1, lost, 4, ":7117@1"), at(23, gray, lost, 4, ":7117@2"),
		}, []verdict{{4, true}, {4, false}}},
		{"before anybody was gray", []event{at(9, 1, lost, 4, "")}, nil},
		{"of the killed member, before and after", []event{
			at(99, 1, lost, 3, ""), at(99.5, 1, held, 3, ""), at(102, 2, lost, 3, ""),
		}, []verdict{{3, true}}},
		{"of the gray member", []event{at(20, 1, lost, gray, "")}, []verdict{{gray, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := verdicts(test.events, lines); !slices.Equal(got, test.want) {
				t.Errorf("verdicts are %v, want %v", got, test.want)
			}
		})
	}
}

// full are the events after which all lists hold all members.
func full() (events []event) {
	for list := 1; list <= groupSize; list++ {
		for about := 1; about <= groupSize; about++ {
			events = append(events, at(0, list, held, about, ":1"))
		}
	}
	return events
}

func TestCountSumsUpACell(t *testing.T) {
	events := append(full(),
		at(20, grayMember, lost, 4, ":1"),
		at(20.1, 1, lost, 4, ":1"),
		at(20.2, 4, renewed, 0, ""),
		at(20.3, 1, held, 4, ":2"), // the gray list goes on without it
		at(30, 1, lost, grayMember, ":1"),
		at(30.5, 2, notified, 0, ""),
		at(31, grayMember, renewed, 0, ""),
		at(31.5, 1, held, grayMember, ":2"),
		at(40, grayMember, lost, 5, ":1"),
		at(41, grayMember, held, 5, ":1"),
	)
	for list := 1; list < grayMember; list++ {
		if list != 3 && list != 7 { // 7 never hears of the crash
			after := 101 + float64(list)/10
			events = append(events, at(after, list, lost, 3, ":1"))
		}
	}
	got := count(events, lines)
	crash := got.crash
	got.crash.First, got.crash.All, got.crash.Pending, got.crash.False = 0, 0, 0, 0
	want := tally{
		span: 2 * time.Minute, verdicts: 2, spread: 1, renewed: 1, notified: 1,
		grayFailed: 1, grayRenewed: 1, missing: 1,
	}
	if got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
	if crash.First != 1100*time.Millisecond || crash.All != 2100*time.Millisecond || crash.Pending != 1 {
		t.Errorf("crash %+v, want 1.1s, 2.1s and a list that waits", crash)
	}
}

func TestMissingEntriesAreThoseOfTheLiving(t *testing.T) {
	all := groupSize * (groupSize - 1)
	for _, test := range []struct {
		name   string
		events []event
		dead   int
		want   int
	}{
		{"nobody has started", nil, 0, all},
		{"all are known", full(), 0, 0},
		{"one is lost", append(full(), at(1, 1, lost, 2, ":1")), 0, 1},
		{"one is dead", append(full(), at(1, 1, lost, 2, ":1"), at(1, 2, lost, 5, ":1")), 2, 0},
		{"one is there again before its end is known",
			append(full(), at(1, 1, held, 2, ":2"), at(2, 1, lost, 2, ":1")), 0, 0},
	} {
		if got := missingEntries(test.events, test.dead); got != test.want {
			t.Errorf("%s: %d entries are missing, want %d", test.name, got, test.want)
		}
	}
}
