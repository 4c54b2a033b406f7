package explore

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// Replay goes one way through what Run explores, and returns the rule that breaks on it, or
// nil. Options are those of the search; what the path needs of Budget and Delays it has. If the
// transcript is not nil it gets a line for each choice and each event since the window opened,
// and if packets says so for each packet but heartbeats. The error wraps ErrOptions or ErrPath.
func Replay(o Options, p Path, transcript io.Writer, packets bool) (*Violation, error) {
	var err error
	if o.Budget, o.Delays, err = p.needs(); err != nil {
		return nil, err
	}
	s, err := newSearch(o)
	if err != nil {
		return nil, err
	}
	_, broken, err := s.walk(p, func(d *draft, t step, choices Path) {
		if transcript != nil && t >= s.options.steps(s.options.begin()) {
			s.transcribe(transcript, d, t, choices, packets)
		}
	})
	return broken, err
}

// walk goes along a path to its end, or to where a rule breaks, and hands each draft to visit.
func (s *search) walk(p Path, visit func(d *draft, t step, choices Path)) (*world, *Violation, error) {
	w, before := &world{}, 0
	for t := step(0); t <= s.options.end(); t = s.next(w, t) {
		d, choices := s.follow(w, t, p[before:])
		if d == nil {
			return nil, nil, fmt.Errorf("%w: nothing like %v can happen", ErrPath, p[before])
		}
		visit(d, t, p[before:before+choices])
		if before += choices; d.broken.Rule != "" {
			return nil, &d.broken, nil
		}
		if w = &d.world; t == s.options.end() {
			break
		}
	}
	if before < len(p) {
		return nil, nil, fmt.Errorf("%w: nothing like %v can happen", ErrPath, p[before])
	}
	return w, nil, nil
}

// follow returns the draft that makes those of the choices that are to be made at the instant
// t, and their number; nil: there is none.
func (s *search) follow(w *world, t step, p Path) (d *draft, choices int) {
	at := time.Duration(t) * s.options.Quantum
	for choices < len(p) && p[choices].At <= at {
		choices++
	}
	drafts := s.expand(w, t)
	i := slices.IndexFunc(drafts, func(d *draft) bool {
		return slices.Equal(d.trail.path()[w.trail.len():], p[:choices])
	})
	if i < 0 {
		return nil, choices
	}
	return drafts[i], choices
}

// needs is how much goes wrong on the path.
func (p Path) needs() (b Budget, delays []time.Duration, err error) {
	delays = []time.Duration{} // not the default
	for _, c := range p {
		switch verb, delay := splitVerb(c.Verb); verb {
		case verbCrash:
			b.Crashes++
		case verbPause:
			b.Pauses++
		case verbLeave:
			b.Leaves++
		case verbRestart:
			b.Restarts++
		case verbLose, verbLate, verbTwice:
			b.Messages++
			d, parsed := time.ParseDuration(delay)
			if delay != "" && parsed != nil {
				return b, nil, fmt.Errorf("%w: %v: %v", ErrPath, c, parsed)
			}
			if delay != "" && !slices.Contains(delays, d) {
				delays = append(delays, d)
			}
		case verbOrder:
		default:
			return b, nil, fmt.Errorf("%w: %v: no such verb", ErrPath, c)
		}
	}
	return b, delays, nil
}

// splitVerb splits late250ms into what happens and the delay.
func splitVerb(verb string) (what, delay string) {
	at := strings.IndexAny(verb, "0123456789")
	if at < 0 {
		return verb, ""
	}
	return verb[:at], verb[at:]
}

// transcribe writes what has happened at one instant.
func (s *search) transcribe(to io.Writer, d *draft, t step, choices Path, packets bool) {
	line := func(format string, args ...any) {
		at := time.Duration(t) * s.options.Quantum
		fmt.Fprintf(to, "%8.3fs %s\n", at.Seconds(), readable(fmt.Sprintf(format, args...)))
	}
	for _, c := range choices {
		line("-- %s %s", c.Verb, c.What)
	}
	for _, o := range d.did {
		for _, e := range o.events {
			line("%s %v", nameOf(o.host), e)
		}
		for _, p := range o.sent {
			if m := decoded(p); packets && m.Kind != membership.Heartbeat {
				line("%s > %s %v", nameOf(int(p.from)), nameOf(int(p.to)), m.String())
			}
		}
	}
	if d.broken.Rule != "" {
		line("VIOLATION %s: %s", d.broken.Rule, d.broken.Detail)
	}
}

func decoded(p packet) *membership.Message {
	var m membership.Message
	if err := wire.Decode([]byte(p.data), &m); err != nil {
		return &membership.Message{}
	}
	return &m
}

// Shrink returns the path of a violation without the choices that it does not take.
func Shrink(o Options, v Violation) Violation {
	for i := 0; i < len(v.Path); {
		shorter := slices.Delete(slices.Clone(v.Path), i, i+1)
		if other, err := Replay(o, shorter, nil, false); err == nil && other != nil && other.Rule == v.Rule {
			v = *other
			i = 0
		} else {
			i++
		}
	}
	return v
}
