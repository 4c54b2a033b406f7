package membershiptest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Script runs a scenario, one command after another. Hosts are named by their numbers;
// 4-6 names several.
//
//	cluster n=7 [gateways=2] [seed=1] [latency=10ms] [clocks=wild]
//	                        a cluster that has joined through its gateways
//	run 5s                  lets time pass; prints the changes that got further meanwhile
//	start [N]               boots new hosts, which join
//	crash 3 4 5             stops hosts dead
//	crash adjacent=3 from=2 ... so many neighbours on the ring, beginning behind a host
//	restart 3               boots a host again that has crashed or left
//	leave 2                 makes hosts leave the group
//	pause 3, resume 3       stops hosts, and lets them go on
//	freeze 3 700ms          stops a host for a while, and its clocks with it
//	reload 3 200ms          restores a host's node from its snapshot
//	wall 3 -1h              steps a wall clock
//	loss 20                 percent of the packets lost, from now on
//	duplicate 10, reorder 10
//	spikes 10               percent of the links that have latency spikes
//	slow 1->2 3s            the latency of one direction of a link
//	lossy 1->2 50           its loss in percent
//	gray 3 in 90            percent of the packets that come to a host are lost; out, or both; 0 ends it
//	flap 3 every=20s for=1m cuts a host off for half of each such time
//	cut 2->4                loses what is sent that way; 2<->4 is both ways
//	clog 2->4, unclog 2->4  holds it back, and lets it go
//	partition 0-3 | 4-6     parts the hosts
//	heal                    gives back the network as it was
//	drop update             loses all messages of a kind; drop none ends it
//	replay 1s               sends the packets of the last seconds once more
//	members 1               prints a host's list
//	ring                    prints the order on the ring
//	events [JOIN FAIL]      prints the events since the last time
//	check                   compares all lists, and prints the rules broken since the last time
type Script struct {
	sim        *Sim
	events     bytes.Buffer
	printed    map[*Change]int // lists that had the change when it was last printed
	violations int             // already reported
}

// Do runs a line of the script and returns what it prints.
func (s *Script) Do(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return "", nil
	}
	name, args := words[0], words[1:]
	command, ok := commands[name]
	if !ok {
		return "", fmt.Errorf("%s: no such command", name)
	}
	if s.sim == nil && name != "cluster" {
		return "", fmt.Errorf("%s: there is no cluster yet", name)
	}
	output, err := command(s, args)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return output, nil
}

type command func(s *Script, args []string) (output string, err error)

var commands = map[string]command{
	"cluster":   (*Script).cluster,
	"run":       (*Script).run,
	"start":     (*Script).start,
	"crash":     (*Script).crash,
	"restart":   onHosts((*Sim).Restart),
	"leave":     onHosts((*Sim).Leave),
	"pause":     onHosts((*Sim).Pause),
	"resume":    onHosts((*Sim).Resume),
	"freeze":    (*Script).freeze,
	"reload":    (*Script).reload,
	"wall":      (*Script).wall,
	"loss":      share(func(n *Network) *float64 { return &n.Loss }),
	"duplicate": share(func(n *Network) *float64 { return &n.Duplicate }),
	"reorder":   share(func(n *Network) *float64 { return &n.Reorder }),
	"spikes":    (*Script).spikes,
	"slow":      (*Script).slow,
	"lossy":     (*Script).lossy,
	"gray":      (*Script).gray,
	"flap":      (*Script).flap,
	"cut":       onLinks(func(s *Sim, from, to int) { s.Link(from, to).Cut = true }),
	"clog":      onLinks((*Sim).Clog),
	"unclog":    onLinks((*Sim).Unclog),
	"partition": (*Script).partition,
	"heal":      (*Script).heal,
	"drop":      (*Script).drop,
	"replay":    (*Script).replay,
	"members":   (*Script).members,
	"ring":      (*Script).ring,
	"events":    (*Script).printEvents,
	"check":     (*Script).check,
}

var errUsage = errors.New("wrong arguments")

// cluster starts the hosts one after the other and waits until their lists are equal.
func (s *Script) cluster(args []string) (string, error) {
	n, latency := 0, 2*time.Millisecond
	options := Options{Seed: 1, Transcript: &s.events, Record: true}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "n":
			n, err = strconv.Atoi(value)
		case "gateways":
			options.Gateways, err = strconv.Atoi(value)
		case "seed":
			options.Seed, err = strconv.ParseUint(value, 10, 64)
		case "latency":
			latency, err = time.ParseDuration(value)
		case "clocks":
			options.Clocks = WildClocks
		default:
			err = errUsage
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", arg, err)
		}
	}
	options.Network = Network{LatencyMin: latency / 2, LatencyMax: latency, Jitter: latency / 10}
	s.sim = New(options)
	s.printed = map[*Change]int{}
	for range n {
		s.sim.Start(1)
		s.sim.Run(10 * time.Millisecond)
	}
	const within = 30 * time.Second
	if !s.sim.Settle(within) {
		return "", fmt.Errorf("%d hosts are not one group after %v", n, within)
	}
	s.progress() // of the joins
	s.events.Reset()
	return fmt.Sprintf("%d members, all lists equal after %v\n", n, s.sim.now), nil
}

func (s *Script) run(args []string) (string, error) {
	if len(args) != 1 {
		return "", errUsage
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return "", err
	}
	s.sim.Run(d)
	return s.progress(), nil
}

// progress describes the changes that are in more lists than when it was called before.
func (s *Script) progress() string {
	var b strings.Builder
	for _, changes := range s.sim.checker.changes {
		for _, change := range changes {
			if known, ok := s.printed[change]; ok && known == change.Lists {
				continue
			}
			s.printed[change] = change.Lists
			fmt.Fprintf(&b, "%s\n", change)
		}
	}
	return b.String()
}

func (s *Script) start(args []string) (string, error) {
	n := 1
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil {
			return "", err
		}
	}
	first := s.sim.Start(n)
	return names(first, first+n) + "\n", nil
}

func (s *Script) crash(args []string) (string, error) {
	if count, ok := option(args, "adjacent"); ok {
		return s.crashAdjacent(count, args)
	}
	return onHosts((*Sim).Crash)(s, args)
}

func (s *Script) crashAdjacent(count string, args []string) (string, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	order := s.sim.Ring()
	first := 0
	if from, ok := option(args, "from"); ok {
		host, err := s.host(from)
		if err != nil {
			return "", err
		}
		first = slices.Index(order, host) + 1
	}
	var b strings.Builder
	for i := range min(n, len(order)) {
		victim := order[(first+i)%len(order)]
		s.sim.Crash(victim)
		fmt.Fprintf(&b, "%s ", nodeName(victim))
	}
	return strings.TrimSpace(b.String()) + "\n", nil
}

// option finds key=value among the arguments.
func option(args []string, key string) (value string, ok bool) {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, key+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (s *Script) freeze(args []string) (string, error) {
	index, d, err := s.hostAndDuration(args)
	if err == nil {
		s.sim.Freeze(index, d)
	}
	return "", err
}

func (s *Script) reload(args []string) (string, error) {
	index, d, err := s.hostAndDuration(args)
	if err == nil {
		s.sim.Reload(index, d)
	}
	return "", err
}

func (s *Script) wall(args []string) (string, error) {
	index, d, err := s.hostAndDuration(args)
	if err == nil {
		s.sim.StepWall(index, d)
	}
	return "", err
}

func (s *Script) hostAndDuration(args []string) (index int, d time.Duration, err error) {
	if len(args) != 2 {
		return 0, 0, errUsage
	}
	if index, err = s.host(args[0]); err != nil {
		return 0, 0, err
	}
	d, err = time.ParseDuration(args[1])
	return index, d, err
}

// share is a command that sets a share of the network's, given in percent.
func share(field func(*Network) *float64) command {
	return func(s *Script, args []string) (string, error) {
		p, err := percent(args)
		if err == nil {
			*field(&s.sim.Network) = p
		}
		return "", err
	}
}

func percent(args []string) (float64, error) {
	if len(args) != 1 {
		return 0, errUsage
	}
	p, err := strconv.ParseFloat(args[0], 64)
	return p / 100, err
}

func (s *Script) spikes(args []string) (string, error) {
	s.sim.Network.SpikeMax = spikeMax
	return share(func(n *Network) *float64 { return &n.SpikeLinks })(s, args)
}

func (s *Script) slow(args []string) (string, error) {
	if len(args) != 2 {
		return "", errUsage
	}
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return "", err
	}
	return onLinks(func(sim *Sim, from, to int) { sim.Link(from, to).Latency = d })(s, args[:1])
}

func (s *Script) lossy(args []string) (string, error) {
	if len(args) != 2 {
		return "", errUsage
	}
	p, err := percent(args[1:])
	if err != nil {
		return "", err
	}
	return onLinks(func(sim *Sim, from, to int) { sim.Link(from, to).Loss = p })(s, args[:1])
}

func (s *Script) gray(args []string) (string, error) {
	if len(args) != 3 {
		return "", errUsage
	}
	index, err := s.host(args[0])
	if err != nil {
		return "", err
	}
	loss, err := percent(args[2:])
	if err != nil {
		return "", err
	}
	gray, err := GrayIn(args[1], loss)
	if err == nil {
		s.sim.Gray(index, gray)
	}
	return "", err
}

// flap cuts a host off and lets it back, again and again.
func (s *Script) flap(args []string) (string, error) {
	if len(args) != 3 {
		return "", errUsage
	}
	index, err := s.host(args[0])
	if err != nil {
		return "", err
	}
	var times [2]time.Duration
	for i, key := range []string{"every", "for"} {
		value, _ := option(args, key)
		if times[i], err = time.ParseDuration(value); err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
	}
	before := s.sim.updates(index)
	for end := s.sim.now + times[1]; s.sim.now < end; {
		s.sim.Gray(index, Gray{In: 1, Out: 1})
		s.sim.Run(times[0] / 2)
		s.sim.Gray(index, Gray{})
		s.sim.Run(times[0] / 2)
	}
	return fmt.Sprintf("%d changes of %s\n", s.sim.updates(index)-before, nodeName(index)), nil
}

// updates is how many changes there were of a host.
func (s *Sim) updates(index int) int {
	if index >= len(s.checker.changes) {
		return 0
	}
	return len(s.checker.changes[index])
}

func (s *Script) partition(args []string) (string, error) {
	var sides [][]int
	for side := range strings.SplitSeq(strings.Join(args, " "), "|") {
		indices, err := s.hosts(strings.Fields(side))
		if err != nil {
			return "", err
		}
		sides = append(sides, indices)
	}
	s.sim.Partition(sides...)
	return "", nil
}

func (s *Script) heal([]string) (string, error) {
	s.sim.Heal()
	return "", nil
}

func (s *Script) drop(args []string) (string, error) {
	if len(args) != 1 {
		return "", errUsage
	}
	if args[0] == "none" {
		s.sim.Drop = nil
		return "", nil
	}
	for kind := membership.KindNone; kind <= membership.GatewayBeat; kind++ {
		if kind.String() == args[0] {
			s.sim.Drop = func(_, _ int, m *membership.Message) bool { return m.Kind == kind }
			return "", nil
		}
	}
	return "", fmt.Errorf("%q is no kind of message", args[0])
}

func (s *Script) replay(args []string) (string, error) {
	if len(args) != 1 {
		return "", errUsage
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d packets\n", s.sim.Replay(d)), nil
}

func (s *Script) members(args []string) (string, error) {
	indices, err := s.hosts(args)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, i := range indices {
		if s.sim.Node(i) == nil {
			return "", fmt.Errorf("%s is down", nodeName(i))
		}
		rows := s.sim.Node(i).Members()
		slices.SortFunc(rows, func(a, b *membership.Member) int { return a.Addr.Compare(b.Addr) })
		for _, m := range rows {
			fmt.Fprintf(&b, "%s %v\n", s.sim.checker.name(m.ID), m.State)
		}
	}
	return b.String(), nil
}

func (s *Script) ring([]string) (string, error) {
	var b strings.Builder
	for _, i := range s.sim.Ring() {
		fmt.Fprintf(&b, "%s ", nodeName(i))
	}
	return strings.TrimSpace(b.String()) + "\n", nil
}

// printEvents prints the lines of the transcript that hold one of the words, or all.
func (s *Script) printEvents(words []string) (string, error) {
	var b strings.Builder
	for line := range strings.Lines(s.events.String()) {
		fields := strings.Fields(line)
		if len(words) == 0 || slices.ContainsFunc(fields, func(f string) bool { return slices.Contains(words, f) }) {
			b.WriteString(line)
		}
	}
	s.events.Reset()
	return b.String(), nil
}

func (s *Script) check([]string) (string, error) {
	s.sim.CheckLists()
	broken := s.sim.Report().Violations[s.violations:]
	s.violations += len(broken)
	var errs []error
	for _, v := range broken {
		errs = append(errs, errors.New(v.String()))
	}
	return "ok\n", errors.Join(errs...)
}

// onHosts is a command that does something to hosts.
func onHosts(do func(*Sim, ...int)) command {
	return func(s *Script, args []string) (string, error) {
		indices, err := s.hosts(args)
		if err == nil {
			do(s.sim, indices...)
		}
		return "", err
	}
}

// hosts reads numbers of hosts, and ranges of them.
func (s *Script) hosts(args []string) ([]int, error) {
	if len(args) == 0 {
		return nil, errUsage
	}
	var indices []int
	for _, arg := range args {
		low, high, isRange := strings.Cut(arg, "-")
		if !isRange {
			high = low
		}
		first, err := s.host(low)
		if err != nil {
			return nil, err
		}
		last, err := s.host(high)
		if err != nil {
			return nil, err
		}
		for i := first; i <= last; i++ {
			indices = append(indices, i)
		}
	}
	return indices, nil
}

func (s *Script) host(text string) (int, error) {
	index, err := strconv.Atoi(text)
	if err != nil || index < 0 || index >= s.sim.Len() {
		return 0, fmt.Errorf("%q is no host, want a number below %d", text, s.sim.Len())
	}
	return index, nil
}

// onLinks is a command that does something to links: 2->4, or 2<->4 for both directions.
func onLinks(do func(s *Sim, from, to int)) command {
	return func(s *Script, args []string) (string, error) {
		for _, arg := range args {
			left, right, both := strings.Cut(arg, "<->")
			if !both {
				var ok bool
				if left, right, ok = strings.Cut(arg, "->"); !ok {
					return "", fmt.Errorf("%q is no link, want 2->4 or 2<->4", arg)
				}
			}
			from, err := s.host(left)
			if err != nil {
				return "", err
			}
			to, err := s.host(right)
			if err != nil {
				return "", err
			}
			do(s.sim, from, to)
			if both {
				do(s.sim, to, from)
			}
		}
		return "", nil
	}
}
