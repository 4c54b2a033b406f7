package houserules

import (
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// fileBytesMax keeps clones small: what is larger is an artifact, or data that a
	// script can make or fetch.
	fileBytesMax = 1 << 20
	// sniffBytes is how much of a file decides whether it is text, as git does it.
	sniffBytes = 8000
)

// topLevel is every name that a newcomer meets first, besides the dotfiles.
var topLevel = []string{
	"grepd", "membership", "plugins", "shared", "logs", "scripts",
	"go.mod", "go.sum", "docker-compose.yml",
	"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE",
}

// emptyNames say nothing about a package's content, and so collect everything.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "lib", "tools"}

func TestTopLevelHoldsTheAgreedNamesOnly(t *testing.T) {
	for _, name := range files(t) {
		top, _, _ := strings.Cut(name, "/")
		if !isTopLevel(top) {
			t.Errorf("%s: %q is not one of the agreed names at the top (%s, and dotfiles); put it below one of them", name, top, strings.Join(topLevel, ", "))
		}
	}
}

func TestStrangeTopLevelNamesAreFound(t *testing.T) {
	for name, want := range map[string]bool{"grepd": true, ".ci": true, "README.md": true, "bin": false, "internal": false} {
		if got := isTopLevel(name); got != want {
			t.Errorf("isTopLevel(%q) = %t, want %t", name, got, want)
		}
	}
}

func isTopLevel(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
}

func TestPackagesAreNamedForWhatTheyHold(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, name := range []string{f.Name.Name, path.Base(f.dir())} {
			if slices.Contains(emptyNames, strings.TrimSuffix(name, "_test")) {
				t.Errorf("%s: a package named %q holds anything; name it for what it is about, or move its parts to where they are used", f.path, name)
			}
		}
	}
}

func TestLogDirectoryIsEmptyInGit(t *testing.T) {
	for _, name := range files(t) {
		if strings.HasPrefix(name, "logs/") && name != "logs/.gitkeep" {
			t.Errorf("%s: logs/ is where a running daemon writes; what is committed there would be found by every query", name)
		}
	}
}

func TestFilesAreSmallText(t *testing.T) {
	for _, name := range files(t) {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			t.Errorf("%s: is not a regular file, which not every system can check out; commit the content", name)
			continue
		}
		if info.Size() > fileBytesMax {
			t.Errorf("%s: %d bytes, more than the %d that a committed file may have; make it by a script instead", name, info.Size(), fileBytesMax)
		}
		if head := readHead(t, name); bytes.IndexByte(head, 0) >= 0 {
			t.Errorf("%s: is binary, so no diff shows what changes in it; build it by a script, or commit it as text", name)
		}
	}
}

func readHead(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, sniffBytes))
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// TestShellScriptsStopAtTheFirstError wants of each script the line that makes bash stop
// where a command fails, and the bit that lets a person run it.
func TestShellScriptsStopAtTheFirstError(t *testing.T) {
	for _, name := range files(t) {
		if !bytes.HasPrefix(readHead(t, name), []byte("#!/usr/bin/env bash\n")) {
			if path.Ext(name) == ".sh" {
				t.Errorf(`%s: does not begin with "#!/usr/bin/env bash"`, name)
			}
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(source, []byte("\nset -euo pipefail\n")) {
			t.Errorf(`%s: has no line "set -euo pipefail", so it would go on after a failure`, name)
		}
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: is not executable (error %v); chmod +x", name, err)
		}
	}
}
