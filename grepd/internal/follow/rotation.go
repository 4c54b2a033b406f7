package follow

import (
	"bytes"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
)

const (
	// copyTime is how long after its last change a newcomer may still be a copy that is being made,
	// of a file that is truncated next.
	copyTime = 2 * time.Second
	// copyBytesMin is from which size on equal files are no accident.
	copyBytesMin = 4 << 10
	// compareBytes are compared of a file's head, and as many of its end.
	compareBytes = 64 << 10
	// lostTime is how long the rest of a file that is not where it was is looked for.
	lostTime = 10 * time.Second
)

// rotation finds out what became of files that went away, and what files are that have come: a log
// may have been renamed, copied and truncated, compressed, or all of it one after the other. It
// only decides. The loop tells it what it sees, and does what it says.
type rotation struct {
	mounts *files.Mounts
	files  *openFiles
	places *placeLog
	now    func() time.Time
	away   time.Duration // for which nobody had followed when the follow began
	// expander is the loop's, and skip takes what is expanded only to be passed over.
	expander *files.Expander
	skip     io.Writer

	left   map[fileID]Place // of files that are not open, but may be found again
	lost   []lostPlace
	losses int // how many were lost in all
	packed map[fileID]*packedFile
}

func newRotation(m *files.Mounts, open *openFiles, places *placeLog, now func() time.Time) *rotation {
	return &rotation{
		mounts: m, files: open, places: places, now: now,
		left: make(map[fileID]Place), packed: make(map[fileID]*packedFile),
	}
}

// decision is what to do with a file that has come.
type decision struct {
	verdict verdict
	at      *Place           // where to resume it
	say     *files.FileError // what is to be said of it, if anything
	once    string           // ... but once for all files of which this is the same; "": each time
}

type verdict uint8

const (
	verdictWait   verdict = iota // it is not known yet what it is
	verdictResume                // it is what was searched up to a place
	verdictBegin                 // nobody has seen it: it is searched from its beginning
	verdictPass                  // all of it was searched in another file
	verdictClose                 // nothing of it is wanted
)

// lossCause is why a place is lost.
type lossCause uint8

const (
	lossLeft      lossCause = iota // another follow was there, and its file is not found
	lossTruncated                  // its file was truncated while it was followed
)

// lostPlace is a place of which the file has other content by now, or was not found any more. The
// rest of that may be in a copy of the file, compressed perhaps. Place.Unread says that there may
// be a rest that nobody has found.
type lostPlace struct {
	Place
	cause lossCause
	until time.Time // it is looked for
	bytes int64     // after the place, that have been seen
	rest  restState
}

// restState is what is known of the rest of a lost place.
type restState uint8

const (
	restSought restState = iota
	restEmpty            // a copy was found, and has nothing after the place; others may have more
)

// lose begins to look for the rest of a file.
func (r *rotation) lose(l lostPlace) {
	l.File, l.Lost = r.places.next(), true
	r.losses++
	r.lost = append(r.lost, l)
	r.places.tell(l.Place)
}

// endSearch ends that.
func (r *rotation) endSearch(i int) {
	r.places.end(r.lost[i].Place)
	r.lost = slices.Delete(r.lost, i, i+1)
}

// loseLeft loses the places of an earlier follow of which no file was found by name.
func (r *rotation) loseLeft() {
	for _, p := range r.left {
		p.Unread = true
		r.lose(lostPlace{Place: p})
	}
	for i := range r.lost {
		r.lost[i].until = r.now().Add(lostTime)
	}
	clear(r.left)
}

// copyOf is what to do with a copy of a file that was truncated.
type copyOf struct {
	copy *followed
	at   *Place // where to resume it; nil: from where it differs from what the file was
}

// truncated says what to do with the copies of a file that has no more what was searched up to a
// place. The copy that has the rest may still be to come.
func (r *rotation) truncated(x *followed, p *Place, bytes int64) []copyOf {
	l := lostPlace{Place: *p, cause: lossTruncated, until: r.now().Add(lostTime), bytes: bytes}
	l.Unread = true // nobody can say what was written to it after the last look
	var copies []copyOf
	found := false
	for _, y := range r.files.list {
		if y.original != x {
			continue
		}
		c := copyOf{copy: y}
		info, err := y.f.Stat()
		if err == nil && p.Offset > 0 && p.heldBy(y.f, info.Size()) {
			if found {
				y.equal = info.Size()
			} else {
				c.at = p
				found = info.Size() > int64(p.Offset)
				l.Unread, l.rest = false, restEmpty
			}
		}
		copies = append(copies, c)
	}
	if p.Offset > 0 && !found {
		r.lose(l)
	}
	return copies
}

// findRest gives the place of a lost file that a file is to be resumed at, if it has what that had;
// nil if there is none. Where several are, it is the one of the most similar name. A file that has
// nothing more is perhaps not the only one.
func (r *rotation) findRest(y *followed, size int64, has func(*Place) bool) *Place {
	best, common := -1, -1
	for i := range r.lost {
		l := &r.lost[i]
		n := commonPrefix(l.Path, y.path)
		if n > common && l.Offset > 0 && mayBeCopy(l.Path, y.path, int64(l.Offset)) && has(&l.Place) {
			best, common = i, n
		}
	}
	if best < 0 {
		return nil
	}
	at := r.lost[best].Place
	best = r.endTwins(best)
	if size > int64(at.Offset) {
		r.endSearch(best)
	} else {
		l := &r.lost[best]
		l.Unread, l.bytes, l.rest = false, 0, restEmpty
		r.places.tell(l.Place)
	}
	return &at
}

// endTwins ends the search for all places but one of several with the same content: a log that was
// truncated and its copy may both be lost, and be found as one file. It gives the place's new
// index.
func (r *rotation) endTwins(i int) int {
	p := r.lost[i].Place
	for j := len(r.lost) - 1; j >= 0; j-- {
		q := &r.lost[j].Place
		if j == i || q.Offset != p.Offset || q.Head != p.Head || q.Tail != p.Tail || stem(q.Path) != stem(p.Path) {
			continue
		}
		r.endSearch(j)
		if j < i {
			i--
		}
	}
	return i
}

// findRenamed gives the place of a file that another follow had under another name; nil if there is
// none. A place in a compressed file is where it has come to in what that expands to, so it is
// known by its number alone.
func (r *rotation) findRenamed(x *followed) *Place {
	for i := range r.lost {
		l := &r.lost[i]
		if (fileID{l.Device, l.Inode}) != x.id || !l.Unread || l.cause == lossTruncated {
			continue
		}
		if x.packed != files.Uncompressed && isPacked(l.Path) || x.packed == files.Uncompressed && l.heldBy(x.f, x.size) {
			at := l.Place
			r.endSearch(i)
			return &at
		}
	}
	return nil
}

// mayBeCopy reports whether it is no accident that files of these names begin with the same bytes,
// if they do.
func mayBeCopy(a, b string, size int64) bool { return size >= copyBytesMin || stem(a) == stem(b) }

// stem is what the names of a log and of its rotated files have in common: logs/a of logs/a.1,
// logs/a-20261122.gz and logs/a.20261122T064000.000000000Z.
func stem(path string) string { return strings.TrimRight(unpackedName(path), "0123456789.-_TZ") }

// related reports whether one name may be what the other was rotated to. Some rotate logs/a.log to
// logs/a-20261122.log or logs/a.1.log. Names like these may be those of different logs as well, so
// it takes more than a name to believe it.
func related(a, b string) bool {
	return stem(a) == stem(b) || stemBeforeExtension(a) == stemBeforeExtension(b)
}

// stemBeforeExtension is stem for names that keep their extension.
func stemBeforeExtension(name string) string {
	name = stem(name)
	extension := path.Ext(name)
	return strings.TrimRight(strings.TrimSuffix(name, extension), "0123456789.-_TZ") + extension
}

// commonPrefix is how many bytes two texts have in common at their beginning.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// giveUp gives what was lost of files that have not been found again, as gaps.
func (r *rotation) giveUp() []files.FileError {
	var gaps []files.FileError
	for i := 0; i < len(r.lost); {
		l := r.lost[i]
		if r.now().Before(l.until) {
			i++
			continue
		}
		r.endSearch(i)
		switch {
		case r.hasRest(&l.Place):
		case l.bytes > 0:
			gaps = append(gaps, gapError(l.Path, "it was truncated before its last line had an end", l.bytes))
		case l.Unread && l.cause == lossTruncated:
			gaps = append(gaps, gapError(l.Path,
				"it was truncated, and no copy of it is found: what was written to it last is lost, "+
					"if anything was", 0))
		case l.Unread:
			gaps = append(gaps, gapError(l.Path,
				"what was written to it while nobody followed it is lost: it is gone, or was truncated", 0))
		}
	}
	return gaps
}

// hasRest reports whether a file that is followed has what was searched up to a place. Then it has
// the rest as well, whatever other place it was resumed at: a log and its copy were in two places
// once, and only one of them is left.
func (r *rotation) hasRest(p *Place) bool {
	if p.Offset == 0 {
		x := r.files.byID[fileID{p.Device, p.Inode}]
		return x != nil && stem(x.path) == stem(p.Path)
	}
	for _, x := range r.files.list {
		held := x.packed == files.Uncompressed && x.stage != stageNewcomer && x.offset() >= int64(p.Offset)
		if held && mayBeCopy(p.Path, x.path, int64(p.Offset)) && p.heldBy(x.f, x.size) {
			return true
		}
	}
	return false
}

// newcomer decides what a file is that has come: one that has the same content as another file may
// be the copy that is made of it before it is truncated.
func (r *rotation) newcomer(y *followed, size int64) decision {
	if size == 0 {
		return decision{}
	}
	if at := r.findRest(y, size, func(p *Place) bool { return p.heldBy(y.f, size) }); at != nil {
		return decision{verdict: verdictResume, at: at}
	}
	if y.original == nil {
		y.original = r.originalOf(y, size)
	}
	if y.original != nil && y.sameAs(y.original, size) {
		y.equal = size
		if r.now().Sub(y.grew) < copyTime || size >= copyBytesMin {
			return decision{}
		}
	} else if !r.intact() {
		return decision{} // the original may be what was truncated
	}
	r.endEmpty(y)
	return decision{verdict: verdictBegin}
}

// endEmpty ends the search for a file of which nothing was searched, where one that was rotated is
// searched from its beginning: it is that one.
func (r *rotation) endEmpty(y *followed) {
	i := slices.IndexFunc(r.lost, func(l lostPlace) bool {
		return l.Offset == 0 && l.Unread && stem(l.Path) == stem(y.path)
	})
	if i >= 0 && stem(y.path) != y.path {
		r.endSearch(i)
	}
}

// intact reports whether all files still have what was searched, as far as can be told.
func (r *rotation) intact() bool {
	for _, x := range r.files.list {
		if x.stage != stageFollowed || x.packed != files.Uncompressed {
			continue
		}
		info, err := x.f.Stat()
		if err != nil || info.Size() < x.offset() || !x.tail.matches(x.f, x.offset()-int64(x.tail.Length)) {
			return false
		}
	}
	return true
}

// originalOf finds the file that a newcomer may be a copy of.
func (r *rotation) originalOf(y *followed, size int64) *followed {
	for _, x := range r.files.list {
		copied := x != y && x.name == nameOwn && x.stage != stageNewcomer
		if copied && x.packed == files.Uncompressed && x.size > 0 && mayBeCopy(x.path, y.path, size) && y.sameAs(x, size) {
			return x
		}
	}
	return nil
}

// sameAs reports whether a newcomer of some size has nothing but what stands at the same place in
// another file.
func (y *followed) sameAs(x *followed, size int64) bool {
	info, err := x.f.Stat()
	if err != nil || info.Size() < size {
		return false
	}
	for _, from := range []int64{0, max(0, size-compareBytes)} {
		a, b := make([]byte, min(size-from, compareBytes)), make([]byte, min(size-from, compareBytes))
		_, errA := y.f.ReadAt(a, from)
		_, errB := x.f.ReadAt(b, from)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// besideLost opens the files beside those that are lost, which may have names that nobody asked
// for: a log that is followed under its exact name goes on in log.1 when it is rotated. Each is
// handed to consider, which owns it, with what it may be; those that are open already are left out.
func (r *rotation) besideLost(looked func(files.Dir), consider func(candidate) error) error {
	stems := make(map[string]bool)
	var paths []string
	for i := range r.lost {
		if l := &r.lost[i]; l.rest == restSought && !stems[stem(l.Path)] {
			stems[stem(l.Path)] = true
			paths = append(paths, l.Path)
		}
	}
	for _, lost := range paths {
		if err := r.beside(lost, looked, consider); err != nil {
			return err
		}
	}
	return nil
}

// beside opens the files that one may have been renamed, copied or compressed to.
func (r *rotation) beside(lost string, looked func(files.Dir), consider func(candidate) error) error {
	dir, _, ok := r.mounts.Beside(lost)
	if !ok {
		return nil
	}
	entries, err := dir.Entries()
	if err != nil {
		return nil // so they cannot be looked for, and the gap says so
	}
	looked(dir)
	for _, e := range entries {
		shown := path.Join(dir.Path(), e.Name())
		if !e.Type().IsRegular() || !related(shown, lost) {
			continue
		}
		file, err := dir.Open(e.Name())
		if err != nil {
			continue
		}
		info, err := file.Stat()
		if err != nil || r.files.byID[idOf(info)] != nil {
			file.Close()
			continue
		}
		if err := consider(candidate{f: file, path: shown, id: idOf(info), info: info, kept: true}); err != nil {
			return err
		}
	}
	return nil
}

// fromBeside decides what a file is that nobody asked for: one that has the rest of a lost one, or
// nothing that is wanted.
func (r *rotation) fromBeside(x *followed, c candidate, scan int) decision {
	size, has := x.size, func(p *Place) bool { return p.heldBy(x.f, x.size) }
	if isPacked(c.path) {
		if !r.packedBesideDue(x, c, scan) {
			return decision{verdict: verdictClose}
		}
		size, _ = files.ExpandedSize(x.f, x.size, x.packed)
		has = func(p *Place) bool { return r.expandsTo(x, x.size, p) }
	}
	at := r.findRenamed(x)
	if at == nil {
		at = r.findRest(x, size, has)
	}
	if at == nil {
		return decision{verdict: verdictClose}
	}
	return decision{verdict: verdictResume, at: at}
}
