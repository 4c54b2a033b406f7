package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The contenders.
const (
	nameGrepd      = "grepd"
	nameMemberlist = "memberlist"
	nameSerf       = "serf"
)

var contenderNames = []string{nameGrepd, nameMemberlist, nameSerf}

// contender is a detector whose members can be run here.
type contender interface {
	name() string
	// start starts a member, which joins the group of the others. It keeps its files in dir;
	// what it says to people is in outputName there.
	start(member int, dir string) (runner, error)
}

// runner is a member that was started.
type runner interface {
	// events are all that it has told so far, in their order.
	events() ([]event, error)
	// wait frees what belongs to it, when its processes have been killed.
	wait() error
}

// newContenders makes those that are asked for.
func newContenders(
	ctx context.Context, only []string, net *network, dir string,
) (contenders []contender, err error) {
	for _, name := range contenderNames {
		if !slices.Contains(only, name) {
			continue
		}
		var c contender
		if name == nameGrepd {
			c, err = buildGrepd(ctx, net, dir)
		} else {
			c, err = newPeer(name, net)
		}
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, c)
	}
	return contenders, nil
}

// group is the members of one contender.
type group struct {
	contender contender
	homes     []string // directories of the members
	runners   map[int]runner
}

// outputName is the file of a member's output in its directory.
const outputName = "output"

func startGroup(c contender, dir string) (*group, error) {
	g := &group{contender: c, runners: map[int]runner{}}
	for member := 1; member <= groupSize; member++ {
		home, err := os.MkdirTemp(dir, fmt.Sprintf("%s-%d.", c.name(), member))
		if err != nil {
			return g, err
		}
		g.homes = append(g.homes, home)
		if g.runners[member], err = c.start(member, home); err != nil {
			return g, fmt.Errorf("start member %d of %s: %w", member, c.name(), err)
		}
	}
	return g, nil
}

// events are those of all members, in the order of their times.
func (g *group) events() (all []event, err error) {
	for member := 1; member <= groupSize; member++ {
		events, err := g.runners[member].events()
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all, nil
}

// complaint is what one of the members has said to people, if any has said something.
func (g *group) complaint() string {
	for _, home := range g.homes {
		if said, err := os.ReadFile(filepath.Join(home, outputName)); err == nil && len(said) > 0 {
			return fmt.Sprintf("; one of them says: %s", said)
		}
	}
	return ""
}

func (g *group) wait() (err error) {
	for _, r := range g.runners {
		if r != nil {
			err = errors.Join(err, r.wait())
		}
	}
	return err
}
