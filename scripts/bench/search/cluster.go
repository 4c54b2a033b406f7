package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startWithin = 20 * time.Second // daemons must answer
	stopWithin  = 10 * time.Second // and end
	pollPause   = 20 * time.Millisecond
)

// cluster is a number of daemons on the loopback interface, each with a directory of its own to search.
type cluster struct {
	tools   tools
	addrs   []string
	daemons []*exec.Cmd
}

// start runs a daemon for each directory, which it mounts as "bench".
func (b *bench) start(dirs []string) (_ *cluster, err error) {
	c := &cluster{tools: b.tools}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.addrs, err = freeAddrs(len(dirs)); err != nil {
		return nil, err
	}
	for i, dir := range dirs {
		home, err := os.MkdirTemp(b.scratch, "daemon.")
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(b.tools.grepd, "--listen", c.addrs[i], "--nodes", strings.Join(c.addrs, ","),
			"--log-dir", filepath.Join(home, "logs"), "--mount", "bench="+dir)
		said, err := os.Create(filepath.Join(home, "output"))
		if err != nil {
			return nil, err
		}
		cmd.Dir, cmd.Stdout, cmd.Stderr = home, said, said
		err = cmd.Start()
		said.Close()
		if err != nil {
			return nil, err
		}
		c.daemons = append(c.daemons, cmd)
	}
	return c, c.await(b.ctx)
}

// freeAddrs gives addresses that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // only when all are chosen, so that they differ
		addrs = append(addrs, listener.Addr().String())
	}
	return addrs, nil
}

// await returns when all daemons answer.
func (c *cluster) await(ctx context.Context) error {
	deadline := time.Now().Add(startWithin)
	for {
		look := exec.CommandContext(ctx, c.tools.dgrep, "--via", c.addrs[0], "-c", "", "logs/grepd.log")
		out, err := look.CombinedOutput()
		if look.ProcessState != nil && look.ProcessState.ExitCode() <= 1 { // 1: their logs are empty
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("the daemons do not answer: %w: %s", err, out)
		}
		time.Sleep(pollPause)
	}
}

// query is a dgrep that asks the cluster.
func (c *cluster) query(name string, args ...string) command {
	return command{name: name, args: append([]string{c.tools.dgrep, "--via", c.addrs[0]}, args...)}
}

// peakKB is the most memory that any one daemon had resident.
func (c *cluster) peakKB() (peak int64, err error) {
	for _, d := range c.daemons {
		kb, err := livePeakKB(d.Process.Pid)
		if err != nil {
			return 0, err
		}
		peak = max(peak, kb)
	}
	return peak, nil
}

// stop ends the daemons.
func (c *cluster) stop() (err error) {
	for _, d := range c.daemons {
		_ = d.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait says
	}
	for _, d := range c.daemons {
		hung := time.AfterFunc(stopWithin, func() { _ = d.Process.Kill() })
		err = errors.Join(err, d.Wait())
		hung.Stop()
	}
	return err
}
