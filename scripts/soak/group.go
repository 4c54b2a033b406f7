package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startMax is the longest that the group may take to agree, or a daemon to answer.
	startMax = 60 * time.Second
	// downMax is the longest that a killed daemon stays down.
	downMax  = 8 * time.Second
	pollTime = 100 * time.Millisecond
)

// node is one machine of the group.
type node struct {
	addr     string
	dir      string
	gateways string
	bin      string
	editions int // of its plugin
}

func (n *node) appDir() string    { return filepath.Join(n.dir, "app") }
func (n *node) pluginDir() string { return filepath.Join(n.dir, "plugins") }

// group is the daemons on this machine.
type group struct{ nodes []*node }

// startGroup starts a daemon for each node, and waits until all are members. What was started is
// stopped where that fails.
func startGroup(ctx context.Context, p plan, dir string) (*group, error) {
	g := &group{}
	addrs, err := freeAddrs(p.nodes)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		n := &node{
			addr: addr, dir: filepath.Join(dir, fmt.Sprint("node", i+1)),
			gateways: strings.Join(addrs[:2], ","), bin: p.bin,
		}
		g.nodes = append(g.nodes, n)
		if err := errors.Join(n.prepare(), n.start()); err != nil {
			g.stop()
			return nil, err
		}
	}
	if err := await(ctx, startMax, g.complete); err != nil {
		g.stop()
		return nil, fmt.Errorf("the group does not form: %w", err)
	}
	return g, nil
}

// freeAddrs finds addresses that are free for TCP and UDP.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err != nil {
			return nil, err
		}
		defer udp.Close()
		addrs = append(addrs, tcp.Addr().String())
	}
	return addrs, nil
}

// await tries a check until it holds.
func await(ctx context.Context, limit time.Duration, check func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollTime):
		}
	}
}

// prepare gives the node its directories and logs, and plugins of its own, which can be replaced.
func (n *node) prepare() error {
	for _, dir := range []string{n.appDir(), n.pluginDir(), filepath.Join(n.dir, "logs")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return n.installPlugin()
}

// installPlugin puts another edition of the membership plugin in the place of the one that is
// there. It differs by a number after the end, which no loader looks at.
func (n *node) installPlugin() error {
	n.editions++
	program, err := os.ReadFile(filepath.Join(n.bin, "plugins", "membership"))
	if err != nil {
		return err
	}
	path := filepath.Join(n.pluginDir(), "membership")
	if err := os.WriteFile(path+".new", fmt.Appendf(program, "edition %d", n.editions), 0o755); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// start starts the node's daemon, out of reach of a terminal's Ctrl-C: this program ends it.
func (n *node) start() error {
	output, err := os.OpenFile(filepath.Join(n.dir, "output"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(filepath.Join(n.bin, "grepd"), "--listen", n.addr, "--mount", "app="+n.appDir(),
		"--plugin-dir", n.pluginDir(), "--with-membership", "--gateway", n.gateways)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() // how it ends is seen in its status
	return nil
}

// status is the part of "grepd status --json" that matters here.
type status struct {
	PID     int `json:"pid"`
	Plugins []struct {
		Checksum string `json:"checksum"`
		PID      int    `json:"pid"`
		State    string `json:"state"`
	} `json:"plugins"`
}

// ask runs a command of grepd's against the node, and decodes what it prints into answer, if that
// is not nil.
func (n *node) ask(answer any, args ...string) error {
	cmd := exec.Command(filepath.Join(n.bin, "grepd"), append(args, "--via", n.addr)...)
	printed, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("grepd %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
		}
		return err
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(printed, answer)
}

func (n *node) status() (s status, err error) {
	err = n.ask(&s, "status", "--json")
	if err == nil && len(s.Plugins) != 1 {
		err = fmt.Errorf("%s has %d plugins", n.addr, len(s.Plugins))
	}
	return s, err
}

// complete reports, as an error, that some node does not have all nodes in its list.
func (g *group) complete() error {
	for _, n := range g.nodes {
		var list struct {
			Members []struct {
				State string `json:"state"`
			} `json:"members"`
		}
		if err := n.ask(&list, "members", "--json"); err != nil {
			return err
		}
		alive := 0
		for _, m := range list.Members {
			if m.State == "alive" {
				alive++
			}
		}
		if alive != len(g.nodes) {
			return fmt.Errorf("%s knows %d of %d members", n.addr, alive, len(g.nodes))
		}
	}
	return nil
}

// stop ends all that was started, successors after upgrades included.
func (g *group) stop() {
	for _, n := range g.nodes {
		n.killAll()
	}
}

// killAll kills the node's daemon and its plugins: all processes that work in the node's directory.
// Those that an upgrade has just started are among them, though nobody has heard of them yet.
func (n *node) killAll() {
	for again := true; again; {
		again = false
		links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is a valid one
		for _, link := range links {
			if dir, err := os.Readlink(link); err != nil || dir != n.dir {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			if err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				again = true
			}
		}
		time.Sleep(pollTime / 10)
	}
}

// disturb has things happen to the daemons at regular times, in an order drawn at random.
func (g *group) disturb(ctx context.Context, p plan, random *rand.Rand, out io.Writer) error {
	var all []func(context.Context, *node, *rand.Rand) error
	for range p.kills {
		all = append(all, g.kill)
	}
	for range p.upgrades {
		all = append(all, g.upgrade)
	}
	for range p.replaced {
		all = append(all, g.replacePlugin)
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	began := time.Now()
	pace := p.duration / time.Duration(len(all)+1)
	for i, happen := range all {
		if err := sleep(ctx, time.Until(began.Add(pace*time.Duration(i+1)))); err != nil {
			return err
		}
		if err := happen(ctx, g.nodes[random.IntN(len(g.nodes))], random); err != nil {
			return err
		}
	}
	if err := sleep(ctx, time.Until(began.Add(p.duration))); err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d daemons, %d logs of %d lines a second for %v: %d kills, %d upgrades, %d plugins replaced\n",
		p.nodes, p.nodes*p.logs, p.perSecond, time.Since(began).Round(time.Second), p.kills, p.upgrades, p.replaced)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill kills a daemon and its plugins, and starts it again after some seconds.
func (g *group) kill(ctx context.Context, n *node, random *rand.Rand) error {
	n.killAll()
	if err := sleep(ctx, time.Duration(random.Int64N(int64(downMax)))); err != nil {
		return err
	}
	if err := n.start(); err != nil {
		return err
	}
	return await(ctx, startMax, g.complete)
}

// upgrade has another process take the daemon's place.
func (g *group) upgrade(ctx context.Context, n *node, _ *rand.Rand) error {
	before, err := n.status()
	if err != nil {
		return err
	}
	if err := n.ask(nil, "upgrade"); err != nil {
		return err
	}
	return await(ctx, startMax, func() error {
		after, err := n.status()
		if err == nil && after.PID == before.PID {
			err = errors.New("the daemon is the one from before the upgrade")
		}
		return err
	})
}

// replacePlugin replaces the plugin's program, and waits until the new one runs.
func (g *group) replacePlugin(ctx context.Context, n *node, _ *rand.Rand) error {
	before, err := n.status()
	if err != nil {
		return err
	}
	if err := n.installPlugin(); err != nil {
		return err
	}
	return await(ctx, startMax, func() error {
		after, err := n.status()
		if err == nil && after.Plugins[0].Checksum == before.Plugins[0].Checksum {
			err = errors.New("the plugin is the one from before")
		}
		return err
	})
}
