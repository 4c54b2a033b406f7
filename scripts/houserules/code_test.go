package houserules

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// clockFuncs are the functions of package time that read the clock or wait for it.
var clockFuncs = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// randValues are what package math/rand/v2 offers besides its global source.
var randValues = []string{"Rand", "Source", "PCG", "ChaCha8", "Zipf", "New", "NewPCG", "NewChaCha8", "NewZipf"}

func TestCoreIsPure(t *testing.T) {
	for _, f := range goFiles(t) {
		if !matchesAny(f.dir(), core) || f.isTest() {
			continue
		}
		for _, complaint := range impurities(f) {
			t.Errorf("%s: the protocol's core must behave the same whenever it is given the same input, or a simulated failure cannot be replayed from its seed", complaint)
		}
	}
}

func TestImpuritiesAreFound(t *testing.T) {
	f := parsed(t, "membership/bad.go", `package membership

import (
	"math/rand/v2"
	clock "time"
)

func bad(r *rand.Rand, d clock.Duration) {
	go bad(r, d)
	_ = clock.Now()
	_ = rand.IntN(3)
	_ = rand.New(rand.NewPCG(1, 2))
	_ = r.IntN(3)
}
`)
	want := []string{
		"membership/bad.go:9: starts a goroutine; let the driver call Step or Tick",
		"membership/bad.go:10: reads the clock with clock.Now; take the time as an argument",
		"membership/bad.go:11: uses the global randomness with rand.IntN; use Config.Rand",
	}
	if got := impurities(f); !slices.Equal(got, want) {
		t.Errorf("impurities are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func impurities(f goFile) []string {
	clock, random := f.localName("time"), f.localName("math/rand/v2")
	var found []string
	complain := func(node ast.Node, format string, args ...any) {
		found = append(found, f.at(node)+": "+fmt.Sprintf(format, args...))
	}
	ast.Inspect(f.File, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			complain(node, "starts a goroutine; let the driver call Step or Tick")
		case *ast.SelectorExpr:
			pkg, name := selected(node)
			switch {
			case pkg == "":
			case pkg == clock && slices.Contains(clockFuncs, name):
				complain(node, "reads the clock with %s.%s; take the time as an argument", pkg, name)
			case pkg == random && !slices.Contains(randValues, name):
				complain(node, "uses the global randomness with %s.%s; use Config.Rand", pkg, name)
			}
		}
		return true
	})
	return found
}

// selected gives a and b of an expression a.b, where a is a plain name.
func selected(s *ast.SelectorExpr) (a, b string) {
	if x, ok := s.X.(*ast.Ident); ok {
		return x.Name, s.Sel.Name
	}
	return "", ""
}

// TestNoTestWaitsBySleeping lets a test sleep between two looks at a condition, which is
// a loop, in the virtual time of testing/synctest, and where the sleep is itself what the
// code has to bear: then a comment on its line begins with "simulates".
func TestNoTestWaitsBySleeping(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.isTest() || f.localName("testing/synctest") != "" {
			continue
		}
		for _, place := range sleepsOutsideLoops(f) {
			t.Errorf("%s: sleeps and hopes that something has happened by then, which is slow on a fast machine and wrong on a slow one; poll the condition with a deadline, or use testing/synctest; a sleep that plays a slow peer gets a comment \"// simulates ...\"", place)
		}
	}
}

func TestSleepsOutsideLoopsAreFound(t *testing.T) {
	f := parsed(t, "p/bad_test.go", `package p

import "time"

func bad() {
	time.Sleep(1)
	for {
		time.Sleep(2)
		func() { time.Sleep(3) }()
	}
	time.Sleep(4) // simulates a slow reader
}
`)
	want := []string{"p/bad_test.go:6", "p/bad_test.go:9"}
	if got := sleepsOutsideLoops(f); !slices.Equal(got, want) {
		t.Errorf("sleeps outside loops are at %v, want %v", got, want)
	}
}

func sleepsOutsideLoops(f goFile) []string {
	clock := f.localName("time")
	if clock == "" {
		return nil
	}
	simulated := map[int]bool{} // by line
	for _, group := range f.Comments {
		if strings.HasPrefix(group.Text(), "simulates ") {
			simulated[f.line(group)] = true
		}
	}
	var found []string
	var inspect func(node ast.Node, inLoop bool)
	inspect = func(parent ast.Node, inLoop bool) {
		ast.Inspect(parent, func(node ast.Node) bool {
			if node == parent {
				return true
			}
			switch node := node.(type) {
			case *ast.ForStmt, *ast.RangeStmt:
				inspect(node, true)
				return false
			case *ast.FuncLit:
				inspect(node, false)
				return false
			case *ast.SelectorExpr:
				if pkg, name := selected(node); pkg == clock && name == "Sleep" && !inLoop && !simulated[f.line(node)] {
					found = append(found, f.at(node))
				}
			}
			return true
		})
	}
	inspect(f.File, false)
	return found
}

// TestNothingDecidesByAMessage wants a value, or a field made for that, where a program is to tell one
// error from another.
func TestNothingDecidesByAMessage(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.isTest() || f.isGenerated() {
			continue
		}
		for _, place := range messagesCompared(f) {
			t.Errorf("%s: compares a message with words that it knows, so whoever words it better breaks this unawares; compare with errors.Is, a status code, or FileError.reason", place)
		}
	}
}

func TestComparedMessagesAreFound(t *testing.T) {
	f := parsed(t, "p/bad.go", `package p

import "strings"

const gone = "gone"

func bad(err error, e, f struct{ Message string }) bool {
	return err.Error() == "gone" ||
		gone != e.Message ||
		strings.Contains(err.Error(), "go") ||
		e.Message == f.Message || e.Message != ""
}
`)
	want := []string{"p/bad.go:8", "p/bad.go:9", "p/bad.go:10"}
	if got := messagesCompared(f); !slices.Equal(got, want) {
		t.Errorf("messages are compared at %v, want %v", got, want)
	}
}

func messagesCompared(f goFile) (found []string) {
	ast.Inspect(f.File, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			equality := node.Op == token.EQL || node.Op == token.NEQ
			if equality && (isMessage(node.X) && isWords(node.Y) || isMessage(node.Y) && isWords(node.X)) {
				found = append(found, f.at(node))
			}
		case *ast.CallExpr:
			if s, ok := node.Fun.(*ast.SelectorExpr); ok && len(node.Args) == 2 && isMessage(node.Args[0]) {
				if pkg, _ := selected(s); pkg != "" && pkg == f.localName("strings") && isWords(node.Args[1]) {
					found = append(found, f.at(node))
				}
			}
		}
		return true
	})
	return found
}

// isMessage reports whether an expression is x.Error(), x.Message() or x.Message.
func isMessage(e ast.Expr) bool {
	if call, ok := e.(*ast.CallExpr); ok && len(call.Args) == 0 {
		s, ok := call.Fun.(*ast.SelectorExpr)
		return ok && (s.Sel.Name == "Error" || s.Sel.Name == "Message")
	}
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Message"
}

// isWords reports whether an expression is a literal that is not empty, or a plain name.
func isWords(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		_, ok = e.(*ast.Ident)
		return ok
	}
	return len(literal.Value) > len(`""`)
}

// TestEveryPackageSaysWhatItIs wants one package comment a package, and in a library's
// the paragraph that says who may call what.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, complaint := range checkPackageComments(goFiles(t)) {
		t.Error(complaint)
	}
}

func TestMissingPackageCommentsAreFound(t *testing.T) {
	files := []goFile{
		parsed(t, "good/a.go", "// Package good is.\n//\n// # Concurrency\n//\n// None.\npackage good"),
		parsed(t, "good/b.go", "package good"),
		parsed(t, "silent/a.go", "package silent"),
		parsed(t, "twice/a.go", "// Package twice is.\n//\n// # Concurrency\npackage twice"),
		parsed(t, "twice/b.go", "// Package twice is again.\npackage twice"),
		parsed(t, "vague/a.go", "// Package vague is.\npackage vague"),
		parsed(t, "cmd/a.go", "// Command cmd is.\npackage main"),
	}
	want := []string{
		"silent: has no package comment",
		"twice: has 2 package comments",
		`vague: has no "# Concurrency" paragraph`,
	}
	got := checkPackageComments(files)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("complaints are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func checkPackageComments(files []goFile) []string {
	comments := map[string][]string{} // of each package, also where there is none
	isMain := map[string]bool{}
	for _, f := range files {
		if f.isGenerated() || f.isTest() {
			continue
		}
		dir := f.dir()
		isMain[dir] = f.Name.Name == "main"
		texts := comments[dir]
		if f.Doc != nil {
			texts = append(texts, f.Doc.Text())
		}
		comments[dir] = texts
	}
	var complaints []string
	complain := func(dir, what, do string) {
		complaints = append(complaints, fmt.Sprintf("%s: has %s; %s", dir, what, do))
	}
	for _, dir := range slices.Sorted(maps.Keys(comments)) {
		switch texts := comments[dir]; {
		case len(texts) == 0:
			complain(dir, "no package comment", "say in one file what it is for and how to use it")
		case len(texts) > 1:
			complain(dir, fmt.Sprintf("%d package comments", len(texts)), "go doc shows them one after the other; keep one")
		case !isMain[dir] && !strings.Contains(texts[0], "# Concurrency"):
			complain(dir, `no "# Concurrency" paragraph in its package comment`, "say who may call what, and from which goroutine")
		}
	}
	return complaints
}
