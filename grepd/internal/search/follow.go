package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// FollowedMax bounds the files that one Follow has open.
	FollowedMax = 1_000
	// followContextBytes bounds the lines that are kept of each file as context for lines to come. Of
	// longer ones there are fewer.
	followContextBytes = 1 << 20

	// pollDefault is how often files are looked at although nothing says that they have changed.
	pollDefault = time.Second
	// scanEvery is how often names are looked for then, and scanShare how many times longer than a look takes
	// it is to the next one.
	scanEvery = 2 * time.Second
	scanShare = 10
	// batchTime is how long lines may gather before they are searched together.
	batchTime = 20 * time.Millisecond
	// lingerTime is how long a file without a name is followed after its last line: its writer may not have
	// noticed yet that it was renamed or removed.
	lingerTime = 30 * time.Second
	// placesEvery is how often the places of files are told in which nothing was found.
	placesEvery = time.Second
	// awaySlack is how much longer than it was said a follow may have been away.
	awaySlack = 2 * time.Second
	// saidMax bounds the errors that are remembered so as not to be repeated.
	saidMax = 1_000
)

// FollowSink takes what Follow finds. Calls come in order, one at a time, from goroutines of the follow's own, and
// may block: the follow then reads later what is written meanwhile. An error ends the follow, which waits for a call
// under way whatever becomes of its context.
type FollowSink interface {
	// Begin names a file before the first of its lines, and End ends one of which lines were handed out. Lines of
	// different files alternate.
	Begin(file uint32, path string, size int64) error
	Chunk(file uint32, c *Chunk) error
	End(file uint32, s FileStats) error
	Error(e FileError) error
	// Places says how far files were searched: each file before anything else is said of it, then whenever lines of it were
	// handed out, and from time to time. caughtUp says that all that was there when the
	// follow began has been searched.
	Places(places []Place, caughtUp bool) error
}

// FollowOptions say where a follow begins.
type FollowOptions struct {
	// Resume says that an earlier Follow of the same paths had come to From. What is not in From is new then.
	Resume bool
	From   []Place
	// Away is for how long nobody has followed them.
	Away time.Duration
	// Poll is how often files are looked at although nothing says that they have changed. 0: each second.
	Poll time.Duration
}

// Follow searches what is added to the files that paths name, until ctx ends, whose error it returns, or sink has one.
// See the package's comment.
func Follow(ctx context.Context, m *Mounts, paths []string, o Options, fo FollowOptions, sink FollowSink) error {
	f, err := newFollower(ctx, m, paths, o, fo, sink, time.Now)
	if err != nil {
		return err
	}
	defer f.close()
	w := startWatch()
	defer w.stop()
	f.named = w.named
	poll := time.NewTicker(cmp.Or(fo.Poll, pollDefault))
	defer poll.Stop()
	for {
		began := f.now()
		names := w.names.Swap(false) || !began.Before(f.scanAt)
		more, err := f.pass(names)
		if err != nil {
			return err
		}
		if names {
			if err := f.watch(w); err != nil {
				return err
			}
			f.scanAt = f.now().Add(max(scanEvery, scanShare*f.now().Sub(began)))
		}
		if err := w.await(ctx, poll.C, more); err != nil {
			return err
		}
	}
}

// follower is a Follow under way. It serves one goroutine.
type follower struct {
	ctx    context.Context
	mounts *Mounts
	paths  []string
	sink   FollowSink
	now    func() time.Time

	o          Options // of what is new
	w          *worker
	past       *Options // of what was there at the beginning; nil: it is not searched
	pastWorker *worker
	expander   expander
	block      block
	buffer     []byte

	files   []*followed // in the order in which they were found
	byID    map[fileID]*followed
	number  uint32 // of the last one
	resumed bool
	away    time.Duration
	places  map[fileID]Place // of files that are not open, but may be found again
	lost    []lostPlace
	losses  int // how many there were in all
	// newPlaces are to be told beside those of the files: of what is looked for, or is not any more.
	newPlaces []Place
	packed    map[fileID]*packedFile
	found     []candidate // by the scan under way
	// held are files that were found while the sink kept the follow waiting, and forgone those that could not be held.
	held         []candidate
	forgone      []forgone
	holds        bool            // what is there at the beginning has been found, so that others are new
	named        <-chan struct{} // that names may have changed
	batch        time.Duration   // how long such changes may gather before they are looked at
	heldBytesMax int64
	dirs         map[watched]bool
	scans        int
	scanAt       time.Time // when the next one is due
	glanceAt     time.Time // when names are looked for next although other work is not over
	toldAt       time.Time
	caughtUp     bool
	told         bool // that it is
	said         map[string]bool
}

// overfull is the key under which it is said that there are too many files.
const overfull = ""

// candidate is a file that a scan has found and that is not followed.
type candidate struct {
	f    *os.File
	path string
	id   fileID
	info fs.FileInfo
	held bool // it was found earlier, and has no name any more under which it would be found
}

func newFollower(ctx context.Context, m *Mounts, paths []string, o Options, fo FollowOptions, sink FollowSink, now func() time.Time) (*follower, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if !o.listsLines() || o.MaxCount >= 0 || o.NullData || o.Times || o.Until != 0 {
		return nil, errors.New("search: only lines can be followed, without a limit, an end or times")
	}
	o.blockBytes = cmp.Or(o.blockBytes, BlockBytes)
	f := &follower{
		ctx: ctx, mounts: m, paths: paths, now: now, o: o, resumed: fo.Resume, away: fo.Away + awaySlack,
		batch: batchTime, heldBytesMax: heldBytesMax,
		byID: make(map[fileID]*followed), places: make(map[fileID]Place), packed: make(map[fileID]*packedFile), said: make(map[string]bool),
	}
	f.sink = &patientSink{f: f, to: sink}
	f.o.Since = 0
	f.w = newWorker(ctx, &f.o)
	if o.Since != 0 {
		f.past = &o
		f.pastWorker = newWorker(ctx, f.past)
	}
	// One that was cut short by the end of ctx would look like a damaged file, of which nothing more can be searched.
	f.expander.ctx, f.expander.progress, f.expander.bytesMax = context.Background(), f.o.Progress, o.ExpandBytesMax
	for _, p := range fo.From[:min(len(fo.From), FollowedMax)] {
		if p.Lost {
			f.addLost(lostPlace{Place: p})
		} else {
			f.places[fileID{p.Device, p.Inode}] = p
		}
	}
	return f, nil
}

func (f *follower) close() {
	f.expander.close()
	for _, x := range f.files {
		x.f.Close()
	}
	closeAll(f.held)
}

// pass looks once at all files, after a look for their names if that is asked for. It tells whether there is more to be
// searched.
func (f *follower) pass(names bool) (more bool, err error) {
	f.o.Progress.work.Add(1)
	if names {
		if err := f.scan(); err != nil {
			return false, err
		}
	}
	lost := len(f.lost)
	for _, x := range f.files {
		m, err := f.grow(x)
		if err != nil {
			return false, err
		}
		more = more || m
	}
	if len(f.lost) > lost { // a copy may have come before that
		if err := f.scan(); err != nil {
			return false, err
		}
		more = true
	}
	if err := f.forget(); err != nil {
		return false, err
	}
	f.caughtUp = f.caughtUp || !more
	return more, f.tell()
}

// tell tells the places that have changed: at once if it is told for the first time that the follow has caught up, and else
// from time to time.
func (f *follower) tell() error {
	if f.told == f.caughtUp && len(f.newPlaces) == 0 && f.now().Sub(f.toldAt) < placesEvery {
		return nil
	}
	f.toldAt = f.now()
	places := f.newPlaces
	f.newPlaces = nil
	for _, x := range f.files {
		// One that may be a copy is for another follow to decide about anew.
		if p := x.place(); p != x.told && !x.fresh {
			x.told = p
			places = append(places, p)
		}
	}
	if len(places) == 0 && f.told == f.caughtUp {
		return nil
	}
	f.told = f.caughtUp
	return f.sink.Places(places, f.caughtUp)
}

// scan looks for names, and takes up the files that are new, those that were written first coming first: so the rest of a
// file comes before the file that has taken its place.
func (f *follower) scan() error {
	f.scans++
	f.glanceAt = f.now().Add(scanEvery)
	f.dirs = make(map[watched]bool)
	for _, x := range f.files {
		x.named, x.own = false, false
	}
	names := finder{
		mounts: f.mounts, o: &f.o, file: f.find, fail: f.fail, unreadable: f.fail,
		looked: func(m *mount, dir string) { f.dirs[watched{m, dir}] = true },
		files:  f.o.Files.scanner(), excludeDirs: f.o.ExcludeDirs.scanner(),
	}
	var err error
	for _, path := range f.paths {
		if err = names.find(f.ctx, path); err != nil {
			break
		}
	}
	if err == nil {
		err = f.claim()
	}
	found := f.found
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), cmp.Compare(b.path, a.path)) // x.1 is older than x
	})
	for i, c := range found {
		f.found = found[i+1:]
		if err == nil {
			err = f.take(c)
		}
		if err != nil {
			closeAll(f.found)
			f.found = nil
			return err
		}
	}
	for _, x := range f.files {
		if x.named {
			x.gone = time.Time{}
		} else if x.gone.IsZero() {
			x.gone = f.now()
		}
	}
	f.forgetPacked()
	if f.scans == 1 {
		if err := f.begun(); err != nil {
			return err
		}
	}
	return f.findRests()
}

func closeAll(found []candidate) {
	for _, c := range found {
		c.f.Close()
	}
}

// begun tells all places, so that whoever listens can go on from here whatever happens.
func (f *follower) begun() error {
	if f.resumed {
		for _, p := range f.places {
			p.Unread = true
			f.addLost(lostPlace{Place: p})
		}
		for i := range f.lost {
			f.lost[i].until = f.now().Add(lostTime)
		}
		clear(f.places)
	}
	places := f.newPlaces
	f.newPlaces = nil
	for _, x := range f.files {
		if !x.fresh {
			x.told = x.place()
			places = append(places, x.told)
		}
	}
	f.toldAt = f.now()
	f.holds = true
	return f.sink.Places(places, false)
}

// find takes a file that the scan has found under a name.
func (f *follower) find(file *os.File, path string, size int64) error {
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return f.fail(fileError(path, err))
	}
	id := idOf(info)
	if x := f.byID[id]; x != nil {
		x.named, x.own = true, x.own || x.path == path
		file.Close()
		return nil
	}
	known := slices.ContainsFunc(f.found, func(c candidate) bool { return c.id == id })
	if known || f.packedBefore(file, id, path, info) {
		file.Close()
		return nil
	}
	if len(f.files)+len(f.found) >= FollowedMax {
		file.Close()
		return f.sayOnce(overfull, FileError{Path: path, Message: fmt.Sprintf("not followed, and neither are others: more than %d files are to be; name fewer", FollowedMax)})
	}
	f.found = append(f.found, candidate{f: file, path: path, id: id, info: info})
	return nil
}

// fail says what is wrong with a path, once. That a path does not exist yet is told only at the beginning.
func (f *follower) fail(e FileError) error {
	if e.Missing && f.scans > 1 {
		return nil
	}
	return f.sayOnce(e.Error(), e)
}

func (f *follower) sayOnce(key string, e FileError) error {
	if f.said[key] || len(f.said) >= saidMax {
		return nil
	}
	f.said[key] = true
	return f.sink.Error(e)
}

// gap says that lines are lost.
func (f *follower) gap(path, message string, lost int64) error {
	return f.sink.Error(FileError{Path: path, Message: message, Gap: true, Lost: uint64(max(lost, 0))})
}

// newFollowed makes a file that was found one that is searched from its beginning.
func (f *follower) newFollowed(c candidate) *followed {
	f.number++
	x := &followed{
		f: c.f, id: c.id, path: c.path, number: f.number, size: c.info.Size(),
		named: !c.held, own: !c.held, grew: f.now(),
	}
	x.sink = fileSink{x: x, to: f.sink}
	if isPacked(c.path) {
		x.packed = compressionOf(c.f, c.path)
	}
	f.start(x, 0)
	return x
}

// take begins to follow a file.
func (f *follower) take(c candidate) error {
	x, packed := f.newFollowed(c), isPacked(c.path)
	first := f.scans == 1 && !f.resumed
	var err error
	switch before := f.placeOf(c.f, c.id, c.path, x.size); {
	case before != nil:
		delete(f.places, c.id)
		if packed {
			f.packedDone(c)
		}
		f.resume(x, before)
		f.recall(x, x.f)
	case first && packed:
		return f.takePacked(x, c)
	case first:
		err = f.begin(x, c.info)
	case packed:
		return f.arrived(x, c)
	default:
		x.fresh = true
	}
	if err != nil {
		c.f.Close()
		return f.fail(fileError(c.path, err))
	}
	f.add(x)
	return nil
}

// placeOf gives the place where a file was when it was followed before, or nil. Its number alone proves nothing, since
// numbers are used again.
func (f *follower) placeOf(file *os.File, id fileID, path string, size int64) *Place {
	p, known := f.places[id]
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

func (f *follower) add(x *followed) {
	f.files = append(f.files, x)
	f.byID[x.id] = x
}

// begin prepares a file that was there when the follow began: what it holds then is its history.
func (f *follower) begin(x *followed, info fs.FileInfo) error {
	end, err := f.lastLine(x)
	if err != nil {
		return err
	}
	from := end
	if f.past != nil && info.ModTime().UnixNano() >= later(f.past.Since, -TimeSlack) && end > 0 {
		if from, err = f.locate(x, info, end); err != nil {
			return err
		}
	}
	if x.head, err = printAt(x.f, min(from, printBytes)); err != nil {
		return err
	}
	if x.tail, err = printAt(x.f, from); err != nil {
		return err
	}
	x.offset, x.scanned, x.history, x.counted = from, from, end, from == 0
	f.period(x)
	f.recall(x, x.f)
	return nil
}

// locate finds where in a file the lines of Since can begin.
func (f *follower) locate(x *followed, info fs.FileInfo, end int64) (int64, error) {
	head := make([]byte, min(headBytes, end))
	if _, err := x.f.ReadAt(head, 0); err != nil {
		return 0, err
	}
	if x.times = detectTimes(head, info.ModTime()); x.times == nil {
		return end, f.fail(fileError(x.path, errNoTimes))
	}
	w, err := f.past.timeRange().locate(x.f, end, x.times, BlockBytes)
	return min(w.start, end), err
}

// lastLine gives where the last line begins that has no end yet, or the end of the file.
func (f *follower) lastLine(x *followed) (int64, error) {
	buffer := f.room(BlockBytes)
	for end := x.size; end > 0; {
		from := max(0, end-int64(len(buffer)))
		if _, err := x.f.ReadAt(buffer[:end-from], from); err != nil {
			return 0, err
		}
		if n := f.o.terminators().lastIndex(buffer[:end-from]); n >= 0 {
			return from + int64(n) + 1, nil
		}
		if end = from; x.size-end > LineBytesMax {
			break
		}
	}
	return 0, nil
}

// lose gives up a file that cannot be read.
func (f *follower) lose(x *followed, err error) error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	x.done = true
	return f.fail(fileError(x.path, err))
}

// forget ends the following of files that have had no name, and no new line, for so long that none is to be expected.
func (f *follower) forget() error {
	now := f.now()
	kept := f.files[:0]
	for i, x := range f.files {
		over := !x.gone.IsZero() && now.Sub(x.gone) >= lingerTime && now.Sub(x.grew) >= lingerTime
		if x.packed != uncompressed { // another follow might take it for one that has just come, if it looks for its name
			over = x.done && (f.packed[x.id].beside || now.Sub(x.grew) >= awaySlack)
		}
		if !over {
			kept = append(kept, x)
			continue
		}
		if err := f.drop(x); err != nil {
			f.files = append(kept, f.files[i+1:]...)
			return err
		}
	}
	clear(f.files[len(kept):])
	f.files = kept
	return f.giveUp(now)
}

// drop closes a file. Where it is comes in handy if it turns up again, or a copy of it. Where it has no name anywhere its
// number may be that of another file next.
func (f *follower) drop(x *followed) error {
	p := x.place()
	info, statErr := x.f.Stat()
	removed := statErr == nil && nameless(info)
	x.f.Close()
	delete(f.byID, x.id)
	if q := f.packed[x.id]; q != nil && x.packed != uncompressed && !p.passedOver() {
		q.at = &p
	}
	if x.packed == uncompressed && !removed && len(f.places) < FollowedMax {
		f.places[x.id] = p
	}
	for _, y := range f.files {
		if y.original == x {
			f.takeOver(y)
		}
	}
	var err error
	if left := x.size - x.offset; left > 0 && x.packed == uncompressed && !x.done {
		err = f.gap(x.path, "it is gone, and its last line has no end", left)
	}
	p.Ended = true
	f.newPlaces = append(f.newPlaces, p)
	return errors.Join(err, x.emitter.end())
}

// packedSuffixes are what the names of compressed files end in, those included that are not searched as what they expand to.
var packedSuffixes = []string{".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".Z"}

func isPacked(path string) bool {
	return slices.ContainsFunc(packedSuffixes, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
}
