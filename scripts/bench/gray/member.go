package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// memberCommand is the hidden command that runs a member of one of the libraries:
//
//	gray member LIBRARY NUMBER
//
// It tells on its standard output what happens, and ends when its standard input does.
const memberCommand = "member"

// The libraries' ports, at which they use UDP and TCP.
const (
	memberlistPort = 7946
	serfPort       = 7947
)

// joinPause is between two tries to find the first member, which is started at the same time.
const joinPause = 200 * time.Millisecond

func runMember(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := serveMember(args, stdin, newTeller(stdout)); err != nil {
		fmt.Fprintln(stderr, "gray member:", err)
		return 1
	}
	return 0
}

func serveMember(args []string, stdin io.Reader, t *teller) error {
	if len(args) != 2 {
		return fmt.Errorf("want a library and a number, not %q", args)
	}
	member, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	start := startMemberlist
	if args[0] == nameSerf {
		start = startSerf
	}
	join, err := start(member, t)
	if err != nil {
		return err
	}
	if member != 1 {
		for join() != nil {
			time.Sleep(joinPause)
		}
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}

// lanConfig is memberlist's default for a local network, at a member's address.
func lanConfig(member, port int, logger *log.Logger) *memberlist.Config {
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = addrOf(member).String()
	cfg.BindAddr, cfg.BindPort, cfg.AdvertisePort = cfg.Name, port, port
	cfg.LogOutput, cfg.Logger = nil, logger
	return cfg
}

// startMemberlist starts a member. The function that it returns joins the first.
func startMemberlist(member int, t *teller) (join func() error, err error) {
	cfg := lanConfig(member, memberlistPort, renewals(t))
	cfg.Events = changes{t}
	list, err := memberlist.Create(cfg)
	if err != nil {
		return nil, fmt.Errorf("start memberlist: %w", err)
	}
	return func() error {
		_, err := list.Join([]string{fmt.Sprintf("%v:%d", addrOf(1), memberlistPort)})
		return err
	}, nil
}

// changes tells of what memberlist says of its list. Nobody leaves here but by a failure.
type changes struct{ *teller }

var _ memberlist.EventDelegate = changes{}

func (c changes) NotifyJoin(n *memberlist.Node)   { c.tell(held, identity(n.Name)) }
func (c changes) NotifyLeave(n *memberlist.Node)  { c.tell(lost, identity(n.Name)) }
func (c changes) NotifyUpdate(n *memberlist.Node) {}

// startSerf is the same for serf.
func startSerf(member int, t *teller) (join func() error, err error) {
	logger := renewals(t)
	cfg := serf.DefaultConfig()
	cfg.NodeName = addrOf(member).String()
	cfg.LogOutput, cfg.Logger = nil, logger
	cfg.MemberlistConfig = lanConfig(member, serfPort, logger)
	events := make(chan serf.Event)
	cfg.EventCh = events
	go tellSerf(events, t)
	s, err := serf.Create(cfg)
	if err != nil {
		return nil, fmt.Errorf("start serf: %w", err)
	}
	return func() error {
		_, err := s.Join([]string{fmt.Sprintf("%v:%d", addrOf(1), serfPort)}, true)
		return err
	}, nil
}

// tellSerf tells of what serf says of its list.
func tellSerf(events <-chan serf.Event, t *teller) {
	for e := range events {
		change, ok := e.(serf.MemberEvent)
		if !ok {
			continue
		}
		for _, m := range change.Members {
			switch change.Type {
			case serf.EventMemberJoin:
				t.tell(held, identity(m.Name))
			case serf.EventMemberFailed:
				t.tell(lost, identity(m.Name))
			}
		}
	}
}

// renewals is a logger that tells of refutations, of which memberlist speaks nowhere else.
func renewals(t *teller) *log.Logger { return log.New(refutations{t}, "", 0) }

type refutations struct{ *teller }

func (r refutations) Write(line []byte) (int, error) {
	for _, mark := range []string{"Refuting a suspect message", "Refuting a dead message"} {
		if bytes.Contains(line, []byte(mark)) {
			r.tell(renewed, "")
		}
	}
	return len(line), nil
}
