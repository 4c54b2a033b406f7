package version

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionNamesReleaseAndCommit(t *testing.T) {
	git := func(revision, modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}
	}
	const revision = "eb67c3434cef0123456789abcdef0123456789ab"
	for name, test := range map[string]struct {
		main     string
		settings []debug.BuildSetting
		want     string
	}{
		"built in a clone":          {"v0.0.0-20261129154756-eb67c3434cef", git(revision, "false"), Release + "+eb67c3434cef"},
		"in a clone with a tag":     {"v1.0.0", git(revision, "false"), Release + "+eb67c3434cef"},
		"in a clone with changes":   {"v0.0.0-20261129154756-eb67c3434cef+dirty", git(revision, "true"), Release + "+eb67c3434cef.dirty"},
		"a short revision":          {"(devel)", git("eb67", "false"), Release + "+eb67"},
		"without git":               {"(devel)", nil, Release},
		"a test":                    {"", nil, Release},
		"go install MODULE@COMMIT":  {"v0.0.0-20261129154756-eb67c3434cef", nil, Release + "+eb67c3434cef"},
		"... after a release":       {"v1.0.1-0.20261129154756-eb67c3434cef", nil, Release + "+eb67c3434cef"},
		"... after a pre-release":   {"v1.1.0-rc.1.0.20261129154756-eb67c3434cef", nil, Release + "+eb67c3434cef"},
		"go install MODULE@RELEASE": {"v1.0.0", nil, Release},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: test.main}, Settings: test.settings}
		if got := of(info); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestChangelogHasThisRelease: what is on the way stands under "Unreleased", and a release under
// its number and date.
func TestChangelogHasThisRelease(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	head := `(?m)^## \[` + regexp.QuoteMeta(Release) + `\] - \d{4}-\d{2}-\d{2}$`
	if strings.HasSuffix(Release, "-dev") {
		head = `(?m)^## \[Unreleased\]$`
	}
	if !regexp.MustCompile(head).Match(text) {
		t.Errorf("CHANGELOG.md has no heading that matches %s; version.Release is %s", head, Release)
	}
}
