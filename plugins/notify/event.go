package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

// event is a line of a log.
type event struct {
	line  []byte // without its line break
	key   string // the same in whoever's log, but for events of one node alone
	Time  string `json:"time"`
	Event string `json:"event"`
	Node  string `json:"node"`
	Peer  string `json:"peer"`
	Via   string `json:"via"`

	Previous string `json:"previous"`
}

// scope is who tells of an event.
type scope int

const (
	ofGroup   scope = iota + 1 // in all logs: the member that is chosen
	ofGateway                  // in all logs: the gateway that has caused it
	ofNode                     // in one log: that node
)

// scopes has the events that can be asked for.
var scopes = map[eventlog.Event]scope{
	eventlog.Fail: ofGroup, eventlog.Leave: ofGroup,
	eventlog.Join:   ofGateway,
	eventlog.Rejoin: ofNode, eventlog.Waiting: ofNode, eventlog.Plugin: ofNode, eventlog.Membership: ofNode,
}

// eventMark is what an event's name follows, and nameWithin where in a line it has to end:
// behind the time and the level.
var eventMark = []byte(`"` + eventlog.KeyEvent + `":"`)

const nameWithin = 128

// nameOf finds the event's name without parsing the line; most lines are heartbeats.
func nameOf(line []byte) eventlog.Event {
	_, rest, _ := bytes.Cut(line[:min(len(line), nameWithin)], eventMark)
	name, _, found := bytes.Cut(rest, []byte{'"'})
	if !found {
		return ""
	}
	return eventlog.Event(name)
}

// parse reads a line, which it copies. It reports false for one that is not as it should be.
func parse(line []byte) (event, bool) {
	e := event{line: bytes.Clone(line)}
	if !bytes.HasPrefix(line, []byte{'{'}) || json.Unmarshal(line, &e) != nil || e.Time == "" || e.Node == "" {
		return event{}, false
	}
	e.key = e.Event + "/" + e.Peer
	if e.scope() == ofNode {
		e.key = e.Event + "/" + e.Node + "/" + e.Time
	}
	return e, true
}

func (e *event) scope() scope { return scopes[eventlog.Event(e.Event)] }

// departed names the member that is no longer one by this event, or nobody, and whether it
// left of its own will.
func (e *event) departed() (id string, left bool) {
	switch eventlog.Event(e.Event) {
	case eventlog.Fail:
		return e.Peer, false
	case eventlog.Leave:
		return e.Peer, true
	case eventlog.Join: // of a machine that is back so soon that nobody has missed it
		return e.Previous, false
	}
	return "", false
}

// payload is the events as a JSON array: each a line of the log, with its key in front.
func payload(events []event) []byte {
	var b bytes.Buffer
	for i, e := range events {
		key, err := json.Marshal(e.key)
		if err != nil {
			panic(err) // a string can always be encoded
		}
		b.WriteByte("[,"[min(i, 1)])
		b.WriteString(`{"key":`)
		b.Write(key)
		b.WriteByte(',')
		b.Write(bytes.TrimPrefix(e.line, []byte{'{'}))
	}
	b.WriteByte(']')
	return b.Bytes()
}

// distinct lists what a field of the events holds, each value once.
func distinct(events []event, field func(*event) string) string {
	var values []string
	seen := map[string]bool{}
	for i := range events {
		if value := field(&events[i]); value != "" && !seen[value] {
			seen[value] = true
			values = append(values, value)
		}
	}
	return strings.Join(values, " ")
}
