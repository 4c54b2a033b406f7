// Package wire turns membership messages into datagrams and back.
package wire

import (
	"errors"

	"github.com/aksinghdce/cluster-membership-service/membership"
)

// PacketBytesMax is the largest datagram ever sent.
const PacketBytesMax = 1200

// ErrMalformed is returned for a datagram that is not a valid packet.
var ErrMalformed = errors.New("malformed packet")

// Append appends the datagram of m to buf.
func Append(buf []byte, m *membership.Message) []byte { return buf }

// Decode reads a datagram into m, whose slices are reused.
func Decode(data []byte, m *membership.Message) error { return ErrMalformed }
