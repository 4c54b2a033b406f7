package houserules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// importRule forbids packages to depend on others, directly or through a third package
// of this module. Packages are named by directory, or by import path where they are not
// ours; "x/..." is x and everything below it.
type importRule struct {
	from   []string
	never  []string
	except []string
	// tests says that the rule holds for test files as well.
	tests bool
	// direct says that the rule is about the package's own imports alone.
	direct bool
	why    string
}

var core = []string{"membership", "membership/ring"}

var importRules = []importRule{
	{
		from:   core,
		never:  []string{"net/...", "os/...", "sync/...", "syscall", "log/...", "runtime/...", "context", "crypto/rand", "math/rand"},
		except: []string{"net/netip"},
		why:    "the protocol's core is a state machine without I/O, locks, goroutines or global randomness, so that the simulator can replay it from a seed; let the driver, membership/udp, do this and hand the core the result",
	},
	{
		from:   core,
		never:  []string{"shared/...", "grepd/...", "plugins/...", "membership/..."},
		except: core,
		why:    "the protocol's core knows nobody who uses it; move what is needed into the core, or give the core an argument",
	},
	{
		from:  []string{"membership/ring"},
		never: []string{"membership"},
		why:   "the ring is order and arithmetic alone; the member list is built on it",
	},
	{
		from:  []string{"grepd/..."},
		never: []string{"membership/...", "plugins/..."},
		tests: true,
		why:   "grepd knows its plugin only through shared/pluginapi, so that another version of the plugin can take over while grepd runs; put what both need into shared/pluginapi",
	},
	{
		from:  []string{"shared/..."},
		never: []string{"membership/...", "grepd/...", "plugins/..."},
		tests: true,
		why:   "shared is what both sides of the plugin build on, so it depends on neither; pass the value in instead",
	},
	{
		from: []string{"grepd/cmd/dgrep"},
		never: []string{
			"grepd/internal/server", "grepd/internal/fanout", "grepd/internal/audit", "grepd/internal/pluginhost",
			"grepd/internal/handover", "grepd/internal/subprocess", "shared/pluginapi", "github.com/hashicorp/...",
		},
		why: "dgrep is what a person starts a hundred times a day: what only a daemon needs makes its start slow, and lets it know how a grepd works; ask through grepd/internal/client, and move what both need to where both can have it",
	},
	{
		from:   []string{"grepd/internal/client"},
		never:  []string{"grepd/..."},
		except: []string{"grepd/internal/limits"},
		why:    "a client knows what may be asked, and nothing of who answers",
	},
	{
		from:   []string{"grepd/internal/pluginhost"},
		never:  []string{"grepd/..."},
		except: []string{"grepd/internal/pluginhost", "grepd/internal/subprocess"},
		why:    "the host runs a plugin and knows nothing of what it does, so that another kind of plugin needs nothing from it; what a plugin does belongs to the package that gives the host a Service, as memberhost and notifyhost do",
	},
	{
		from:   []string{"grepd/internal/pluginhost"},
		never:  []string{"shared/proto/..."},
		direct: true,
		why:    "the messages of one kind of plugin are for the package that gives the host a Service, as memberhost and notifyhost do; the host goes by pluginapi.Kind",
	},
	{
		from:  []string{"grepd/internal/files"},
		never: []string{"grepd/internal/search", "grepd/internal/follow"},
		tests: true,
		why:   "files finds and opens what search reads and follow watches, and knows neither; move what only they need to them, or take it as an argument",
	},
	{
		from:  []string{"grepd/internal/search"},
		never: []string{"grepd/internal/follow"},
		tests: true,
		why:   "the search engine is fed text and gives its state; when there is text, and what became of a file, is for follow to know",
	},
	{
		from:  []string{"grepd/internal/fanout", "grepd/internal/printer"},
		never: []string{"grepd/internal/files", "grepd/internal/follow"},
		why:   "what a node has found comes as messages of shared/proto/greppb, so that another version of a node can have found it; put what is missing into the message",
	},
	{
		from:  []string{"membership/..."},
		never: []string{"grepd/...", "plugins/..."},
		tests: true,
		why:   "the membership service runs without grepd, which is only its host",
	},
}

// dataWay is the way of the data, from a datagram to a line on a terminal. A stage hands
// on to the next and knows nothing of the one that it has its input from.
var dataWay = []string{
	"membership/udp",
	"membership/wire",
	"membership",
	"shared/eventlog",
	"grepd/internal/search",
	"grepd/internal/fanout",
	"grepd/internal/printer",
}

func dataWayRules() []importRule {
	var rules []importRule
	for i, stage := range dataWay[1:] {
		rules = append(rules, importRule{
			from:  []string{stage},
			never: dataWay[:i+1],
			why: "data goes " + strings.Join(dataWay, " -> ") +
				", and a stage that imports an earlier one cannot be tested or replaced without it; take the input as an argument, or through an interface that this stage declares",
		})
	}
	return rules
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	for _, complaint := range checkImports(goFiles(t), append(importRules, dataWayRules()...)) {
		t.Error(complaint)
	}
}

func TestForbiddenImportsAreFound(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // part of the complaint; "": none
	}{
		{"core uses the network", map[string]string{"membership/a.go": `import "net"`}, "membership imports net"},
		{"core uses addresses as values", map[string]string{"membership/a.go": `import "net/netip"`}, ""},
		{"core's test reads a file", map[string]string{"membership/a_test.go": `import "os"`}, ""},
		{"core uses a driver", map[string]string{"membership/a.go": `import "` + module + `/membership/wire"`}, "membership imports membership/wire"},
		{"grepd's test knows the protocol", map[string]string{"grepd/e2e/a_test.go": `import "` + module + `/membership"`}, "grepd/e2e imports membership"},
		{"grepd knows the protocol through a third package", map[string]string{
			"grepd/cmd/grepd/a.go": `import "` + module + `/shared/b"`,
			"shared/b/b.go":        `import "` + module + `/membership"`,
		}, "grepd/cmd/grepd imports shared/b, which imports membership"},
		{"printer knows the search", map[string]string{"grepd/internal/printer/a.go": `import "` + module + `/grepd/internal/search"`}, "data goes"},
		{"dgrep links the server", map[string]string{
			"grepd/cmd/dgrep/a.go":        `import "` + module + `/grepd/internal/printer"`,
			"grepd/internal/printer/a.go": `import "` + module + `/grepd/internal/server"`,
		}, "grepd/cmd/dgrep imports grepd/internal/printer, which imports grepd/internal/server"},
		{"the plugin host knows the roster", map[string]string{"grepd/internal/pluginhost/a.go": `import "` + module + `/grepd/internal/roster"`}, "grepd/internal/pluginhost imports grepd/internal/roster"},
		{"the plugin host knows a kind's messages", map[string]string{"grepd/internal/pluginhost/a.go": `import "` + module + `/shared/proto/pluginpb"`}, "grepd/internal/pluginhost imports shared/proto/pluginpb"},
		{"the plugin host knows a kind's messages through the API", map[string]string{
			"grepd/internal/pluginhost/a.go": `import "` + module + `/shared/pluginapi"`,
			"shared/pluginapi/a.go":          `import "` + module + `/shared/proto/pluginpb"`,
		}, ""},
		{"a test of files knows the search", map[string]string{"grepd/internal/files/a_test.go": `import "` + module + `/grepd/internal/search"`}, "grepd/internal/files imports grepd/internal/search"},
		{"the search knows the follow through a third package", map[string]string{
			"grepd/internal/search/a.go": `import "` + module + `/grepd/internal/tally"`,
			"grepd/internal/tally/a.go":  `import "` + module + `/grepd/internal/follow"`,
		}, "grepd/internal/search imports grepd/internal/tally, which imports grepd/internal/follow"},
		{"the wire knows the messages", map[string]string{"membership/wire/a.go": `import "` + module + `/membership"`}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var files []goFile
			for name, source := range test.files {
				files = append(files, parsed(t, name, "package p\n"+source))
			}
			got := strings.Join(checkImports(files, append(importRules, dataWayRules()...)), "\n")
			if !strings.Contains(got, test.want) || (test.want == "" && got != "") {
				t.Errorf("complaints are %q, want %q in them", got, test.want)
			}
		})
	}
}

// checkImports gives a complaint for each package and rule that it breaks.
func checkImports(files []goFile, rules []importRule) []string {
	code, tests := importGraph{}, importGraph{}
	for _, f := range files {
		graph := code
		if f.isTest() {
			graph = tests
		}
		graph.add(f)
	}
	var complaints []string
	for _, rule := range rules {
		for _, dir := range slices.Sorted(maps.Keys(code)) {
			if chain := rule.brokenBy(code, dir, code[dir]); chain != "" {
				complaints = append(complaints, fmt.Sprintf("%s: %s", chain, rule.why))
			}
		}
		if !rule.tests {
			continue
		}
		for _, dir := range slices.Sorted(maps.Keys(tests)) {
			if chain := rule.brokenBy(code, dir, tests[dir]); chain != "" {
				complaints = append(complaints, fmt.Sprintf("a test of %s: %s", chain, rule.why))
			}
		}
	}
	return complaints
}

// brokenBy gives the chain of imports by which dir, that imports these packages, breaks
// the rule, or "".
func (r importRule) brokenBy(code importGraph, dir string, imports map[string]bool) string {
	if !matchesAny(dir, r.from) {
		return ""
	}
	seen := map[string]bool{dir: true}
	var walk func(chain string, imports map[string]bool) string
	walk = func(chain string, imports map[string]bool) string {
		for _, imported := range slices.Sorted(maps.Keys(imports)) {
			if seen[imported] {
				continue
			}
			seen[imported] = true
			next := chain + " imports " + imported
			if matchesAny(imported, r.never) && !matchesAny(imported, r.except) {
				return next
			}
			if r.direct {
				continue
			}
			if found := walk(next+", which", code[imported]); found != "" {
				return found
			}
		}
		return ""
	}
	return walk(dir, imports)
}

// importGraph holds what each package of this module imports.
type importGraph map[string]map[string]bool

func (g importGraph) add(f goFile) {
	if g[f.dir()] == nil {
		g[f.dir()] = map[string]bool{}
	}
	for _, spec := range f.Imports {
		g[f.dir()][strings.TrimPrefix(importOf(spec), module+"/")] = true
	}
}

func matchesAny(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		tree, isTree := strings.CutSuffix(pattern, "/...")
		return name == tree || isTree && strings.HasPrefix(name, tree+"/")
	})
}
