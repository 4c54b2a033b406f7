package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// looksMax bounds the names that are looked at below directories with -R: links lead to the same
// ones in a number of ways that grows with its factorial.
const looksMax = 1 << 20

// Directories is what is done with a directory. Its values are those of the wire.
type Directories uint8

const (
	DirectoriesRead    = Directories(greppb.Directories_DIRECTORIES_READ)    // an error, since no directory can be read
	DirectoriesRecurse = Directories(greppb.Directories_DIRECTORIES_RECURSE) // -r: the files below it are wanted
	DirectoriesSkip    = Directories(greppb.Directories_DIRECTORIES_SKIP)    // it is passed over
)

// Selection says which of the files that paths name are wanted.
type Selection struct {
	Directories Directories
	// Dereference follows the symbolic links below directories too, inside the mounts.
	Dereference bool
	// SkipDevices passes over what is neither a file nor a directory; otherwise it is an error
	// where the user named it.
	SkipDevices bool
	Files       *GlobList // --include and --exclude; nil: all
	ExcludeDirs *GlobList // --exclude-dir
}

// Visitor takes what a walk comes to, in the order of the paths. All of it is called by the
// goroutine that walks, and may block; an error ends the walk.
type Visitor struct {
	// File takes an open file, and owns it. The path is mount/name.
	File func(f *os.File, path string, size int64) error
	// Fail takes what is wrong with a path, which does not end the walk.
	Fail func(FileError) error
	// Unreadable is Fail for what can be opened, and counts as a file, but cannot be read. nil:
	// Fail.
	Unreadable func(FileError) error
	// Looked is told of each directory in which names were looked for. nil: nobody wants to know.
	Looked func(Dir)
}

// Walk opens the files that paths name, as the user wrote them: mount/name, where both may be
// globs. A file that several paths name is opened for each, as grep does. Each name that is looked
// at counts as a step of progress. The error is the visitor's, or that of ctx.
func (m *Mounts) Walk(ctx context.Context, paths []string, s Selection, progress *Progress, v Visitor) error {
	f := finder{
		mounts: m, Selection: s, Visitor: v, progress: progress,
		files: s.Files.scanner(), excludeDirs: s.ExcludeDirs.scanner(),
	}
	// A visitor that does not tell the two apart need not say so twice.
	if f.Unreadable == nil {
		f.Unreadable = f.Fail
	}
	for _, path := range paths {
		if err := f.find(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// finder is a walk under way. It serves the goroutine of Walk.
type finder struct {
	Selection
	Visitor
	mounts             *Mounts
	progress           *Progress
	files, excludeDirs *globScanner
	looks              int // at names below directories; with Dereference at most looksMax
}

// find goes through one path. Anything that is wrong with it goes to Fail, so that the paths after
// it are still searched.
func (f *finder) find(ctx context.Context, p string) error {
	clean := plain(p)
	switch {
	case len(p) > limits.PathBytesMax:
		return f.Fail(FileError{Path: shortened(p), Reason: greppb.FileError_BAD_PATH, Message: fmt.Sprintf("a path may not be longer than %d bytes", limits.PathBytesMax)})
	case CheckGlob(p) != nil:
		return f.Fail(FileError{Path: shortened(p), Reason: greppb.FileError_BAD_PATH, Message: CheckGlob(p).Error()})
	case clean == "" || !fs.ValidPath(clean):
		return f.Fail(FileError{
			Path: p, Reason: greppb.FileError_OUTSIDE_MOUNTS,
			Message: "outside the mounts: a path is mount/name, " + f.have(),
		})
	}
	// The mount may be a glob too, so all that match are gone through, sorted by name.
	first, rest, _ := strings.Cut(clean, "/")
	found := false
	for _, point := range f.mounts.mounts {
		if ok, _ := doublestar.Match(first, point.name); !ok {
			continue
		}
		found = true
		m, err := point.current()
		if err != nil {
			err = f.Fail(FileError{Path: p, Message: fmt.Sprintf("the mount %q cannot be searched: %v", point.name, err)})
		} else {
			err = f.inMount(ctx, m, p, rest)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return f.Fail(FileError{
			Path: p, Missing: true, Reason: greppb.FileError_NO_MOUNT,
			Message: fmt.Sprintf("there is no mount %q, %s", first, f.have()),
		})
	}
	return nil
}

// plain leaves out of a path what names nothing: "//", "./" and a "/" at the end. A path from the
// root stays one, and ".." stays.
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

// have says what mounts there are, for whoever has named another one.
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

// inMount goes through what rest names in one mount. A name that exists is no glob: a file may be
// called a[1].log, and who names it wants that file.
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
		return f.Fail(FileError{Path: asked, Reason: greppb.FileError_BAD_PATH, Message: "not a valid glob"})
	}
	names, err := f.glob(ctx, m, rest)
	// With a slash at its end a glob asks for directories. Files that match are no mistake then, as
	// they would be if they were named in full.
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
		return f.Fail(FileError{Path: asked, Reason: ReasonOf(err), Message: err.Error()})
	case len(names) == 0:
		return f.Fail(greppb.NewFileError(asked, greppb.FileError_NOT_FOUND))
	}
	from.listed = newListing(names)
	for _, name := range names {
		if err := f.visit(ctx, m, name, from, nil); err != nil {
			return err
		}
	}
	return nil
}

// look tells the visitor that names were looked for in a directory. A follow watches those.
func (f *finder) look(m *mount, dir string) {
	if f.Looked != nil {
		f.Looked(Dir{m, dir})
	}
}

// origin is where a name comes from.
type origin struct {
	given  bool    // by the user, in full or as a glob; otherwise it was found below a directory
	listed listing // the names that were found together; nil: it was given in full
	// directory says that nothing else is meant, since the user wrote a "/" behind it.
	directory bool
}

// visit opens one name in a mount, found below the directories above it. It opens the file before
// it looks what it is, so that nothing can take its place in between. A file that is gone may have
// been compressed since the names were read; its successor is then visited in its place.
func (f *finder) visit(ctx context.Context, m *mount, name string, from origin, above []fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.progress.Steps.Add(1)
	shown := path.Join(m.name, name)
	file, err := openFile(m.root, name)
	if errors.Is(err, fs.ErrNotExist) {
		switch compressed, listed := from.listed.successor(m.root, name); {
		case listed:
			return nil
		case compressed != "":
			return f.visit(ctx, m, compressed, from, above)
		}
	}
	if err != nil {
		failure := NewError(shown, err)
		failure.Missing = failure.Missing && from.given // a link below a directory may lead nowhere
		return f.Fail(failure)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = f.Fail(NewError(shown, err))
	case info.IsDir():
		file.Close() // directories may nest deeper than files may be open
		return f.directory(ctx, m, name, shown, from.given, append(above, info))
	case from.directory:
		err = f.Fail(greppb.NewFileError(shown+"/", greppb.FileError_NOT_DIRECTORY))
	case !info.Mode().IsRegular():
		if from.given && !f.SkipDevices {
			err = f.Fail(greppb.NewFileError(shown, greppb.FileError_NOT_REGULAR))
		}
	case from.listed.doubled(file, name, info.Size()):
	case !f.files.excludes(lastElement(shown, from.given), from.given):
		return f.File(file, shown, info.Size())
	}
	file.Close()
	return err
}

// directory visits the files below a directory, in the order of their names. above are the
// directories that lead to it, and the last of them is itself: one that is there twice is a loop.
func (f *finder) directory(ctx context.Context, m *mount, name, shown string, given bool, above []fs.FileInfo) error {
	switch self := len(above) - 1; {
	case f.Directories == DirectoriesSkip || f.excludeDirs.excludes(lastElement(shown, given), given):
		return nil
	case f.Directories != DirectoriesRecurse:
		return f.Unreadable(greppb.NewFileError(shown, greppb.FileError_IS_DIRECTORY))
	case slices.ContainsFunc(above[:self], func(info fs.FileInfo) bool { return os.SameFile(info, above[self]) }):
		return f.Fail(FileError{
			Path: shown, Warning: true, Reason: greppb.FileError_LOOP, Message: "recursive directory loop",
		})
	}
	f.look(m, name)
	entries, err := readDir(m.root, name)
	if err != nil {
		return f.Fail(NewError(shown, err))
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = path.Join(name, e.Name())
	}
	found := origin{listed: newListing(names)}
	for _, e := range entries {
		// As in grep, what is not given by name is searched only if it is a file or directory
		// itself, or with -R a link to one.
		link := e.Type()&fs.ModeSymlink != 0 && f.Dereference
		if !e.Type().IsRegular() && !e.IsDir() && !link {
			continue
		}
		if f.looks++; f.Dereference && f.looks > looksMax {
			return f.Fail(FileError{
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

// lastElement is what globs are to match of a path: all of it if the user gave it, and otherwise
// its last element, as in grep.
func lastElement(shown string, given bool) string {
	if given {
		return shown
	}
	return path.Base(shown)
}
