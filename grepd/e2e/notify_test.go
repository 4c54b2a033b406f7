package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// settledAfter is how long a member has to be in a list before others count on it to
// notify; see plugins/notify.
const settledAfter = 10 * time.Second

// notified is an event of a notification.
type notified struct {
	Key string `json:"key"`
	event
}

// hook is a webhook's receiver, which can be made to refuse.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	refuses  bool
	refused  []string // Idempotency-Keys
	accepted []notified
	problems []string
}

func newHook(t *testing.T) *hook {
	h := new(hook)
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	var events []notified
	if err == nil {
		err = json.Unmarshal(body, &events)
	}
	if err != nil || len(events) == 0 {
		h.problems = append(h.problems, fmt.Sprintf("%q: %v", body, err))
	}
	if token := r.Header.Get("Authorization"); token != "Bearer of news" {
		h.problems = append(h.problems, "Authorization: "+token)
	}
	if h.refuses {
		h.refused = append(h.refused, r.Header.Get("Idempotency-Key"))
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.accepted = append(h.accepted, events...)
}

func (h *hook) set(refuses bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = refuses
}

// got gives what came so far.
func (h *hook) got() (accepted []notified, refused []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.accepted), slices.Clone(h.refused)
}

// notifying makes a cluster of three whose nodes notify a hook and run a command, which
// leaves a file in a directory for each time that it ran.
func notifying(t *testing.T, on string) (c *cluster, h *hook, ran string) {
	c, h = newCluster(t, 3, 1), newHook(t)
	ran = filepath.Join(c.dir, "ran")
	script := filepath.Join(c.dir, "command with blanks")
	headers := filepath.Join(c.dir, "headers")
	for path, content := range map[string]string{
		script: "#!/bin/sh\nset -e\nfile=$(mktemp \"$1/.XXXXXX\")\n" +
			"{ echo \"$GREPD_COUNT $GREPD_EVENT $GREPD_PEER\"; cat; } >\"$file\"\nmv \"$file\" \"$1/${file##*.}\"\n",
		headers: "# for the hook\nAuthorization: Bearer of news\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(ran, 0o755); err != nil {
		t.Fatal(err)
	}
	command, err := json.Marshal([]string{script, ran})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.args = append(n.args, "--notify-exec", string(command),
			"--notify-webhook", h.URL+"/secret", "--notify-header-file", headers, "--notify-on", on)
	}
	return c, h, ran
}

// runs gives what the command wrote each time that it ran.
func runs(t *testing.T, dir string) (outputs []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		output, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, string(output))
	}
	return outputs
}

// awaitSettled waits until all lists have held their members for settledAfter.
func (c *cluster) awaitSettled() {
	c.t.Helper()
	await(c.t, settledAfter+joinLimit, "all members are settled", func() error {
		for _, n := range c.running() {
			list, err := n.members()
			if err != nil {
				return err
			}
			for _, m := range list.Members {
				if age := time.Since(m.Since); age < settledAfter {
					return fmt.Errorf("%s has %s for %v", n.addr, m.Addr, age)
				}
			}
		}
		return nil
	})
}

// awaitHeard waits until events are so old that nobody tells of them for one that leaves.
func awaitHeard(t *testing.T, events []event) {
	t.Helper()
	await(t, spreadWithin+joinLimit, "the events are old", func() error {
		for _, e := range events {
			if age := time.Since(e.Time); age < spreadWithin+boundSlack() {
				return fmt.Errorf("%+v is %v old", e, age)
			}
		}
		return nil
	})
}

// pluginNamed says how a plugin of the node is.
func (n *node) pluginNamed(name string) (pluginStatus, error) {
	s, err := n.status()
	if err != nil {
		return pluginStatus{}, err
	}
	for _, p := range s.Plugins {
		if p.Name == name && p.State == "running" && p.PID > 0 {
			return p, nil
		}
	}
	return pluginStatus{}, fmt.Errorf("its plugins are %+v", s.Plugins)
}

// TestFailureIsNotifiedOnceAcrossReloads kills one of three, while the hook refuses what
// it is sent, and reloads the plugins of the others before it takes anything.
func TestFailureIsNotifiedOnceAcrossReloads(t *testing.T) {
	t.Parallel() // it waits for most of its time
	c, h, ran := notifying(t, "FAIL")
	c.start(c.nodes...)
	for _, n := range c.nodes {
		for _, name := range []string{"membership", "notify"} {
			if _, err := n.pluginNamed(name); err != nil {
				t.Error(err)
			}
		}
	}
	c.awaitSettled()

	h.set(true)
	victim := c.nodes[1]
	c.kill(victim)
	events := c.awaitEvents(joinLimit, "FAIL", victim.addr)
	await(t, joinLimit, "the hook has refused a notification", func() error {
		if accepted, refused := h.got(); len(refused) == 0 || len(accepted) > 0 {
			return fmt.Errorf("accepted %v, refused %v", accepted, refused)
		}
		return nil
	})
	for _, n := range c.running() {
		before, err := n.pluginNamed("notify")
		if err != nil {
			t.Fatal(err)
		}
		r := command(t, "grepd", "plugin", "reload", "--via", n.addr)
		if r.status != 0 || !strings.Contains(r.stdout, `plugin "membership": running`) || !strings.Contains(r.stdout, `plugin "notify": running`) {
			t.Errorf("reload of all plugins: %v", r)
		}
		if after, err := n.pluginNamed("notify"); err != nil || after.PID == before.PID || after.Restarts != 0 {
			t.Errorf("after the reload of %+v: %+v, %v", before, after, err)
		}
	}
	h.set(false)
	await(t, joinLimit, "the hook has the notification", func() error {
		if accepted, _ := h.got(); len(accepted) == 0 {
			return fmt.Errorf("it has none")
		}
		return nil
	})
	await(t, joinLimit, "the command has run", func() error {
		if len(runs(t, ran)) == 0 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	awaitHeard(t, events)
	c.stop() // which delivers whatever waits

	accepted, refused := h.got()
	if len(accepted) != 1 || accepted[0].Event != "FAIL" || addrOf(accepted[0].Peer) != victim.addr ||
		accepted[0].Key != "FAIL/"+accepted[0].Peer || accepted[0].Time.IsZero() {
		t.Errorf("the hook has %+v, want the one failure of %s", accepted, victim.addr)
	}
	if other := slices.IndexFunc(refused, func(key string) bool { return key != accepted[0].Key }); other >= 0 {
		t.Errorf("the attempts have the keys %q, want %q each", refused, accepted[0].Key)
	}
	outputs := runs(t, ran)
	if len(outputs) != 1 || !strings.HasPrefix(outputs[0], "1 FAIL "+victim.addr+"@") ||
		!strings.Contains(outputs[0], "\n"+`[{"key":"FAIL/`+victim.addr+"@") {
		t.Errorf("the command wrote %q", outputs)
	}
	if len(h.problems) > 0 {
		t.Errorf("the hook was sent %q", h.problems)
	}
	for _, n := range c.nodes {
		if content, err := os.ReadFile(filepath.Join(n.logDir(), "notify.log")); err == nil && strings.Contains(string(content), "secret") {
			t.Errorf("the webhook's URL is in the log:\n%s", content)
		}
	}
}

// TestPluginsDoNotDisturbEachOther kills the one and then the other plugin of a node.
func TestPluginsDoNotDisturbEachOther(t *testing.T) {
	c, h, _ := notifying(t, "FAIL,PLUGIN")
	c.start(c.nodes...)
	n := c.nodes[2]
	for i, name := range []string{"notify", "membership"} {
		other := []string{"membership", "notify"}[i]
		otherBefore, err := n.pluginNamed(other)
		if err != nil {
			t.Fatal(err)
		}
		before, err := n.pluginNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, joinLimit, name+" is restarted", func() error {
			after, err := n.pluginNamed(name)
			if err == nil && after.PID == before.PID {
				err = fmt.Errorf("it is still process %d", after.PID)
			}
			return err
		})
		if otherAfter, err := n.pluginNamed(other); err != nil || otherAfter != otherBefore {
			t.Errorf("after the crash of %s, %s is %+v, %v; was %+v", name, other, otherAfter, err, otherBefore)
		}
	}
	await(t, joinLimit, "the hook is told of both crashes", func() error {
		accepted, _ := h.got()
		exits := 0
		for _, e := range accepted {
			if e.Event == "PLUGIN" && addrOf(e.Node) == n.addr && e.Action == "exit" {
				exits++
			}
		}
		if exits != 2 {
			return fmt.Errorf("of %d: %+v", exits, accepted)
		}
		return nil
	})
	c.awaitAgreement(joinLimit)
	checkNoFail(t, c)
}

// TestFailureIsNotifiedOnceAcrossUpgrades is the same for the daemons themselves: what has
// not been delivered goes from the old one's plugin to the new one's.
func TestFailureIsNotifiedOnceAcrossUpgrades(t *testing.T) {
	t.Parallel() // it waits for most of its time
	c, h, ran := notifying(t, "FAIL")
	for _, n := range c.nodes {
		n.upgradable()
	}
	c.start(c.nodes...)
	c.awaitSettled()
	h.set(true)
	victim := c.nodes[1]
	c.kill(victim)
	events := c.awaitEvents(joinLimit, "FAIL", victim.addr)
	await(t, joinLimit, "the hook has refused a notification", func() error {
		if _, refused := h.got(); len(refused) == 0 {
			return fmt.Errorf("it has been sent none")
		}
		return nil
	})
	var old []*process
	for _, n := range c.running() {
		old = append(old, n.upgrade())
		if p, err := n.pluginNamed("notify"); err != nil || p.Restarts != 0 {
			t.Errorf("after the upgrade: %+v, %v", p, err)
		}
	}
	h.set(false)
	await(t, joinLimit, "the hook has the notification", func() error {
		if accepted, _ := h.got(); len(accepted) == 0 {
			return fmt.Errorf("it has none")
		}
		return nil
	})
	for _, p := range old {
		p.wait(t)
	}
	awaitHeard(t, events)
	c.stop() // which delivers whatever waits
	accepted, refused := h.got()
	if len(accepted) != 1 || addrOf(accepted[0].Peer) != victim.addr || len(h.problems) > 0 {
		t.Errorf("the hook has %+v, want the one failure of %s; problems %q", accepted, victim.addr, h.problems)
	}
	if outputs := runs(t, ran); len(outputs) != 1 {
		t.Errorf("the command wrote %q", outputs)
	}
	t.Logf("%d attempts were refused", len(refused))
}
