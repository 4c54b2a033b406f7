// Package search finds selected lines in text and hands them to a [Sink].
//
// Package files finds and opens what is searched, and package match compiles what a line must
// match.
//
//	mounts, err := files.OpenMounts([]string{"logs=/var/log/grepd"})
//	matcher, err := match.Compile([]string{"FAIL"}, match.Options{})
//	o := search.Options{Matcher: matcher, MaxCount: -1}
//	stats, err := search.Run(ctx, mounts, []string{"logs/*"}, o, sink)
//
// # What the engine is asked
//
// There are three ways into it, which find the same in the same text:
//
//   - [Run] searches files that are there, with several goroutines. [Files] opens them first, for
//     whoever searches each at its time.
//   - [Reader] searches a stream such as standard input, and hands lines out as they arrive.
//   - A [Feed] is given text as that comes, by whoever knows when: package follow. Its [State] can
//     be taken between two pieces of text, and restored in another Feed, of another process too.
//
// Below all three is one [Cutter], which makes whole lines of what is read: it alone knows what
// ends a line and how long one may be. So it does not matter to the lines that are found, nor to
// what is said of one that is too long, whether a text is a file, compressed, a stream or growing.
//
// Why text comes, when, and under which name, the engine does not know; nor does anybody else see
// how it keeps blocks, workers and groups of context.
//
// # Files
//
// A file is as long as it was when it was opened; what is appended meanwhile is not searched, and
// one that is cut short meanwhile ends there. Files are searched in the order in which package
// files walks, and lines come in file order.
//
// A file with a NUL byte is binary, and so is a line that is not UTF-8, as in grep: such
// lines are not handed out, and [FileStats] says so. The first NUL counts from the
// block in which it stands, so that lines before it may have been handed out; grep's blocks
// differ in size, so in a file over 96 KiB it may hand out more or fewer of them.
//
// # Compressed files
//
// A compressed file is searched as what it expands to; sizes, offsets and line numbers are those of
// the expanded text. One that is cut short, damaged, or expands to more than ExpandBytesMax is
// searched as far as its whole lines go, and has a [files.FileError].
//
// # Times
//
// With Since or Until only lines of that time are searched, as package linetime reads it; a line
// without one is as the line before it, and lines before the first one with a time are of no time
// at all. Line numbers and offsets are those in the file. Lines of context lie in the same unbroken
// run of such lines.
//
// A file counts as ordered if no line is earlier than one before it by more than [TimeSlack], as
// far as can be told from the lines that are looked at: some dozens, evenly spaced, and those of a
// binary search. So a stretch of less than a 32nd of a file that is out of order may go unnoticed,
// and its lines be missed. In an ordered file the search finds the part that is wanted, and reads
// the times of lines only near its ends; what lies before it is read only where line numbers are
// wanted. Any other file is read wholly, each line's time included. A file that was written last
// before the time that is wanted, by more than TimeSlack, is not read at all.
//
// # Memory
//
// Memory does not depend on the length of a file or of an answer: blocks of [BlockBytes] pass
// through a fixed window. A line must fit in memory, so one longer than [LineBytesMax] ends the
// search of its file with a [files.FileError], after the lines before it; and so do lines of
// context before a selected line that are together longer than that. Lines of more than 1 MiB take
// what [LongLines] has. Of a line's parts, with Parts, only some are there at any time; with Spans
// no more than [SpansMax] are told.
//
// # Speed
//
// ripgrep's time divided by this engine's, both with output into a pipe, with two processors, on
// files in the page cache: on 501 MB of the event log and, with patterns of the same classes, on
// 501 MB of mixed system logs. Medians of 15 runs, in brackets of the fastest runs.
//
//	FAIL                                      1.47 (1.52)   1.19 (1.22)
//	-i fail                                   1.87 (1.96)   1.70 (1.71)
//	FAIL|LEAVE|JOIN                           1.62 (1.81)   1.48 (1.52)
//	"peer":"10\.0\.3\.[0-9]+:7117@            2.90 (2.94)   1.10 (1.15)
//	[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:[0-9]+     2.60 (2.67)   3.71 (3.85)
//	-c HEARTBEAT                              2.65 (2.71)   3.29 (3.44)
//	HEARTBEAT                                 2.09 (2.11)   2.04 (1.80)
//
// That was scripts/bench.sh search -long -mixed DIR at 5f28608 on 2026-11-29, on an idle machine
// with two Intel Xeon processors; its report is scripts/bench/runs/2026-11-29-search.txt. ripgrep
// maps files, which is cheap where the cache is in huge pages (FileHugePages in /proc/meminfo):
// then the ratios were 1.18, 1.45, 1.20, 2.73, 2.50, 2.40 and 1.95, and 1.15, 1.66, 1.43, 1.10,
// 3.77, 3.18 and 1.72 (2026-11-29-search-hugepages.txt). On an AMD EPYC, at 469daeb, the second
// text's literals were searched 0.81 to 1.11 times as fast as by a ripgrep that maps huge pages
// (2026-11-29-search-amd.txt); it has not been measured since.
//
// Files are read into buffers, not mapped: a disk that hangs would hold up all of the process at a
// page fault, and not only the goroutine that reads; and a mapped file that is cut short meanwhile
// is a fault of the process.
//
// Ten daemons on that machine took 1.18 to 1.26 times as long for a gigabyte as one engine, and
// 1.07 to 1.09 times on the AMD one. That is what ten processes cost there: ten dgreps without any
// daemon took 1.32 times as long (186 and 141 ms, medians of 9), with the files that
// scripts/bench.sh search -part ten -dir DIR leaves, by
//
//	time (for f in DIR/share*/share.log; do dgrep FAIL - <$f >/dev/null & done; wait)
//	time dgrep FAIL - <DIR/whole-500-1.log >/dev/null
//
// # Concurrency
//
// Each Run starts its own workers and has stopped them when it returns. A Searcher with its Feeds,
// and a Cutter, serve one goroutine. A Sink is called by the goroutine that called Run, Reader or a
// method of a Feed, and by no other.
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
	// SpansMax bounds the matched parts of a line that Chunk.Spans tells of: those after them are
	// not told.
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
	// Since and Until are Unix nanoseconds: only lines of that time or later, and before that one,
	// are searched, as if the file held no others. 0: no bound.
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
	// Marks are those of the first few files, so that it shows when two nodes have searched the
	// same one.
	Marks []FileMark
}

// FileMark tells a file from all others of the cluster, copies of it included.
type FileMark struct {
	Path string
	Mark uint64
}

// marksMax bounds Stats.Marks. Nodes that share a directory come to the same files first.
const marksMax = 8

// Sink takes the results of a search: for each file Begin, its Chunks, End; and Errors, before,
// between or (where reading fails half-way) within them. All calls come in order from the goroutine
// that called Run, Reader or a method of a Feed. A call may block as long as it likes: the search
// then waits, which is the back-pressure. An error that a method returns ends the search, and Run
// returns that error.
type Sink interface {
	// Begin starts a file of so many bytes; path is mount/name, or Reader's label. Files in which
	// nothing is selected are begun and ended too. The size of a stream is -1.
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
