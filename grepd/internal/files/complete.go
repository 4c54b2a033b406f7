package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// completionsMax bounds the paths that a prefix is completed to: nobody reads through more.
	completionsMax = 1000
	// completeReadsMax bounds the names of a directory that are looked at for that. Somebody waits
	// at a prompt, and ReadDir gives names in no order, so there is no shorter way.
	completeReadsMax = 100_000
	// completeBatch is how many of them are read at once. Between two batches ctx may end it.
	completeBatch = 256
)

// Complete lists the paths that begin with prefix, up to the next slash: mounts, and the names in
// one directory, sorted. Directories and mounts end in a slash. What cannot be read has no paths:
// an error in the middle of a command line helps nobody. truncated says that there may be more. The
// error is that of ctx.
func (m *Mounts) Complete(ctx context.Context, prefix string) (paths []string, truncated bool, err error) {
	first, rest, inside := strings.Cut(prefix, "/")
	if !inside {
		for _, mt := range m.mounts {
			if strings.HasPrefix(mt.name, first) {
				paths = append(paths, mt.name+"/")
			}
		}
		return paths, false, ctx.Err()
	}
	mt := m.find(first)
	dir, base := path.Split(rest)
	name := strings.TrimSuffix(dir, "/")
	if name == "" {
		name = "."
	}
	if mt == nil || !fs.ValidPath(name) {
		return nil, false, ctx.Err()
	}
	current, err := mt.current()
	if err != nil {
		return nil, false, ctx.Err()
	}
	opened, err := openDir(current.root, name)
	if err != nil {
		return nil, false, ctx.Err()
	}
	defer opened.Close()
	for read := 0; read < completeReadsMax; {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		entries, err := opened.ReadDir(completeBatch)
		read += len(entries)
		for _, e := range entries {
			// As a shell does, names with a leading dot only where that is asked for.
			if !strings.HasPrefix(e.Name(), base) || base == "" && e.Name()[0] == '.' {
				continue
			}
			found := first + "/" + dir + e.Name()
			if e.IsDir() {
				found += "/"
			}
			paths = append(paths, found)
		}
		if err != nil {
			slices.Sort(paths)
			return paths[:min(len(paths), completionsMax)], len(paths) > completionsMax || !errors.Is(err, io.EOF), nil
		}
	}
	slices.Sort(paths)
	return paths[:min(len(paths), completionsMax)], true, nil
}
