// Package search finds selected lines in files and hands them to a [Sink].
//
// Package files opens the directories that may be searched, and the files in them. [Run] searches
// those that paths name; [Follow] goes on with what is written to them; [Reader] searches a stream such as standard input with the
// same engine. What a line must match is compiled by package match before.
//
//	mounts, err := files.OpenMounts([]string{"logs=/var/log/grepd"})
//	matcher, err := match.Compile([]string{"FAIL"}, match.Options{})
//	stats, err := search.Run(ctx, mounts, []string{"logs/*"}, search.Options{Matcher: matcher, MaxCount: -1}, sink)
//
// # Files
//
// A file is as long as it was when it was opened; what is appended meanwhile is not searched, and one
// that is cut short meanwhile ends there. Files are searched in the order in which package files
// walks, and lines come in file order.
//
// A file with a NUL byte is binary, and so is a line that is not UTF-8, as in grep: such
// lines are not handed out, and [FileStats] says so. The first NUL counts from the
// block in which it stands, so that lines before it may have been handed out; grep's blocks
// differ in size, so in a file over 96 KiB it may hand out more or fewer of them.
//
// # Compressed files
//
// A compressed file is searched as what it expands to; sizes, offsets and line numbers are those of the
// expanded text. One that is cut short, damaged, or expands to more than ExpandBytesMax is searched as
// far as its whole lines go, and has a [files.FileError].
//
// # Times
//
// With Since or Until only lines of that time are searched, as package linetime reads
// it; a line without one is as the line before it, and lines before the first one with a time are of
// no time at all. Line numbers and offsets are those in the file. Lines of context lie in the same unbroken run of
// such lines.
//
// A file counts as ordered if no line is earlier than one before it by more than [TimeSlack], as
// far as can be told from the lines that are looked at: some dozens, evenly spaced, and those of a
// binary search. So a stretch of less than a 32nd of a file that is out of order may go unnoticed, and its
// lines be missed. In an ordered file the search finds the part that is wanted, and reads the times of
// lines only near its ends; what lies before it is read only where line numbers are wanted. Any other
// file is read wholly, each line's time included. A file that was written last before the time that is
// wanted, by more than TimeSlack, is not read at all.
//
// # Following
//
// [Follow] goes on with what is written to files after it has begun. What was there is searched
// before only with Since, of which the times of lines decide; what is new is handed out whatever
// its time, without a line of the two being lost or doubled between them. A line counts when its
// newline is there. In a binary file none does after the first that is withheld, until it is
// truncated, which is told.
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
// That a file was truncated shows in its size, or in the 256 bytes before the place where it is
// read, which are read again with what follows. It is told, and the file is read from its
// beginning. What was appended before that is in a copy, which is looked for also under names that
// nobody asked for, beside the file: those that differ from its own in nothing but what rotation
// appends, or puts before the extension. The same goes for the rest of a file that another Follow
// has left. What is found nowhere within 10 s, compressed or not, is a [files.FileError] with Gap,
// although nobody can say whether there was anything: so is what may be in a copy that cannot be
// expanded, and the line without an end of a file that is truncated or gone. A log that is followed
// under its exact name and rotated twice while nobody follows it is searched in the file that was
// followed, and in the one that has its name then; what lies between is not looked for.
//
// A [Place] says how far a file was searched. The sink hears of it before and after lines, so that
// it can have another Follow go on with exactly the next line, in another process too: it counts
// the lines that it has received since in Place.Skip. The same search from the same place gives the
// same lines.
//
// The system tells of changes in the directories in which names were looked for (fsnotify). It
// tells of none on network file systems, and forgets some when there are many, so files are looked
// at in any case each second, and names every two. A file that comes and goes between two looks is
// never seen.
//
// A follow that is held up by its sink reads later: no line is kept for it. It goes on looking for
// names meanwhile, and has open what it finds, up to FollowedMax files, so that what is rotated
// away before it is read is not lost. Of files that were removed it keeps no more than 1 GiB, since
// their disk space is not free before that. What it cannot keep is a Gap.
//
// # Memory
//
// Memory does not depend on the length of a file or of an answer: blocks of [BlockBytes]
// pass through a fixed window. A line must fit in memory, so one longer than [LineBytesMax]
// ends the search of its file with a [files.FileError], and so do lines of context before a selected
// line that are together longer than that.
// Of its parts, with Parts, only some are there at any time; with Spans no more than [SpansMax] are told.
//
// # Speed
//
// ripgrep's time divided by this engine's, both with output into a pipe, with two processors, on files in the page cache: on 501 MB
// of the event log and, with patterns of the same classes, on 501 MB of mixed system logs. Medians of 15 runs, in brackets of the
// fastest runs.
//
//	FAIL                                      1.47 (1.52)   1.19 (1.22)
//	-i fail                                   1.87 (1.96)   1.70 (1.71)
//	FAIL|LEAVE|JOIN                           1.62 (1.81)   1.48 (1.52)
//	"peer":"10\.0\.3\.[0-9]+:7117@            2.90 (2.94)   1.10 (1.15)
//	[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+     2.60 (2.67)   3.71 (3.85)
//	-c HEARTBEAT                              2.65 (2.71)   3.29 (3.44)
//	HEARTBEAT                                 2.09 (2.11)   2.04 (1.80)
//
// That was scripts/bench.sh search -long -mixed DIR at 5f28608 on 2026-11-29, on an idle machine with two Intel Xeon processors; its
// report is scripts/bench/runs/2026-11-29-search.txt. ripgrep maps files, which is cheap where the cache is in huge pages
// (FileHugePages in /proc/meminfo): then the ratios were 1.18, 1.45, 1.20, 2.73, 2.50, 2.40 and 1.95, and 1.15, 1.66, 1.43, 1.10,
// 3.77, 3.18 and 1.72 (2026-11-29-search-hugepages.txt). On an AMD EPYC, at 469daeb, the second text's literals were searched
// 0.81 to 1.11 times as fast as by a ripgrep that maps huge pages (2026-11-29-search-amd.txt); it has not been measured since.
//
// Files are read into buffers, not mapped: a disk that hangs would hold up all of the process at a page fault, and not only the
// goroutine that reads; and a mapped file that is cut short meanwhile is a fault of the process.
//
// Ten daemons on that machine took 1.18 to 1.26 times as long for a gigabyte as one engine, and 1.07 to 1.09 times on the AMD one.
// That is what ten processes cost there: ten dgreps without any daemon took 1.32 times as long (186 and 141 ms, medians of 9), with the
// files that scripts/bench.sh search -part ten -dir DIR leaves, by
//
//	time (for f in DIR/share*/share.log; do dgrep FAIL - <$f >/dev/null & done; wait)
//	time dgrep FAIL - <DIR/whole-500-1.log >/dev/null
//
// # Concurrency
//
// Mounts may be used by any number of searches at once. Each Run starts its own workers and
// has stopped them when it returns. A Sink is called by the goroutine that
// called Run or Reader, and by no other. A FollowSink is called by goroutines that Follow starts, one at a
// time, and has waited for when it returns.
package search

import (
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// BlockBytes is the size of the blocks in which files are read and searched.
	BlockBytes = 256 << 10
	// ChunkBytes bounds the data of a Chunk of more than one line.
	ChunkBytes = 256 << 10
	// SpansMax bounds the matched parts of a line that Chunk.Spans tells of: those after them are not told.
	SpansMax = 1 << 16

	// chunkLines is how many lines are enough for a Chunk, where they are very short.
	chunkLines = 1 << 15
)

// Report is what is wanted of each file.
type Report uint8

const (
	Lines             = Report(greppb.Report_LINES)               // the selected lines
	Parts             = Report(greppb.Report_PARTS)               // -o: the matched parts of selected lines
	Count             = Report(greppb.Report_COUNT)               // -c: how many lines are selected
	FilesWithMatches  = Report(greppb.Report_FILES_WITH_MATCHES)  // -l: whether a line is selected; ends a file at the first
	FilesWithoutMatch = Report(greppb.Report_FILES_WITHOUT_MATCH) // -L: the same question
	Quiet             = Report(greppb.Report_QUIET)               // -q: ends the whole search at the first selected line
)

func (r Report) String() string { return greppb.Report(r).String() }

// Binary is what is done with a binary file.
type Binary uint8

const (
	BinaryReport = Binary(greppb.Binary_BINARY_REPORT) // say that it has a selected line
	BinaryText   = Binary(greppb.Binary_BINARY_TEXT)   // -a: as any other file
	BinarySkip   = Binary(greppb.Binary_BINARY_SKIP)   // -I: as if it had no selected line
)

// Options say what is searched for, where, and what is wanted.
type Options struct {
	Matcher  *match.Matcher // required
	Invert   bool           // -v: the lines that the matcher does not select
	Report   Report
	MaxCount int64 // -m: selected lines of each file; below 0: no limit. 0 reads nothing
	// Before and After are lines of context around each selected line, with Report Lines.
	Before, After   int
	Binary          Binary
	NullData        bool // -z: lines end in a zero byte; those of chunks too
	files.Selection      // of the files that paths name
	LineNumbers     bool // Chunk.LineNumbers is wanted
	ByteOffsets     bool // Chunk.ByteOffsets is wanted
	Spans           bool // Chunk.Spans is wanted; not with Columns
	// Where selects those lines of which it holds too; nil: all that are selected otherwise.
	Where *fields.Filter
	// All says that Matcher and Invert select all lines, so that they need not be asked.
	All bool
	// Columns are the fields that are handed out instead of the lines, with tabs between
	// them; none: the lines. Not with Parts or context.
	Columns []string
	// Since and Until are Unix nanoseconds: only lines of that time or later, and before that one, are
	// searched, as if the file held no others. 0: no bound.
	Since, Until int64
	Times        bool // Chunk.Times is wanted
	Workers      int  // goroutines that search; 0: one a core
	// ExpandBytesMax bounds what a compressed file may expand to. 0: files.ExpandBytesMaxDefault.
	ExpandBytesMax int64
	// LongLines bounds the memory for long lines of all searches and follows that share it; nil: no
	// bound but that of each line.
	LongLines *LongLines
	Progress  *files.Progress // counts on while the search goes on, where wanted

	blockBytes int64 // for tests; 0: BlockBytes
}

// Chunk holds selected lines of the file that was begun last, and lines of context, as a node sends
// them. Its columns are there where Options ask for them; File is not set.
//
// A line that has no time of its own has in Times that of the line before it that has one; and
// math.MinInt64 if there is none either.
type Chunk = greppb.Chunk

// FileStats says how the search of one file went.
type FileStats struct {
	Matches uint64 // selected lines
	Binary  bool   // with Lines or Parts: a selected line was withheld because it is binary
	Bytes   uint64 // that were searched
}

// Stats are the sums over all files.
type Stats struct {
	Matches uint64 // selected lines
	Files   uint64 // that were begun
	Bytes   uint64 // that were searched
	Errors  uint64 // FileErrors that are no warnings
	// Marks are those of the first few files, so that it shows when two nodes have searched the same one.
	Marks []FileMark
}

// FileMark tells a file from all others of the cluster, copies of it included.
type FileMark struct {
	Path string
	Mark uint64
}

// marksMax bounds Stats.Marks. Nodes that share a directory come to the same files first.
const marksMax = 8

// Sink takes the results of a search: for each file Begin, its Chunks, End; and Errors, before, between
// or (where reading fails half-way) within them. All calls come in order from the goroutine that
// called Run or Reader. A call may block as long as it likes: the search then waits, which is
// the back-pressure. An error that a method returns ends the search, and Run
// returns that error.
type Sink interface {
	// Begin starts a file of so many bytes; path is mount/name, or Reader's label. Files in which nothing
	// is selected are begun and ended too. The size of a stream is -1.
	Begin(path string, size int64) error
	// Chunk hands out lines. The chunk and all that it refers to are valid only until
	// the method returns, and belong to the search: the sink must neither keep nor change them.
	Chunk(c *Chunk) error
	// End finishes the file that was begun last.
	End(s FileStats) error
	// Error says that a path could not be searched. After an error within a file its
	// End follows.
	Error(e files.FileError) error
}
