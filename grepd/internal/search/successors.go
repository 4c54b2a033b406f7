package search

import (
	"bytes"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// copyTime is how long after its last change a newcomer may still be a copy that is being made, of a file that is
	// truncated next.
	copyTime = 2 * time.Second
	// copyBytesMin is from which size on equal files are no accident.
	copyBytesMin = 4 << 10
	// compareBytes are compared of a file's head, and as many of its end.
	compareBytes = 64 << 10
	// settleTime is how long a compressed file has to stay as it is before it is looked at.
	settleTime = time.Second
	// packTime is how long it has to if it is one that nobody knows and does not look complete.
	packTime = 30 * time.Second
	// packedMax bounds the compressed files that are remembered although they are gone.
	packedMax = 10_000
	// lostTime is how long the rest of a file that is not where it was is looked for.
	lostTime = 10 * time.Second
)

// lostPlace is a place of which the file has other content by now, or was not found any more. The rest of that may be in
// a copy of the file, compressed perhaps.
type lostPlace struct {
	Place
	until     time.Time
	left      int64 // bytes after the place that have been seen
	found     bool  // some file has what there was after it
	over      bool  // a copy was found, and has nothing after it
	truncated bool  // while it was followed
}

// truncated goes on at the beginning of a file.
func (f *follower) truncated(x *followed) error {
	p, left := x.place(), max(0, x.scanned-x.offset)
	f.leave(x, &p, left)
	var err error
	if p.Offset == 0 && left > 0 {
		err = f.gap(x.path, "it was truncated before its only line had an end", left)
	}
	if err == nil {
		err = x.emitter.end()
	}
	if err != nil {
		return err
	}
	f.start(x, 0)
	x.history = 0
	f.period(x)
	return f.sink.Error(FileError{Path: x.path, Message: "was truncated: it is followed from its beginning", Warning: true})
}

// leave has the copies of a file searched from a place that it has no more. The copy that has the rest may still
// be to come.
func (f *follower) leave(x *followed, p *Place, left int64) {
	l := lostPlace{Place: *p, until: f.now().Add(lostTime), left: left, truncated: true}
	for _, y := range f.files {
		if y.original != x {
			continue
		}
		info, err := y.f.Stat()
		switch held := err == nil && p.Offset > 0 && p.heldBy(y.f, info.Size()); {
		case held && !l.found:
			f.resume(y, p)
			f.recall(y, y.f)
			l.found = info.Size() > y.offset
			l.over = !l.found
		case held:
			y.equal = info.Size()
			f.takeOver(y)
		default:
			f.takeOver(y)
		}
	}
	if p.Offset > 0 && !l.found {
		l.Unread = !l.over // nobody can say what was written to it after the last look
		f.addLost(l)
	}
}

// addLost begins to look for the rest of a file.
func (f *follower) addLost(l lostPlace) {
	f.number++
	l.File, l.Lost = f.number, true
	f.losses++
	f.lost = append(f.lost, l)
	f.newPlaces = append(f.newPlaces, l.Place)
}

// removeLost ends that.
func (f *follower) removeLost(i int) {
	f.lost[i].Ended = true
	f.newPlaces = append(f.newPlaces, f.lost[i].Place)
	f.lost = slices.Delete(f.lost, i, i+1)
}

// goOn has a file searched from the place of one that is lost, if it has what that had. Where several are, it is the one of
// the most similar name. A file that has nothing more is perhaps not the only one.
func (f *follower) goOn(y *followed, size int64, has func(*Place) bool) bool {
	best, common := -1, -1
	for i := range f.lost {
		l := &f.lost[i]
		if n := commonPrefix(l.Path, y.path); n > common && l.Offset > 0 && mayBeCopy(l.Path, y.path, int64(l.Offset)) && has(&l.Place) {
			best, common = i, n
		}
	}
	if best < 0 {
		return false
	}
	path := y.path
	f.resume(y, &f.lost[best].Place)
	if y.packed != uncompressed {
		y.path = path // by which it is known later
	}
	if size > y.offset {
		f.removeLost(best)
	} else {
		f.lost[best].Unread, f.lost[best].left, f.lost[best].over = false, 0, true
		f.newPlaces = append(f.newPlaces, f.lost[best].Place)
	}
	return true
}

// mayBeCopy tells whether it is no accident that files of these names begin with the same bytes, if they do.
func mayBeCopy(a, b string, size int64) bool { return size >= copyBytesMin || stem(a) == stem(b) }

// stem is what the names of a log and of its rotated files have in common: logs/a of logs/a.1, logs/a-20261122.gz and
// logs/a.20261122T064000.000000000Z.
func stem(path string) string {
	return strings.TrimRight(unpacked(path), "0123456789.-_TZ")
}

// unpacked is the name that a compressed file had before it was compressed.
func unpacked(path string) string {
	for _, suffix := range packedSuffixes {
		path = strings.TrimSuffix(path, suffix)
	}
	return path
}

// commonPrefix is how many bytes two texts have in common at their beginning.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// giveUp says what was lost of files that have not been found again.
func (f *follower) giveUp(now time.Time) error {
	for i := 0; i < len(f.lost); {
		l := f.lost[i]
		if now.Before(l.until) {
			i++
			continue
		}
		f.removeLost(i)
		var err error
		switch {
		case l.left > 0:
			err = f.gap(l.Path, "it was truncated before its last line had an end", l.left)
		case l.Unread && l.truncated:
			err = f.gap(l.Path, "it was truncated, and no copy of it is found: what was written to it last is lost, if anything was", 0)
		case l.Unread:
			err = f.gap(l.Path, "what was written to it while nobody followed it is lost: it is gone, or was truncated", 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decide tells whether a newcomer is to be searched now, and from where: one that has the same content as another file may be
// the copy that is made of it before it is truncated.
func (f *follower) decide(y *followed, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	if f.goOn(y, size, func(p *Place) bool { return p.heldBy(y.f, size) }) {
		f.recall(y, y.f)
		return true, nil
	}
	if y.original == nil {
		y.original = f.originalOf(y, size)
	}
	if y.original != nil && y.sameAs(y.original, size) {
		y.equal = size
		if f.now().Sub(y.grew) < copyTime || size >= copyBytesMin {
			return false, nil
		}
	} else if !f.intact() {
		return false, nil // the original may be what was truncated
	}
	y.fresh, y.original = false, nil
	return true, nil
}

// intact tells whether all files still have what was searched, as far as can be told.
func (f *follower) intact() bool {
	for _, x := range f.files {
		if x.fresh || x.done || x.packed != uncompressed {
			continue
		}
		info, err := x.f.Stat()
		if err != nil || info.Size() < x.offset || !x.tail.matches(x.f, x.offset-int64(x.tail.Length)) {
			return false
		}
	}
	return true
}

// originalOf finds the file that a newcomer may be a copy of.
func (f *follower) originalOf(y *followed, size int64) *followed {
	for _, x := range f.files {
		copies := x != y && x.own && !x.fresh && x.packed == uncompressed && x.size > 0
		if copies && mayBeCopy(x.path, y.path, size) && y.sameAs(x, size) {
			return x
		}
	}
	return nil
}

// sameAs tells whether a newcomer of some size has nothing but what stands at the same place in another file.
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

// takeOver follows a copy whose original is no more what it was: from the end of what they had in common, since that
// was searched in the original.
func (f *follower) takeOver(y *followed) {
	equal := y.equal
	y.fresh, y.original = false, nil
	y.size = equal
	end, err := f.lastLine(y)
	if err != nil {
		end = 0
	}
	f.start(y, end)
	y.head, _ = printAt(y.f, min(end, printBytes)) // what cannot be read is noticed when it is followed
	y.tail, _ = printAt(y.f, end)
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
	examined bool      // as it is
	losses   int       // f.losses when it was
	done     bool      // it was searched, or is not to be
	old      bool      // it was dealt with already when the follow went on
	beside   bool      // it has a name that nobody asked for
	at       *Place    // up to where it was searched, or its lines were known; nil: nothing of it
	place    Place     // what another follow is told while it is not known what the file is; File is 0 if it is told nothing
}

// sees takes note of what the file is now. A new time alone means nothing: gzip sets it when it is through. One
// that grows is still being written, or gets another part: its lines so far are known. With another beginning it is
// another file.
func (p *packedFile) sees(file io.ReaderAt, info fs.FileInfo, now time.Time) {
	if p.size == info.Size() && p.modified.Equal(info.ModTime()) {
		return
	}
	size, head, tail := p.size, p.head, p.tail
	p.note(file, info)
	if p.size == size && p.head == head && p.tail == tail {
		return
	}
	p.since, p.examined, p.done = now, false, false
	if size >= printBytes && p.head != head || p.size < size {
		p.at, p.old = nil, false
	}
}

// note keeps what tells the file's content from any other.
func (p *packedFile) note(file io.ReaderAt, info fs.FileInfo) {
	p.size, p.modified = info.Size(), info.ModTime()
	p.head, _ = printAt(file, min(p.size, printBytes)) // what cannot be read is noticed when it is expanded
	p.tail, _ = printAt(file, p.size)
}

// due tells whether it is time to find out what the file is: once it has settled, then whenever a place is lost that it
// may have the rest of, and for the last time when it is certainly not written any more.
func (p *packedFile) due(f *follower) bool {
	quiet := f.now().Sub(p.since)
	switch {
	case p.done || quiet < settleTime:
		return false
	case p.examined && p.losses == f.losses:
		return quiet >= packTime
	}
	return true
}

// arrives tells whether the place is one of a compressed file of which it was not known yet what it is.
func (p *Place) arrives() bool { return p.Offset == 0 && p.History == 0 }

// passedOver is the offset of a compressed file that was not searched, since it holds what was.
const passedOver = math.MaxInt64

func (p *Place) passedOver() bool { return p.Offset == passedOver }

// packedBefore tells whether a compressed file is not to be looked at, or not yet.
func (f *follower) packedBefore(file *os.File, id fileID, path string, info fs.FileInfo) bool {
	if !isPacked(path) || f.scans == 1 && !f.resumed {
		return false
	}
	before := f.placeOf(file, id, path, info.Size())
	if before != nil && !before.arrives() && !before.passedOver() {
		return false
	}
	p := f.packed[id]
	if p == nil {
		p = &packedFile{since: f.now()}
		p.note(file, info)
		f.packed[id] = p
		delete(f.places, id)
		// What was written last before then was followed, and is among the places.
		p.old = before != nil && before.passedOver() ||
			f.scans == 1 && before == nil && info.ModTime().Before(f.now().Add(-f.away))
	}
	p.sees(file, info, f.now())
	p.path, p.scan, p.old, p.beside = path, f.scans, p.old || p.beside, false
	if !p.done && p.place.File == 0 && (!p.old || before != nil) {
		f.tellPacked(p, id)
	}
	return !p.due(f)
}

// tellPacked tells that there is a compressed file of which it is not known yet what it is. It has one place until that is
// known, however often it changes: another follow would search it wholly for each that is left over.
func (f *follower) tellPacked(p *packedFile, id fileID) {
	f.number++
	p.place = Place{File: f.number, Path: p.path, Device: id.device, Inode: id.inode}
	if p.old {
		p.place.Offset = passedOver
	}
	f.newPlaces = append(f.newPlaces, p.place)
}

// forgetPacked ends the places of compressed files that went away before it was known what they are.
func (f *follower) forgetPacked() {
	for id, p := range f.packed {
		if p.scan == f.scans || f.byID[id] != nil {
			continue
		}
		if !p.done {
			p.end(f)
		}
		if len(f.packed) > packedMax {
			delete(f.packed, id)
		}
	}
}

// packedDone takes note of a compressed file that is dealt with.
func (f *follower) packedDone(c candidate) {
	p := &packedFile{path: c.path, scan: f.scans, since: f.now(), done: true}
	p.note(c.f, c.info)
	f.packed[c.id] = p
}

// takePacked searches a compressed file that was there when the follow began, if what was there is to be searched.
func (f *follower) takePacked(x *followed, c candidate) error {
	f.packedDone(c)
	if f.past == nil || c.info.Size() == 0 || c.info.ModTime().UnixNano() < later(f.past.Since, -TimeSlack) {
		return c.f.Close()
	}
	if x.packed == uncompressed {
		c.f.Close()
		return f.sayUnexpanded(c.path)
	}
	x.history = math.MaxInt64
	f.add(x)
	return nil
}

// arrived looks at a compressed file that has come while files were followed. It has the rest of a file that is lost, or is
// one that was searched before it was compressed; otherwise nobody has seen it yet, and it is searched wholly.
func (f *follower) arrived(x *followed, c candidate) error {
	p := f.packed[c.id]
	p.examined, p.losses = true, f.losses
	if x.packed == uncompressed || c.info.Size() == 0 {
		p.done = true
		p.end(f)
		c.f.Close()
		if p.old || c.info.Size() == 0 {
			return nil
		}
		return f.unexpanded(c.path)
	}
	if p.place.File != 0 {
		x.number = p.place.File // whose place this is from now on
	}
	expands, _ := expandedSize(x.f, x.size, x.packed)
	switch {
	case p.at != nil:
		path := x.path
		f.resume(x, p.at)
		x.path = path
	case f.goOn(x, expands, func(p *Place) bool { return f.expandsTo(x, c.info.Size(), p) }):
	case p.old && p.place.File == 0:
		p.done = true
		return c.f.Close()
	default:
		if p.at = f.searchedBefore(x, c.info.Size()); p.old || p.at != nil {
			x.offset, x.done = passedOver, true
		} else if f.stillPacking(x, c, p) {
			return c.f.Close()
		}
	}
	p.done, p.place = true, Place{}
	f.add(x)
	return nil
}

// stillPacking tells whether a compressed file may be one that is still being written. Whoever compresses a log removes
// it when that is done.
func (f *follower) stillPacking(x *followed, c candidate, p *packedFile) bool {
	if f.now().Sub(p.since) >= packTime {
		return false
	}
	if m, name := f.mounts.locate(unpacked(c.path)); m != nil {
		if _, err := m.root.Lstat(name); err == nil {
			return true
		}
	}
	r, err := f.expander.open(x.f, c.info.Size(), x.packed)
	if err == nil {
		_, err = io.Copy(passing{f}, r)
	}
	return err != nil
}

// unexpanded tells of a compressed file that has come and cannot be searched. It may have the rest of one that is lost.
func (f *follower) unexpanded(path string) error {
	best, common := -1, -1
	for i := range f.lost {
		l := &f.lost[i]
		if n := commonPrefix(l.Path, path); n > common && !l.over && stem(l.Path) == stem(path) {
			best, common = i, n
		}
	}
	if best < 0 {
		return f.sayUnexpanded(path)
	}
	l := f.lost[best]
	f.removeLost(best)
	return f.gap(l.Path, "what was written to it last may be lost: "+path+" may have it, which cannot be expanded here", l.left)
}

// sayUnexpanded says, once for all files of a kind, that one is passed over.
func (f *follower) sayUnexpanded(path string) error {
	return f.sayOnce("unexpanded "+filepath.Ext(path), FileError{Path: path, Warning: true,
		Message: "is passed over, as are others of its kind: its name says that it is compressed, and it cannot be expanded here"})
}

// end says that there is nothing to be decided about the file any more.
func (p *packedFile) end(f *follower) {
	if p.place.File != 0 {
		p.place.Ended = true
		f.newPlaces = append(f.newPlaces, p.place)
		p.place = Place{}
	}
}

// expandsTo tells whether a compressed file has what was searched up to a place.
func (f *follower) expandsTo(x *followed, size int64, p *Place) bool {
	expands, _ := expandedSize(x.f, size, x.packed)
	if expands >= 0 && expands < int64(p.Offset) || p.Offset == 0 {
		return false
	}
	r, err := f.expander.open(x.f, size, x.packed)
	if err != nil {
		return false
	}
	head := make([]byte, p.Head.Length)
	if _, err := io.ReadFull(r, head); err != nil || printOf(head) != p.Head {
		return false
	}
	tail := make([]byte, p.Tail.Length)
	skip := int64(p.Offset) - int64(len(tail)) - int64(len(head))
	if skip < 0 { // they overlap
		if r, err = f.expander.open(x.f, size, x.packed); err != nil {
			return false
		}
		skip = int64(p.Offset) - int64(len(tail))
	}
	if _, err := io.CopyN(passing{f}, r, skip); err != nil {
		return false
	}
	_, err = io.ReadFull(r, tail)
	return err == nil && printOf(tail) == p.Tail
}

// searchedBefore gives the end of a followed file, if what a compressed one expands to is all that it holds, or held when it
// was seen last; otherwise nil.
func (f *follower) searchedBefore(x *followed, size int64) *Place {
	expands, modulus := expandedSize(x.f, size, x.packed)
	same := func(p *Place, end int64) bool {
		return (expands < 0 || expands == end%modulus) && mayBeCopy(p.Path, x.path, end) && f.expandsTo(x, size, p)
	}
	for _, y := range f.files {
		if p := y.place(); y.packed == uncompressed && same(&p, y.size) {
			if p.Offset != uint64(y.size) { // the rest is searched there
				p.Offset, p.Line = uint64(y.size), 0
			}
			return &p
		}
	}
	for _, p := range f.places {
		if same(&p, int64(p.Offset)) {
			return &p
		}
	}
	return nil
}
