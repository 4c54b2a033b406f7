package houserules

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	mapFile = "ARCHITECTURE.md"
	// packageHead begins the tables of packages there.
	packageHead = "| package | lines | what it knows | may import |"
	// isGeneratedText is in the place of a number where a package has no line that a person wrote.
	isGeneratedText = "generated"
	// packageLinesMax is what one person can keep an overview of.
	packageLinesMax = 4500
	// A number of lines may be wrong by this share, and by so many lines, before it is to be renewed:
	// it is there to tell small from large.
	linesOffShare = 0.2
	linesOffMin   = 50
)

// mayBeLarge has the packages over packageLinesMax, each with the reason.
var mayBeLarge = map[string]string{
	"grepd/e2e":            "it is tests alone, each in a file with its like",
	"grepd/internal/match": "it is one compiler of patterns, and its kernels in assembly have Go beside them",
	"membership":           "it is one state machine, whose parts share the state of a node; each has a file",
}

// mapRow is a package as the map has it.
type mapRow struct {
	name    string // a directory, or all below it: "scripts/bench/..."
	lines   string
	imports []string // the shortest ends of their paths that are unambiguous
}

// TestMapShowsThePackages compares the tables of packages in ARCHITECTURE.md with the tree.
func TestMapShowsThePackages(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, mapFile))
	if err != nil {
		t.Fatal(err)
	}
	sizes, graph := packageSizes(goFiles(t))
	if *rewrite {
		source = []byte(renewLines(string(source), sizes))
		if err := os.WriteFile(filepath.Join(root, mapFile), source, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, complaint := range checkMap(mapRows(string(source)), sizes, graph) {
		t.Errorf("%s: %s", mapFile, complaint)
	}
	for _, dir := range slices.Sorted(maps.Keys(sizes)) {
		if sizes[dir] > packageLinesMax && mayBeLarge[dir] == "" {
			t.Errorf("%s: has %d lines, more than %d; divide it, so that it can still be understood as a whole", dir, sizes[dir], packageLinesMax)
		}
	}
}

func TestWhatTheMapHasWrongIsFound(t *testing.T) {
	text := strings.Join([]string{
		packageHead, "|---|---|---|---|",
		"| `a` | 1000 | right | b, d/e |",
		"| `b` | 400 | too few lines | a |",
		"| `gone` | 10 | is not there | |",
		"| `x/...` | 30 | a tree | nowhere |",
		"| `d/e` | generated | right | |", "",
		"| `not` | 1 | in a table of packages | |", "",
	}, "\n")
	sizes := map[string]int{"a": 1000, "b": 1000, "c": 5, "d/e": 0, "x/y": 10, "x/z": 20}
	graph := importGraph{"a": {"b": true, "d/e": true, "fmt": true}, "b": {"c": true}, "x/y": {"x/z": true}}
	want := []string{
		"b: has about 1000 lines, not 400; -rewrite renews the numbers",
		"b: imports c, which its row does not allow; do without, or say so there",
		"b: its row allows a, which it does not import; take it out there",
		"c: has no row; say what it knows",
		"gone: there is no such package",
		`x/...: its row names "nowhere", which is not the end of one package's path`,
	}
	if got := checkMap(mapRows(text), sizes, graph); !slices.Equal(got, want) {
		t.Errorf("complaints are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	renewed := renewLines(text, sizes)
	for _, row := range []string{"| `b` | 1000 | too few", "| `x/...` | 30 | a", "| `d/e` | generated |", "| `not` | 1 |", "| `gone` | 10 |"} {
		if !strings.Contains(renewed, row) {
			t.Errorf("renewed the text has no %q:\n%s", row, renewed)
		}
	}
}

func mapRows(text string) (rows []mapRow) {
	eachRow(text, func(cells []string) []string {
		var imports []string
		for name := range strings.SplitSeq(cells[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				imports = append(imports, name)
			}
		}
		rows = append(rows, mapRow{strings.Trim(cells[0], "`"), cells[1], imports})
		return cells
	})
	return rows
}

// renewLines writes the numbers of lines anew.
func renewLines(text string, sizes map[string]int) string {
	return eachRow(text, func(cells []string) []string {
		switch lines, found := linesOf(strings.Trim(cells[0], "`"), sizes); {
		case !found:
		case lines == 0:
			cells[1] = isGeneratedText
		default:
			cells[1] = strconv.Itoa((lines + 5) / 10 * 10)
		}
		return cells
	})
}

// eachRow hands out the cells of each row of the tables of packages, and gives the text with what
// comes back.
func eachRow(text string, change func(cells []string) []string) string {
	var b strings.Builder
	inTable := false
	for line := range strings.Lines(text) {
		row := strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(row, "|"):
			inTable = false
		case row == packageHead:
			inTable = true
		case inTable && !strings.HasPrefix(row, "|---"):
			cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			line = "| " + strings.Join(change(cells), " | ") + " |\n"
			line = strings.ReplaceAll(line, "|  |", "| |")
		}
		b.WriteString(line)
	}
	return b.String()
}

// checkMap says where the rows and the tree differ.
func checkMap(rows []mapRow, sizes map[string]int, graph importGraph) (complaints []string) {
	unmapped := maps.Clone(sizes)
	for _, row := range rows {
		for _, complaint := range row.check(sizes, graph) {
			complaints = append(complaints, row.name+": "+complaint)
		}
		maps.DeleteFunc(unmapped, func(dir string, _ int) bool { return matchesAny(dir, []string{row.name}) })
	}
	for dir := range unmapped {
		complaints = append(complaints, dir+": has no row; say what it knows")
	}
	slices.Sort(complaints)
	return complaints
}

func (r mapRow) check(sizes map[string]int, graph importGraph) (complaints []string) {
	lines, found := linesOf(r.name, sizes)
	if !found {
		return []string{"there is no such package"}
	}
	imported := map[string]bool{}
	for dir := range graph {
		if matchesAny(dir, []string{r.name}) {
			maps.Copy(imported, graph[dir])
		}
	}
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	if !isAbout(r.lines, lines) {
		complain("has about %d lines, not %s; -rewrite renews the numbers", lines, r.lines)
	}
	allowed := map[string]bool{}
	for _, end := range r.imports {
		dir, ok := packageOf(end, sizes)
		if !ok {
			complain("its row names %q, which is not the end of one package's path", end)
			continue
		}
		if allowed[dir] = true; !imported[dir] {
			complain("its row allows %s, which it does not import; take it out there", dir)
		}
	}
	for dir := range imported {
		if _, ours := sizes[dir]; ours && !allowed[dir] && !matchesAny(dir, []string{r.name}) {
			complain("imports %s, which its row does not allow; do without, or say so there", dir)
		}
	}
	return complaints
}

// linesOf is the size of a package, or of all below it.
func linesOf(name string, sizes map[string]int) (lines int, found bool) {
	for dir, size := range sizes {
		if matchesAny(dir, []string{name}) {
			lines, found = lines+size, true
		}
	}
	return lines, found
}

func isAbout(text string, lines int) bool {
	if lines == 0 {
		return text == isGeneratedText
	}
	said, err := strconv.Atoi(text)
	off := max(said-lines, lines-said)
	return err == nil && float64(off) <= max(linesOffMin, linesOffShare*float64(lines))
}

// packageOf finds the one package whose path ends so.
func packageOf(end string, sizes map[string]int) (string, bool) {
	if _, ok := sizes[end]; ok {
		return end, true
	}
	var found []string
	for dir := range sizes {
		if strings.HasSuffix(dir, "/"+end) {
			found = append(found, dir)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// packageSizes counts the lines of each package that a person wrote and that are no tests; of a
// package of tests alone, those of the tests. It also gives what each imports, tests left out.
func packageSizes(files []goFile) (map[string]int, importGraph) {
	sizes, tests, graph := map[string]int{}, map[string]int{}, importGraph{}
	for _, f := range files {
		lines := f.fset.File(f.FileStart).LineCount()
		switch {
		case f.isTest():
			tests[f.dir()] += lines
			continue
		case f.isGenerated():
			lines = 0
		}
		sizes[f.dir()] += lines
		graph.add(f)
	}
	for dir, lines := range tests {
		if _, ok := sizes[dir]; !ok {
			sizes[dir] = lines
		}
	}
	return sizes, graph
}

// TestPagesNameWhatThereIs looks at what the pages for those who change grepd name in backquotes: a
// path, a file, a test or another identifier is to be there.
func TestPagesNameWhatThereIs(t *testing.T) {
	known := knownNames(t)
	for _, name := range []string{mapFile, "CONTRIBUTING.md"} {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, unknown := range unknownNames(string(source), known) {
			t.Errorf("%s names `%s`, which is not there any more", name, unknown)
		}
	}
}

func TestUnknownNamesAreFound(t *testing.T) {
	known := map[string]bool{"grepd/a": true, "scripts/x.sh": true, "a.go": true, "TestA": true, "thing": true}
	text := "`grepd/a` `grepd/b/...` `scripts/x.sh -long` `scripts/y.sh` `a.go` `b.go` `TestA` `FuzzB` `thing` `Thing.Field` `plugins/NAME` `two words` `grepd/...`"
	want := []string{"grepd/b/...", "scripts/y.sh", "b.go", "FuzzB", "Thing.Field"}
	if got := unknownNames(text, known); !slices.Equal(got, want) {
		t.Errorf("unknown are %q, want %q", got, want)
	}
}

// knownNames has each file and directory, by path and by name alone, and each identifier.
func knownNames(t *testing.T) map[string]bool {
	known := map[string]bool{}
	for _, name := range files(t) {
		known[filepath.Base(name)] = true
		for ; name != "."; name = filepath.Dir(name) {
			known[filepath.ToSlash(name)] = true
		}
	}
	for _, f := range goFiles(t) {
		ast.Inspect(f.File, func(node ast.Node) bool {
			if ident, ok := node.(*ast.Ident); ok {
				known[ident.Name] = true
			}
			return true
		})
	}
	return known
}

var (
	quoted     = regexp.MustCompile("`([^`\n]+)`")
	pathText   = regexp.MustCompile(`^(?:grepd|membership|plugins|shared|scripts|logs|\.ci)/[\w./-]+$`)
	fileText   = regexp.MustCompile(`^\w+\.(?:go|sh|proto|md)$`)
	identifier = regexp.MustCompile(`^[A-Za-z]\w+(?:\.[A-Z]\w*)?$`)
)

func unknownNames(text string, known map[string]bool) (unknown []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		name, _, _ := strings.Cut(m[1], " ")
		ok := true
		switch path := strings.TrimSuffix(strings.TrimSuffix(name, "..."), "/"); {
		case strings.Contains(path, "NAME"):
		case pathText.MatchString(path), fileText.MatchString(name):
			ok = known[path]
		case identifier.MatchString(m[1]):
			for part := range strings.SplitSeq(name, ".") {
				ok = ok && known[part]
			}
		}
		if !ok {
			unknown = append(unknown, name)
		}
	}
	return unknown
}
