package eventlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadID says that a text is not the id of a member.
var ErrBadID = errors.New(`not a member id, want "ip:port@incarnation"`)

// FormatID gives the id of one life of a member, "ip:port@incarnation": what stands in lines as
// node and peer. Package membership, which imports nothing of shared, writes the same.
func FormatID(addr string, incarnation uint64) string {
	return addr + "@" + strconv.FormatUint(incarnation, 10)
}

// ParseID reads what FormatID wrote. It returns ErrBadID.
func ParseID(id string) (addr string, incarnation uint64, err error) {
	addr, number, ok := strings.Cut(id, "@")
	incarnation, err = strconv.ParseUint(number, 10, 64)
	if !ok || addr == "" || err != nil {
		return "", 0, fmt.Errorf("%q: %w", id, ErrBadID)
	}
	return addr, incarnation, nil
}

// AddrOf gives the address of an id, which all lives of a machine have in common. What is no id is
// its own address.
func AddrOf(id string) string {
	if addr, _, err := ParseID(id); err == nil {
		return addr
	}
	return id
}
