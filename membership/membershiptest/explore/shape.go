package explore

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"time"
	"unsafe"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// A search branches where a node could go on in several ways, and takes two nodes for one where
// they are in the same state. So nodes have to be copied and written down, private fields
// included. A shape does both, and is made from the type: a field that the core gets tomorrow is
// copied and written down, too.

// shape knows how values of one type are copied and written down.
type shape struct {
	// detach makes a value that was copied as plain memory independent of the original; nil: it
	// is so already.
	detach func(p unsafe.Pointer)
	// write writes a value down; nil: it says nothing.
	write func(p unsafe.Pointer, buf []byte) []byte
	// plain says that a value's memory, all of it, is what is written down.
	plain bool
}

// plainShape is the shape of values of this size that are nothing but numbers.
func plainShape(size uintptr) shape {
	return shape{plain: true, write: func(p unsafe.Pointer, buf []byte) []byte {
		return append(buf, unsafe.Slice((*byte)(p), size)...)
	}}
}

// ignored are the fields that have no influence on what a node does within a search, by
// the name of their type and their own. Everything else counts, as it is.
var ignored = map[string]string{
	"Node.now":         "each call sets it before anything reads it",
	"Node.messages":    "empty after Ready",
	"Node.events":      "empty after Ready",
	"Node.reported":    "equal to the version after Ready",
	"Node.bounds":      "follows from cfg",
	"Member.Since":     "only hours after does anything depend on it",
	"Member.position":  "follows from the address",
	"Member.hash":      "follows from the identity and the state",
	"detector.beatSeq": "no receiver looks at it",
	"gateway.beatSeq":  "no receiver looks at it",
	"hearing.sums":     "scratch of a call",
}

// yesNo are the instants of which, within a search, only counts whether there was one.
var yesNo = map[string]string{
	"monitor.wronged": "counts for wrongedFor, which is longer than a search lasts",
}

// ageless are the instants that count only when they are baseWindow ago, which is longer than a
// search lasts (see Options.check).
var ageless = map[string]string{
	"baseDelay.began": "the window moves on after baseWindow",
	"upperBound.at":   "a bound is replaced after baseWindow",
	"lowerBound.at":   "a bound is replaced after baseWindow",
}

// shapes makes shapes, and keeps them.
type shapes struct {
	byType map[reflect.Type]*shape
	// used has the keys of the tables above that were met with, for a test.
	used map[string]bool
}

func newShapes() *shapes {
	return &shapes{byType: map[reflect.Type]*shape{}, used: map[string]bool{}}
}

// of returns the shape of a type. It panics for one that cannot be copied, such as a
// function: the core has none, and a test says so.
func (s *shapes) of(t reflect.Type) *shape {
	if known, ok := s.byType[t]; ok {
		return known
	}
	made := s.make(t)
	s.byType[t] = &made
	return &made
}

func (s *shapes) make(t reflect.Type) shape {
	switch t {
	case reflect.TypeFor[netip.AddrPort]():
		return shape{write: writeAddr}
	case reflect.TypeFor[netip.Addr]():
		return shape{write: writeIP}
	case reflect.TypeFor[time.Time]():
		return shape{write: writeTime}
	case reflect.TypeFor[*membership.Member]():
		return shape{write: s.shared(t)} // rows are never written to, and compared by their place
	case reflect.TypeFor[*rand.Rand]():
		return shape{} // cloneNode puts another one in its place
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint,
		reflect.Float32, reflect.Float64:
		return plainShape(t.Size())
	case reflect.String:
		return shape{write: func(p unsafe.Pointer, buf []byte) []byte {
			text := *(*string)(p)
			return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
		}}
	case reflect.Struct:
		return s.ofStruct(t)
	case reflect.Array:
		return s.ofArray(t)
	case reflect.Slice:
		return s.ofSlice(t)
	default:
		panic(fmt.Sprintf("explore: a node holds a %v, which cannot be copied", t))
	}
}

func (s *shapes) ofStruct(t reflect.Type) shape {
	type part struct {
		offset uintptr
		*shape
	}
	var detached, written []part
	plain := uintptr(0) // so many bytes from the beginning
	for i := range t.NumField() {
		field := t.Field(i)
		made := s.ofField(t, field)
		if made.plain && field.Offset == plain {
			plain += field.Type.Size()
		}
		if made.detach != nil {
			detached = append(detached, part{field.Offset, made})
		}
		if made.write != nil {
			written = append(written, part{field.Offset, made})
		}
	}
	if plain == t.Size() {
		return plainShape(plain)
	}
	var all shape
	if len(detached) > 0 {
		all.detach = func(p unsafe.Pointer) {
			for _, f := range detached {
				f.detach(unsafe.Add(p, f.offset))
			}
		}
	}
	all.write = func(p unsafe.Pointer, buf []byte) []byte {
		for _, f := range written {
			buf = f.write(unsafe.Add(p, f.offset), buf)
		}
		return buf
	}
	return all
}

// ofField is the shape of a field's type, written down as the tables say.
func (s *shapes) ofField(t reflect.Type, field reflect.StructField) *shape {
	key := t.Name() + "." + field.Name
	made := *s.of(field.Type)
	_, ignore := ignored[key]
	_, once := yesNo[key]
	_, unaged := ageless[key]
	switch {
	case ignore, unaged:
		made.write, made.plain = nil, false
	case once:
		made.write, made.plain = writeWhether, false
	default:
		return &made
	}
	s.used[key] = true
	return &made
}

func (s *shapes) ofArray(t reflect.Type) shape {
	elem, size := s.of(t.Elem()), t.Elem().Size()
	if elem.plain {
		return plainShape(t.Size())
	}
	all := shape{write: func(p unsafe.Pointer, buf []byte) []byte {
		for i := range t.Len() {
			buf = elem.write(unsafe.Add(p, uintptr(i)*size), buf)
		}
		return buf
	}}
	if elem.detach != nil {
		all.detach = func(p unsafe.Pointer) {
			for i := range t.Len() {
				elem.detach(unsafe.Add(p, uintptr(i)*size))
			}
		}
	}
	return all
}

func (s *shapes) ofSlice(t reflect.Type) shape {
	elem, size := s.of(t.Elem()), t.Elem().Size()
	return shape{
		detach: func(p unsafe.Pointer) {
			slice := reflect.NewAt(t, p).Elem()
			if slice.IsNil() {
				return
			}
			own := reflect.MakeSlice(t, slice.Len(), slice.Len())
			reflect.Copy(own, slice)
			slice.Set(own)
			for i := 0; elem.detach != nil && i < own.Len(); i++ {
				elem.detach(unsafe.Add(own.UnsafePointer(), uintptr(i)*size))
			}
		},
		write: func(p unsafe.Pointer, buf []byte) []byte {
			slice := reflect.NewAt(t, p).Elem()
			buf = binary.AppendUvarint(buf, uint64(slice.Len()))
			for i := range slice.Len() {
				buf = elem.write(unsafe.Add(slice.UnsafePointer(), uintptr(i)*size), buf)
			}
			return buf
		},
	}
}

// shared writes down what a pointer points to.
func (s *shapes) shared(t reflect.Type) func(p unsafe.Pointer, buf []byte) []byte {
	elem := s.of(t.Elem())
	return func(p unsafe.Pointer, buf []byte) []byte {
		target := *(*unsafe.Pointer)(p)
		if target == nil {
			return append(buf, 0)
		}
		return elem.write(target, append(buf, 1))
	}
}

func writeAddr(p unsafe.Pointer, buf []byte) []byte {
	addr := *(*netip.AddrPort)(p)
	ip := addr.Addr()
	return binary.BigEndian.AppendUint16(writeIP(unsafe.Pointer(&ip), buf), addr.Port())
}

func writeIP(p unsafe.Pointer, buf []byte) []byte {
	ip := (*netip.Addr)(p).AsSlice()
	return append(append(buf, byte(len(ip))), ip...)
}

func writeTime(p unsafe.Pointer, buf []byte) []byte {
	return binary.AppendVarint(buf, (*time.Time)(p).UnixNano())
}

func writeWhether(p unsafe.Pointer, buf []byte) []byte {
	if *(*time.Duration)(p) == 0 {
		return append(buf, 0)
	}
	return append(buf, 1)
}
