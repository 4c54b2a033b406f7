package eventlog

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPageNamesAllEventsAndFields compares the tables of README.md with this package's constants.
func TestPageNamesAllEventsAndFields(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var events, fields []string
	for name, value := range constants(t) {
		switch {
		case strings.HasPrefix(name, "Key"):
			fields = append(fields, value)
		case value == strings.ToUpper(value):
			events = append(events, value)
		}
	}
	fields = append(fields, KeyTime, KeyLevel) // slog's names, which no literal gives
	for head, want := range map[string][]string{"event": events, "field": fields} {
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(firstCells(string(text), head))); !slices.Equal(got, want) {
			t.Errorf("README.md's tables of each %s have\n%q\nwant\n%q", head, got, want)
		}
	}
}

// constants gives this package's constants that are literal strings, by name.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "eventlog.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if found[spec.Names[i].Name], err = strconv.Unquote(literal.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
		return true
	})
	return found
}

// firstCells gives what stands in backquotes in the first cells of all tables whose first column
// has this head.
func firstCells(text, head string) map[string]bool {
	cells := map[string]bool{}
	inTable := false
	for line := range strings.Lines(text) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case first == head:
			inTable = true
		case inTable:
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
				cells[m[1]] = true
			}
		}
	}
	return cells
}
