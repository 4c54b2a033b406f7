package pluginhost

import (
	"strings"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/pluginhost/hosttest"
	"github.com/aksinghdce/cluster-membership-service/shared/pluginapi"
)

// TestVersionsAreNegotiated: the highest that both sides have is spoken, and where there is
// none the error says so. Version 2 of these tests is version 1 under another number.
func TestVersionsAreNegotiated(t *testing.T) {
	kindOf := func(versions ...int) pluginapi.Kind {
		kind := pluginapi.MembershipKind(nil)
		adapter := kind.Versions[1]
		clear(kind.Versions)
		for _, version := range versions {
			kind.Versions[version] = adapter
		}
		return kind
	}
	r := prepare(t)
	r.Install(hosttest.Works) // which speaks 1
	cfg := r.config(quick)
	cfg.Kind = kindOf(1, 2)
	cfg.Timing.Settle = 1 << 40 // no reload but those asked for
	host, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Stop()
	if got := host.Info().APIVersion; got != 1 {
		t.Errorf("a host of 1 and 2 and a plugin of 1 speak %d", got)
	}
	for what, want := range map[string]int{hosttest.SpeaksTwo: 2, hosttest.Works: 1} {
		r.Install(what)
		if info, err := host.Reload(t.Context()); err != nil || info.APIVersion != want {
			t.Errorf("a plugin that %s: %+v, %v; want version %d", what, info, err, want)
		}
	}
	r.Install(hosttest.Works)
	cfg.Kind = kindOf(2, 3)
	if host, err := New(t.Context(), cfg); err == nil {
		host.Stop()
		t.Error("a host of 2 and 3 takes a plugin of 1")
	} else if !strings.Contains(err.Error(), "Plugin version: 1, Client versions: [") {
		t.Errorf("a host of 2 and 3, and a plugin of 1: %v", err)
	}
	if left := r.Leftover(); len(left) != 1 {
		t.Errorf("beside the running host's directory there is %v", left)
	}
}
