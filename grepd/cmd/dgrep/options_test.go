package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What abbreviates an option of grep goes on to, whatever options of our own begin so too.
func TestAbbreviationsOfGrep(t *testing.T) {
	flags := (&parser{}).flags()
	for prefix, want := range map[string]string{
		"s": "silent", "si": "silent", "cou": "count", "col": "color", "cont": "context", "v": "version", "t": "text",
		"where": "where", "sin": "since", "so": "sort", "count-": "count-by", "fie": "fields",
	} {
		flag := flags.Lookup(prefix)
		var err error
		if flag == nil {
			flag, err = abbreviated(flags, prefix)
		}
		if err != nil || flag.Name != want {
			t.Errorf("--%s: %v, %v, want --%s", prefix, flag, err, want)
		}
	}
}

// The words that are completed are those that the option takes.
func TestOptionsTakeTheWordsThatAreCompleted(t *testing.T) {
	parse := func(o *option, value string) error {
		args := []string{"--" + o.long + "=" + value, "x", "logs/a"}
		_, err := parse(args, strings.NewReader(""), io.Discard, func(string) string { return "" })
		return err
	}
	for _, o := range listedOptions() {
		if o.words == "" {
			continue
		}
		for _, word := range strings.Fields(o.words) {
			if err := parse(&o, word); err != nil {
				t.Errorf("--%s=%s: %v", o.long, word, err)
			}
			if o.help != "" && !strings.Contains(help(), "'"+word+"'") {
				t.Errorf("help does not name '%s', which --%s takes", word, o.long)
			}
		}
		if parse(&o, "nonsense") == nil {
			t.Errorf("--%s takes any word, and not only %s", o.long, o.words)
		}
	}
}

// guide is the page about dgrep.
func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The guide ends with what --help prints, and so has all options.
func TestGuideHasTheHelp(t *testing.T) {
	const before = "\n## All options\n\n```\n"
	text, shown, ok := strings.Cut(guide(t), before)
	if !ok {
		t.Fatalf("README.md has no section %q", before)
	}
	want := help() + "```\n"
	if shown == want {
		return
	}
	if !*update {
		t.Fatal("README.md does not end with what --help prints; go test ./grepd/cmd/dgrep -run TestGuideHasTheHelp -update writes it")
	}
	if err := os.WriteFile("README.md", []byte(text+before+want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The guide's examples and sentences name options as they are, and so do those of the first page;
// whether they take a value shows by "=" or by the word behind them, and is not looked at here.
func TestGuideNamesOptionsThatThereAre(t *testing.T) {
	text := guide(t)
	ofOthers := regexp.MustCompile(`--(mount|log-dir|max-expand)\b|scripts/[^)]*`)
	flags, named := (&parser{}).flags(), 0
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(ofOthers.ReplaceAllString(text, ""), -1) {
		named++
		if f := flags.Lookup(m[1]); f == nil || f.Hidden {
			t.Errorf("README.md names --%s, which dgrep does not have", m[1])
		}
	}
	first, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("dgrep((?: -[A-Za-z0-9]+)+) ").FindAllStringSubmatch(text+string(first), -1) {
		for _, letter := range strings.Trim(regexp.MustCompile(`[-\s]|[ABCm]?[0-9]+`).ReplaceAllString(m[1], ""), " ") {
			named++
			if flags.ShorthandLookup(string(letter)) == nil {
				t.Errorf("README.md names -%c, which dgrep does not have", letter)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d options were found in README.md: the search for them is wrong", named)
	}
}
