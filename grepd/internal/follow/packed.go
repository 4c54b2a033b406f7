package follow

import (
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// settleTime is how long a compressed file has to stay as it is before it is looked at.
	settleTime = time.Second
	// packTime is how long it has to if it is one that nobody knows and does not look complete.
	packTime = 30 * time.Second
	// packedMax bounds the compressed files that are remembered although they are gone.
	packedMax = 10_000
)

// packedSuffixes are what the names of compressed files end in, those included that are not
// searched as what they expand to.
var packedSuffixes = []string{".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".Z"}

func isPacked(path string) bool {
	return slices.ContainsFunc(packedSuffixes, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
}

// unpackedName is the name that a compressed file had before it was compressed.
func unpackedName(path string) string {
	for _, suffix := range packedSuffixes {
		path = strings.TrimSuffix(path, suffix)
	}
	return path
}

// packedFile is a compressed file that was seen.
type packedFile struct {
	path     string
	size     int64
	modified time.Time
	head     Print     // of its first bytes, compressed as they are
	tail     Print     // of its last ones
	since    time.Time // that it is as it is
	scan     int       // that saw it last
	state    packedState
	origin   packedOrigin
	examined time.Time
	losses   int    // rotation.losses then
	at       *Place // up to where it was searched, or its lines were known; nil: nothing of it
	// place is what another follow is told while it is not known what the file is. File is 0 if it
	// is told nothing.
	place Place
}

type packedState uint8

const (
	packedSettles  packedState = iota // it may still be written
	packedExamined                    // ... though it has settled: nobody knows what it is
	packedDone                        // it was searched, or is not to be
)

type packedOrigin uint8

const (
	packedArrived packedOrigin = iota // while files were followed
	packedOld                         // before: it was dealt with when the follow went on
	packedBeside                      // it has a name that nobody asked for
)

// see takes note of what the file is now. A new time alone means nothing: gzip sets it when it is
// through. One that grows is still being written, or gets another part: its lines so far are known.
// With another beginning it is another file.
func (p *packedFile) see(file io.ReaderAt, info fs.FileInfo, now time.Time) {
	if p.size == info.Size() && p.modified.Equal(info.ModTime()) {
		return
	}
	size, head, tail := p.size, p.head, p.tail
	p.note(file, info)
	if p.size == size && p.head == head && p.tail == tail {
		return
	}
	p.since, p.state = now, packedSettles
	if size >= printBytes && p.head != head || p.size < size {
		p.at = nil
		if p.origin == packedOld {
			p.origin = packedArrived
		}
	}
}

// note keeps what tells the file's content from any other.
func (p *packedFile) note(file io.ReaderAt, info fs.FileInfo) {
	p.size, p.modified = info.Size(), info.ModTime()
	p.head, _ = printAt(file, min(p.size, printBytes)) // what cannot be read is noticed when it is expanded
	p.tail, _ = printAt(file, p.size)
}

// due reports whether it is time to find out what the file is: once it has settled, then whenever a
// place is lost that it may have the rest of, and from time to time if it may still be written.
func (p *packedFile) due(now time.Time, losses int) bool {
	switch {
	case p.state == packedDone || now.Sub(p.since) < settleTime:
		return false
	case p.state == packedExamined && p.losses == losses:
		return now.Sub(p.examined) >= packTime && p.origin != packedBeside
	}
	return true
}

// arrives reports whether the place is one of a compressed file of which it was not known yet what
// it is.
func (p *Place) arrives() bool { return p.Offset == 0 && p.History == 0 }

// passedOver is the offset of a compressed file that was not searched, since it holds what was.
const passedOver = math.MaxInt64

func (p *Place) passedOver() bool { return p.Offset == passedOver }

// packedDue reports whether a compressed file that was found by name is to be looked at now.
func (r *rotation) packedDue(file *os.File, path string, info fs.FileInfo, scan int) bool {
	id := idOf(info)
	before := r.placeOf(file, id, path, info.Size())
	if before != nil && !before.arrives() && !before.passedOver() {
		return true
	}
	p := r.packed[id]
	if p == nil {
		p = &packedFile{since: r.now()}
		p.note(file, info)
		r.packed[id] = p
		delete(r.left, id)
		// What was written last before then was followed, and is among the places.
		followed := scan == 1 && before == nil && info.ModTime().Before(r.now().Add(-r.away))
		if followed || before != nil && before.passedOver() {
			p.origin = packedOld
		}
	}
	if p.origin == packedBeside {
		p.origin = packedOld
	}
	p.see(file, info, r.now())
	p.path, p.scan = path, scan
	if p.state != packedDone && p.place.File == 0 && (p.origin != packedOld || before != nil) {
		r.tellPacked(p, id)
	}
	return p.due(r.now(), r.losses)
}

// tellPacked tells that there is a compressed file of which it is not known yet what it is. It has
// one place until that is known, however often it changes: another follow would search it wholly
// for each that is left over.
func (r *rotation) tellPacked(p *packedFile, id fileID) {
	p.place = Place{File: r.places.next(), Path: p.path, Device: id.device, Inode: id.inode}
	if p.origin == packedOld {
		p.place.Offset = passedOver
	}
	r.places.tell(p.place)
}

// endPacked tells that there is nothing to be decided about the file any more.
func (r *rotation) endPacked(p *packedFile) {
	if p.place.File != 0 {
		r.places.end(p.place)
		p.place = Place{}
	}
}

// forgetPacked ends the places of compressed files that went away before it was known what they
// are.
func (r *rotation) forgetPacked(scan int) {
	for id, p := range r.packed {
		if p.scan == scan || r.files.byID[id] != nil {
			continue
		}
		if p.state != packedDone {
			r.endPacked(p)
		}
		if len(r.packed) > packedMax {
			delete(r.packed, id)
		}
	}
}

// packedDone takes note of a compressed file that is dealt with.
func (r *rotation) packedDone(c candidate, scan int) {
	p := &packedFile{path: c.path, scan: scan, since: r.now(), state: packedDone}
	p.note(c.f, c.info)
	r.packed[c.id] = p
}

// knowsPacked reports whether a compressed file was dealt with as it is.
func (r *rotation) knowsPacked(id fileID, info fs.FileInfo) bool {
	p := r.packed[id]
	return p != nil && p.state == packedDone && p.size == info.Size() && p.modified.Equal(info.ModTime())
}

// packedUndecided reports whether it is not known yet what a compressed file is.
func (r *rotation) packedUndecided(id fileID) bool {
	p := r.packed[id]
	return p != nil && p.state != packedDone
}

// compressed decides what a compressed file is that has come while files were followed. It has the
// rest of a file that is lost, or is one that was searched before it was compressed; otherwise
// nobody has seen it yet, and it is searched wholly.
func (r *rotation) compressed(x *followed, c candidate) decision {
	p := r.packed[c.id]
	p.state, p.examined, p.losses = packedExamined, r.now(), r.losses
	if x.packed == files.Uncompressed || c.info.Size() == 0 {
		p.state = packedDone
		r.endPacked(p)
		if p.origin == packedOld || c.info.Size() == 0 {
			return decision{verdict: verdictClose}
		}
		return r.cannotExpand(c.path)
	}
	d := r.examine(x, c, p)
	switch d.verdict {
	case verdictWait:
		return d
	case verdictClose:
	default:
		if p.place.File != 0 {
			x.number = p.place.File // whose place this is from now on
		}
		p.place = Place{}
	}
	p.state = packedDone
	return d
}

func (r *rotation) examine(x *followed, c candidate, p *packedFile) decision {
	if p.at != nil {
		return decision{verdict: verdictResume, at: p.at}
	}
	expands, _ := files.ExpandedSize(x.f, x.size, x.packed)
	if at := r.findRest(x, expands, func(p *Place) bool { return r.expandsTo(x, x.size, p) }); at != nil {
		return decision{verdict: verdictResume, at: at}
	}
	if expands == 0 {
		r.endEmpty(x)
	}
	if p.origin == packedOld && p.place.File == 0 {
		return decision{verdict: verdictClose}
	}
	p.at = r.searchedBefore(x)
	switch {
	case p.origin == packedOld || p.at != nil:
		return decision{verdict: verdictPass}
	case r.mayBeWritten(x, p):
		return decision{verdict: verdictWait}
	}
	r.endEmpty(x)
	return decision{verdict: verdictBegin}
}

// mayBeWritten reports whether a compressed file may be one that is still being written. Whoever
// compresses a log removes it when that is done. So one that stays beside its log is believed only
// if it is complete, and one that is cut short only if its log is gone, and neither before long.
func (r *rotation) mayBeWritten(x *followed, p *packedFile) bool {
	hasLog := false
	if dir, log, ok := r.mounts.Beside(unpackedName(p.path)); ok {
		hasLog = dir.Has(log)
	}
	quiet := r.now().Sub(p.since)
	if hasLog && quiet < packTime {
		return true
	}
	expanded, err := r.expander.Open(x.f, x.size, x.packed)
	if err == nil {
		_, err = io.Copy(r.skip, expanded)
	}
	return err != nil && (hasLog || quiet < packTime)
}

// cannotExpand says what is to be told of a compressed file that has come and cannot be searched.
// It may have the rest of one that is lost.
func (r *rotation) cannotExpand(path string) decision {
	best, common := -1, -1
	for i := range r.lost {
		l := &r.lost[i]
		if n := commonPrefix(l.Path, path); n > common && l.rest == restSought && stem(l.Path) == stem(path) {
			best, common = i, n
		}
	}
	if best < 0 {
		return notExpanded(path)
	}
	l := r.lost[best]
	r.endSearch(best)
	gap := gapError(l.Path,
		"what was written to it last may be lost: "+path+" may have it, which cannot be expanded here", l.bytes)
	return decision{verdict: verdictClose, say: &gap}
}

// notExpanded says, once for all files of a kind, that one is passed over.
func notExpanded(path string) decision {
	return decision{verdict: verdictClose, once: "unexpanded " + filepath.Ext(path), say: &files.FileError{
		Path: path, Warning: true, Reason: greppb.FileError_NOT_EXPANDABLE,
		Message: "is passed over, as are others of its kind: its name says that it is compressed, " +
			"and it cannot be expanded here",
	}}
}

// packedBesideDue is packedDue for a compressed file that nobody asked for, of which nobody is
// told.
func (r *rotation) packedBesideDue(x *followed, c candidate, scan int) bool {
	p := r.packed[c.id]
	if p == nil {
		p = &packedFile{since: r.now(), origin: packedBeside}
		p.note(c.f, c.info)
		r.packed[c.id] = p
	}
	p.see(c.f, c.info, r.now())
	p.path, p.scan = c.path, scan
	if p.origin != packedBeside || x.packed == files.Uncompressed || !p.due(r.now(), r.losses) {
		return false
	}
	p.state, p.examined, p.losses = packedExamined, r.now(), r.losses
	return true
}

// expandsTo reports whether a compressed file has what was searched up to a place.
func (r *rotation) expandsTo(x *followed, size int64, p *Place) bool {
	expands, _ := files.ExpandedSize(x.f, size, x.packed)
	if expands >= 0 && expands < int64(p.Offset) || p.Offset == 0 {
		return false
	}
	expanded, err := r.expander.Open(x.f, size, x.packed)
	if err != nil {
		return false
	}
	head := make([]byte, p.Head.Length)
	if _, err := io.ReadFull(expanded, head); err != nil || printOf(head) != p.Head {
		return false
	}
	tail := make([]byte, p.Tail.Length)
	skip := int64(p.Offset) - int64(len(tail)) - int64(len(head))
	if skip < 0 { // they overlap
		if expanded, err = r.expander.Open(x.f, size, x.packed); err != nil {
			return false
		}
		skip = int64(p.Offset) - int64(len(tail))
	}
	if _, err := io.CopyN(r.skip, expanded, skip); err != nil {
		return false
	}
	_, err = io.ReadFull(expanded, tail)
	return err == nil && printOf(tail) == p.Tail
}

// searchedBefore gives the end of a followed file, if what a compressed one expands to is all that
// it holds, or held when it was seen last; otherwise nil.
func (r *rotation) searchedBefore(x *followed) *Place {
	expands, modulus := files.ExpandedSize(x.f, x.size, x.packed)
	same := func(p *Place, end int64) bool {
		return (expands < 0 || expands == end%modulus) && mayBeCopy(p.Path, x.path, end) && r.expandsTo(x, x.size, p)
	}
	for _, y := range r.files.list {
		if p := y.place(); y.packed == files.Uncompressed && same(&p, y.size) {
			if p.Offset != uint64(y.size) { // the rest is searched there
				p.Offset, p.Line = uint64(y.size), 0
			}
			return &p
		}
	}
	for _, p := range r.left {
		if same(&p, int64(p.Offset)) {
			return &p
		}
	}
	return nil
}

// placeOf gives the place where a file was when it was followed before, or nil. Its number alone
// proves nothing, since numbers are used again.
func (r *rotation) placeOf(file *os.File, id fileID, path string, size int64) *Place {
	p, known := r.left[id]
	switch packed := isPacked(path); {
	case !known:
		return nil
	case packed && p.arrives(): // it is examined anyway
	case packed:
		known = stem(p.Path) == stem(path)
	case p.Offset == 0: // it may have been renamed after its first lines
		known = stem(p.Path) == stem(path)
	default:
		known = p.heldBy(file, size)
	}
	if !known {
		return nil
	}
	return &p
}
