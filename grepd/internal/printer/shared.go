package printer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// sharedFiles finds files that several nodes have searched although they are one: on a shared disk, or where two daemons
// of a machine have the same directory. What is found in them counts for each of the nodes.
type sharedFiles struct {
	byMark map[uint64]*sharedFile
}

// sharedFile is a file, and the targets that have searched it.
type sharedFile struct {
	path    string
	targets []int
}

func (s *sharedFiles) observe(target int, marks []greppb.FileMark) {
	for i := range marks {
		m := &marks[i]
		f := s.byMark[m.Mark]
		if f == nil {
			if s.byMark == nil {
				s.byMark = make(map[uint64]*sharedFile)
			}
			f = &sharedFile{path: m.Path}
			s.byMark[m.Mark] = f
		}
		if !slices.Contains(f.targets, target) { // nor do two mounts of a node that overlap count
			f.targets = append(f.targets, target)
		}
	}
}

// shared lists the files that several nodes have searched, one for each set of nodes.
func (o *Outcome) shared() []sharedFile {
	var files []sharedFile
	for _, f := range o.sharedFiles.byMark {
		if len(f.targets) > 1 {
			slices.Sort(f.targets)
			files = append(files, *f)
		}
	}
	slices.SortFunc(files, func(a, b sharedFile) int {
		return cmp.Or(slices.Compare(a.targets, b.targets), cmp.Compare(a.path, b.path))
	})
	return slices.CompactFunc(files, func(a, b sharedFile) bool { return slices.Equal(a.targets, b.targets) })
}

// describeShared says it in a sentence.
func (o *Outcome) describeShared(f sharedFile) string {
	var names []string
	for _, target := range f.targets[:min(len(f.targets), namedMax)] {
		names = append(names, o.nodes[target].addr)
	}
	if more := len(f.targets) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("warning: %s is one and the same file on %s: what is found there counts for each of them; --nodes asks some nodes only",
		f.path, strings.Join(names, ", "))
}
