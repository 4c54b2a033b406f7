package recording

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// Result is what a replay has shown.
type Result struct {
	End   End
	Lasts time.Duration // from the beginning to the last step
	// Divergence is where the node first did something else than the file says; nil: nowhere.
	Divergence *Divergence
	Diverging  int // how many steps were not as recorded
}

// Replay runs the core over a recording, and writes what it does to the transcript: for each step
// a line with the time since the beginning and the input, and below it what the node did. It goes
// on behind a divergence, to show what follows from it: to the end of the file, or to where that
// breaks off. Then the Result is good as far as it goes, and the error says so.
func Replay(file io.Reader, transcript io.Writer) (Result, error) {
	reader, err := NewReader(file)
	if err != nil {
		return Result{}, err
	}
	node, err := reader.Header.Node(reader.Header.Source())
	if err != nil {
		return Result{}, fmt.Errorf("%w: its node cannot be restored: %v", ErrUnusable, err)
	}
	r := &replay{node: node, transcript: transcript, began: reader.Header.Now.Mono}
	r.print(describeHeader(&reader.Header, node))
	for {
		step, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.step(step)
		}
		if err != nil {
			return r.result, err
		}
	}
	r.result.End = reader.End
	return r.result, r.print(fmt.Sprintf("-- end of the recording: %v", reader.End.Reason))
}

// replay is a replay under way.
type replay struct {
	node       *membership.Node
	transcript io.Writer
	began      time.Duration
	steps      int
	shown      State // that the transcript has told of
	result     Result
}

func (r *replay) print(text string) error {
	_, err := fmt.Fprintln(r.transcript, text)
	return err
}

// step does a step, and compares. Its error is the transcript's.
func (r *replay) step(recorded *Step) error {
	r.steps++
	r.result.Lasts = recorded.Now.Mono - r.began
	recorded.Apply(r.node)
	replayed := StepOf(&recorded.Input, r.node, r.node.Ready())
	if err := r.print(r.describe(replayed)); err != nil {
		return err
	}
	if replayed.Output.equal(&recorded.Output) {
		return nil
	}
	if r.result.Diverging++; r.result.Divergence != nil {
		return nil
	}
	r.result.Divergence = &Divergence{
		Step: r.steps, Input: r.describeInput(&recorded.Input),
		Lines: r.difference(&recorded.Output, &replayed.Output),
	}
	return r.print("-- " + r.result.Divergence.String())
}
