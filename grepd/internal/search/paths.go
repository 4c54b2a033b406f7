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

	"github.com/bmatcuk/doublestar/v4"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// looksMax bounds the names that are looked at below directories with -R: links lead to the same
// ones in a number of ways that grows with its factorial.
const looksMax = 1 << 20

// finder turns paths into files. It calls file and fail in the order of the paths; an error of
// theirs ends the walk.
type finder struct {
	mounts *Mounts
	o      *Options
	file   func(f *os.File, path string, size int64) error
	fail   func(FileError) error
	// unreadable is fail for what can be opened, and counted, but not read.
	unreadable func(FileError) error
	// looked is told of each directory in which names were looked for; nil: nobody wants to know.
	looked func(m *mount, dir string)

	files, excludeDirs *globScanner
	looks              int // at names below directories, with Dereference
}

// find goes through one path as the user wrote it: mount/name, where both may be globs.
func (f *finder) find(ctx context.Context, p string) error {
	clean := plain(p)
	switch {
	case len(p) > limits.PathBytesMax:
		return f.fail(FileError{Path: shortened(p), Reason: greppb.FileError_BAD_PATH, Message: fmt.Sprintf("a path may not be longer than %d bytes", limits.PathBytesMax)})
	case CheckGlob(p) != nil:
		return f.fail(FileError{Path: shortened(p), Reason: greppb.FileError_BAD_PATH, Message: CheckGlob(p).Error()})
	case clean == "" || !fs.ValidPath(clean):
		return f.fail(FileError{
			Path: p, Reason: greppb.FileError_OUTSIDE_MOUNTS,
			Message: "outside the mounts: a path is mount/name, " + f.have(),
		})
	}
	first, rest, _ := strings.Cut(clean, "/")
	found := false
	for _, point := range f.mounts.mounts {
		if ok, _ := doublestar.Match(first, point.name); !ok {
			continue
		}
		found = true
		m, err := point.current()
		if err != nil {
			err = f.fail(FileError{Path: p, Message: fmt.Sprintf("the mount %q cannot be searched: %v", point.name, err)})
		} else {
			err = f.inMount(ctx, m, p, rest)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return f.fail(FileError{
			Path: p, Missing: true, Reason: greppb.FileError_NO_MOUNT,
			Message: fmt.Sprintf("there is no mount %q, %s", first, f.have()),
		})
	}
	return nil
}

// plain leaves out of a path what names nothing: "//", "./" and a "/" at the end. A path from the root stays one, and ".." stays.
func plain(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "./") {
		return strings.TrimSuffix(p, "/")
	}
	parts := strings.Split(p, "/")
	named := slices.DeleteFunc(parts[1:], func(part string) bool { return part == "" || part == "." })
	if parts[0] == "." {
		return strings.Join(named, "/")
	}
	return strings.Join(parts[:1+len(named)], "/")
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
	from := origin{given: true, directory: strings.HasSuffix(asked, "/")}
	if rest == "" {
		return f.visit(ctx, m, ".", from, nil)
	}
	if !strings.ContainsAny(rest, globMeta) {
		f.look(m, path.Dir(rest))
		return f.visit(ctx, m, rest, from, nil)
	}
	if _, err := m.root.Lstat(rest); err == nil {
		f.look(m, path.Dir(rest))
		return f.visit(ctx, m, rest, from, nil)
	}
	if !doublestar.ValidatePattern(rest) {
		return f.fail(FileError{Path: asked, Reason: greppb.FileError_BAD_PATH, Message: "not a valid glob"})
	}
	names, err := f.glob(ctx, m, rest)
	if from.directory {
		names = slices.DeleteFunc(names, func(name string) bool {
			info, err := m.root.Stat(name)
			return err != nil || !info.IsDir()
		})
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return f.fail(FileError{Path: asked, Reason: reasonFor(err), Message: err.Error()})
	case len(names) == 0:
		return f.fail(greppb.NewFileError(asked, greppb.FileError_NOT_FOUND))
	}
	from.listed = newListing(names)
	for _, name := range names {
		if err := f.visit(ctx, m, name, from, nil); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) look(m *mount, dir string) {
	if f.looked != nil {
		f.looked(m, dir)
	}
}

// origin is where a name comes from.
type origin struct {
	given  bool    // by the user, in full or as a glob; otherwise it was found below a directory
	listed listing // the names that were found together; nil: it was given in full
	// directory says that nothing else is meant, since the user wrote a "/" behind it.
	directory bool
}

// visit opens one name in a mount, found below the directories above it.
func (f *finder) visit(ctx context.Context, m *mount, name string, from origin, above []fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.o.Progress.work.Add(1)
	shown := path.Join(m.name, name)
	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	file, err := m.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		switch compressed, listed := from.listed.successor(m.root, name); {
		case listed:
			return nil
		case compressed != "":
			return f.visit(ctx, m, compressed, from, above)
		}
	}
	if err != nil {
		failure := fileError(shown, err)
		failure.Missing = failure.Missing && from.given // a link below a directory may lead nowhere
		return f.fail(failure)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = f.fail(fileError(shown, err))
	case info.IsDir():
		file.Close() // directories may nest deeper than files may be open
		return f.directory(ctx, m, name, shown, from.given, append(above, info))
	case from.directory:
		err = f.fail(greppb.NewFileError(shown+"/", greppb.FileError_NOT_DIRECTORY))
	case !info.Mode().IsRegular():
		if from.given && !f.o.SkipDevices {
			err = f.fail(greppb.NewFileError(shown, greppb.FileError_NOT_REGULAR))
		}
	case from.listed.doubled(file, name, info.Size()):
	case !f.files.excludes(lastElement(shown, from.given), from.given):
		return f.file(file, shown, info.Size())
	}
	file.Close()
	return err
}

// directory searches the files below one, in the order of their names. It is the last of above, those that
// it was come to through.
func (f *finder) directory(ctx context.Context, m *mount, name, shown string, given bool, above []fs.FileInfo) error {
	switch self := len(above) - 1; {
	case f.o.Directories == DirectoriesSkip || f.excludeDirs.excludes(lastElement(shown, given), given):
		return nil
	case f.o.Directories != DirectoriesRecurse:
		return f.unreadable(greppb.NewFileError(shown, greppb.FileError_IS_DIRECTORY))
	case slices.ContainsFunc(above[:self], func(info fs.FileInfo) bool { return os.SameFile(info, above[self]) }):
		return f.fail(FileError{
			Path: shown, Warning: true, Reason: greppb.FileError_LOOP, Message: "recursive directory loop",
		})
	}
	f.look(m, name)
	entries, err := readDir(m.root, name)
	if err != nil {
		return f.fail(fileError(shown, err))
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = path.Join(name, e.Name())
	}
	found := origin{listed: newListing(names)}
	for _, e := range entries {
		// As in grep, what is not given by name is searched only if it is a file or directory itself, or with -R
		// a link to one.
		link := e.Type()&fs.ModeSymlink != 0 && f.o.Dereference
		if !e.Type().IsRegular() && !e.IsDir() && !link {
			continue
		}
		if f.looks++; f.o.Dereference && f.looks > looksMax {
			return f.fail(FileError{
				Path: shown, Reason: greppb.FileError_TOO_MANY,
				Message: fmt.Sprintf("following links, more than %d names have been looked at", looksMax),
			})
		}
		if err := f.visit(ctx, m, path.Join(name, e.Name()), found, above); err != nil {
			return err
		}
	}
	return nil
}

// lastElement is what globs are to match of a path that was not given by the user.
func lastElement(shown string, given bool) string {
	if given {
		return shown
	}
	return path.Base(shown)
}
