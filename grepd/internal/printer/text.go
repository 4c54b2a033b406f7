package printer

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// TextOptions are the options of grep that shape its output.
type TextOptions struct {
	Program string // what messages begin with
	ByTime  bool   // --sort=time
	Report  greppb.Report
	Names   Names
	OneFile bool // the user named one file, neither a glob nor a directory with -r

	LineNumbers bool // -n
	ByteOffsets bool // -b
	Null        bool // -Z: names end in a zero byte
	NoMessages  bool // -s
	// Groups says that context was asked for, if only of 0 lines: "--" stands between
	// groups of lines.
	Groups bool
	// Adjacent says that it was of 0 lines. Then groups are not marked by the nodes but
	// made of adjacent lines, which need numbers.
	Adjacent bool
	// GroupSeparator stands between groups of lines, on a line of its own; nil: "--". NoGroupSeparator says
	// that nothing does.
	GroupSeparator   *string
	NoGroupSeparator bool
	InitialTab       bool // -T
	NullData         bool // -z: lines end in a zero byte
	Invert           bool // -v
	// Follow says that lines come as they are written. Then messages are printed at once, and lines have names although
	// there is one target if more may come: Grows.
	Follow, Grows bool
	Stats         bool    // --stats, of which with Follow the clocks are told
	Colors        *Colors // nil: none
	// Visible shows control characters of lines as "cat -v" does, for a terminal, which would obey them.
	Visible bool
}

// Text prints an answer as grep would.
type Text struct {
	output
	messages io.Writer
	options  TextOptions
	outcome  Outcome
	multiple bool // more than one target
	named    bool // names stand before lines
	files    openFiles[textFile]
	printed  bool       // some line was
	clocks   bool       // what is said of clocks is told at once
	last     *textFile  // of the last line that was printed, with Groups
	errors   fileErrors // that have not been told
}

// textFile is the file that a target is at.
type textFile struct {
	path     string
	name     string // as it stands before lines
	selected []byte // what stands before a selected line's number
	context  []byte // what stands before a context line's number
	printed  bool   // some line of it was
	last     uint64 // the number of the last of them, if lines have numbers
	digits   int    // that any number in the file may take, for -T
}

// NewText returns a printer that writes lines to w and messages, such as
// that a file cannot be read, to messages.
func NewText(w, messages io.Writer, options TextOptions) *Text {
	if options.Colors != nil && options.Visible {
		colors := *options.Colors
		colors.visible = true
		options.Colors = &colors
	}
	return &Text{output: output{w: w}, messages: messages, options: options}
}

// Outcome is what the steps came to so far.
func (t *Text) Outcome() *Outcome { return &t.outcome }

// Print shows one step.
func (t *Text) Print(reply *greppb.QueryReply) error {
	t.outcome.Observe(reply)
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		t.begin(step.Begin)
	case *greppb.QueryReply_NodeStep:
		if step.NodeStep.Node < uint32(len(t.outcome.nodes)) {
			return t.printStep(int(step.NodeStep.Node), &step.NodeStep.Reply)
		}
	case *greppb.QueryReply_NodeBegin:
		return t.beginNode(step.NodeBegin)
	case *greppb.QueryReply_NodeClock:
		return t.tellClocks()
	case *greppb.QueryReply_NodeEnd:
		if n := t.outcome.node(step.NodeEnd.Node); t.options.Follow && n != nil && step.NodeEnd.Outcome != greppb.NodeEnd_ANSWERED {
			return t.message(n.addr + " " + t.outcome.describe(step.NodeEnd))
		}
	case *greppb.QueryReply_Groups:
		return t.printGroups(step.Groups)
	case *greppb.QueryReply_End:
		if err := t.tellErrors(); err != nil {
			return err
		}
		for _, l := range t.outcome.nowhere() {
			t.message(l.path + ": " + l.text(t.multiple))
		}
		for _, f := range t.outcome.shared() {
			t.message(t.outcome.describeShared(f))
		}
		if t.options.ByTime {
			for _, warning := range t.outcome.clockWarnings() {
				t.message(warning)
			}
		}
	}
	return nil
}

func (t *Text) begin(begin *greppb.QueryBegin) {
	t.multiple = len(begin.Nodes) > 1 || t.options.Grows
	t.named = t.options.Names == NamesAlways ||
		t.options.Names == NamesAuto && (t.multiple || !t.options.OneFile)
	t.files = newOpenFiles[textFile](len(t.outcome.nodes))
}

// beginNode says that a node is followed that was not before.
func (t *Text) beginNode(begin *greppb.NodeBegin) error {
	if n := t.outcome.node(begin.Node); n != nil {
		t.files.grow(len(t.outcome.nodes))
		return t.message(n.addr + " is followed now")
	}
	return nil
}

// Notice prints a message.
func (t *Text) Notice(text string) error { return t.message(text) }

// Following prints a message, and others about clocks.
func (t *Text) Following(text string) error {
	t.clocks = true
	if err := t.message(text); err != nil {
		return err
	}
	return t.tellClocks()
}

// tellClocks says what is to be said of clocks, if it is time for that.
func (t *Text) tellClocks() error {
	if !t.clocks {
		return nil
	}
	news := t.outcome.newClocks()
	var messages []string
	switch {
	case len(news) == 0:
		return nil
	case t.options.Stats && len(news) <= statsNodesMax:
		for _, n := range news {
			messages = append(messages, fmt.Sprintf("clock of %s: %s", n.addr, describeClock(n.clock)))
		}
	case t.options.Stats:
		messages = append(messages, strings.TrimSuffix(t.outcome.clockSpan(), "\n"))
	}
	for _, text := range append(messages, t.outcome.clockWarnings()...) {
		if err := t.message(text); err != nil {
			return err
		}
	}
	return nil
}

// printStep shows a step of one target.
func (t *Text) printStep(target int, reply *greppb.SearchReply) error {
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_FileBegin:
		t.files.begin(target, step.FileBegin, t.newFile(t.outcome.nodes[target].addr, step.FileBegin))
	case *greppb.SearchReply_Chunk:
		return t.printChunk(target, step.Chunk)
	case *greppb.SearchReply_FileEnd:
		return t.printEnd(target, step.FileEnd)
	case *greppb.SearchReply_FileError:
		if !step.FileError.Missing {
			return t.printError(target, step.FileError)
		}
	}
	return nil
}

// printError says what is wrong with a file: at once if there is one target, and else when
// it is known who says the same.
func (t *Text) printError(target int, e *greppb.FileError) error {
	text := e.Path + ": " + e.Message
	if e.Warning {
		text = e.Path + ": warning: " + e.Message
	}
	if e.Gap {
		text = e.Path + ": gap: " + e.Message + describeLost(e.Lost)
	}
	switch {
	case !t.multiple || t.options.Follow:
		return t.message(nameOf(t.outcome.nodes[target].addr, text))
	case t.options.NoMessages || t.errors.add(text, target, len(t.outcome.nodes)):
		return nil
	}
	return t.tellErrors()
}

// describeLost says how much is lost, if that is known.
func describeLost(bytes uint64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d bytes)", bytes)
}

// tellErrors says what was gathered.
func (t *Text) tellErrors() error {
	list := t.errors.list
	t.errors = fileErrors{}
	for _, e := range list {
		if err := t.message(t.outcome.describeError(e)); err != nil {
			return err
		}
	}
	return nil
}

// Close says and writes what was kept.
func (t *Text) Close() error {
	if err := t.tellErrors(); err != nil {
		return err
	}
	return t.Flush()
}

// newFile prepares what stands before the lines of a file.
func (t *Text) newFile(addr string, begin *greppb.FileBegin) *textFile {
	size := uint64(math.MaxInt64) // as grep has it for a stream
	if begin.Size_ >= 0 {
		size = uint64(begin.Size_)
		if t.options.LineNumbers { // which may be one more than the bytes, as grep reckons
			size++
		}
	}
	path := begin.Path
	f := &textFile{path: path, name: t.shownName(path), digits: len(strconv.FormatUint(size, 10))}
	if t.named {
		f.name = t.shownName(nameOf(addr, path))
		f.selected = t.appendSeparator(t.appendName(nil, f.name), ':')
		f.context = t.appendSeparator(t.appendName(nil, f.name), '-')
		if t.options.Null {
			f.selected = append(t.appendName(nil, f.name), 0)
			f.context = f.selected
		}
	}
	return f
}

// shownName is a name as it stands before lines, or alone. Anybody who may write to a directory can
// name a file so that it looks like a line of another node; only -Z tells names from lines whatever they are.
func (t *Text) shownName(name string) string {
	if t.options.Null {
		return name
	}
	return escaped(name)
}

func (t *Text) appendName(b []byte, name string) []byte {
	return t.options.Colors.paint(b, t.sgr().name, name)
}

func (t *Text) appendSeparator(b []byte, separator byte) []byte {
	if t.options.Colors == nil {
		return append(b, separator)
	}
	return t.options.Colors.paint(b, t.options.Colors.separator, string(separator))
}

// sgr gives the colours, or none.
func (t *Text) sgr() *Colors {
	if t.options.Colors == nil {
		return &Colors{}
	}
	return t.options.Colors
}

// printChunk prints lines. Bare lines are not even looked at.
func (t *Text) printChunk(target int, chunk *greppb.Chunk) error {
	file := t.files.file(target, chunk.File)
	if file == nil {
		return t.malformed(target)
	}
	if t.bare() {
		return t.writeThrough(chunk.Data)
	}
	lines := chunk.Walk()
	for lines.Next() {
		t.appendLine(file, &lines.Line)
		if err := t.writeIfFull(); err != nil {
			return err
		}
	}
	if lines.Err() != nil {
		return t.malformed(target)
	}
	return nil
}

// bare reports whether lines are printed as they come.
func (t *Text) bare() bool {
	o := &t.options
	return !t.named && !o.LineNumbers && !o.ByteOffsets && !o.Groups && o.Colors == nil && !o.Visible
}

// malformed says that a target's answer makes no sense.
func (t *Text) malformed(target int) error {
	t.outcome.Failed = true
	return t.message(t.outcome.nodes[target].addr + ": " + greppb.ErrMalformed.Error())
}

// appendLine prints the current line and what stands before it.
func (t *Text) appendLine(file *textFile, line *greppb.Line) {
	context := line.IsContext()
	if t.options.Groups {
		t.appendGap(file, line)
	}
	prefix, separator := file.selected, byte(':')
	if context {
		prefix, separator = file.context, '-'
	}
	t.buf = append(t.buf, prefix...)
	if t.options.LineNumbers {
		t.appendNumber(file, line.Number, separator, t.sgr().number)
	}
	if t.options.ByteOffsets {
		t.appendNumber(file, line.Offset, separator, t.sgr().offset)
	}
	if t.options.InitialTab && len(line.Text) > 1 && (t.named || t.options.LineNumbers || t.options.ByteOffsets) {
		t.buf = append(t.buf, '\t')
	}
	switch c := t.options.Colors; {
	case c == nil && t.options.Visible:
		body := trimEnd(line.Text, t.lineEnd())
		t.buf = append(appendVisible(t.buf, body), line.Text[len(body):]...)
	case c == nil:
		t.buf = append(t.buf, line.Text...)
	case t.options.Report == greppb.Report_PARTS:
		t.buf = c.appendPart(t.buf, line.Text, t.lineEnd())
	default:
		t.buf = c.appendText(t.buf, line, t.lineColor(context), t.lineEnd())
	}
}

// appendGap prints "--" where a group of lines begins that is not the first one printed,
// of whatever file.
func (t *Text) appendGap(file *textFile, line *greppb.Line) {
	torn := t.options.Follow && t.last != file // another file's lines stand between
	gap := !file.printed || torn || line.Kind&greppb.KindGap != 0 || t.options.Adjacent && line.Number > file.last+1
	if gap && t.printed && !t.options.NoGroupSeparator {
		separator := "--"
		if t.options.GroupSeparator != nil {
			separator = *t.options.GroupSeparator
		}
		t.buf = t.options.Colors.paint(t.buf, t.sgr().separator, separator)
		t.buf = append(t.buf, '\n')
	}
	file.printed, t.printed = true, true
	file.last, t.last = line.Number, file
}

func (t *Text) appendNumber(file *textFile, n uint64, separator byte, sgr string) {
	if t.options.Colors != nil {
		t.buf = t.options.Colors.start(t.buf, sgr)
	}
	start := len(t.buf)
	t.buf = strconv.AppendUint(t.buf, n, 10)
	for t.options.InitialTab && len(t.buf)-start < file.digits {
		t.buf = slices.Insert(t.buf, start, ' ')
	}
	if t.options.Colors != nil {
		t.buf = t.options.Colors.end(t.buf, sgr)
	}
	t.buf = t.appendSeparator(t.buf, separator)
}

// lineEnd is what lines end in.
func (t *Text) lineEnd() string {
	if t.options.NullData {
		return "\x00"
	}
	return "\n"
}

// lineColor is the colour of a line's text outside of its matched parts.
func (t *Text) lineColor(context bool) string {
	c := t.options.Colors
	if context != (t.options.Invert && c.reverse) {
		return c.contextLine
	}
	return c.selectedLine
}

// printEnd prints what is said of a file as a whole.
func (t *Text) printEnd(target int, end *greppb.FileEnd) error {
	file := t.files.end(target, end)
	if file == nil {
		return t.malformed(target)
	}
	switch t.options.Report {
	case greppb.Report_COUNT:
		t.buf = append(t.buf, file.selected...)
		t.buf = append(strconv.AppendUint(t.buf, end.Matches, 10), '\n')
	case greppb.Report_FILES_WITH_MATCHES:
		if end.Matches > 0 {
			t.appendListed(file)
		}
	case greppb.Report_FILES_WITHOUT_MATCH:
		if end.Matches == 0 {
			t.appendListed(file)
		}
	case greppb.Report_LINES, greppb.Report_PARTS:
		if end.Binary { // which -s does not hide: it is no error
			return t.say(t.messageName(target, file.path) + ": binary file matches")
		}
	}
	return t.writeIfFull()
}

// appendListed prints a file's name alone, for -l and -L.
func (t *Text) appendListed(file *textFile) {
	t.buf = t.appendName(t.buf, file.name)
	if t.options.Null {
		t.buf = append(t.buf, 0)
	} else {
		t.buf = append(t.buf, '\n')
	}
}

// nameOf is the name of a node's file; what is searched here has no node.
func nameOf(addr, path string) string {
	if addr == "" {
		return path
	}
	return addr + ":" + path
}

// messageName is a file's name in messages.
func (t *Text) messageName(target int, path string) string {
	return nameOf(t.outcome.nodes[target].addr, path)
}

// message prints an error, unless -s hides it.
func (t *Text) message(text string) error {
	if t.options.NoMessages {
		return nil
	}
	return t.say(text)
}

// say prints to the messages' writer, after the lines that came before.
func (t *Text) say(text string) error {
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(t.messages, "%s: %s\n", t.options.Program, Message(text))
	return nil
}
