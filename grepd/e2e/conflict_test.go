package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTwoMachinesWithOneAddressSaySo starts a second daemon that advertises the first one's address.
func TestTwoMachinesWithOneAddressSaySo(t *testing.T) {
	c := newCluster(t, 2, 1)
	c.start(c.nodes...)
	first := c.nodes[1]
	second := c.add(freeAddr(t))
	second.args = append(second.args, "--advertise", first.addr)
	second.start()
	await(t, 30*time.Second, "both say that they have one address", func() error {
		for _, n := range []*node{first, second} {
			for where, said := range map[string]string{
				"status":         command(t, "grepd", "status", "--via", n.addr).stdout,
				"standard error": tail(n.outputFile()),
			} {
				if !strings.Contains(said, "another machine has the address "+first.addr) {
					return fmt.Errorf("%s: %s: %s", n.addr, where, said)
				}
			}
			log, err := os.ReadFile(filepath.Join(n.logDir(), "membership.log"))
			if err != nil {
				return err
			}
			if !strings.Contains(string(log), `"event":"CONFLICT"`) {
				return fmt.Errorf("%s has logged no conflict", n.addr)
			}
		}
		return nil
	})
}
