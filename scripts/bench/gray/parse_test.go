package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventLogLinesBecomeEvents(t *testing.T) {
	const head = `{"time":"2026-11-22T06:40:00.5Z","level":"INFO","node":"10.77.0.1:7117@1","event":`
	when := time.Date(2026, 11, 22, 6, 40, 0, 5e8, time.UTC)
	for _, test := range []struct {
		rest string // of the line
		want event
		of   bool
	}{
		{`"JOIN","peer":"10.77.0.4:7117@2","via":"sync"}`,
			event{what: held, about: "10.77.0.4:7117@2"}, true},
		{`"FAIL","peer":"10.77.0.4:7117@2","via":"monitor"}`,
			event{what: lost, about: "10.77.0.4:7117@2"}, true},
		{`"REJOIN","previous":"10.77.0.1:7117@0"}`, event{what: renewed}, true},
		{`"NOTIFY","action":"sent","to":"command","events":1}`, event{what: notified}, true},
		{`"NOTIFY","action":"retry","to":"command","events":1}`, event{}, false},
		{`"SUSPECT","peer":"10.77.0.4:7117@2"}`, event{}, false},
		{`"GRAY","unanswered":4}`, event{}, false}, // and whatever else comes
	} {
		got, of, err := parseLog([]byte(head + test.rest))
		test.want.at = when
		if err != nil || of != test.of || of && got != test.want {
			t.Errorf("%s: %+v, %t, %v; want %+v, %t", test.rest, got, of, err, test.want, test.of)
		}
	}
	if _, _, err := parseLog([]byte("torn")); err == nil {
		t.Error("a line that is no JSON is taken in")
	}
}

func TestIdentitiesGiveTheMember(t *testing.T) {
	for id, want := range map[identity]int{
		"10.77.0.4": 4, "10.77.0.12:7117@1763793600000000000": 12,
		"": 0, "10.77.0.13": 0, "192.168.0.4": 0, "nobody": 0,
	} {
		if got := id.member(); got != want {
			t.Errorf("%q is member %d, want %d", id, got, want)
		}
	}
}

func TestWhatAMemberTellsIsUnderstood(t *testing.T) {
	var out bytes.Buffer
	teller := newTeller(&out)
	teller.tell(held, "10.77.0.4")
	logger := renewals(teller)
	logger.Print("[WARN] memberlist: Refuting a suspect message (from: 10.77.0.12)")
	logger.Print("[INFO] memberlist: Marking 10.77.0.4 as failed, suspect timeout reached")
	logger.Print("[WARN] memberlist: Refuting a dead message (from: 10.77.0.12)")
	teller.tell(lost, "10.77.0.4")

	r := &peerRunner{member: 2}
	r.read(&out)
	got, err := r.events()
	for i := range got {
		got[i].at = time.Time{}
	}
	want := []event{
		{member: 2, what: held, about: "10.77.0.4"},
		{member: 2, what: renewed}, {member: 2, what: renewed},
		{member: 2, what: lost, about: "10.77.0.4"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("events %+v, %v; want %+v", got, err, want)
	}
	r.read(strings.NewReader("panic: no such thing\n"))
	if _, err := r.events(); err == nil {
		t.Error("a member that tells nonsense is no error")
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	for _, test := range []struct{ flags, want string }{
		{"-cells in:90,up:5", "-cells in:90,up:5"},
		{"-cells in", "-cells in"},
		{"-cells out:101", "-cells out:101"},
		{"-cells both:-1", "-cells both:-1"},
		{"-only grepd,consul", "-only grepd,consul"},
		{"-minutes 0.5", "-minutes 0.5"},
		{"both:80", `"both:80"`},
	} {
		_, err := parse(strings.Fields(test.flags), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that names %s", test.flags, err, test.want)
		}
	}
}

func TestCellsAreParsed(t *testing.T) {
	got, err := parseCells("in:90,out:95,both:0")
	want := []cell{{in: true, percent: 90}, {out: true, percent: 95}, {in: true, out: true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("cells %v, %v; want %v", got, err, want)
	}
	for i, text := range []string{"in 90 %", "out 95 %", "both 0 %"} {
		if got[i].String() != text {
			t.Errorf("cell %d is %q, want %q", i, got[i], text)
		}
	}
}
