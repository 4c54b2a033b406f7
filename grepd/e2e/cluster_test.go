package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/shared/timetest"
)

const (
	// detectWithin and spreadWithin are the bounds that the product promises.
	detectWithin = 2 * time.Second
	spreadWithin = 6 * time.Second
	// joinLimit is when a test gives up on what a few nodes do within a second or two.
	joinLimit = time.Minute
)

// boundSlack is added to the bounds before a test fails. The bounds hold where a process
// that is ready to run does run; here many daemons share two cores, and the race detector
// makes each several times slower. The true figures are printed by every run, with or without
// slack needed.
func boundSlack() time.Duration {
	if raceEnabled {
		return time.Second
	}
	return 250 * time.Millisecond
}

// member is a row of "grepd members --json".
type member struct {
	ID          string    `json:"id"`
	Addr        string    `json:"addr"`
	Incarnation uint64    `json:"incarnation"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
}

// memberList is what "grepd members --json" prints.
type memberList struct {
	Version uint64   `json:"version"`
	Digest  string   `json:"digest"`
	Members []member `json:"members"`
}

// of gives the row of an address; its State is empty where there is none.
func (l memberList) of(addr string) member {
	for _, m := range l.Members {
		if m.Addr == addr {
			return m
		}
	}
	return member{}
}

func (l memberList) alive() []string {
	var addrs []string
	for _, m := range l.Members {
		if m.State == "alive" {
			addrs = append(addrs, m.Addr)
		}
	}
	return addrs
}

// status is the part of "grepd status --json" that the tests look at.
type status struct {
	ID         string         `json:"id"`
	Membership string         `json:"membership"`
	Phase      string         `json:"phase"`
	Detail     string         `json:"detail"`
	PID        int            `json:"pid"`
	Upgrades   int            `json:"upgrades"`
	Started    time.Time      `json:"started"`
	Since      time.Time      `json:"since"`
	Plugins    []pluginStatus `json:"plugins"`
}

type pluginStatus struct {
	Name     string    `json:"name"`
	Checksum string    `json:"checksum"`
	PID      int       `json:"pid"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
}

// event is a line of an event log.
type event struct {
	Time        time.Time `json:"time"`
	Event       string    `json:"event"`
	Node        string    `json:"node"`
	Peer        string    `json:"peer"`
	Via         string    `json:"via"`
	SilentMS    float64   `json:"silent_ms"`
	Dir         string    `json:"dir"`
	Action      string    `json:"action"`
	GapUS       int64     `json:"gap_us"`
	Error       string    `json:"error"`
	Detail      string    `json:"detail"`
	PID         int       `json:"pid"`
	Checksum    string    `json:"checksum"`
	BadChecksum string    `json:"bad_checksum"`
	Stderr      string    `json:"stderr"`
}

// addrOf gives the address in "ip:port@incarnation".
func addrOf(id string) string {
	addr, _, _ := strings.Cut(id, "@")
	return addr
}

// node is one machine of the test: an address and a directory, and a daemon while it
// runs.
type node struct {
	t       *testing.T
	watch   *timetest.Watch // the cluster's
	addr    string
	dir     string
	program string        // a path, or the name of one of our binaries
	plugins string        // the plugin directory, if it is the node's own
	away    time.Duration // the longest that it was seen without a plugin
	args    []string
	process *process
}

// cluster is a group of nodes, of which the first few are gateways.
type cluster struct {
	t        *testing.T
	watch    *timetest.Watch // for what the product promises of times
	dir      string
	gateways []string
	nodes    []*node
}

// newCluster makes nodes with membership, none of which runs yet.
func newCluster(t *testing.T, nodes, gateways int) *cluster {
	t.Helper()
	c := &cluster{t: t, watch: timetest.Begin(t), dir: t.TempDir()}
	for range gateways {
		c.gateways = append(c.gateways, freeAddr(t))
	}
	for i := range nodes {
		if i < gateways {
			c.add(c.gateways[i])
		} else {
			c.add(freeAddr(t))
		}
	}
	t.Cleanup(c.stop)
	return c
}

// add makes one more node, which does not run yet.
func (c *cluster) add(addr string) *node {
	c.t.Helper()
	n := &node{
		t: c.t, watch: c.watch, addr: addr, program: "grepd",
		dir: filepath.Join(c.dir, fmt.Sprintf("node%d", len(c.nodes))),
	}
	n.args = []string{"--listen", addr, "--log-dir", n.logDir(), "--with-membership", "--gateway", strings.Join(c.gateways, ",")}
	if err := os.MkdirAll(n.logDir(), 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.nodes = append(c.nodes, n)
	return n
}

// start starts the nodes, and waits until their lists agree.
func (c *cluster) start(nodes ...*node) {
	c.t.Helper()
	for _, n := range nodes {
		n.start()
	}
	c.awaitAgreement(joinLimit)
}

// running gives the nodes whose daemon runs.
func (c *cluster) running() []*node {
	var running []*node
	for _, n := range c.nodes {
		if n.process != nil && n.process.running() {
			running = append(running, n)
		}
	}
	return running
}

// awaitAgreement waits until every running node holds exactly the running ones alive,
// and all say the same digest.
func (c *cluster) awaitAgreement(within time.Duration) {
	c.t.Helper()
	want := map[string]bool{}
	for _, n := range c.running() {
		want[n.addr] = true
	}
	awaitWatched(c.t, c.watch, within, fmt.Sprintf("%d lists agree", len(want)), func() error {
		digests := map[string]bool{}
		for _, n := range c.running() {
			list, err := n.members()
			if err != nil {
				return err
			}
			alive := list.alive()
			for _, addr := range alive {
				if !want[addr] {
					return fmt.Errorf("%s holds %s to be alive", n.addr, addr)
				}
			}
			if len(alive) != len(want) {
				return fmt.Errorf("%s holds %d to be alive, of %d", n.addr, len(alive), len(want))
			}
			digests[list.Digest] = true
		}
		if len(digests) > 1 {
			return fmt.Errorf("%d different digests", len(digests))
		}
		return nil
	})
}

// events asks the cluster through dgrep for the events of one name. The answer must
// cover all members.
func (c *cluster) events(name string) ([]event, error) {
	c.t.Helper()
	via := c.running()[0]
	r := command(c.t, "dgrep", "--via", via.addr, "-h", `"event":"`+name+`"`, "logs/*")
	switch r.status {
	case 0:
	case 1:
		return nil, nil
	default:
		return nil, fmt.Errorf("dgrep: %v", r)
	}
	var events []event
	for line := range strings.Lines(r.stdout) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("dgrep printed %q, which is not a line of an event log: %w", line, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// awaitEvents waits until the running nodes have logged an event, each about each of
// these addresses, and gives all events of that name.
func (c *cluster) awaitEvents(within time.Duration, name string, peers ...string) []event {
	c.t.Helper()
	var events []event
	await(c.t, within, fmt.Sprintf("every log has %s of %v", name, peers), func() error {
		var err error
		if events, err = c.events(name); err != nil {
			return err
		}
		logged := map[[2]string]bool{}
		for _, e := range events {
			logged[[2]string{addrOf(e.Node), addrOf(e.Peer)}] = true
		}
		for _, n := range c.running() {
			for _, peer := range peers {
				if !logged[[2]string{n.addr, peer}] {
					return fmt.Errorf("%s has not logged %s of %s", n.addr, name, peer)
				}
			}
		}
		return nil
	})
	return events
}

// kill ends daemons and their plugins as a power cut would, and gives the time just
// before the first.
func (c *cluster) kill(victims ...*node) time.Time {
	c.t.Helper()
	var pids []int
	for _, n := range victims {
		pids = append(pids, n.process.pid(), n.plugin().PID)
	}
	at := time.Now()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.t.Fatalf("kill %d: %v", pid, err)
		}
	}
	for _, n := range victims {
		n.process.wait(c.t)
	}
	return at
}

// stop ends every daemon, and shows what they wrote where the test has failed.
func (c *cluster) stop() {
	for _, n := range c.running() {
		n.process.os.Signal(syscall.SIGTERM)
	}
	for _, n := range c.nodes {
		if n.process == nil {
			continue
		}
		n.process.wait(c.t)
		n.checkOutput()
	}
	if c.t.Failed() {
		for _, n := range c.nodes {
			n.dump()
		}
	}
}

func (n *node) logDir() string { return filepath.Join(n.dir, "logs") }

func (n *node) outputFile() string { return filepath.Join(n.dir, "output") }

// start starts the daemon; it may not serve yet when start returns.
func (n *node) start() {
	n.t.Helper()
	n.process = startProcess(n.t, n.outputFile(), n.program, n.args...)
}

// members asks the node for its list.
func (n *node) members() (memberList, error) {
	n.t.Helper()
	var list memberList
	return list, n.admin(&list, "members")
}

// status asks the node how it is.
func (n *node) status() (status, error) {
	n.t.Helper()
	var s status
	return s, n.admin(&s, "status")
}

// admin runs a subcommand of grepd that prints JSON.
func (n *node) admin(into any, subcommand string) error {
	n.t.Helper()
	if !n.process.running() {
		return fmt.Errorf("%s has ended: %s", n.addr, tail(n.outputFile()))
	}
	return n.ask(into, subcommand)
}

// ask is admin for a node of which it is not known which process serves.
func (n *node) ask(into any, subcommand string) error {
	n.t.Helper()
	r := command(n.t, "grepd", subcommand, "--json", "--via", n.addr)
	if r.status != 0 {
		return fmt.Errorf("grepd %s --via %s: %v", subcommand, n.addr, r)
	}
	if err := json.Unmarshal([]byte(r.stdout), into); err != nil {
		return fmt.Errorf("grepd %s --json printed %q: %w", subcommand, r.stdout, err)
	}
	return nil
}

// plugin waits until the node's membership plugin runs, and says how it is.
func (n *node) plugin() pluginStatus {
	n.t.Helper()
	var running pluginStatus
	await(n.t, joinLimit, n.addr+" has a running plugin", func() error {
		s, err := n.status()
		if err != nil {
			return err
		}
		for _, p := range s.Plugins {
			if p.Name == "membership" && p.State == "running" && p.PID > 0 {
				running = p
				return nil
			}
		}
		return fmt.Errorf("its plugins are %+v", s.Plugins)
	})
	return running
}

// checkOutput fails the test where the daemon or its plugin broke in a way that no
// command showed.
func (n *node) checkOutput() {
	for _, path := range []string{n.outputFile(), filepath.Join(n.logDir(), "grepd.log")} {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it may have been killed before it wrote anything
		}
		for _, sign := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if strings.Contains(string(content), sign) {
				n.t.Errorf("%s: %q in %s:\n%s", n.addr, sign, path, content)
			}
		}
	}
}

// dump prints what the daemon wrote, without the heartbeats.
func (n *node) dump() {
	n.t.Logf("%s printed:\n%s", n.addr, tail(n.outputFile()))
	n.t.Logf("%s logged:\n%s", n.addr, tail(filepath.Join(n.logDir(), "grepd.log")))
	content, err := os.ReadFile(filepath.Join(n.logDir(), "membership.log"))
	if err != nil {
		return // a node that never had a plugin has none
	}
	var changes strings.Builder
	for line := range strings.Lines(string(content)) {
		if !strings.Contains(line, `"HEARTBEAT"`) && !strings.Contains(line, `"MESSAGE"`) {
			changes.WriteString(line)
		}
	}
	n.t.Logf("%s's membership logged, messages apart:\n%s", n.addr, changes.String())
}
