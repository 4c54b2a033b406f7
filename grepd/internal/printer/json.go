package printer

import (
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// JSON prints an answer as JSON lines, in ripgrep's form with the node added: each line is
// {"type":T,"data":D}, and by type D holds
//
//	begin    node, path: of a file with something to show
//	match    node, path, lines, line_number, absolute_offset, submatches
//	context  the same, of a line of context
//	end      node, path, binary, stats
//	error    node, path, message
//	gap      node, path, message, and bytes where it is known how many are lost, with --follow
//	node     node, event (followed or lost), outcome, message, with --follow
//	notice   message: how the following goes on, or which clock is wrong
//	clock    node, ahead_seconds, error_seconds: of a node that is followed, with --stats
//	count    count and values, of --count-by; or count and other
//	summary  stats and coverage, always last
//
// With --follow a file ends where it is truncated or gone, so those that are followed to the last have no end; and the
// summary's bytes are those of the progress that was told last.
//
// A text is {"text":"…"}, or {"bytes":"<base64>"} where it is not UTF-8.
type JSON struct {
	output
	encoder *json.Encoder
	outcome Outcome
	stats   bool
	clocks  bool // what is said of clocks is told at once
	files   openFiles[jsonFile]
}

// jsonFile is the file that a target is at.
type jsonFile struct {
	fileData
	begun bool
}

type record struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type fileData struct {
	Node string `json:"node"`
	Path text   `json:"path"`
}

type lineData struct {
	fileData
	Lines      text       `json:"lines"`
	LineNumber uint64     `json:"line_number"`
	Offset     uint64     `json:"absolute_offset"`
	Submatches []submatch `json:"submatches"`
}

type submatch struct {
	Match text   `json:"match"`
	Start uint32 `json:"start"`
	End   uint32 `json:"end"`
}

type endData struct {
	fileData
	Binary bool  `json:"binary"`
	Stats  stats `json:"stats"`
}

type stats struct {
	Files        uint64    `json:"files,omitempty"`
	MatchedLines uint64    `json:"matched_lines"`
	Bytes        uint64    `json:"bytes_searched"`
	Elapsed      *duration `json:"elapsed,omitempty"`
}

type errorData struct {
	Node    string `json:"node,omitempty"`
	Path    text   `json:"path"`
	Message string `json:"message"`
}

type gapData struct {
	errorData
	Bytes uint64 `json:"bytes,omitempty"`
}

type nodeData struct {
	Node    string `json:"node"`
	Event   string `json:"event"`
	Outcome string `json:"outcome,omitempty"`
	Message string `json:"message,omitempty"`
}

type noticeData struct {
	Message string `json:"message"`
}

type summaryData struct {
	Stats    stats    `json:"stats"`
	Coverage coverage `json:"coverage"`
}

type coverage struct {
	Live         bool           `json:"live"`
	Phase        string         `json:"phase,omitempty"` // joining or left: of the grepd that chose whom to ask
	StaleSeconds float64        `json:"stale_seconds,omitempty"`
	Asked        int            `json:"asked"`
	Answered     int            `json:"answered"`
	Complete     bool           `json:"complete"`
	Required     string         `json:"required"`
	Sufficient   bool           `json:"sufficient"`
	Nodes        []nodeCoverage `json:"nodes"`
	Shared       []sharedData   `json:"shared,omitempty"`
}

// sharedData is a file that is one and the same on several nodes.
type sharedData struct {
	Path  text     `json:"path"`
	Nodes []string `json:"nodes"`
}

type nodeCoverage struct {
	Node    string     `json:"node"`
	Outcome string     `json:"outcome"`
	Message string     `json:"message,omitempty"`
	Partial bool       `json:"partial,omitempty"`
	Stats   *stats     `json:"stats,omitempty"`
	Clock   *clockData `json:"clock,omitempty"`
}

// text is what ripgrep calls arbitrary data.
type text struct {
	Text  *string `json:"text,omitempty"`
	Bytes []byte  `json:"bytes,omitempty"`
}

func textOf(data []byte) text {
	if !utf8.Valid(data) {
		return text{Bytes: data}
	}
	s := string(data)
	return text{Text: &s}
}

func textOfPath(path string) text { return textOf([]byte(path)) }

// NewJSON returns a printer that writes to w. The query has to ask for line numbers, byte
// offsets and spans. With stats the summary says of each node what it searched and how long
// that took, and how long the slowest one did.
func NewJSON(w io.Writer, stats bool) *JSON {
	p := &JSON{output: output{w: w}, stats: stats}
	p.encoder = json.NewEncoder(&p.output)
	p.encoder.SetEscapeHTML(false)
	return p
}

// Write appends to the output's buffer, for the encoder.
func (o *output) Write(data []byte) (int, error) {
	o.buf = append(o.buf, data...)
	return len(data), o.writeIfFull()
}

// Outcome is what the steps came to so far.
func (p *JSON) Outcome() *Outcome { return &p.outcome }

// Close writes what was kept.
func (p *JSON) Close() error { return p.Flush() }

// Print shows one step.
func (p *JSON) Print(reply *greppb.QueryReply) error {
	p.outcome.Observe(reply)
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		p.files = newOpenFiles[jsonFile](len(p.outcome.nodes))
	case *greppb.QueryReply_NodeStep:
		if step.NodeStep.Node < uint32(len(p.outcome.nodes)) {
			return p.printStep(int(step.NodeStep.Node), &step.NodeStep.Reply)
		}
	case *greppb.QueryReply_NodeBegin:
		if n := p.outcome.node(step.NodeBegin.Node); n != nil {
			p.files.grow(len(p.outcome.nodes))
			return p.record("node", nodeData{Node: n.addr, Event: "followed"})
		}
	case *greppb.QueryReply_NodeClock:
		return p.tellClocks()
	case *greppb.QueryReply_NodeEnd:
		if n := p.outcome.node(step.NodeEnd.Node); p.outcome.Follow && n != nil && step.NodeEnd.Outcome != greppb.NodeEnd_ANSWERED {
			return p.record("node", nodeData{n.addr, "lost", outcomeNames[step.NodeEnd.Outcome], step.NodeEnd.Message})
		}
	case *greppb.QueryReply_Groups:
		return p.printGroups(step.Groups)
	case *greppb.QueryReply_End:
		for _, l := range p.outcome.nowhere() {
			if err := p.record("error", errorData{Path: textOfPath(l.path), Message: l.text(len(p.outcome.nodes) > 1)}); err != nil {
				return err
			}
		}
		return p.record("summary", p.summary())
	}
	return nil
}

// Notice prints a record.
func (p *JSON) Notice(text string) error { return p.record("notice", noticeData{text}) }

// Following prints a record, and others about clocks.
func (p *JSON) Following(text string) error {
	p.clocks = true
	if err := p.Notice(text); err != nil {
		return err
	}
	return p.tellClocks()
}

// tellClocks says what is to be said of clocks, if it is time for that.
func (p *JSON) tellClocks() error {
	if !p.clocks {
		return nil
	}
	news := p.outcome.newClocks()
	if len(news) == 0 {
		return nil
	}
	for _, n := range news {
		if !p.stats {
			break
		}
		if err := p.record("clock", nodeClockData{n.addr, clockDataOf(n.clock)}); err != nil {
			return err
		}
	}
	for _, warning := range p.outcome.clockWarnings() {
		if err := p.Notice(warning); err != nil {
			return err
		}
	}
	return nil
}

func (p *JSON) record(kind string, data any) error {
	return p.encoder.Encode(record{kind, data})
}

// printStep shows a step of one target.
func (p *JSON) printStep(target int, reply *greppb.SearchReply) error {
	addr := p.outcome.nodes[target].addr
	switch step := reply.Step.(type) {
	case *greppb.SearchReply_FileBegin:
		p.files.begin(target, step.FileBegin, &jsonFile{fileData: fileData{addr, textOfPath(step.FileBegin.Path)}})
	case *greppb.SearchReply_Chunk:
		return p.printChunk(target, step.Chunk)
	case *greppb.SearchReply_FileEnd:
		return p.printEnd(target, step.FileEnd)
	case *greppb.SearchReply_FileError:
		e := errorData{addr, textOfPath(step.FileError.Path), step.FileError.Message}
		switch {
		case step.FileError.Gap:
			return p.record("gap", gapData{e, step.FileError.Lost})
		case !step.FileError.Missing:
			return p.record("error", e)
		}
	}
	return nil
}

func (p *JSON) printChunk(target int, chunk *greppb.Chunk) error {
	file := p.files.file(target, chunk.File)
	if file == nil {
		return p.malformed(target)
	}
	if err := p.begin(file); err != nil {
		return err
	}
	lines := chunk.Walk()
	for lines.Next() {
		if err := p.printLine(file, &lines.Line); err != nil {
			return err
		}
	}
	if lines.Err() != nil {
		return p.malformed(target)
	}
	return nil
}

// begin announces a file before the first thing that is said of it.
func (p *JSON) begin(file *jsonFile) error {
	if file.begun {
		return nil
	}
	file.begun = true
	return p.record("begin", file.fileData)
}

func (p *JSON) malformed(target int) error {
	p.outcome.Failed = true
	return p.record("error", errorData{Node: p.outcome.nodes[target].addr, Path: textOfPath(""), Message: greppb.ErrMalformed.Error()})
}

func (p *JSON) printLine(file *jsonFile, line *greppb.Line) error {
	data := lineData{
		fileData: file.fileData, Lines: textOf(line.Text),
		LineNumber: line.Number, Offset: line.Offset, Submatches: []submatch{},
	}
	for i := 0; i < len(line.Spans); i += 2 {
		start, end := line.Spans[i], line.Spans[i]+line.Spans[i+1]
		data.Submatches = append(data.Submatches, submatch{textOf(line.Text[start:end]), start, end})
	}
	kind := "match"
	if line.IsContext() {
		kind = "context"
	}
	return p.record(kind, data)
}

// printEnd ends a file that was begun, or that has something to say at last.
func (p *JSON) printEnd(target int, end *greppb.FileEnd) error {
	file := p.files.end(target, end)
	if file == nil {
		return p.malformed(target)
	}
	if !file.begun && end.Matches == 0 {
		return nil
	}
	if err := p.begin(file); err != nil {
		return err
	}
	return p.record("end", endData{file.fileData, end.Binary, stats{MatchedLines: end.Matches, Bytes: end.Bytes}})
}

func (p *JSON) summary() summaryData {
	o := &p.outcome
	s := summaryData{
		Stats: stats{Files: o.Files, MatchedLines: o.Matches, Bytes: o.Bytes},
		Coverage: coverage{
			Live: o.live, Phase: phaseNames[o.phase], StaleSeconds: o.staleFor.Seconds(),
			Asked: len(o.nodes), Answered: o.answered, Complete: o.Complete(),
			Required: o.Require.String(), Sufficient: o.Sufficient(), Nodes: []nodeCoverage{},
		},
	}
	if slowest := o.slowest(); p.stats && len(slowest) > 0 {
		s.Stats.Elapsed = durationOf(slowest[0].elapsed())
	}
	for _, f := range o.shared() {
		data := sharedData{Path: textOfPath(f.path)}
		for _, target := range f.targets {
			data.Nodes = append(data.Nodes, o.nodes[target].addr)
		}
		s.Coverage.Shared = append(s.Coverage.Shared, data)
	}
	for i := range o.nodes {
		n := &o.nodes[i]
		if n.end == nil {
			continue
		}
		c := nodeCoverage{Node: n.addr, Outcome: outcomeNames[n.end.Outcome], Message: n.end.Message, Partial: n.end.Partial}
		if p.stats && n.searched != nil {
			c.Stats = statsOf(n.searched)
		}
		if n.clock != nil {
			clock := clockDataOf(n.clock)
			c.Clock = &clock
		}
		s.Coverage.Nodes = append(s.Coverage.Nodes, c)
	}
	return s
}

// phaseNames are the words for phases in JSON, as grepd status has them. That of a member is left out.
var phaseNames = map[greppb.Phase]string{greppb.Phase_JOINING: "joining", greppb.Phase_LEFT: "left"}

// outcomeNames are the words for outcomes in JSON.
var outcomeNames = map[greppb.NodeEnd_Outcome]string{
	greppb.NodeEnd_ANSWERED: "answered", greppb.NodeEnd_FAILED: "failed", greppb.NodeEnd_LEFT: "left",
	greppb.NodeEnd_REFUSED: "refused", greppb.NodeEnd_TIMED_OUT: "timed out",
	greppb.NodeEnd_UNREACHABLE: "unreachable", greppb.NodeEnd_NOT_MEMBER: "not a member",
}
