package houserules

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var rewrite = flag.Bool("rewrite", false, "write anew what the tests of protocols and of the map compare with")

// protocolsFile has what every program that is out there may rely on: each field, value and call
// of shared/proto, a line each.
const protocolsFile = "testdata/protocols.txt"

// protoDir is where the .proto files are, from the repository's root.
const protoDir = "shared/proto"

// TestProtocolsOnlyGrow keeps programs of different versions able to talk: the daemons of a group
// are upgraded one after the other, a plugin is replaced while its host runs, and a state that one
// version wrote is read by the next. So a number once given keeps its type, and what goes away
// keeps its number reserved. What is added is added to the file, too, by
//
//	go test ./scripts/houserules -run TestProtocolsOnlyGrow -rewrite
func TestProtocolsOnlyGrow(t *testing.T) {
	kept, err := os.ReadFile(protocolsFile)
	if err != nil && !*rewrite {
		t.Fatalf("%v; -rewrite makes it", err)
	}
	now := protocols(t, protocolSources(t))
	broken := incompatibilities(parseProtocols(string(kept)), now)
	for _, complaint := range broken {
		t.Errorf("%s: programs that are out there misread it, or fail; give what is new a new number or name, and reserve the number of what goes", complaint)
	}
	text := formatProtocols(now)
	switch {
	case len(broken) > 0 || text == string(kept):
	case *rewrite:
		if err := os.WriteFile(protocolsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s lacks what was added to shared/proto: run this test with -rewrite, and commit the file", protocolsFile)
	}
}

func TestIncompatibleProtocolsAreFound(t *testing.T) {
	const before = `syntax = "proto3"; package p;
message M { uint32 a = 1; repeated string b = 2; oneof step { bool c = 3; } fixed64 gone = 4; }
enum E { NONE = 0; SOME = 1; }
service S { rpc Call(M) returns (stream M); rpc Lost(M) returns (M); }
`
	kept := protocols(t, map[string]string{"p.proto": before})
	for name, test := range map[string]struct {
		after string
		want  []string
	}{
		"a field, a value and a call more": {`syntax = "proto3"; package p;
message M { uint32 a = 1; repeated string b = 2; oneof step { bool c = 3; string d = 5; } fixed64 gone = 4; }
enum E { NONE = 0; SOME = 1; MORE = 2; }
service S { rpc Call(M) returns (stream M); rpc Lost(M) returns (M); rpc New(M) returns (M); }
`, nil},
		"another name, and a number that is reserved": {`syntax = "proto3"; package p;
message M { reserved 4; uint32 better = 1; repeated string b = 2; oneof step { bool c = 3; } }
enum E { NONE = 0; SOMETHING = 1; }
service S { rpc Call(M) returns (stream M); rpc Lost(M) returns (M); }
`, nil},
		"other types, and what is gone": {`syntax = "proto3"; package p;
message M { sint32 a = 1; string b = 2; bool c = 3; }
enum E { NONE = 0; }
service S { rpc Call(M) returns (M); }
`, []string{
			"p.E 1: was a value, and is gone",
			"p.M 1: was uint32, and is sint32",
			"p.M 2: was repeated string, and is string",
			"p.M 3: was oneof bool, and is bool",
			"p.M 4: was fixed64, and is gone",
			"p.S Call: was (p.M) returns (stream p.M), and is (p.M) returns (p.M)",
			"p.S Lost: was (p.M) returns (p.M), and is gone",
		}},
	} {
		if got := incompatibilities(kept, protocols(t, map[string]string{"p.proto": test.after})); !slices.Equal(got, test.want) {
			t.Errorf("%s: complaints are\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

// TestProtocolsAreReadAsWritten compares what the file says with what was written to it.
func TestProtocolsAreReadAsWritten(t *testing.T) {
	now := protocols(t, protocolSources(t))
	if read := parseProtocols(formatProtocols(now)); !maps.EqualFunc(read, now, func(a, b element) bool { return a.shape == b.shape }) {
		t.Errorf("read %v, want %v", read, now)
	}
}

// element is one thing that both sides of a protocol have to see alike: a field or a value, which
// is known by its number, or a call, which is known by its name.
type element struct {
	shape string // what must not change
	name  string // what may, since no program sees it
}

const (
	isValue    = "a value"
	isReserved = "reserved"
)

// incompatibilities says what of an earlier state of the protocols is not there any more.
func incompatibilities(before, now map[string]element) (complaints []string) {
	for _, key := range slices.Sorted(maps.Keys(before)) {
		was, is := before[key].shape, now[key].shape
		if is != was && is != isReserved {
			if is == "" {
				is = "gone"
			}
			complaints = append(complaints, fmt.Sprintf("%s: was %s, and is %s", key, was, is))
		}
	}
	return complaints
}

// protocolSources reads all .proto files, by their paths below protoDir.
func protocolSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for _, name := range files(t) {
		if !strings.HasPrefix(name, protoDir+"/") || !strings.HasSuffix(name, ".proto") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		sources[strings.TrimPrefix(name, protoDir+"/")] = string(source)
	}
	return sources
}

// protocols compiles .proto files, and gives each element by "MESSAGE NUMBER" or "SERVICE CALL".
func protocols(t *testing.T, sources map[string]string) map[string]element {
	t.Helper()
	gogo, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gogo/protobuf").Output()
	if err != nil {
		t.Fatal(err)
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protocompile.CompositeResolver{
		&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(sources)},
		&protocompile.SourceResolver{ImportPaths: []string{strings.TrimSpace(string(gogo))}},
	})}
	compiled, err := compiler.Compile(context.Background(), slices.Sorted(maps.Keys(sources))...)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]element{}
	for _, file := range compiled {
		addMessages(found, file.Messages())
		addEnums(found, file.Enums())
		addServices(found, file.Services())
	}
	return found
}

func addMessages(to map[string]element, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		message := messages.Get(i)
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			to[fmt.Sprintf("%s %d", message.FullName(), field.Number())] = element{shapeOf(field), string(field.Name())}
		}
		for i := range message.ReservedRanges().Len() {
			limits := message.ReservedRanges().Get(i)
			for number := limits[0]; number < limits[1]; number++ {
				to[fmt.Sprintf("%s %d", message.FullName(), number)] = element{shape: isReserved}
			}
		}
		addMessages(to, message.Messages())
		addEnums(to, message.Enums())
	}
}

// shapeOf is what decides how a field's bytes are read.
func shapeOf(field protoreflect.FieldDescriptor) string {
	shape := field.Kind().String()
	switch {
	case field.Message() != nil:
		shape = string(field.Message().FullName())
	case field.Enum() != nil:
		shape = string(field.Enum().FullName())
	}
	switch {
	case field.IsList():
		return "repeated " + shape
	case field.ContainingOneof() != nil:
		return "oneof " + shape
	}
	return shape
}

func addEnums(to map[string]element, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		enum := enums.Get(i)
		for i := range enum.Values().Len() {
			value := enum.Values().Get(i)
			to[fmt.Sprintf("%s %d", enum.FullName(), value.Number())] = element{isValue, string(value.Name())}
		}
		for i := range enum.ReservedRanges().Len() {
			limits := enum.ReservedRanges().Get(i) // the last one is in it
			for number := limits[0]; number <= limits[1]; number++ {
				to[fmt.Sprintf("%s %d", enum.FullName(), number)] = element{shape: isReserved}
			}
		}
	}
}

func addServices(to map[string]element, services protoreflect.ServiceDescriptors) {
	side := func(message protoreflect.MessageDescriptor, streams bool) string {
		if streams {
			return "(stream " + string(message.FullName()) + ")"
		}
		return "(" + string(message.FullName()) + ")"
	}
	for i := range services.Len() {
		service := services.Get(i)
		for i := range service.Methods().Len() {
			call := service.Methods().Get(i)
			shape := side(call.Input(), call.IsStreamingClient()) + " returns " + side(call.Output(), call.IsStreamingServer())
			to[fmt.Sprintf("%s %s", service.FullName(), call.Name())] = element{shape: shape}
		}
	}
}

// formatProtocols writes "KEY = SHAPE" a line, with the name behind it where that is not the key.
func formatProtocols(elements map[string]element) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(elements)) {
		e := elements[key]
		fmt.Fprintf(&text, "%s = %s", key, e.shape)
		if e.name != "" {
			text.WriteString(" // " + e.name)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func parseProtocols(text string) map[string]element {
	elements := map[string]element{}
	for line := range strings.Lines(text) {
		line, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " // ")
		key, shape, _ := strings.Cut(line, " = ")
		elements[key] = element{shape, name}
	}
	return elements
}
