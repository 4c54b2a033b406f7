package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// TestKilledPluginIsRestarted kills the membership plugin of a node, and asks the node
// all the time.
func TestKilledPluginIsRestarted(t *testing.T) {
	c := newCluster(t, 4, 1)
	c.start(c.nodes...)
	n := c.nodes[2]
	before := n.plugin()

	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	queries := 0
	await(t, joinLimit, "another plugin runs", func() error {
		queries++
		if r := command(t, "dgrep", "--via", n.addr, "-c", "JOIN", "logs/*"); r.status != 0 {
			t.Errorf("query %d after the kill: %v", queries, r)
		}
		s, err := n.status()
		if err != nil {
			return err
		}
		for _, p := range s.Plugins {
			if p.Name == before.Name && p.State == "running" && p.PID != before.PID && p.Restarts > before.Restarts {
				return nil
			}
		}
		return fmt.Errorf("its plugins are %+v", s.Plugins)
	})
	t.Logf("%d queries were answered meanwhile", queries)
	c.awaitAgreement(joinLimit)
	checkNoFail(t, c)
}

func TestKilledDaemonLeavesNoPluginBehind(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	c.start(n)
	plugin := n.plugin().PID
	if !alive(plugin) {
		t.Fatalf("the plugin's process, %d, does not run", plugin)
	}

	n.process.kill()
	await(t, stopLimit, "the plugin ends", func() error {
		if alive(plugin) {
			return fmt.Errorf("process %d still runs", plugin)
		}
		return nil
	})
}

func TestStoppedDaemonLeavesNoPluginBehind(t *testing.T) {
	c := newCluster(t, 1, 1)
	n := c.nodes[0]
	c.start(n)
	plugin := n.plugin().PID

	if status := n.process.terminate(t); status != 0 {
		t.Errorf("grepd ended with status %d on SIGTERM, want 0", status)
	}
	if alive(plugin) {
		t.Errorf("the plugin's process, %d, outlived the daemon", plugin)
	}
}
