package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// auditReport is the part of "grepd audit --json" that the tests look at.
type auditReport struct {
	Verdict  string `json:"verdict"`
	Coverage struct {
		Complete bool   `json:"complete"`
		Text     string `json:"text"`
	} `json:"coverage"`
	Changes []struct {
		Event    string   `json:"event"`
		Member   string   `json:"member"`
		Verdict  string   `json:"verdict"`
		Reasons  []string `json:"reasons"`
		DetectMS float64  `json:"detect_ms"`
		SpreadMS float64  `json:"spread_ms"`
		Declared []struct {
			By     string `json:"by"`
			Probes int    `json:"probes"`
		} `json:"declared"`
		Lists struct {
			Have    int      `json:"have"`
			Missing []string `json:"missing"`
		} `json:"lists"`
	} `json:"changes"`
}

func audit(t *testing.T, via *node, args ...string) (auditReport, result) {
	t.Helper()
	r := command(t, "grepd", append([]string{"audit", "--json", "--via", via.addr}, args...)...)
	var report auditReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("grepd audit: %v: %v", err, r)
	}
	return report, r
}

// TestAuditOfAKilledMember kills one of five, and has another one judge how that went.
func TestAuditOfAKilledMember(t *testing.T) {
	c := newCluster(t, 5, 2)
	c.start(c.nodes...)
	began, victim := time.Now(), c.nodes[4]
	c.kill(victim)
	c.awaitEvents(spreadWithin+joinLimit, "FAIL", victim.addr)
	c.awaitAgreement(joinLimit)

	report, r := audit(t, c.nodes[3])
	if want := "4 of 4 members answered"; !report.Coverage.Complete || report.Coverage.Text != want {
		t.Errorf("coverage %+v, want %q", report.Coverage, want)
	}
	count := map[string]int{}
	held := true
	for _, change := range report.Changes {
		count[change.Event]++
		detect, spread := change.DetectMS/1000, change.SpreadMS/1000
		t.Logf("%s of %s: in a list within %.3f s, in all within %.3f s, %s %v", change.Event, change.Member, detect, spread, change.Verdict, change.Reasons)
		if detect > (detectWithin+boundSlack()).Seconds() || spread > (spreadWithin+boundSlack()).Seconds() || len(change.Lists.Missing) > 0 {
			c.watch.Errorf(t, "%+v: more than the bounds (and %v for the machine)", change, boundSlack())
		}
		held = held && detect <= detectWithin.Seconds() && spread <= spreadWithin.Seconds()
	}
	if count["JOIN"] != 5 || count["FAIL"] != 1 || len(report.Changes) != 6 {
		t.Errorf("changes %v, want 5 JOIN and 1 FAIL", count)
	}
	// On a machine that is too busy a bound may not hold; then the audit has to say so.
	if want := map[bool]int{true: 0, false: 1}[held]; r.status != want || (report.Verdict == "held") != held {
		t.Errorf("the bounds held is %v, and the audit's verdict %q: %v", held, report.Verdict, r)
	}

	recent, _ := audit(t, c.nodes[0], "--since", began.UTC().Format(time.RFC3339Nano))
	if len(recent.Changes) != 1 {
		t.Fatalf("%d changes since the kill, want the FAIL: %+v", len(recent.Changes), recent.Changes)
	}
	fail := recent.Changes[0]
	if fail.Event != "FAIL" || addrOf(fail.Member) != victim.addr || fail.Lists.Have != 4 || len(fail.Declared) == 0 || fail.Declared[0].Probes == 0 {
		t.Errorf("since the kill: %+v", fail)
	}
	text := command(t, "grepd", "audit", "--via", c.nodes[0].addr)
	if text.status != r.status || !strings.Contains(text.stdout, "monitor") || strings.Contains(text.stdout, "HEARTBEAT") {
		t.Errorf("as text: %v", text)
	}
	t.Log("\n" + text.stdout)
}
