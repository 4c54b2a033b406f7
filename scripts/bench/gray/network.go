package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// groupSize is how many members each contender has, numbered from 1 on.
const groupSize = 12

// grayMember is the sick one. It is no gateway, so that newcomers do not depend on it.
const grayMember = groupSize

// killWithin is how long the processes of a namespace may take to be gone.
const killWithin = 10 * time.Second

// errUnable is returned where this machine or user cannot run the benchmark at all.
var errUnable = errors.New("this needs Linux, root, and the programs ip and iptables" +
	" (Debian: apt-get install iproute2 iptables)")

// network is a bridge with a network namespace for each member at its ports. The bridge is
// in a namespace, too, so nothing of the machine's own network is touched.
type network struct {
	prefix string   // of the namespaces' names
	made   []string // namespaces
}

func newNetwork() *network { return &network{prefix: fmt.Sprintf("grepd-gray-%d-", os.Getpid())} }

// addrOf is a member's address. Its last byte is the member's number.
func addrOf(member int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(member)}) }

// memberAt is the member with an address, or 0.
func memberAt(addr netip.Addr) int {
	for member := 1; member <= groupSize; member++ {
		if addrOf(member) == addr {
			return member
		}
	}
	return 0
}

func (n *network) hub() string             { return n.prefix + "hub" }
func (n *network) space(member int) string { return n.prefix + strconv.Itoa(member) }

// up makes the network.
func (n *network) up(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: you are not root", errUnable)
	}
	for _, program := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %w", errUnable, err)
		}
	}
	if err := n.makeHub(ctx); err != nil {
		return fmt.Errorf("%w: %w", errUnable, err)
	}
	for member := 1; member <= groupSize; member++ {
		if err := n.plug(ctx, member); err != nil {
			return err
		}
	}
	return nil
}

// makeHub makes the bridge, and tries whether packets can be lost by chance.
func (n *network) makeHub(ctx context.Context) error {
	if err := n.makeSpace(ctx, n.hub()); err != nil {
		return err
	}
	if err := doAll(ctx,
		words("ip", "-n", n.hub(), "link", "add", "br0", "type", "bridge"),
		words("ip", "-n", n.hub(), "link", "set", "br0", "up"),
	); err != nil {
		return err
	}
	return do(ctx, n.lossRule(n.hub(), 50)...)
}

// plug makes a member's namespace, and a wire from there to the bridge.
func (n *network) plug(ctx context.Context, member int) error {
	space, port := n.space(member), fmt.Sprintf("port%d", member)
	if err := n.makeSpace(ctx, space); err != nil {
		return err
	}
	return doAll(ctx,
		words("ip", "-n", n.hub(), "link", "add", port, "type", "veth",
			"peer", "name", "eth0", "netns", space),
		words("ip", "-n", n.hub(), "link", "set", port, "master", "br0", "up"),
		words("ip", "-n", space, "addr", "add", addrOf(member).String()+"/24", "dev", "eth0"),
		words("ip", "-n", space, "link", "set", "lo", "up"),
		words("ip", "-n", space, "link", "set", "eth0", "up"),
	)
}

func (n *network) makeSpace(ctx context.Context, name string) error {
	if err := do(ctx, "ip", "netns", "add", name); err != nil {
		return err
	}
	n.made = append(n.made, name)
	return nil
}

// down ends all processes in the network and removes it. What a namespace holds, interfaces
// and rules, goes with it.
func (n *network) down() (err error) {
	err = n.killAll()
	for _, name := range n.made {
		err = errors.Join(err, do(context.Background(), "ip", "netns", "del", name))
	}
	n.made = nil
	return err
}

// command is a program to be run in a member's namespace.
func (n *network) command(member int, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.space(member)}, args...)...)
}

// makeGray begins to lose packets of the gray member. All of it happens where packets
// arrive: one that is dropped where it leaves is reported to the sender as an error, which
// no network does.
func (n *network) makeGray(ctx context.Context, c cell) error {
	if c.in {
		if err := do(ctx, n.lossRule(n.space(grayMember), c.percent)...); err != nil {
			return err
		}
	}
	if !c.out {
		return nil
	}
	for member := 1; member < grayMember; member++ {
		rule := n.lossRule(n.space(member), c.percent, "-s", addrOf(grayMember).String())
		if err := do(ctx, rule...); err != nil {
			return err
		}
	}
	return nil
}

// lossRule is a command by which a namespace loses so much of what it receives.
func (n *network) lossRule(space string, percent int, matches ...string) []string {
	rule := words("ip", "netns", "exec", space, "iptables", "-w", "-A", "INPUT", "!", "-i", "lo")
	rule = append(rule, matches...)
	probability := strconv.FormatFloat(float64(percent)/100, 'f', 2, 64)
	return append(rule, "-m", "statistic", "--mode", "random",
		"--probability", probability, "-j", "DROP")
}

// makeWell ends all loss.
func (n *network) makeWell(ctx context.Context) error {
	for member := 1; member <= groupSize; member++ {
		flush := words("ip", "netns", "exec", n.space(member), "iptables", "-w", "-F", "INPUT")
		if err := do(ctx, flush...); err != nil {
			return err
		}
	}
	return nil
}

// kill ends all processes of a namespace by SIGKILL. It returns the time just before the
// first was killed.
func (n *network) kill(space string) (began time.Time, err error) {
	deadline := time.Now().Add(killWithin)
	for {
		out, err := exec.Command("ip", "netns", "pids", space).Output()
		if err != nil {
			return began, fmt.Errorf("list the processes of %s: %w", space, err)
		}
		pids := strings.Fields(string(out))
		if began.IsZero() {
			began = time.Now()
		}
		if len(pids) == 0 {
			return began, nil
		}
		if time.Now().After(deadline) {
			return began, fmt.Errorf("processes %v of %s do not end", pids, space)
		}
		for _, field := range pids {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return began, fmt.Errorf("list the processes of %s: %w", space, err)
			}
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill() // it may have ended meanwhile, which the next look shows
			}
		}
	}
}

// killAll ends the processes of all namespaces.
func (n *network) killAll() (err error) {
	for _, space := range n.made {
		_, killErr := n.kill(space)
		err = errors.Join(err, killErr)
	}
	return err
}

func words(w ...string) []string { return w }

func doAll(ctx context.Context, commands ...[]string) error {
	for _, command := range commands {
		if err := do(ctx, command...); err != nil {
			return err
		}
	}
	return nil
}

// do runs a command to its end, unless the context has ended before. What it says is in
// the error.
func do(ctx context.Context, args ...string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
