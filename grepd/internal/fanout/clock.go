package fanout

import "github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"

// ahead says how far a peer's clock is ahead of this node's, from the four times of an exchange as NTP has them
// (RFC 5905, section 8): asked and heard by this node's clock, received and sent by the peer's. The truth differs from it by
// half of the time on the way at the most, however that divides into there and back. ok is false where the times
// contradict each other, as when a clock was set meanwhile.
func ahead(asked, received, sent, heard int64) (offset, bound int64, ok bool) {
	underWay := (heard - asked) - (sent - received)
	if received < 0 || sent < received || underWay < 0 {
		return 0, 0, false
	}
	// Halved first: a peer may say any time, and the sum must not overflow.
	return (received-asked)/2 + (sent-heard)/2, underWay/2 + 1, true
}

// tellClock says how a target's clock differs from this node's, from what it says in answer to the request.
func (q *query) tellClock(t *target, clock *greppb.Clock) error {
	if !q.request.Clock {
		return nil // nobody has asked it
	}
	told := &greppb.NodeClock{Node: t.index}
	if !t.local {
		heard := q.fanout.now()
		asked := t.asked.UnixNano()
		// What passed in between is by the monotonic clock.
		var ok bool
		told.AheadNanos, told.ErrorNanos, ok = ahead(asked, clock.ReceivedUnixNanos, clock.SentUnixNanos, asked+int64(heard.Sub(t.asked)))
		if !ok {
			return nil
		}
	}
	if t.followed != nil {
		t.followed.clock = told
		return nil
	}
	err := q.say(&greppb.QueryReply{Step: &greppb.QueryReply_NodeClock{NodeClock: told}})
	if err != nil {
		q.cancel(err)
	}
	return err
}
