package gogocodec

import (
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// slotsBytesMax bounds what the entries of a message take when they are decoded, their text left
// out. Two bytes of a message can become an entry of 200, so the length of what came bounds
// nothing. The largest honest message is a list of 20,000 members, of some 2 MB.
const slotsBytesMax = 8 << 20

// shape is what decoding a type of messages makes room for, by the numbers of its fields. Fields
// that take no room of their own are left out.
type shape map[protowire.Number]slot

// slot is the room for each occurrence of a field.
type slot struct {
	bytes int    // of an entry
	inner *shape // what a message in it makes room for; nil: it is none
	width int    // of an entry of a packed field; 0: they are varints; -1: the field is not packed
}

// varint is the slot.width of varints.
const varint, unpacked = 0, -1

// shapes has the shape of each type of messages that was ever decoded.
var shapes sync.Map // of *shape by reflect.Type

// shapeOf gives the shape of a message, which is a pointer to a struct.
func shapeOf(m message) *shape {
	t := reflect.TypeOf(m).Elem()
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := make(shapesByType).learn(t)
	shapes.Store(t, s)
	return s
}

// shapesByType are those of a message and of all that it may hold.
type shapesByType map[reflect.Type]*shape

// learn reads a shape from the tags of a generated struct.
func (known shapesByType) learn(t reflect.Type) *shape {
	if s := known[t]; s != nil {
		return s
	}
	s := &shape{}
	known[t] = s // before its fields, among which may be messages of the same type
	for field := range fieldsOf(t) {
		if number, made, ok := known.slot(field.StructField); ok {
			made.bytes += field.wrapperBytes
			(*s)[number] = made
		}
	}
	return s
}

// field is one of a generated struct, or of the wrapper that it has in a oneof.
type field struct {
	reflect.StructField
	wrapperBytes int
}

// fieldsOf goes over the fields of a generated struct.
func fieldsOf(t reflect.Type) iter.Seq[field] {
	return func(yield func(field) bool) {
		for i := range t.NumField() {
			if !yield(field{t.Field(i), 0}) {
				return
			}
		}
		m, ok := reflect.New(t).Interface().(interface{ XXX_OneofWrappers() []any })
		if !ok {
			return
		}
		for _, w := range m.XXX_OneofWrappers() {
			wrapper := reflect.TypeOf(w).Elem()
			if !yield(field{wrapper.Field(0), int(wrapper.Size())}) {
				return
			}
		}
	}
}

// slot reads the room for a field from a tag as "bytes,2,rep,name=from,proto3". A field without is
// none of the message's.
func (known shapesByType) slot(field reflect.StructField) (number protowire.Number, made slot, ok bool) {
	encoding, rest, _ := strings.Cut(field.Tag.Get("protobuf"), ",")
	digits, rest, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, slot{}, false
	}
	made.width = unpacked
	t := field.Type
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		t = t.Elem()
		made.bytes = int(t.Size())
		if strings.HasPrefix(rest, "rep,packed,") {
			made.width = map[string]int{"fixed32": 4, "fixed64": 8}[encoding] // or varint
		}
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		made.bytes += int(t.Size())
	}
	if t.Kind() == reflect.Struct {
		made.inner = known.learn(t)
	}
	return protowire.Number(n), made, true
}

// weigh says how many bytes the entries of an encoded message take when it is decoded. It stops
// counting beyond max. What is malformed weighs as much as what stands before it: decoding will
// find it.
func (s *shape) weigh(data []byte, max int) int {
	sum := 0
	for len(data) > 0 && sum <= max {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return sum
		}
		data = data[n:]
		made := (*s)[number]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return sum
		}
		sum += made.weigh(kind, data[:n], max-sum)
		data = data[n:]
	}
	return sum
}

// weigh says what one occurrence of a field takes.
func (f slot) weigh(kind protowire.Type, value []byte, max int) int {
	if kind != protowire.BytesType {
		return f.bytes
	}
	content, _ := protowire.ConsumeBytes(value)
	switch {
	case f.inner != nil:
		return f.bytes + f.inner.weigh(content, max-f.bytes)
	case f.width == unpacked:
		return f.bytes
	case f.width == varint:
		return f.bytes * varints(content)
	}
	return f.bytes * (len(content) / f.width)
}

// varints counts those that end in some bytes.
func varints(data []byte) int {
	n := 0
	for _, b := range data {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// checkSlots refuses a message that would take far more memory than it has bytes.
func checkSlots(data []byte, m message) error {
	if shapeOf(m).weigh(data, slotsBytesMax) > slotsBytesMax {
		return fmt.Errorf("its %d bytes hold so many entries that they would take more than %d MiB", len(data), slotsBytesMax>>20)
	}
	return nil
}
