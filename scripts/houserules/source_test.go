// Package houserules keeps the rules of this repository that no compiler knows: which
// package may import which, what the protocol's core must not do, what may be
// committed. It consists of tests alone; a rule that is broken fails one of them, and
// the message says which line breaks it, why the rule exists and what to do instead.
// One is that everything compiles on platforms that no test runs on (platforms_test.go).
//
// To add a rule, write it down as data where a table fits it, say why in the same
// place, and give it a case that breaks it: a rule that cannot fail protects nothing.
//
// # Concurrency
//
// The source is read once, by the first test that asks for it, and never changed
// afterwards.
package houserules

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/aksinghdce/cluster-membership-service"
	// root is the repository, seen from the directory that go test runs this package in.
	root = "../.."
)

// goFile is one parsed Go file of the repository.
type goFile struct {
	path string // slash-separated, from the repository's root
	fset *token.FileSet
	*ast.File
}

// dir names the file's package as the rules do: its directory from the root.
func (f goFile) dir() string { return path.Dir(f.path) }

func (f goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f goFile) isGenerated() bool { return ast.IsGenerated(f.File) }

// at gives the place of a node in the form that editors jump to.
func (f goFile) at(node ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.line(node))
}

func (f goFile) line(node ast.Node) int { return f.fset.Position(node.Pos()).Line }

// localName is what the file calls the package that it imports from importPath, or "".
func (f goFile) localName(importPath string) string {
	for _, spec := range f.Imports {
		if importOf(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		name := path.Base(importPath)
		if isMajorVersion(name) {
			name = path.Base(path.Dir(importPath))
		}
		return name
	}
	return ""
}

// isMajorVersion reports whether an import path's last element is a "v2".
func isMajorVersion(element string) bool {
	digits, found := strings.CutPrefix(element, "v")
	_, err := strconv.Atoi(digits)
	return found && err == nil
}

func importOf(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return unquoted
}

// listFiles names every file that is tracked or about to be: not what .gitignore names.
var listFiles = sync.OnceValues(func() ([]string, error) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	deleted := exec.Command("git", "ls-files", "-z", "--deleted")
	deleted.Dir = root
	gone, err := deleted.Output()
	if err != nil {
		return nil, err
	}
	isGone := map[string]bool{}
	for name := range bytes.SplitSeq(gone, []byte{0}) {
		isGone[string(name)] = true
	}
	var names []string
	for name := range bytes.SplitSeq(out, []byte{0}) {
		if len(name) > 0 && !isGone[string(name)] {
			names = append(names, string(name))
		}
	}
	return names, nil
})

// files is listFiles for tests.
func files(t *testing.T) []string {
	t.Helper()
	names, err := listFiles()
	if err != nil {
		t.Fatalf("list the repository's files: %v (the house rules need git and a clone, not an archive)", err)
	}
	return names
}

var parseAll = sync.OnceValues(func() ([]goFile, error) {
	names, err := listFiles()
	if err != nil {
		return nil, err
	}
	var parsed []goFile
	for _, name := range names {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			continue
		}
		file, err := parseFile(name, nil)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	return parsed, nil
})

// parseFile reads one Go file; source takes the place of its content where it is not nil.
func parseFile(name string, source any) (goFile, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, filepath.Join(root, name), source, parser.ParseComments|parser.SkipObjectResolution)
	return goFile{path: name, fset: fset, File: file}, err
}

// goFiles gives every Go file of the repository.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	parsed, err := parseAll()
	if err != nil {
		t.Fatalf("read the repository's Go files: %v", err)
	}
	return parsed
}

// parsed is a Go file for the cases that show that a rule can be broken.
func parsed(t *testing.T, name, source string) goFile {
	t.Helper()
	file, err := parseFile(name, source)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
