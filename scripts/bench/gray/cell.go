package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// cell is a kind of grayness.
type cell struct {
	in, out bool // what the gray member loses: what it receives, what it sends
	percent int
}

func (c cell) String() string {
	direction := "both"
	switch {
	case !c.out:
		direction = "in"
	case !c.in:
		direction = "out"
	}
	return fmt.Sprintf("%s %d %%", direction, c.percent)
}

func parseCells(text string) (cells []cell, err error) {
	for field := range strings.SplitSeq(text, ",") {
		direction, percent, _ := strings.Cut(field, ":")
		c := cell{in: direction != "out", out: direction != "in"}
		c.percent, err = strconv.Atoi(percent)
		known := direction == "in" || direction == "out" || direction == "both"
		if !known || err != nil || c.percent < 0 || c.percent > 100 {
			return nil, fmt.Errorf("-cells %s: want in, out or both, a colon and a percentage,"+
				" with commas between them, such as in:90,both:80", text)
		}
		cells = append(cells, c)
	}
	return cells, nil
}

const (
	agreeWithin = time.Minute            // of the start, each list must hold all
	agreePoll   = 200 * time.Millisecond // between two looks whether it does
	settle      = 10 * time.Second       // before a member becomes gray
	// crashBeforeEnd leaves the slowest contender several times what it takes in a healthy group.
	crashBeforeEnd = 40 * time.Second
)

// cellRun is the measurement of one cell: all contenders side by side, under the same loss.
type cellRun struct {
	cell       cell
	index      int
	options    options
	net        *network
	contenders []contender
	dir        string
}

// run returns a tally for each contender.
func (r cellRun) run(ctx context.Context) (tallies []tally, err error) {
	var groups []*group
	defer func() {
		err = errors.Join(err, r.net.killAll())
		for _, g := range groups {
			err = errors.Join(err, g.wait())
		}
	}()
	for _, c := range r.contenders {
		g, err := startGroup(c, r.dir)
		groups = append(groups, g)
		if err != nil {
			return nil, err
		}
	}
	if err := awaitAgreement(ctx, groups); err != nil {
		return nil, err
	}
	t, err := r.disturb(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		events, err := g.events()
		if err != nil {
			return nil, err
		}
		tallies = append(tallies, count(events, t))
	}
	return tallies, r.net.makeWell(ctx)
}

// disturb makes one member gray, and after a while kills another.
func (r cellRun) disturb(ctx context.Context) (t timeline, err error) {
	if err := sleep(ctx, settle); err != nil {
		return t, err
	}
	// A gateway stays, so that grepd's members that rejoin have someone to ask.
	random := rand.New(rand.NewPCG(r.options.seed, uint64(r.index)))
	first := len(gateways) + 1
	t.victim = first + random.IntN(grayMember-first)
	t.gray = time.Now()
	if err := r.net.makeGray(ctx, r.cell); err != nil {
		return t, err
	}
	if err := sleep(ctx, r.options.span-crashBeforeEnd); err != nil {
		return t, err
	}
	if t.crash, err = r.net.kill(r.net.space(t.victim)); err != nil {
		return t, err
	}
	t.end = t.gray.Add(r.options.span)
	return t, sleep(ctx, time.Until(t.end))
}

// awaitAgreement waits until all lists of all groups hold all members.
func awaitAgreement(ctx context.Context, groups []*group) error {
	deadline := time.Now().Add(agreeWithin)
	for _, g := range groups {
		for {
			events, err := g.events()
			if err != nil {
				return err
			}
			missing := missingEntries(events, 0)
			if missing == 0 {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: %d entries are missing in the lists after %v%s",
					g.contender.name(), missing, agreeWithin, g.complaint())
			}
			if err := sleep(ctx, agreePoll); err != nil {
				return err
			}
		}
	}
	return nil
}

// sleep returns early, with an error, when the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
