package explore

import (
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"unsafe"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// key stands for a state. It is 128 bits of a cryptographic hash: that two of a thousand
// million states share one has a probability of 10^-21.
type key [16]byte

func keyOf(text []byte) key {
	sum := sha256.Sum256(text)
	return key(sum[:len(key{})])
}

// local is the state of one host's node. It is never changed: what happens to it makes another.
type local struct {
	host int
	node *membership.Node
	die  die
	key  key

	// What the rules ask for all the time.
	self  membership.ID
	phase membership.Phase
	wake  step
	leads bool
	rows  []membership.Entry
}

// row is what the node's list says of an address.
func (l *local) row(addr netip.AddrPort) (entry membership.Entry, ok bool) {
	for _, r := range l.rows {
		if r.Addr == addr {
			return r, true
		}
	}
	return membership.Entry{}, false
}

// die is a node's source of random numbers: the twelve twelfths, one after the other. So every
// choice among up to twelve comes in turn, and there are twelve states of it.
type die struct{ next uint8 }

const dieSides = 12

// Uint64 is for rand.Source. A choice among a power of two is made by the low bits, another one
// by the high ones.
func (d *die) Uint64() uint64 {
	side := uint64(d.next)
	d.next = (d.next + 1) % dieSides
	return side*((1<<32)/dieSides)<<32 | side
}

// copier copies nodes and writes them down.
type copier struct {
	shapes  *shapes
	node    *shape
	randAt  uintptr // where in a node its source of random numbers is
	scratch []byte
}

func newCopier() *copier {
	t := reflect.TypeFor[membership.Node]()
	cfg, _ := t.FieldByName("cfg")
	source, _ := cfg.Type.FieldByName("Rand")
	shapes := newShapes()
	return &copier{shapes: shapes, node: shapes.of(t), randAt: cfg.Offset + source.Offset}
}

// clone returns a node in the same state that shares nothing with it but what is never
// written to, and draws from a die of its own.
func (c *copier) clone(node *membership.Node, d *die) *membership.Node {
	own := *node
	c.node.detach(unsafe.Pointer(&own))
	*(**rand.Rand)(unsafe.Add(unsafe.Pointer(&own), c.randAt)) = rand.New(d)
	return &own
}

// keyOf is equal for nodes that do the same from here on, whatever happens to them. (It may
// differ for some that do, too.)
func (c *copier) keyOf(node *membership.Node, d die) key {
	c.scratch = c.node.write(unsafe.Pointer(node), append(c.scratch[:0], d.next))
	return keyOf(c.scratch)
}
