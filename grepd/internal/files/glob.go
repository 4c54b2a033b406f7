package files

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// globAlternativesMax bounds the words that the braces of a glob stand for: they
	// multiply, and each is tried.
	globAlternativesMax = 1000
	// globNamesMax bounds the names that one glob may give. They are all in memory, to be sorted.
	globNamesMax = 1 << 20
	// globReadsMax bounds the directories and names that one glob may look at. With several
	// ** in it a glob comes to the same directory in many ways.
	globReadsMax = 1 << 20
	// globMeta are the characters that make a path a glob, unless it exists as it is written.
	globMeta = `*?[{\`
)

// CheckGlob says why a glob is refused, if it is: it would take too long to try.
func CheckGlob(glob string) error {
	if alternatives(glob) > globAlternativesMax {
		return fmt.Errorf("a glob whose braces stand for more than %d words: %s", globAlternativesMax, shortened(glob))
	}
	return nil
}

// alternatives is how many words the braces of a glob stand for, or a few more; beyond
// globAlternativesMax it does not count on.
func alternatives(glob string) int {
	words := 1
	var open []int // alternatives of each brace that is not closed yet
	for i := 0; i < len(glob) && words <= globAlternativesMax; i++ {
		last := len(open) - 1
		switch glob[i] {
		case '\\':
			i++
		case '{':
			open = append(open, 1)
		case ',':
			if last >= 0 {
				open[last]++
			}
		case '}':
			if last >= 0 {
				words *= open[last]
				open = open[:last]
			}
		}
	}
	return words
}

// shortened is enough of a text to know it by. What is refused for its length is not repeated whole
// in the error.
func shortened(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// glob gives the names in m that match, sorted. As in a shell, * matches no name with a leading
// dot.
func (f *finder) glob(ctx context.Context, m *mount, pattern string) ([]string, error) {
	var names []string
	collect := func(name string, _ fs.DirEntry) error {
		if len(names) == globNamesMax {
			return WithReason(greppb.FileError_TOO_MANY, fmt.Errorf("the glob matches more than %d names", globNamesMax))
		}
		names = append(names, name)
		return nil
	}
	files := &globFS{root: m.root, ctx: ctx, steps: &f.progress.Steps, looked: func(dir string) { f.look(m, dir) }}
	err := doublestar.GlobWalk(files, pattern, collect, doublestar.WithNoHidden())
	if files.refusal != nil { // which the walk passes over, as it does what it may not read
		err = files.refusal
	}
	slices.Sort(names)
	return slices.Compact(names), err // a name may be found in several ways through braces
}

// globFS is the file system that doublestar walks. Package doublestar takes no context and has no
// limits, so globFS ends a walk for it when nobody waits any more, or when it has looked at too
// much: from then on nothing is there. It serves one goroutine.
type globFS struct {
	root    *os.Root
	ctx     context.Context
	steps   *atomic.Uint64   // counts the looks
	looked  func(dir string) // is told of each directory that is read
	reads   int              // looks so far, at most globReadsMax
	refusal error            // why nothing more is looked at; nil: the walk goes on
}

var (
	_ fs.ReadDirFS = (*globFS)(nil)
	_ fs.StatFS    = (*globFS)(nil)
)

// admit says why the next look at a directory or name is refused, if it is. Once it has refused, it
// refuses all others.
func (g *globFS) admit() error {
	g.steps.Add(1)
	if g.refusal == nil {
		g.refusal = g.ctx.Err()
	}
	if g.reads++; g.refusal == nil && g.reads > globReadsMax {
		g.refusal = WithReason(greppb.FileError_TOO_MANY,
			fmt.Errorf("the glob looks at more than %d directories and names", globReadsMax))
	}
	return g.refusal
}

func (g *globFS) Open(name string) (fs.File, error) {
	if err := g.admit(); err != nil {
		return nil, err
	}
	return openDir(g.root, name)
}

func (g *globFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := g.admit(); err != nil {
		return nil, err
	}
	g.looked(name)
	return readDir(g.root, name)
}

func (g *globFS) Stat(name string) (fs.FileInfo, error) {
	if err := g.admit(); err != nil {
		return nil, err
	}
	return g.root.Stat(name)
}
