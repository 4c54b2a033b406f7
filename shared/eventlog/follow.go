package eventlog

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// followLineMax is the longest line that a Follower returns; longer ones are passed over.
	followLineMax = 1 << 20
	// firstLineMax is how far into a file its first time is looked for.
	firstLineMax = 64 << 10
)

var errTruncated = errors.New("the file has become shorter")

// Position is a place in an event log that outlives rotation and compression: a file is
// known by the time of its first line, and not by its name, which changes. The zero
// Position is before the first line of all.
type Position struct {
	File   time.Time // of the file's first line
	Offset int64     // bytes of the file that have been read
}

// Follower reads the lines of an event log as they are written, across rotations: each
// line once, those of one file in their order. It never blocks; who calls it decides how
// often to look. It belongs to one goroutine.
type Follower struct {
	path string

	file   *logFile // nil: none is open
	reader *bufio.Reader
	pos    Position
	line   []byte // that has come so far
	long   bool   // the line under way is too long, and is passed over
	lost   uint64
}

// Follow returns a Follower that goes on from a position.
func Follow(dir, name string, from Position) *Follower {
	return &Follower{path: filepath.Join(dir, name), pos: from}
}

// FollowSince returns a Follower that begins with the file that was written to at a time.
// Lines that are older than that may come first.
func FollowSince(dir, name string, since time.Time) *Follower {
	f := &Follower{path: filepath.Join(dir, name)}
	for _, c := range f.files() {
		if !c.first.After(since) {
			f.pos = Position{File: c.first}
		}
	}
	return f
}

// Position is behind the last line that Next has returned, and all before it.
func (f *Follower) Position() Position { return f.pos }

// Lost counts the times that the file of a position was gone, or damaged, and with it lines
// that nobody has read.
func (f *Follower) Lost() uint64 { return f.lost }

// Close closes the file. The Follower is not to be used afterwards.
func (f *Follower) Close() {
	if f.file != nil {
		f.file.plain.Close()
	}
	f.file = nil
}

// Next returns the next line without its line break, or nil where no whole one has been
// written yet. The line is valid until the next call.
func (f *Follower) Next() ([]byte, error) {
	for {
		if f.file == nil {
			if opened, err := f.open(); !opened || err != nil {
				return nil, err
			}
		}
		line, err := f.read()
		if f.file.damaged(err) {
			f.passOver()
			continue
		}
		if line != nil || !errors.Is(err, io.EOF) {
			return line, err
		}
		ended, err := f.ended()
		if errors.Is(err, errTruncated) {
			f.passOver() // and open it under its new first line
			continue
		}
		if err != nil || !ended {
			return nil, err
		}
		// What was written before the last writer let go may have come since.
		if line, err := f.read(); line != nil || !errors.Is(err, io.EOF) {
			return line, err
		}
		if more, err := f.advance(); !more || err != nil {
			return nil, err
		}
	}
}

// passOver closes the file, of which no more can be read, and goes on with what comes after it.
func (f *Follower) passOver() {
	f.Close()
	f.pos = Position{File: f.pos.File.Add(1)}
}

// read returns the next whole line of the open file, or io.EOF where it is not there yet.
func (f *Follower) read() ([]byte, error) {
	if n := len(f.line); n > 0 && f.line[n-1] == '\n' { // the one that was returned last
		f.line = f.line[:0]
	}
	for {
		piece, err := f.reader.ReadSlice('\n')
		f.line = append(f.line, piece...)
		if len(f.line) > followLineMax {
			f.pos.Offset += int64(len(f.line))
			f.line, f.long = f.line[:0], true
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		case f.long: // here is its end
			f.pos.Offset += int64(len(f.line))
			f.line, f.long = f.line[:0], false
			continue
		}
		f.pos.Offset += int64(len(f.line))
		return f.line[:len(f.line)-1], nil
	}
}

// ended reports whether nothing more will be written to the open file: it has another
// name by now, and no writer holds it.
func (f *Follower) ended() (bool, error) {
	if f.file.zipped {
		return true, nil
	}
	named, err := os.Stat(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	open, statErr := f.file.plain.Stat()
	if statErr == nil && open.Size() < f.pos.Offset {
		return false, errTruncated
	}
	if statErr != nil || err == nil && os.SameFile(named, open) {
		return false, statErr
	}
	if unix.Flock(int(f.file.plain.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false, nil // a writer has not noticed yet that it was renamed
	}
	return true, unix.Flock(int(f.file.plain.Fd()), unix.LOCK_UN)
}

// advance goes to the beginning of the file after the open one, if there is one with a line.
func (f *Follower) advance() (bool, error) {
	for _, c := range f.files() {
		if c.first.After(f.pos.File) {
			f.Close()
			f.pos = Position{File: c.first}
			return true, nil
		}
	}
	return false, nil
}

// open opens the file of the position, and where that is gone the next one. It reports
// false where there is none, or where one was renamed just now.
func (f *Follower) open() (bool, error) {
	for _, c := range f.files() {
		if c.first.Before(f.pos.File) {
			continue
		}
		file, err := openLogFile(c.path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !file.first.Equal(c.first) {
			file.plain.Close()
			return false, nil
		}
		if !c.first.Equal(f.pos.File) {
			if !f.pos.File.IsZero() {
				f.lost++
			}
			f.pos = Position{File: c.first}
		}
		if err = f.start(file); file.damaged(err) {
			f.passOver()
			continue
		}
		return true, err
	}
	return false, nil
}

// start reads a file from the position on.
func (f *Follower) start(file *logFile) (err error) {
	reader, err := file.content()
	if err == nil && file.zipped {
		_, err = io.CopyN(io.Discard, reader, f.pos.Offset)
	} else if err == nil {
		_, err = file.plain.Seek(f.pos.Offset, io.SeekStart)
	}
	if err != nil && !errors.Is(err, io.EOF) { // a file that has become shorter is noticed later
		file.plain.Close()
		return err
	}
	f.file, f.reader, f.line, f.long = file, bufio.NewReader(reader), f.line[:0], false
	return nil
}

// files lists the log's files that have a line, the oldest first. None is left out that
// is renamed meanwhile: the current one is looked at before the others are listed, which
// shows a file twice rather than not at all, and so is one that is being compressed.
func (f *Follower) files() (files []listed) {
	add := func(path string) (found bool) {
		file, err := openLogFile(path)
		if err != nil {
			return false
		}
		file.plain.Close()
		files = append(files, listed{path, file.first})
		return true
	}
	add(f.path)
	for _, path := range (&archive{path: f.path}).rotated() {
		if !add(path) && !strings.HasSuffix(path, gzipSuffix) {
			add(path + gzipSuffix)
		}
	}
	slices.SortStableFunc(files, func(a, b listed) int { return a.first.Compare(b.first) })
	return files
}

// listed is a file as it was found.
type listed struct {
	path  string
	first time.Time
}

// logFile is an open file of the log.
type logFile struct {
	plain  *os.File
	zipped bool
	first  time.Time // of the first line that has one
}

var errNoLine = errors.New("the file has no line with a time")

func openLogFile(path string) (*logFile, error) {
	plain, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	file := &logFile{plain: plain, zipped: strings.HasSuffix(path, gzipSuffix)}
	if file.first, err = file.firstTime(); err != nil {
		plain.Close()
		return nil, err
	}
	return file, nil
}

// content reads the file from its beginning, decompressed.
func (l *logFile) content() (io.Reader, error) {
	if _, err := l.plain.Seek(0, io.SeekStart); err != nil || !l.zipped {
		return l.plain, err
	}
	return gzip.NewReader(l.plain)
}

// damaged reports whether an error says that what was compressed cannot be had any more. A disk's
// error may pass.
func (l *logFile) damaged(err error) bool {
	var disk *fs.PathError
	return l.zipped && err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &disk)
}

func (l *logFile) firstTime() (time.Time, error) {
	content, err := l.content()
	if err != nil {
		return time.Time{}, err
	}
	head := bufio.NewReader(io.LimitReader(content, firstLineMax))
	for {
		line, err := head.ReadSlice('\n')
		if t, ok := Time(line); ok && err == nil {
			return t, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return time.Time{}, errNoLine
		}
	}
}
