// Package follow searches what is written to files for as long as somebody listens, whatever
// becomes of the files meanwhile.
//
//	err := follow.Run(ctx, mounts, []string{"logs/*"}, options, follow.Options{}, sink)
//
// It has three parts. The loop (follower) reads what was added to each file, feeds it to a
// [search.Feed], and tells the [Sink]. Which files there are, and under which names, it asks names,
// which opens new ones also while the sink is slow. What became of a file that went away, and what
// one is that has come, it asks rotation: a log may be renamed, copied and truncated, compressed,
// or all of it one after the other. What a line is, and which lines are wanted, package search
// knows; where the files are, package files.
//
// # What is searched
//
// What was there when a follow begins is searched only with Since: then those of its lines that are
// of that time. What is new is handed out whatever its time, and between the two no line is lost or
// doubled. A line counts when its newline is there. In a binary file none does after the first that
// is withheld, until it is truncated, which is told.
//
// # Which file is which
//
// A file is who it is by device and inode, whatever its names, and is open for as long as it is
// followed. So nothing is handed out twice when it is renamed, and what is written to it after that
// comes too: under the name that it had, in no order with that of its successor. Without a name it
// is followed until no line has come for 30 s. Files that come later are read from their beginning,
// with these exceptions. One that has the same content as another file, of a related name or with 4
// KiB or more of it, may be the copy that copytruncate makes: it waits for 2 s, or for good if it
// is that large, and when the other one is truncated it is read on from where that was. A
// compressed one has to stay as it is for 1 s; it is passed over if it expands to what was
// followed. Otherwise it is searched wholly, unless it may still be being written, since it is cut
// short or the file of its name without the suffix is there: then not before it has stayed as it is
// for 30 s, or, if both are so, as long as they are. Of one that grows later only what is new is
// searched. One of a kind that cannot be expanded, as .xz, is passed over, which is told once for
// each kind.
//
// # Truncated files
//
// That a file was truncated shows in its size, or in the 256 bytes before the place where it is
// read, which are read again with what follows. It is told, and the file is read from its
// beginning. What was appended before that is in a copy, which is looked for also under names that
// nobody asked for, beside the file: those that differ from its own in nothing but what rotation
// appends, or puts before the extension. The same goes for the rest of a file that another follow
// has left. What is found nowhere within 10 s, compressed or not, is a [files.FileError] with Gap,
// although nobody can say whether there was anything: so is what may be in a copy that cannot be
// expanded, and the line without an end of a file that is truncated or gone. A log that is followed
// under its exact name and rotated twice while nobody follows it is searched in the file that was
// followed, and in the one that has its name then; what lies between is not looked for.
//
// # Going on later
//
// A [Place] says how far a file was searched. The sink hears of it before and after lines, so that
// it can have another follow go on with exactly the next line, in another process too: it counts
// the lines that it has received since in Place.Skip. The same search from the same place gives the
// same lines.
//
// # When it looks
//
// The system tells of changes in the directories in which names were looked for (fsnotify). It
// tells of none on network file systems, and forgets some when there are many, so files are looked
// at in any case each second, and names every two. A file that comes and goes between two looks is
// never seen.
//
// # Slow readers
//
// A follow that is held up by its sink reads later: no line is kept for it. It goes on looking for
// names meanwhile, and has open what it finds, up to FollowedMax files, so that what is rotated
// away before it is read is not lost. Of files that were removed it keeps no more than 1 GiB, since
// their disk space is not free before that. What it cannot keep is a Gap.
//
// A line of more than 1 MiB waits where such lines take all the memory that they may
// ([search.LongLines]).
//
// # Concurrency
//
// A Run belongs to the goroutine that called it, and has ended all that it started when it returns.
// Its Sink is called by other goroutines, one call at a time, and may block.
package follow

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// FollowedMax bounds the files that one follow has open.
	FollowedMax = limits.FollowedMax
	// pollDefault is how often files are looked at although nothing says that they have changed.
	pollDefault = time.Second
	// batchTime is how long lines may gather before they are searched together.
	batchTime = 20 * time.Millisecond
	// lingerTime is how long a file without a name is followed after its last line: its writer may
	// not have noticed yet that it was renamed or removed.
	lingerTime = 30 * time.Second
	// placesEvery is how often the places of files are told in which nothing was found.
	placesEvery = time.Second
	// awaySlack is how much longer than it was said a follow may have been away.
	awaySlack = 2 * time.Second
	// saidMax bounds the errors that are remembered so as not to be repeated.
	saidMax = 1_000
)

// Sink takes what a follow finds. Calls come in order, one at a time, from goroutines of the
// follow's own, and may block: the follow then reads later what is written meanwhile. An error ends
// the follow, which waits for a call under way whatever becomes of its context.
type Sink interface {
	// Begin names a file before the first of its lines, and End ends one of which lines were handed
	// out. Lines of different files alternate.
	Begin(file uint32, path string, size int64) error
	Chunk(file uint32, c *search.Chunk) error
	End(file uint32, s search.FileStats) error
	Error(e files.FileError) error
	// Places says how far files were searched: each file before anything else is said of it, then
	// whenever lines of it were handed out, and from time to time. caughtUp says that all that was
	// there when the follow began has been searched.
	Places(places []Place, caughtUp bool) error
}

// Options say where a follow begins.
type Options struct {
	// Resume says that an earlier follow of the same paths had come to From. What is not in From is
	// new then.
	Resume bool
	From   []Place
	// Away is for how long nobody has followed them.
	Away time.Duration
	// Poll is how often files are looked at although nothing says that they have changed. 0: each
	// second.
	Poll time.Duration
}

// Run searches what is added to the files that paths name, until ctx ends, whose error it returns,
// or sink has one. The error may also say that the options are none that can be followed with.
func Run(ctx context.Context, m *files.Mounts, paths []string, o search.Options, fo Options, sink Sink) error {
	f, err := newFollower(ctx, m, paths, o, fo, sink, time.Now)
	if err != nil {
		return err
	}
	defer f.close()
	w := startWatch()
	defer w.stop()
	f.names.changed = w.named
	poll := time.NewTicker(cmp.Or(fo.Poll, pollDefault))
	defer poll.Stop()
	for {
		began := f.now()
		names := w.names.Swap(false) || !began.Before(f.names.scanAt)
		more, err := f.pass(names)
		if err != nil {
			return err
		}
		if names {
			if err := f.watch(w); err != nil {
				return err
			}
			f.names.scanAt = f.now().Add(max(scanEvery, scanShare*f.now().Sub(began)))
		}
		if err := w.await(ctx, poll.C, more); err != nil {
			return err
		}
	}
}

// follower is a follow under way: the loop, which reads what is added to files. What is there, and
// under which name, it asks names; what became of a file that went away, and what one is that has
// come, it asks rotation. It serves one goroutine.
type follower struct {
	ctx      context.Context
	sink     Sink
	now      func() time.Time
	names    *names
	rotation *rotation
	files    openFiles
	places   placeLog
	resumed  bool
	said     map[string]bool // errors, so as not to say them again

	o        search.Options   // of what is added
	added    *search.Searcher // of what is added
	past     *search.Searcher // of what was there at the beginning; nil: it is not searched
	expander *files.Expander
	cutter   *search.Cutter

	toldAt       time.Time // when places were told last
	caughtUp     bool
	toldCaughtUp bool
}

func newFollower(
	ctx context.Context, m *files.Mounts, paths []string, o search.Options, fo Options, sink Sink,
	now func() time.Time,
) (*follower, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Report != search.Lines && o.Report != search.Parts || o.MaxCount >= 0 || o.NullData || o.Times || o.Until != 0 {
		return nil, errors.New("follow: only lines can be followed, without a limit, an end or times")
	}
	f := &follower{ctx: ctx, now: now, o: o, resumed: fo.Resume, said: make(map[string]bool)}
	f.files.byID = make(map[fileID]*followed)
	f.o.Since = 0 // whatever is added is new
	var err error
	if f.added, err = search.NewSearcher(ctx, f.o, true); err != nil {
		return nil, err
	}
	if o.Since != 0 {
		if f.past, err = search.NewSearcher(ctx, o, true); err != nil {
			return nil, err
		}
	}
	// One that was cut short by the end of ctx would look like a damaged file, of which nothing
	// more can be searched.
	f.expander = files.NewExpander(context.Background(), f.o.Progress, o.ExpandBytesMax)
	f.cutter = search.NewCutter(&f.o, true)
	f.names = newNames(ctx, m, paths, &f.o, now)
	f.names.known, f.names.room = f.known, func() int { return FollowedMax - len(f.files.list) }
	f.sink = &waitingSink{names: f.names, to: sink}
	f.rotation = newRotation(m, &f.files, &f.places, now)
	f.rotation.away, f.rotation.expander, f.rotation.skip = fo.Away+awaySlack, f.expander, skipped{f.names}
	for _, p := range fo.From[:min(len(fo.From), FollowedMax)] {
		if p.Lost {
			f.rotation.lose(lostPlace{Place: p})
		} else {
			f.rotation.left[fileID{p.Device, p.Inode}] = p
		}
	}
	return f, nil
}

func (f *follower) close() {
	f.expander.Close()
	for _, x := range f.files.list {
		x.f.Close()
	}
	f.names.close()
}

// skipped is a Writer for what is expanded only to be passed over, which may be 10 GiB. Names are
// looked for meanwhile.
type skipped struct{ names *names }

func (s skipped) Write(data []byte) (int, error) {
	s.names.keepNewIfDue()
	return len(data), s.names.ctx.Err()
}

// pass looks once at all files, after a look for their names if that is asked for. It reports
// whether there is more to be searched.
func (f *follower) pass(names bool) (more bool, err error) {
	f.o.Progress.Steps.Add(1)
	if names {
		if err := f.scan(); err != nil {
			return false, err
		}
	}
	losses := f.rotation.losses
	for _, x := range f.files.list {
		m, err := f.grow(x)
		if err != nil {
			return false, err
		}
		more = more || m
	}
	if f.rotation.losses > losses { // a copy may have come before that
		if err := f.scan(); err != nil {
			return false, err
		}
		more = true
	}
	if err := f.closeFinished(); err != nil {
		return false, err
	}
	f.caughtUp = f.caughtUp || !more
	return more, f.tellPlaces()
}

// tellPlaces tells the places that have changed: at once if it is told for the first time that the
// follow has caught up, and else from time to time.
func (f *follower) tellPlaces() error {
	if f.toldCaughtUp == f.caughtUp && len(f.places.news) == 0 && f.now().Sub(f.toldAt) < placesEvery {
		return nil
	}
	f.toldAt = f.now()
	places := f.places.take()
	for _, x := range f.files.list {
		// One that may be a copy is for another follow to decide about anew.
		if p := x.place(); p != x.told && x.stage != stageNewcomer {
			x.told = p
			places = append(places, p)
		}
	}
	if len(places) == 0 && f.toldCaughtUp == f.caughtUp {
		return nil
	}
	f.toldCaughtUp = f.caughtUp
	return f.sink.Places(places, f.caughtUp)
}

// scan looks for names, takes up the files that are new, and looks for the rests of those that are
// lost.
func (f *follower) scan() error {
	for _, x := range f.files.list {
		x.name = nameGone
	}
	if err := f.say(f.names.takeDropped()); err != nil {
		return err
	}
	errs, err := f.names.scan(f.wanted)
	if err != nil {
		return err
	}
	f.names.takeKept(f.wanted, f.rotation.packedUndecided)
	f.names.sortPending()
	f.noteNames()
	for _, e := range errs {
		if err := f.fail(e); err != nil {
			return err
		}
	}
	for c, ok := f.names.next(); ok; c, ok = f.names.next() {
		if err := f.take(c); err != nil {
			return err
		}
	}
	f.rotation.forgetPacked(f.names.scans)
	if f.names.scans == 1 {
		if err := f.tellFirst(); err != nil {
			return err
		}
	}
	return f.rotation.besideLost(func(dir files.Dir) { f.names.dirs[dir] = true }, f.takeRest)
}

// wanted reports whether a file that was found is to be taken up now. Of one that is followed it
// takes note of the name.
func (f *follower) wanted(file *os.File, path string, info fs.FileInfo) bool {
	if x := f.files.byID[idOf(info)]; x != nil {
		if x.path == path {
			x.name = nameOwn
		} else {
			x.name = max(x.name, nameOther)
		}
		return false
	}
	return !isPacked(path) || f.beginning() || f.rotation.packedDue(file, path, info, f.names.scans)
}

// beginning reports whether what is found is what was there before anybody followed it.
func (f *follower) beginning() bool { return f.names.scans == 1 && !f.resumed }

// known reports whether a file is followed, or was dealt with.
func (f *follower) known(id fileID, path string, info fs.FileInfo) bool {
	return f.files.byID[id] != nil || isPacked(path) && f.rotation.knowsPacked(id, info)
}

// noteNames takes note of since when files have had no name, and of those that rest.
func (f *follower) noteNames() {
	now := f.now()
	for _, x := range f.files.list {
		if x.name != nameGone {
			x.gone = time.Time{}
		} else if x.gone.IsZero() {
			x.gone = now
		}
		if x.rotated.IsZero() && (x.name != nameOwn || stem(x.path) != x.path) {
			x.rotated = now
		}
		x.rests = x.packed == files.Uncompressed && x.offset() == x.size && !x.rotated.IsZero() &&
			now.Sub(x.rotated) >= lingerTime && now.Sub(x.grew) >= lingerTime
	}
}

// tellFirst tells all places, so that whoever listens can go on from here whatever happens.
func (f *follower) tellFirst() error {
	if f.resumed {
		f.rotation.loseLeft()
	}
	places := f.places.take()
	for _, x := range f.files.list {
		if x.stage != stageNewcomer {
			x.told = x.place()
			places = append(places, x.told)
		}
	}
	f.toldAt = f.now()
	f.names.begun = true
	return f.sink.Places(places, false)
}

// fail says what is wrong with a path, once. That a path does not exist yet is told only at the
// beginning.
func (f *follower) fail(e files.FileError) error {
	if e.Missing && f.names.scans > 1 {
		return nil
	}
	return f.sayOnce(e.Error(), e)
}

func (f *follower) sayOnce(key string, e files.FileError) error {
	if f.said[key] || len(f.said) >= saidMax {
		return nil
	}
	f.said[key] = true
	return f.sink.Error(e)
}

func (f *follower) say(errs []files.FileError) error {
	for _, e := range errs {
		if err := f.sink.Error(e); err != nil {
			return err
		}
	}
	return nil
}

// gapError says that lines are lost, so many bytes of them; 0: nobody knows how many.
func gapError(path, message string, lost int64) files.FileError {
	return files.FileError{Path: path, Reason: greppb.FileError_LOST, Message: message, Gap: true, Lost: uint64(max(lost, 0))}
}

// open makes a file that was found one that is searched from its beginning.
func (f *follower) open(c candidate) *followed {
	x := &followed{
		f: c.f, id: c.id, path: c.path, number: f.places.next(), size: c.info.Size(),
		name: nameOwn, grew: f.now(),
	}
	if c.kept {
		x.name, x.gone = nameGone, f.now()
	}
	x.sink = fileSink{x: x, to: f.sink}
	if isPacked(c.path) {
		x.packed = files.CompressionOf(c.f, c.path)
	}
	f.start(x, 0)
	return x
}

// take begins to follow a file that was found by its name.
func (f *follower) take(c candidate) error {
	x := f.open(c)
	switch before := f.rotation.placeOf(c.f, c.id, c.path, x.size); {
	case before != nil:
		delete(f.rotation.left, c.id)
		if isPacked(c.path) {
			f.rotation.packedDone(c, f.names.scans)
		}
		return f.decided(x, decision{verdict: verdictResume, at: before})
	case f.beginning() && isPacked(c.path):
		return f.takeHistory(x, c)
	case f.beginning():
		return f.begin(x, c.info)
	case isPacked(c.path):
		return f.decided(x, f.rotation.compressed(x, c))
	}
	x.stage = stageNewcomer
	f.files.add(x)
	return nil
}

// takeRest begins to follow a file that nobody asked for, if it has the rest of one that is lost.
func (f *follower) takeRest(c candidate) error {
	if len(f.files.list) >= FollowedMax {
		return c.f.Close()
	}
	x := f.open(c)
	return f.decided(x, f.rotation.fromBeside(x, c, f.names.scans))
}

// decided does with a file that is not followed yet what was decided.
func (f *follower) decided(x *followed, d decision) error {
	if d.verdict == verdictWait || d.verdict == verdictClose {
		x.f.Close()
		switch {
		case d.say == nil:
			return nil
		case d.once != "":
			return f.sayOnce(d.once, *d.say)
		}
		return f.sink.Error(*d.say)
	}
	f.apply(x, d)
	f.files.add(x)
	return nil
}

// apply makes a file what was decided about it.
func (f *follower) apply(x *followed, d decision) {
	switch d.verdict {
	case verdictResume:
		f.resume(x, d.at)
		f.recall(x, x.f)
		if info, err := x.f.Stat(); err == nil && info.ModTime().Before(x.grew) {
			x.grew = info.ModTime()
		}
		if d.at.Lost && !d.at.Unread { // it rested already, or is a copy
			x.rotated = x.grew
		}
	case verdictBegin:
		x.stage, x.original = stageFollowed, nil
	case verdictPass:
		x.feed.Restore(stateAt(passedOver))
		x.stage = stageFinished
	}
}

// takeHistory searches a compressed file that was there when the follow began, if what was there is
// to be searched.
func (f *follower) takeHistory(x *followed, c candidate) error {
	f.rotation.packedDone(c, f.names.scans)
	if f.past == nil || c.info.Size() == 0 || f.past.Before(c.info.ModTime()) {
		return c.f.Close()
	}
	if x.packed == files.Uncompressed {
		return f.decided(x, notExpanded(c.path))
	}
	x.history = math.MaxInt64
	f.files.add(x)
	return nil
}

// begin takes up a file that was there when the follow began: what it holds then is its history.
func (f *follower) begin(x *followed, info fs.FileInfo) error {
	if err := f.beginAt(x, info); err != nil {
		x.f.Close()
		return f.fail(files.NewError(x.path, err))
	}
	f.files.add(x)
	return nil
}

// beginAt finds out where a file's history ends, and where the part of it begins that is searched.
func (f *follower) beginAt(x *followed, info fs.FileInfo) error {
	end, err := f.lastLine(x)
	if err != nil {
		return err
	}
	from := end
	if f.past != nil && !f.past.Before(info.ModTime()) && end > 0 {
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
	x.feed.Restore(stateAt(from))
	x.scanned, x.history = from, end
	f.period(x)
	if from == end { // lines before those of some time are no context
		f.recall(x, x.f)
	}
	return nil
}

// locate finds where in a file the lines of Since can begin.
func (f *follower) locate(x *followed, info fs.FileInfo, end int64) (int64, error) {
	x.feed.Use(f.past)
	from, err := x.feed.Locate(x.f, end, info.ModTime())
	if errors.Is(err, search.ErrNoTimes) {
		return from, f.fail(files.NewError(x.path, err))
	}
	return from, err
}

// lastLine gives where the last line begins that has no end yet, or the end of the file.
func (f *follower) lastLine(x *followed) (int64, error) { return f.cutter.LineStart(x.f, x.size) }

// stopUnreadable follows a file no further that cannot be read.
func (f *follower) stopUnreadable(x *followed, err error) error {
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	x.stage = stageFinished
	return f.fail(files.NewError(x.path, err))
}

// closeFinished ends the following of files that have had no name, and no new line, for so long
// that none is to be expected.
func (f *follower) closeFinished() error {
	now := f.now()
	kept := f.files.list[:0]
	for i, x := range f.files.list {
		if !f.finished(x, now) {
			kept = append(kept, x)
			continue
		}
		if err := f.closeFile(x); err != nil {
			f.files.list = append(kept, f.files.list[i+1:]...)
			return err
		}
	}
	clear(f.files.list[len(kept):])
	f.files.list = kept
	return f.say(f.rotation.giveUp())
}

// finished reports whether a file need not be open any more.
func (f *follower) finished(x *followed, now time.Time) bool {
	if x.packed == files.Uncompressed {
		return !x.gone.IsZero() && now.Sub(x.gone) >= lingerTime && now.Sub(x.grew) >= lingerTime
	}
	if x.stage != stageFinished {
		return false
	}
	// Another follow might take it for one that has just come, if it looks for its name.
	return f.rotation.packed[x.id].origin == packedBeside || now.Sub(x.grew) >= awaySlack
}

// closeFile closes a file. Where it is comes in handy if it turns up again, or a copy of it. Where
// it has no name anywhere its number may be that of another file next.
func (f *follower) closeFile(x *followed) error {
	p := x.place()
	info, statErr := x.f.Stat()
	removed := statErr == nil && nameless(info)
	x.f.Close()
	delete(f.files.byID, x.id)
	if packed := f.rotation.packed[x.id]; packed != nil && x.packed != files.Uncompressed && !p.passedOver() {
		packed.at = &p
	}
	if x.packed == files.Uncompressed && !removed && len(f.rotation.left) < FollowedMax {
		f.rotation.left[x.id] = p
	}
	for _, y := range f.files.list {
		if y.original == x {
			f.followCopy(y)
		}
	}
	var err error
	if rest := x.size - x.offset(); rest > 0 && x.packed == files.Uncompressed && x.stage != stageFinished {
		err = f.sink.Error(gapError(x.path, "it is gone, and its last line has no end", rest))
	}
	f.places.end(p)
	return errors.Join(err, x.feed.End())
}

// followCopy follows a copy whose original is no more what it was: from the end of what they had in
// common, since that was searched in the original.
func (f *follower) followCopy(y *followed) {
	equal := y.equal
	y.original = nil
	y.size = equal
	end, err := f.lastLine(y)
	if err != nil {
		end = 0
	}
	f.start(y, end)
	y.head, _ = printAt(y.f, min(end, printBytes)) // what cannot be read is noticed when it is followed
	y.tail, _ = printAt(y.f, end)
}

// startAgain goes on at the beginning of a file that was truncated.
func (f *follower) startAgain(x *followed) error {
	p, seen := x.place(), max(0, x.scanned-x.offset())
	for _, c := range f.rotation.truncated(x, &p, seen) {
		if c.at != nil {
			f.apply(c.copy, decision{verdict: verdictResume, at: c.at})
		} else {
			f.followCopy(c.copy)
		}
	}
	var err error
	if p.Offset == 0 && seen > 0 {
		err = f.sink.Error(gapError(x.path, "it was truncated before its only line had an end", seen))
	}
	if err == nil {
		err = x.feed.End()
	}
	if err != nil {
		return err
	}
	f.start(x, 0)
	x.history = 0
	f.period(x)
	return f.sink.Error(files.FileError{
		Path: x.path, Reason: greppb.FileError_TRUNCATED, Message: "was truncated: it is followed from its beginning", Warning: true,
	})
}
