// Package printer shows the answer to a query: as text in grep's formats, or as JSON
// lines; and says what the answer came to, as a coverage line and an exit status.
//
// Feed every step of the answer to Print, call Flush when no step is at hand, and Close and
// read the Outcome when the answer is over:
//
//	p := printer.NewText(stdout, stderr, options)
//	for ... {
//		err = p.Print(reply)
//	}
//	err = p.Close()
//	status := p.Outcome().ExitStatus(options.Quiet())
//
// # Names
//
// The name of a file is node:path, where node is the member's address. It stands before
// each line, except where the query has one target and the user named one
// file: then lines are bare, as grep's. A glob counts as several files whatever it matches, and so
// does -r, so that the form of the output does not depend on what files there are today.
//
// # Errors
//
// What is wrong with a file is told once for all nodes that say the same of it, with their
// names unless it is every node that answered, and therefore at the end of the answer;
// from a single target it is told at once. In JSON each node's error is a line of its own,
// in its place.
//
// # What cannot be seen
//
// A message, and a name wherever it stands, shows what cannot be seen, as control characters in the name of
// a file, in the form \x1b: see [Message]. Only where names end in a zero byte they are printed as they are. Lines are printed
// as they are too, as grep does, unless TextOptions.Visible says that a terminal would obey them.
//
// # Concurrency
//
// A printer belongs to one goroutine.
package printer

import (
	"io"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Printer shows the steps of an answer in the order in which they come.
type Printer interface {
	// Print shows one step. It may keep the output in memory; the step is not kept. The
	// error is that of the writer.
	Print(reply *greppb.QueryReply) error
	// Notice says how the query itself goes on. It is no part of the answer.
	Notice(text string) error
	// Following says that lines are printed from now on as they are written, in the words of text, and what there is to
	// say of clocks. Of those of nodes that come later that is said then.
	Following(text string) error
	// Flush writes the lines that Print kept.
	Flush() error
	// Close ends the answer, or what there was of it when it broke off: it says and writes
	// whatever Print kept.
	Close() error
	// Outcome is what the steps came to so far.
	Outcome() *Outcome
}

var (
	_ Printer = (*Text)(nil)
	_ Printer = (*JSON)(nil)
)

// Names says when the names of files stand before lines.
type Names uint8

const (
	NamesAuto   Names = iota // unless there is one target and one file
	NamesAlways              // -H
	NamesNever               // -h
)

// flushBytes is how much output is kept before it is written.
const flushBytes = 64 << 10

// output buffers what is written to w. Large pieces are not copied into the buffer.
type output struct {
	w   io.Writer
	buf []byte
}

// writeIfFull keeps the buffer within its bound.
func (o *output) writeIfFull() error {
	if len(o.buf) < flushBytes {
		return nil
	}
	return o.Flush()
}

// writeThrough writes data after what is in the buffer.
func (o *output) writeThrough(data []byte) error {
	if len(o.buf)+len(data) <= flushBytes {
		o.buf = append(o.buf, data...)
		return nil
	}
	if err := o.Flush(); err != nil {
		return err
	}
	_, err := o.w.Write(data)
	return err
}

// Flush writes the buffer.
func (o *output) Flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}
