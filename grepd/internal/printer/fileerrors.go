package printer

import (
	"fmt"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// heldBytesMax bounds the errors that wait for other nodes to say the same. Beyond it
	// they are told as they are, and gathering begins anew.
	heldBytesMax = 1 << 20
	// heldErrorBytes is what an error takes besides its text and its nodes, about.
	heldErrorBytes = 128
)

// fileErrors gathers what nodes say is wrong with files, so that what many of them say of
// the same path is told once: a mistyped path is one line, not one for each machine.
type fileErrors struct {
	list   []*fileError // in the order of their first mention
	byText map[string]*fileError
	bytes  int
}

// fileError is one message about one path.
type fileError struct {
	text string // the path and the message
	said []bool // by target, who says so
	by   int    // how many of them
}

// add takes in what one of so many targets says. It reports whether there is room for more.
func (f *fileErrors) add(text string, target, targets int) bool {
	e := f.byText[text]
	if e == nil {
		if f.byText == nil {
			f.byText = make(map[string]*fileError)
		}
		e = &fileError{text: text, said: make([]bool, targets)}
		f.byText[text] = e
		f.list = append(f.list, e)
		f.bytes += len(text) + targets + heldErrorBytes
	}
	if !e.said[target] {
		e.said[target] = true
		e.by++
	}
	return f.bytes < heldBytesMax
}

// describeError is the error with the nodes that it is from: none are named when every node
// that answered says the same, and one stands where it stands before lines.
//
//	logs/[: not a valid glob
//	10.0.0.3:7117:logs/a: Permission denied
//	logs/a: Permission denied (on 10.0.0.3:7117, 10.0.0.4:7117)
func (o *Outcome) describeError(e *fileError) string {
	if e.by > 1 && o.Ended && o.allSay(e) {
		return e.text
	}
	var names []string
	for target, said := range e.said {
		if said && len(names) < namedMax {
			names = append(names, o.nodes[target].addr)
		}
	}
	if e.by == 1 {
		return nameOf(names[0], e.text)
	}
	more := ""
	if e.by > len(names) {
		more = fmt.Sprintf(" and %d more", e.by-len(names))
	}
	return fmt.Sprintf("%s (on %s%s)", e.text, strings.Join(names, ", "), more)
}

// allSay reports whether all nodes that answered say so, and any did.
func (o *Outcome) allSay(e *fileError) bool {
	for target := range o.nodes {
		end := o.nodes[target].end
		if end != nil && end.Outcome == greppb.NodeEnd_ANSWERED && !e.said[target] {
			return false
		}
	}
	return o.answered > 0
}
