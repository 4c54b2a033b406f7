package recording

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/wire"
)

// indent is before what a node does, below its input.
const indent = "    "

func describeHeader(h *Header, node *membership.Node) string {
	c := &h.Config
	return fmt.Sprintf("-- %v, %v, %d alive, recorded from %s by %s\n", node.Self(), node.Phase(),
		node.Alive(), h.Now.Wall.Format("2006-01-02T15:04:05.000000000Z"), h.Program) +
		fmt.Sprintf("-- gateways %v, %d failures at a time, detected within %v, spread within %v",
			c.Gateways, c.MaxFailures, c.DetectWithin, c.SpreadWithin)
}

// describe gives a step's lines of the transcript.
func (r *replay) describe(s *Step) string {
	lines := append([]string{r.describeInput(&s.Input)}, s.actions(false)...)
	seen := s.State
	seen.Wake = 0 // which every step moves
	if seen != r.shown {
		lines = append(lines, indent+seen.String())
		r.shown = seen
	}
	return strings.Join(lines, "\n")
}

func (r *replay) describeInput(in *Input) string {
	text := fmt.Sprintf("#%d +%v ", r.steps, (in.Now.Mono - r.began).Round(time.Microsecond))
	if in.Kind == Packet {
		return text + fmt.Sprintf("%v > %v", in.From, in.Message)
	}
	return text + in.Kind.String()
}

// actions describes what a node did, with packets also byte by byte.
func (o *Output) actions(bytewise bool) (lines []string) {
	for _, sent := range o.Sent {
		line := fmt.Sprintf("%s> %v %v", indent, sent.To, describePacket(sent.Packet))
		if bytewise {
			line += fmt.Sprintf(" %x", sent.Packet)
		}
		lines = append(lines, line)
	}
	for _, event := range o.Events {
		lines = append(lines, indent+event)
	}
	return lines
}

func describePacket(packet []byte) string {
	var m membership.Message
	if err := wire.Decode(packet, &m); err != nil {
		return fmt.Sprintf("%x (%v)", packet, err)
	}
	return m.String()
}

// String describes the state but for when the node is to be called next.
func (s State) String() string {
	return fmt.Sprintf("%v, list version %d, digest %016x", s.Phase, s.Version, s.Digest)
}

// equal reports whether two outputs are the same, to the last bit.
func (o *Output) equal(other *Output) bool {
	same := func(a, b Sent) bool { return a.To == b.To && bytes.Equal(a.Packet, b.Packet) }
	return slices.EqualFunc(o.Sent, other.Sent, same) &&
		slices.Equal(o.Events, other.Events) && o.State == other.State
}

// Divergence is a step that was not as recorded.
type Divergence struct {
	Step  int // from 1
	Input string
	// Lines are those of the two outputs: with - only in the file, with + only in the replay.
	Lines []string
}

func (d *Divergence) String() string {
	return fmt.Sprintf("step %d is not as recorded (- expected, + got)\n  %s\n%s",
		d.Step, d.Input, strings.Join(d.Lines, "\n"))
}

// difference shows two outputs that are not equal.
func (r *replay) difference(recorded, replayed *Output) []string {
	minus, plus := r.lines(recorded, false), r.lines(replayed, false)
	if slices.Equal(minus, plus) { // the words do not say everything
		minus, plus = r.lines(recorded, true), r.lines(replayed, true)
	}
	same := 0
	for same < min(len(minus), len(plus)) && minus[same] == plus[same] {
		same++
	}
	lines := marked(" ", minus[:same])
	lines = append(lines, marked("-", minus[same:])...)
	return append(lines, marked("+", plus[same:])...)
}

func (r *replay) lines(o *Output, bytewise bool) []string {
	next := "not to be called any more"
	if o.Wake-r.began < forever {
		next = fmt.Sprintf("to be called at +%v", o.Wake-r.began)
	}
	return append(o.actions(bytewise), indent+o.State.String(), indent+next)
}

// forever is longer than any recording.
const forever = 100 * 365 * 24 * time.Hour

func marked(mark string, lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, mark+line)
	}
	return out
}
