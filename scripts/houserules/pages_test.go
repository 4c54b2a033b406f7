package houserules

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	// pageColumnsMax is how wide a page's text may be; tables and what programs print may be wider.
	pageColumnsMax = 100
	// readmeLinesMax keeps the first page to what a newcomer and an operator need first.
	readmeLinesMax = 250
)

// page is one Markdown file, without what stands in code blocks.
type page struct {
	text  []string // line by line; those of code blocks are empty
	lines int
}

func parsePage(source string) page {
	lines := strings.Split(strings.TrimSuffix(source, "\n"), "\n")
	p := page{lines: len(lines)}
	fenced := false
	for _, line := range lines {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			line = ""
		}
		if fenced || strings.HasPrefix(line, "    ") {
			line = ""
		}
		p.text = append(p.text, line)
	}
	return p
}

// pages reads all Markdown files but those that explain test data, by path.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	for _, name := range files(t) {
		if path.Ext(name) != ".md" || strings.Contains(name, "testdata/") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = parsePage(string(source))
	}
	return found
}

func TestPagesCanBeReadInATerminal(t *testing.T) {
	all := pages(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, complaint := range wideLines(name, all[name]) {
			t.Error(complaint)
		}
	}
	if lines := all["README.md"].lines; lines > readmeLinesMax {
		t.Errorf("README.md has %d lines, more than %d; move what only some need to a page beside the code that it is about", lines, readmeLinesMax)
	}
}

func wideLines(name string, p page) (complaints []string) {
	for i, line := range p.text {
		if columns := utf8.RuneCountInString(line); columns > pageColumnsMax && !strings.HasPrefix(line, "|") {
			complaints = append(complaints, fmt.Sprintf("%s:%d: has %d columns, more than %d; break the line", name, i+1, columns, pageColumnsMax))
		}
	}
	return complaints
}

func TestLinksLeadSomewhere(t *testing.T) {
	exists := map[string]bool{}
	for _, name := range files(t) {
		for ; name != "."; name = path.Dir(name) {
			exists[name] = true
		}
	}
	all := pages(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, complaint := range brokenLinks(name, all, exists) {
			t.Error(complaint)
		}
	}
}

func TestBrokenLinksAndWideLinesAreFound(t *testing.T) {
	all := map[string]page{
		"a.md": parsePage("# A page: its `head`\n[ok](b/c.md#what-is_it) [ok](#a-page-its-head) [ok](b) [ok](https://example.org/x)\n" +
			"[gone](b/d.md)\n[no head](b/c.md#other) [no head](#b)\n    [code](b/e.md)\n```\n[code](b/e.md)\n```\n`[code](b/e.md)`\n" +
			"[out](../../x.md)\n" + strings.Repeat("ä", pageColumnsMax) + "\n" + strings.Repeat("ä", pageColumnsMax+1) + "\n"),
		"b/c.md": parsePage("## What is_it?\n"),
	}
	exists := map[string]bool{"a.md": true, "b": true, "b/c.md": true}
	want := []string{
		"a.md:3: links to b/d.md, which does not exist",
		"a.md:4: links to b/c.md#other, which has no such heading",
		"a.md:4: links to #b, which has no such heading",
		"a.md:10: links to ../../x.md, which does not exist",
		"a.md:12: has 101 columns, more than 100; break the line",
	}
	if got := append(brokenLinks("a.md", all, exists), wideLines("a.md", all["a.md"])...); !slices.Equal(got, want) {
		t.Errorf("complaints are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`[^`]*`")
)

func brokenLinks(name string, all map[string]page, exists map[string]bool) (complaints []string) {
	for i, line := range all[name].text {
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
			target := m[1]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			leadsTo := name
			if file != "" {
				leadsTo = path.Join(path.Dir(name), file)
			}
			switch {
			case !exists[leadsTo]:
				complaints = append(complaints, fmt.Sprintf("%s:%d: links to %s, which does not exist", name, i+1, target))
			case anchor != "" && !slices.Contains(anchors(all[leadsTo]), anchor):
				complaints = append(complaints, fmt.Sprintf("%s:%d: links to %s, which has no such heading", name, i+1, target))
			}
		}
	}
	return complaints
}

// anchors gives the names under which the page's headings can be linked to, as GitHub makes them.
func anchors(p page) (names []string) {
	for _, line := range p.text {
		if marks, heading, ok := strings.Cut(line, " "); ok && marks != "" && strings.Trim(marks, "#") == "" {
			heading = regexp.MustCompile(`[^\p{L}\p{N}\s_-]`).ReplaceAllString(strings.ToLower(heading), "")
			names = append(names, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return names
}
