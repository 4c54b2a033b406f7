package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

// ID names one life of one machine: its address, and when that life began. A machine
// that comes back has the same address and a higher incarnation.
type ID struct {
	Addr netip.AddrPort
	// Incarnation is the start of this life in nanoseconds since 1970-01-01 UTC, or
	// more where the address is known with a higher one.
	Incarnation uint64
}

// ErrBadID says that a text is not an ID.
var ErrBadID = errors.New(`not a member id, want "ip:port@incarnation"`)

// String gives "ip:port@incarnation", the form used in logs, tests and command lines.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return id.Addr.String() + "@" + strconv.FormatUint(id.Incarnation, 10)
}

// ParseID reads what String wrote. It returns ErrBadID.
func ParseID(text string) (ID, error) {
	addrText, incarnationText, ok := strings.Cut(text, "@")
	addr, addrErr := netip.ParseAddrPort(addrText)
	incarnation, incarnationErr := strconv.ParseUint(incarnationText, 10, 64)
	if !ok || addrErr != nil || incarnationErr != nil {
		return ID{}, fmt.Errorf("%q: %w", text, ErrBadID)
	}
	return ID{Addr: addr, Incarnation: incarnation}, nil
}

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// Short is the 32-bit form that heartbeats carry. Two members of one list share it
// with a probability of 2^-32; a receiver tells them apart by address.
func (id ID) Short() uint32 { return uint32(id.hash()) }

// hash is what a list's digest is made of.
func (id ID) hash() uint64 {
	var buf [18 + 8]byte
	b := ring.AppendAddr(buf[:0], id.Addr)
	return xxhash.Sum64(binary.BigEndian.AppendUint64(b, id.Incarnation))
}
