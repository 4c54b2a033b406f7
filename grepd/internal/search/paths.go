package search

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
)

// pathBytesMax bounds a path or glob that a peer may ask for.
const pathBytesMax = 4096

// finder turns paths into files. It calls file and fail in the order of the paths; an error of
// theirs ends the walk.
type finder struct {
	mounts *Mounts
	o      *Options
	file   func(f *os.File, path string, size int64) error
	fail   func(FileError) error
}

// find goes through one path as the user wrote it: mount/name, where both may be globs.
func (f *finder) find(ctx context.Context, p string) error {
	clean := strings.TrimSuffix(p, "/")
	switch {
	case len(p) > pathBytesMax:
		return f.fail(FileError{Path: shortened(p), Message: fmt.Sprintf("a path may not be longer than %d bytes", pathBytesMax)})
	case CheckGlob(p) != nil:
		return f.fail(FileError{Path: shortened(p), Message: CheckGlob(p).Error()})
	case clean == "" || !fs.ValidPath(clean):
		return f.fail(FileError{Path: p, Message: "outside the mounts: a path is mount/name, " + f.have()})
	}
	first, rest, _ := strings.Cut(clean, "/")
	found := false
	for i := range f.mounts.mounts {
		m := &f.mounts.mounts[i]
		if ok, _ := doublestar.Match(first, m.name); ok {
			found = true
			if err := f.inMount(ctx, m, p, rest); err != nil {
				return err
			}
		}
	}
	if !found {
		return f.fail(FileError{Path: p, Missing: true, Message: fmt.Sprintf("no mount %q here, %s", first, f.have())})
	}
	return nil
}

// have says what mounts there are.
func (f *finder) have() string {
	if len(f.mounts.mounts) == 0 {
		return "and nothing is mounted"
	}
	var names []string
	for _, m := range f.mounts.mounts {
		names = append(names, m.name)
	}
	return "and the mounts are " + strings.Join(names, ", ")
}

// inMount goes through what rest names in one mount. A name that exists is no glob.
func (f *finder) inMount(ctx context.Context, m *mount, asked, rest string) error {
	if rest == "" {
		return f.visit(ctx, m, ".", true)
	}
	if !strings.ContainsAny(rest, globMeta) {
		return f.visit(ctx, m, rest, true)
	}
	if _, err := m.root.Lstat(rest); err == nil {
		return f.visit(ctx, m, rest, true)
	}
	if !doublestar.ValidatePattern(rest) {
		return f.fail(FileError{Path: asked, Message: "not a valid glob"})
	}
	names, err := f.glob(ctx, m, rest)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return f.fail(FileError{Path: asked, Message: err.Error()})
	case len(names) == 0:
		return f.fail(FileError{Path: asked, Missing: true, Message: "No such file or directory"})
	}
	for _, name := range names {
		if err := f.visit(ctx, m, name, true); err != nil {
			return err
		}
	}
	return nil
}

// visit opens one name in a mount, given by the user or found below a directory that was.
func (f *finder) visit(ctx context.Context, m *mount, name string, given bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	shown := path.Join(m.name, name)
	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	file, err := m.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return f.fail(fileError(shown, err))
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = f.fail(fileError(shown, err))
	case info.IsDir():
		err = f.directory(ctx, m, name, shown)
	case !info.Mode().IsRegular():
		if given {
			err = f.fail(FileError{Path: shown, Message: "not a regular file"})
		}
	case f.wanted(shown, given):
		return f.file(file, shown, info.Size())
	}
	file.Close()
	return err
}

// directory searches the files below one, in the order of their names.
func (f *finder) directory(ctx context.Context, m *mount, name, shown string) error {
	if !f.o.Recursive {
		return f.fail(FileError{Path: shown, Message: "Is a directory"})
	}
	if matchesSuffix(f.o.ExcludeDir, shown) {
		return nil
	}
	entries, err := fs.ReadDir(m.root.FS(), name)
	if err != nil {
		return f.fail(fileError(shown, err))
	}
	for _, e := range entries {
		regular, dir := e.Type().IsRegular(), e.IsDir()
		// As in grep, what is not given by name is searched only if it is a file or directory itself.
		if !regular && !dir || dir && matchesAny(f.o.ExcludeDir, e.Name()) {
			continue
		}
		if err := f.visit(ctx, m, path.Join(name, e.Name()), false); err != nil {
			return err
		}
	}
	return nil
}

// wanted applies --include and --exclude. A glob matches the end of a given name that begins after a
// slash, and the last element of one that was found.
func (f *finder) wanted(shown string, given bool) bool {
	matches := func(globs []string) bool { return matchesAny(globs, path.Base(shown)) }
	if given {
		matches = func(globs []string) bool { return matchesSuffix(globs, shown) }
	}
	return (len(f.o.Include) == 0 || matches(f.o.Include)) && !matches(f.o.Exclude)
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		return doublestar.MatchUnvalidated(strings.TrimRight(glob, "/"), name)
	})
}

// matchesSuffix tells whether a glob matches name or what follows one of its slashes.
func matchesSuffix(globs []string, name string) bool {
	for {
		if matchesAny(globs, name) {
			return true
		}
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return false
		}
		name = rest
	}
}

// fileError words an error as grep does.
func fileError(shown string, err error) FileError {
	e := FileError{Path: shown}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.Message, e.Missing = "No such file or directory", true
	case errors.Is(err, fs.ErrPermission):
		e.Message = "Permission denied"
	case err.Error() == "path escapes from parent": // os.Root has no value to compare with
		e.Message = "leads outside its mount"
	default:
		e.Message = capitalised(err.Error())
	}
	return e
}

func capitalised(s string) string {
	for _, r := range s {
		return string(unicode.ToUpper(r)) + s[len(string(r)):]
	}
	return s
}
