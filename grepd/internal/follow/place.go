package follow

import (
	"io"
	"io/fs"
	"syscall"

	"github.com/cespare/xxhash/v2"
)

// printBytes is how many bytes at most a Print is made of.
const printBytes = 256

// Place is how far a followed file has been searched, in enough detail for another follow, of
// another process even, to go on there. Its fields are those of greppb.Place.
type Place struct {
	File uint32 // the number of the file in its follow
	// Path is the name under which the file was found, and under which its lines are told.
	Path          string
	Device, Inode uint64
	Offset        uint64 // of the first line that was not searched
	// Skip is how many lines after that were handed out all the same. Who has received lines since
	// the Place came says so when another follow is to go on from it.
	Skip uint64
	Line uint64 // the number of the line at Offset, from 1; 0: it was not counted
	// History is where the part of the file ends of which only lines of Since are searched.
	History uint64
	Inside  bool // the line before Offset is of Since, if it is of that part
	// Shown is the offset after the last line that was handed out with context, 0 where there is
	// none, and Pending how many lines of context are still to follow.
	Shown   uint64
	Pending uint32
	// Head is of the first bytes of the file, and Tail of those before Offset.
	Head, Tail Print
	// Lost says that the file has other content by now, or is gone, and that a copy of it, which
	// has what follows, is looked for; and Unread that it may have been written to while nobody
	// followed it.
	Lost, Unread bool
	Ended        bool // there is nothing to go on with any more
}

// Print reports whether some bytes of a file are still what they were.
type Print struct {
	Length uint32
	Hash   uint64
}

func printOf(data []byte) Print {
	if len(data) == 0 {
		return Print{}
	}
	return Print{uint32(len(data)), xxhash.Sum64(data)}
}

// printAt makes the print of what lies before an offset, or of the head where the offset is small.
func printAt(r io.ReaderAt, end int64) (Print, error) {
	data := make([]byte, min(end, printBytes))
	if _, err := r.ReadAt(data, end-int64(len(data))); err != nil {
		return Print{}, err
	}
	return printOf(data), nil
}

// matches reports whether the bytes at an offset are those that the print was made of.
func (p Print) matches(r io.ReaderAt, offset int64) bool {
	if p.Length > printBytes || offset < 0 {
		return false
	}
	data := make([]byte, p.Length)
	n, _ := r.ReadAt(data, offset)
	return printOf(data[:n]) == p
}

// heldBy reports whether a file of some size has what was searched up to the place, as far as the
// prints tell.
func (p *Place) heldBy(r io.ReaderAt, size int64) bool {
	return size >= int64(p.Offset) && p.Head.matches(r, 0) && p.Tail.matches(r, int64(p.Offset)-int64(p.Tail.Length))
}

// fileID tells a file from all others that exist on this machine.
type fileID struct{ device, inode uint64 }

func idOf(info fs.FileInfo) fileID {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(stat.Dev), uint64(stat.Ino)}
	}
	return fileID{}
}

// placeLog gives places their numbers, and keeps those that are to be told beside the places of
// files that are open.
type placeLog struct {
	number uint32 // of the last one
	news   []Place
}

func (l *placeLog) next() uint32 {
	l.number++
	return l.number
}

// tell has a place told with the next ones.
func (l *placeLog) tell(p Place) { l.news = append(l.news, p) }

// end has it told that there is nothing to go on with any more.
func (l *placeLog) end(p Place) {
	p.Ended = true
	l.tell(p)
}

// take gives what is to be told.
func (l *placeLog) take() []Place {
	news := l.news
	l.news = nil
	return news
}
