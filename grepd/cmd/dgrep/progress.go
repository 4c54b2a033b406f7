package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// widthDefault is the width of a terminal that does not tell it.
const widthDefault = 80

// progressLine shows on a terminal how far a query has come, in one line that is written over and over. Grepd
// says that for the first time after half a second, so that quick answers show none. It belongs to one goroutine.
type progressLine struct {
	w     io.Writer // the terminal; nil: nothing is shown
	width int
	nodes int
	shown bool
	open  bool // the last line of output on the terminal has no end yet
}

// newProgressLine decides as --progress says: by default on a terminal, unless -q or -s ask for silence, or the query has no
// end.
func newProgressLine(o *options, stderr io.Writer, getenv func(string) string) *progressLine {
	p := &progressLine{width: widthDefault}
	auto := o.progress == "auto" && !o.quiet() && !o.text.NoMessages && !o.follow && isTerminal(stderr, getenv)
	if o.progress == "always" || auto {
		p.w = stderr
	}
	if file, ok := stderr.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
			p.width = width
		}
	}
	return p
}

// observe shows what a reply says of how far the query has come.
func (p *progressLine) observe(reply *greppb.QueryReply) {
	switch step := reply.Step.(type) {
	case *greppb.QueryReply_Begin:
		p.nodes = len(step.Begin.Nodes)
	case *greppb.QueryReply_Progress:
		if p.w == nil || p.open {
			return
		}
		text := fmt.Sprintf("dgrep: %d of %d nodes done, %s read, lines found: %d", step.Progress.Ended, p.nodes,
			formatBytes(step.Progress.Bytes), step.Progress.Matches)
		// A line that wraps could not be written over.
		fmt.Fprintf(p.w, "\r%s\x1b[K", text[:min(len(text), p.width-1)])
		p.shown = true
	}
}

// erase leaves no trace of the line.
func (p *progressLine) erase() {
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// before gives a writer that makes room for what is written to w, if that may be the same terminal.
func (p *progressLine) before(w io.Writer, getenv func(string) string) io.Writer {
	if p.w == nil || w != p.w && !isTerminal(w, getenv) {
		return w
	}
	return erasingWriter{w, p}
}

type erasingWriter struct {
	io.Writer
	line *progressLine
}

func (e erasingWriter) Write(data []byte) (int, error) {
	e.line.erase()
	if len(data) > 0 {
		e.line.open = data[len(data)-1] != '\n'
	}
	return e.Writer.Write(data)
}

// formatBytes gives a number of bytes in few digits.
func formatBytes(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/1024, 0
	for ; value >= 1024; unit++ {
		value /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
