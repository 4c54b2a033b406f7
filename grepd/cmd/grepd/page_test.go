package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// tableRows gives the cells of the rows of the table in grepd/README.md that has this head.
func tableRows(t *testing.T, head string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n"+head+"\n")
	if !ok {
		t.Fatalf("grepd/README.md has no table %s", head)
	}
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if !strings.HasPrefix(line, "|---") {
			rows = append(rows, strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | "))
		}
	}
	return rows
}

// optionText matches an option as the page writes it, with its value if it takes one.
var optionText = regexp.MustCompile("--([a-z-]+)(?: ([A-Z][^`\\]]*))?[`\\]]")

// written gives the options in a text of the page, as "--name VALUE" each.
func written(text string) (options []string) {
	for _, m := range optionText.FindAllStringSubmatch(text, -1) {
		options = append(options, strings.TrimSpace("--"+m[1]+" "+m[2]))
	}
	return options
}

// described gives an option as the page is to write it.
func described(flag cli.Flag) string {
	value, _, _ := strings.Cut(flag.(cli.DocGenerationFlag).GetUsage(), "`: ")
	placeholder := regexp.MustCompile("`([^`]+)`").FindStringSubmatch(value + "`")
	name := "--" + flag.Names()[0]
	if !flag.(cli.DocGenerationFlag).TakesValue() {
		return name
	}
	return name + " " + placeholder[1]
}

func TestPageHasTheDaemonsOptions(t *testing.T) {
	rows := make(map[string]string) // what each option means
	for _, row := range tableRows(t, "| option | meaning |") {
		for _, option := range written(row[0]) {
			rows[option] = row[1]
		}
	}
	for _, flag := range daemonFlags() {
		want := described(flag)
		meaning, ok := rows[want]
		if !ok {
			t.Errorf("grepd/README.md's table has no %s", want)
		}
		delete(rows, want)
		standard := strings.Trim(flag.(cli.DocGenerationFlag).GetDefaultText(), `"`)
		word := regexp.MustCompile(`(^|[^\w.:])` + regexp.QuoteMeta(standard) + `($|[^\w.:])`)
		if flag.(cli.DocGenerationFlag).TakesValue() && standard != "" && ok && !word.MatchString(meaning) {
			t.Errorf("grepd/README.md does not say that the default of %s is %s: %s", want, standard, meaning)
		}
	}
	for option := range rows {
		t.Errorf("grepd/README.md's table has %s, which grepd does not", option)
	}
}

func TestPageHasTheCommands(t *testing.T) {
	rows := make(map[string][]string) // the options of each command
	for _, row := range tableRows(t, "| command | what it does |") {
		words, _, _ := strings.Cut(strings.TrimPrefix(strings.Trim(strings.TrimSpace(row[0]), "`"), "grepd "), " [")
		rows[words] = written(row[0])
	}
	check := func(name string, c *cli.Command) {
		options, ok := rows[name]
		if !ok {
			t.Errorf("grepd/README.md's table has no grepd %s", name)
		}
		delete(rows, name)
		var want []string
		for _, flag := range c.Flags {
			if flag.Names()[0] != flagVia { // which all have, as is said below the table
				want = append(want, described(flag))
			}
		}
		slices.Sort(options)
		slices.Sort(want)
		if !slices.Equal(options, want) {
			t.Errorf("grepd/README.md's table has grepd %s with the options %q, want %q", name, options, want)
		}
	}
	for _, c := range commands() {
		if len(c.Subcommands) == 0 {
			check(c.Name, c)
		}
		for _, sub := range c.Subcommands {
			check(c.Name+" "+sub.Name, sub)
		}
	}
	for name := range rows {
		t.Errorf("grepd/README.md's table has grepd %s, which there is not", name)
	}
}
