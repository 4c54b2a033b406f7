//go:build !race

// The race detector has nothing to find in this and makes it take a minute; scripts/check.sh runs it without.

package houserules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// platforms are those besides this one on which everything has to compile, tests too.
var platforms = []string{"linux/arm64", "darwin/arm64"}

// TestEverythingHasTypesOnOtherPlatforms checks the types alone: to compile all that is depended on for each platform takes
// longer, and finds no more in code without assembly for it.
func TestEverythingHasTypesOnOtherPlatforms(t *testing.T) {
	for _, platform := range platforms {
		for _, err := range typeErrors(t, platform, nil) {
			t.Errorf("%s: %s; what only some systems have belongs in a file named for them, with a counterpart for the others", platform, err)
		}
	}
}

func TestWhatOnlyLinuxHasIsFound(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join(root, "shared/eventlog"))
	if err != nil {
		t.Fatal(err)
	}
	const bad = "package eventlog\n\nimport \"golang.org/x/sys/unix\"\n\nconst pipeSize = unix.F_SETPIPE_SZ\n"
	overlay := map[string][]byte{filepath.Join(dir, "bad.go"): []byte(bad)}
	for platform, want := range map[string]bool{"linux/arm64": false, "darwin/arm64": true} {
		found := strings.Contains(strings.Join(typeErrors(t, platform, overlay, "./shared/eventlog"), "\n"), "F_SETPIPE_SZ")
		if found != want {
			t.Errorf("%s: found %t, want %t", platform, found, want)
		}
	}
}

// typeErrors gives what does not compile on a platform, of some packages or of all.
func typeErrors(t *testing.T, platform string, overlay map[string][]byte, patterns ...string) (errs []string) {
	t.Helper()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	system, architecture, _ := strings.Cut(platform, "/")
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedTypesSizes | packages.NeedTypesInfo | packages.NeedSyntax,
		Dir: root, Env: append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0"),
		Tests: true, Overlay: overlay,
	}, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded) == 0 {
		t.Fatalf("%s: there are no packages", platform)
	}
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, err := range p.Errors {
			errs = append(errs, err.Error())
		}
	})
	return errs
}
