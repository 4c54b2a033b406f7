// Package audit judges from the event logs of a whole cluster whether the bounds held: each
// change of the member list, JOIN, LEAVE or FAIL, with when it was first in a list and when
// in all of them, on whose word, on what evidence, and how it spread.
//
// Read asks a running grepd for everything and gives a Report. It is made of two parts that
// can be had alone: an Audit takes in lines of the log and says what it found,
//
//	a := audit.New(audit.Config{DetectWithin: 2 * time.Second, SpreadWithin: 6 * time.Second, Asked: asked})
//	for ... {
//		err = a.Add(line)
//	}
//	a.Covers("10.0.0.1:7117", first) // this node's log was read, and begins then
//	report := a.Report()
//
// # The rule
//
// A FAIL of X was found in time where its first declaration, by the log's times, has a
// silent_ms of at most DetectWithin: X sent something that long ago, so it crashed after
// that. (A monitor that had just taken X up and heard nothing of it counts from when it did,
// or from what other monitors knew.)
//
// A change was spread in time where each list that is due has it within SpreadWithin: of
// its first line in any log, and for a FAIL of that time less silent_ms. Due is the list of a
// member M other than X
//
//   - that had joined before the change was in the first list,
//   - that did not end before the bound was over: by its own LEAVE, by a FAIL (it may
//     have been dead from silent_ms before that), or by a later life of its address,
//   - that had X to lose, where the change is LEAVE or FAIL: it logged X's JOIN, or had it
//     from a time that is not read any more,
//   - and whose log can be read: M's address is alive today, answered in full, and its log
//     goes back to the change. The others are counted as unread.
//
// M has a change from its first line that says this much or more: a list in which X has
// left, or lives again, needs no FAIL of X. And where a later change of X was in a first list
// before the bound was over, a list that skipped to it is not late.
//
// A FAIL that X itself answered with a REJOIN was a false one. That breaks no bound (the
// machine was paused, or cut off), and is shown.
//
// # Clocks
//
// Detection is measured on one clock. Spreading is measured by the machines' own clocks, so
// the difference between two clocks is an error of the result. When a member joins, the logs
// tell it from its gateway's clock: the newcomer pulled the list before the gateway
// admitted it, and entered after that. The Report has these differences; it corrects nothing.
// A clock that is behind makes others look late; one that is ahead by more than the bound makes
// a member look as if it had joined too late for a change, and that change is Open then.
//
// # Memory
//
// Heartbeats stay where they are: only lines of changes are asked for. Each takes 16 bytes
// until the report is made, for at most linesMax of them; lines from before Config.Since are
// not kept.
//
// # Concurrency
//
// An Audit belongs to one goroutine. Read starts none that outlives it.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/eventlog"
)

const (
	// linesMax bounds the lines of changes that are kept: a thousand members that all join
	// write a million of them.
	linesMax = 20_000_000
	// livesMax bounds the ids that are told apart.
	livesMax = 1_000_000
	// lineLag is how much later than what it tells a line may be written: a member sends what
	// is to be sent before it writes.
	lineLag = 10 * time.Millisecond
	// silentMSMax is a longer silence than any monitor waits for: a year.
	silentMSMax = 366 * 24 * 3600 * 1000
)

// ErrTooMuch says that the logs hold more than can be judged at once.
var ErrTooMuch = fmt.Errorf("more than %d changes of lists, or %d members: ask for less, by a later time to begin", linesMax, livesMax)

// Config says what to judge by.
type Config struct {
	// DetectWithin and SpreadWithin are the bounds.
	DetectWithin, SpreadWithin time.Duration
	// Since leaves out changes that were in a list earlier. The zero time leaves out none, and
	// so does any before 1970.
	Since time.Time
	// Asked is when the logs began to be read. A list that lacks a change whose bound was not
	// over by then is not late yet.
	Asked time.Time
}

// Audit gathers what the logs say.
type Audit struct {
	cfg       Config
	keepFrom  int64 // sightings before are not kept
	machines  []*machine
	byAddr    map[string]*machine
	sightings int
	lives     int
	malformed int
}

// machine is an address: who writes a log, and whom changes are about.
type machine struct {
	index int32
	addr  string
	lives map[uint64]*life // by incarnation
	read  bool             // its log was read
	from  int64            // ... and begins then
}

// life is one incarnation of a machine.
type life struct {
	id          string
	incarnation uint64
	changes     [kinds]change

	entered  int64 // when it logged that it is a member; 0: the log does not say
	pulled   int64 // when it logged the first member of a list that it was given
	admitted sighting
	acted    bool   // it wrote what only members write
	listed   int64  // it is alive in a list that was looked at, and is in it since then; or 0
	rejoined string // the id that it went on as, having been declared failed
}

// kind is a kind of change. Their order is that in which they win a merge of lists.
type kind uint8

const (
	join kind = iota
	fail
	leave
	kinds
)

var kindOf = map[eventlog.Event]kind{eventlog.Join: join, eventlog.Fail: fail, eventlog.Leave: leave}

var kindNames = [kinds]string{join: string(eventlog.Join), fail: string(eventlog.Fail), leave: string(eventlog.Leave)}

// change is one change of the lists.
type change struct {
	first    sighting // by the logs' times; none where first.by is nil
	by       *life    // who wrote that
	seen     []sighting
	declared []Declaration // by monitors
}

// sighting is a line that says that a list has a change.
type sighting struct {
	at      int64 // Unix time in nanoseconds
	machine int32 // whose list
	via     via
}

// never is later than every line.
const never = math.MaxInt64

// via is how a list learnt of a change.
type via uint8

const (
	viaUnknown via = iota
	viaSelf
	viaMonitor
	viaUpdate
	viaSync
	vias
)

var viaNames = [vias]string{
	viaUnknown: "unknown", viaSelf: eventlog.ViaSelf, viaMonitor: eventlog.ViaMonitor,
	viaUpdate: eventlog.ViaUpdate, viaSync: eventlog.ViaSync,
}

func parseVia(text string) via {
	for v := viaSelf; v < vias; v++ {
		if viaNames[v] == text {
			return v
		}
	}
	return viaUnknown
}

// New returns an Audit that has read nothing.
func New(cfg Config) *Audit {
	if cfg.Since.Before(time.Unix(0, 0)) {
		cfg.Since = time.Time{} // times are compared in nanoseconds, which do not reach back to 1600
	}
	a := &Audit{cfg: cfg, keepFrom: math.MinInt64, byAddr: make(map[string]*machine)}
	if !cfg.Since.IsZero() {
		// What a list had shortly before says what it had to lose.
		a.keepFrom = cfg.Since.Add(-2*cfg.SpreadWithin - cfg.DetectWithin).UnixNano()
	}
	return a
}

// line is what is read of a line.
type line struct {
	Event    eventlog.Event `json:"event"`
	Node     string         `json:"node"`
	Peer     string         `json:"peer"`
	Via      string         `json:"via"`
	SilentMS float64        `json:"silent_ms"`
	Probes   int            `json:"probes"`
	Answers  int            `json:"answers"`
	Previous string         `json:"previous"`
}

var errMalformed = errors.New("not a line of an event log")

// Add takes in a line of a membership log. Lines may come in any order, and more than once.
// Those that say nothing of a change are passed over, and those that cannot be read are
// counted. The error is ErrTooMuch.
func (a *Audit) Add(text []byte) error {
	err := a.add(text)
	if errors.Is(err, errMalformed) {
		a.malformed++
		return nil
	}
	return err
}

func (a *Audit) add(text []byte) error {
	at, ok := eventlog.Time(text)
	var l line
	if err := json.Unmarshal(text, &l); err != nil || !ok || l.SilentMS < 0 || l.SilentMS > silentMSMax {
		return errMalformed
	}
	kind, isChange := kindOf[l.Event]
	if !isChange && l.Event != eventlog.Rejoin {
		return nil
	}
	writer, machine, err := a.life(l.Node)
	if err != nil {
		return err
	}
	subject, _, err := a.life(l.Peer)
	if err != nil {
		return err
	}
	if !isChange {
		return a.addRejoin(l)
	}
	s := sighting{at: at.UnixNano(), machine: machine.index, via: parseVia(l.Via)}
	if kind == join {
		noteJoin(writer, subject, s)
	}
	writer.acted = writer.acted || s.via != viaSync // which newcomers write too
	return a.see(&subject.changes[kind], writer, s, l)
}

func (a *Audit) addRejoin(l line) error {
	previous, _, err := a.life(l.Previous)
	if err == nil {
		previous.rejoined = l.Peer
	}
	return err
}

// noteJoin keeps what a JOIN says of a member's beginning.
func noteJoin(writer, subject *life, s sighting) {
	switch {
	case writer == subject:
		earliest(&writer.entered, s.at)
	case s.via == viaSync:
		earliest(&writer.pulled, s.at)
	case s.via == viaSelf && (subject.admitted.at == 0 || s.at < subject.admitted.at):
		subject.admitted = s
	}
}

// earliest lowers a time; 0 is none.
func earliest(t *int64, at int64) {
	if *t == 0 || at < *t {
		*t = at
	}
}

func (a *Audit) see(c *change, writer *life, s sighting, l line) error {
	if c.by == nil || s.at < c.first.at {
		c.first, c.by = s, writer
	}
	if s.via == viaMonitor {
		c.declare(Declaration{
			By: l.Node, Time: timeOf(s.at), SilentMS: l.SilentMS, Probes: l.Probes, Answers: l.Answers,
		})
	}
	if s.at < a.keepFrom {
		return nil
	}
	if a.sightings++; a.sightings > linesMax {
		return ErrTooMuch
	}
	c.seen = append(c.seen, s)
	return nil
}

func timeOf(unixNanos int64) time.Time { return time.Unix(0, unixNanos).UTC() }

// declare keeps the declarations in the order of their times, one a monitor.
func (c *change) declare(d Declaration) {
	i := slices.IndexFunc(c.declared, func(other Declaration) bool { return other.By == d.By })
	switch {
	case i < 0:
		c.declared = append(c.declared, d)
	case d.Time.Before(c.declared[i].Time):
		c.declared[i] = d
	}
	slices.SortFunc(c.declared, func(a, b Declaration) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.By, b.By))
	})
}

// life returns the one that has an id, ip:port@incarnation.
func (a *Audit) life(id string) (*life, *machine, error) {
	addr, incarnation, err := eventlog.ParseID(id)
	if err != nil {
		return nil, nil, errMalformed
	}
	m := a.machine(addr)
	l := m.lives[incarnation]
	if l == nil {
		if a.lives++; a.lives > livesMax {
			return nil, nil, ErrTooMuch
		}
		l = &life{id: id, incarnation: incarnation}
		m.lives[incarnation] = l
	}
	return l, m, nil
}

func (a *Audit) machine(addr string) *machine {
	m := a.byAddr[addr]
	if m == nil {
		m = &machine{index: int32(len(a.machines)), addr: addr, lives: make(map[uint64]*life)}
		a.byAddr[addr] = m
		a.machines = append(a.machines, m)
	}
	return m
}

// Alive says that a member is alive in a list that was looked at, since a time. Its log may
// not say so any more.
func (a *Audit) Alive(id string, since time.Time) error {
	l, _, err := a.life(id)
	if err != nil {
		return fmt.Errorf("member %q: %w", id, err)
	}
	l.listed = since.UnixNano()
	return nil
}

// Covers says that all there is of a machine's log was added, and when its first line was
// written.
func (a *Audit) Covers(addr string, from time.Time) {
	m := a.machine(addr)
	m.read, m.from = true, from.UnixNano()
}
