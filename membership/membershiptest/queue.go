package membershiptest

import "time"

// eventKind says what an event's index refers to. Events of the same instant happen in
// the order of their kinds: faults first, and packets before deadlines, which is the
// rule that every driver of a Node must keep.
type eventKind uint8

const (
	callEvent    eventKind = iota // Sim.calls
	packetEvent                   // Sim.packets
	wakeEvent                     // Sim.hosts
	eventKindEnd                  // how many kinds there are
)

// event is something that will happen.
type event struct {
	at    time.Duration
	order uint64 // among the events of one instant: the kind, then the age
	index int32
	kind  eventKind
}

const orderKindShift = 62

var _ [1<<(64-orderKindShift) - int(eventKindEnd)]struct{} // the kinds fit

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.order < other.order
}

// queue is a heap of four children a node: shallower than a binary one, and its
// children share a cache line or two.
type queue struct {
	heap   []event
	pushed uint64
}

const heapArity = 4

func (q *queue) push(at time.Duration, kind eventKind, index int32) {
	q.pushed++
	e := event{at: at, order: uint64(kind)<<orderKindShift | q.pushed, index: index, kind: kind}
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / heapArity
		if !e.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

// pop takes the next event out; the queue must not be empty.
func (q *queue) pop() event {
	next := q.heap[0]
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap = q.heap[:last]
	if last == 0 {
		return next
	}
	i := 0
	for {
		child := q.firstChild(i)
		if child < 0 || !q.heap[child].before(&e) {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	q.heap[i] = e
	return next
}

// firstChild is the child of i that happens first, or -1.
func (q *queue) firstChild(i int) int {
	from := i*heapArity + 1
	if from >= len(q.heap) {
		return -1
	}
	first := from
	for child := from + 1; child < min(from+heapArity, len(q.heap)); child++ {
		if q.heap[child].before(&q.heap[first]) {
			first = child
		}
	}
	return first
}
