package udp

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/recording"
)

// RecordOptions say how much is to be recorded.
type RecordOptions struct {
	Program  string        // what records, for the file
	For      time.Duration // at most
	BytesMax int           // the file's, but for its last few bytes
	// Stop ends the recording when it is closed.
	Stop <-chan struct{}
}

// ErrRecording is returned by Record while another call of it is under way.
var ErrRecording = errors.New("it is being recorded already")

// Record keeps what the node is told and what it does, and hands the file to write, piece by
// piece, until it has ended: by an end that the file tells of, which is returned, too, or because
// write or the context did, and then the file breaks off. To begin with, the node is restored from
// its own snapshot, as in a reload. The driver never waits for write: where more than
// pendingBytesMax come together, the recording ends.
func (d *Driver) Record(
	ctx context.Context, o RecordOptions, write func(piece []byte) error,
) (recording.End, error) {
	t := newTape(o.BytesMax)
	defer t.end(recording.Other) // where nobody takes it any more, it is not to grow
	var refused error
	if err := d.do(ctx, func(l *loop) { refused = l.record(t, o.Program) }); err != nil {
		return recording.End{}, err
	}
	if refused != nil {
		return recording.End{}, refused
	}
	over := time.NewTimer(o.For)
	defer over.Stop()
	for {
		piece, end := t.take()
		if len(piece) > 0 {
			if err := write(piece); err != nil {
				return recording.End{}, err
			}
		}
		if end != nil {
			return *end, nil
		}
		select {
		case <-t.more:
		case <-over.C:
			t.end(recording.Time)
		case <-o.Stop:
			t.end(recording.Asked)
		case <-ctx.Done():
			return recording.End{}, ctx.Err()
		}
	}
}

// record puts a tape in, and goes on with a node that is where the recording begins.
func (l *loop) record(t *tape, program string) error {
	if l.tape.running() {
		return ErrRecording
	}
	if !t.running() {
		return nil // whoever asked for it waits no more
	}
	header, err := recording.Begin(l.node, program, newSeed(), l.clock.now())
	if err != nil {
		return err
	}
	source := header.Source()
	node, err := header.Node(source)
	if err != nil {
		return fmt.Errorf("restore the node to record it: %w", err)
	}
	l.node, l.source, l.tape = node, source, t
	t.begin(header)
	l.give(recording.Input{Kind: recording.Started})
	return nil
}

// endTape ends the recording under way, if there is one, with the driver.
func (l *loop) endTape() {
	switch {
	case l.tape == nil:
	case l.node.Phase() == membership.Gone:
		l.tape.end(recording.Gone)
	default:
		l.tape.end(recording.Stopped)
	}
}

// keep puts a step on the tape. When that is over, the node's random numbers begin anew: a file
// has told of the old ones.
func (l *loop) keep(in *recording.Input, ready membership.Ready) {
	if l.tape == nil {
		return
	}
	if !l.tape.running() {
		seed := newSeed()
		l.source.Seed(seed[0], seed[1])
		l.tape = nil
		return
	}
	l.tape.add(recording.StepOf(in, l.node, ready))
}

func newSeed() [2]uint64 {
	var seed [16]byte
	crand.Read(seed[:]) // never fails
	return [2]uint64{binary.NativeEndian.Uint64(seed[:8]), binary.NativeEndian.Uint64(seed[8:])}
}

func newRand() *rand.Rand {
	seed := newSeed()
	return rand.New(rand.NewPCG(seed[0], seed[1]))
}

// pendingBytesMax bounds what a tape holds of a recording that is not written fast enough.
const pendingBytesMax = 8 << 20

// tape is a recording between the driver's goroutine, which puts steps on it, and another one,
// which takes them off. Neither waits for the other.
type tape struct {
	bytesMax int
	more     chan struct{} // of size one: there is something to take

	mu      sync.Mutex
	pending []byte // to be taken
	bytes   int    // of the file so far
	steps   int
	ended   *recording.End
}

func newTape(bytesMax int) *tape { return &tape{bytesMax: bytesMax, more: make(chan struct{}, 1)} }

// running reports whether there is a tape that takes more.
func (t *tape) running() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended == nil
}

func (t *tape) begin(h *recording.Header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.append(recording.AppendHeader(nil, h))
}

// add puts a step on the tape, or ends it where that is too much.
func (t *tape) add(s *recording.Step) {
	frame := recording.AppendStep(nil, s)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended != nil:
	case t.bytes+len(frame) > t.bytesMax:
		t.endLocked(recording.Size)
	case len(t.pending)+len(frame) > pendingBytesMax:
		t.endLocked(recording.Slow)
	default:
		t.steps++
		t.append(frame)
	}
}

// end ends the recording, unless it has ended.
func (t *tape) end(why recording.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.endLocked(why)
	}
}

func (t *tape) endLocked(why recording.Reason) {
	t.ended = &recording.End{Reason: why, Steps: t.steps}
	t.append(recording.AppendEnd(nil, *t.ended))
}

// append needs the lock.
func (t *tape) append(piece []byte) {
	t.bytes += len(piece)
	t.pending = append(t.pending, piece...)
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// take takes what there is off the tape. With the last of it comes the end.
func (t *tape) take() (piece []byte, end *recording.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	piece, t.pending = t.pending, nil
	return piece, t.ended
}
