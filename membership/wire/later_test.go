package wire

import (
	"errors"
	"testing"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

// TestDatagramsOfLaterVersions: the members of a group are upgraded one by one. What a later
// version adds to a datagram is passed over, and a message that only later versions have is dropped.
func TestDatagramsOfLaterVersions(t *testing.T) {
	const unknown = "\xfa\x3e\x03new" // a field of number 1007, three bytes
	r := random(t)
	var got membership.Message
	check := func(what string, datagram []byte, want *membership.Message) {
		t.Helper()
		if err := Decode(datagram, &got); err != nil || !equal(got, *want) {
			t.Errorf("%s: sent     %+v\nreceived %+v, %v", what, *want, got, err)
		}
	}
	for kind := membership.Heartbeat; kind <= membership.GatewayBeat; kind++ {
		want := randomMessage(r, kind)
		check("a field more", append(Append(nil, &want), unknown...), &want)
	}
	want := randomMessage(r, membership.Heartbeat)
	heartbeat := append(Append(nil, &want), unknown...)
	heartbeat[1] += byte(len(unknown)) // its length: so the field is in the heartbeat
	check("a field more in the heartbeat", heartbeat, &want)

	message, err := (&wirepb.Packet{Sender: id(randomID(r))}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := Decode(append(message, unknown...), &got); !errors.Is(err, ErrMalformed) {
		t.Errorf("a message of an unknown kind: %v, want ErrMalformed", err)
	}
}
