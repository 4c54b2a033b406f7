// Command protogen compiles .proto files and hands them to a protoc plugin, as protoc
// would, so that generating needs Go and the module proxy and nothing else.
//
// Usage: protogen -root DIR -parameter P -plugin NAME FILE...
//
// DIR is where FILEs are looked up and where the generated code goes. Imports that are
// not below DIR are looked up in the gogo/protobuf module.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	root := flag.String("root", ".", "directory of the .proto files and of the generated code")
	parameter := flag.String("parameter", "", "parameter for the plugin")
	plugin := flag.String("plugin", "protoc-gen-gogofaster", "a protoc plugin, pinned as a tool in go.mod")
	flag.Parse()
	if err := run(*root, *parameter, *plugin, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(root, parameter, plugin string, files []string) error {
	gogo, err := moduleDir("github.com/gogo/protobuf")
	if err != nil {
		return err
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{root, gogo},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard, // the plugin copies comments
	}
	compiled, err := compiler.Compile(context.Background(), files...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: files,
		Parameter:      proto.String(parameter),
		ProtoFile:      inDependencyOrder(compiled),
	}
	response, err := callPlugin(plugin, request)
	if err != nil {
		return err
	}
	for _, f := range response.File {
		path := filepath.Join(root, f.GetName())
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// inDependencyOrder lists the files and all that they import, imports first, as the
// plugin protocol wants it.
func inDependencyOrder(files linker.Files) []*descriptorpb.FileDescriptorProto {
	var out []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		imports := f.Imports()
		for i := range imports.Len() {
			add(imports.Get(i).FileDescriptor)
		}
		if result, ok := f.(linker.Result); ok {
			out = append(out, result.FileDescriptorProto()) // with comments
		} else {
			out = append(out, protoutil.ProtoFromFileDescriptor(f))
		}
	}
	for _, f := range files {
		add(f)
	}
	return out
}

func callPlugin(plugin string, request *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", plugin, err)
	}
	response := new(pluginpb.CodeGeneratorResponse)
	if err := proto.Unmarshal(out, response); err != nil {
		return nil, fmt.Errorf("read what %s wrote: %w", plugin, err)
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, response.GetError())
	}
	return response, nil
}
