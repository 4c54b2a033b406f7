package wire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/wirepb"
)

// ErrSnapshot is wrapped by the error for every snapshot that cannot be taken up.
var ErrSnapshot = errors.New("unusable snapshot")

// snapshotVersion is the meaning of the fields as they are written today.
const snapshotVersion = 1

// AppendSnapshot appends the encoding of s to buf.
func AppendSnapshot(buf []byte, s membership.Snapshot) []byte {
	p := wirepb.Snapshot{
		Version: snapshotVersion, Self: id(s.Self), Phase: uint32(s.Phase),
		EpochNanos: int64(s.Epoch), Seq: s.Seq, BeatSeq: s.BeatSeq, BeatNanos: int64(s.Beat),
	}
	for _, row := range s.Rows {
		p.Rows = append(p.Rows, wirepb.Row{
			Entry:          wirepb.Entry{Addr: addr(row.Addr), Incarnation: row.Incarnation, State: wirepb.State(row.State)},
			SinceUnixNanos: row.Since.UnixNano(),
		})
	}
	for _, b := range s.Beats {
		p.Beats = append(p.Beats, wirepb.Beat{Addr: addr(b.Addr), AtNanos: int64(b.At)})
	}
	for _, w := range s.Watched {
		p.Watched = append(p.Watched, wirepb.Watched{
			Id: id(w.ID), StampNanos: int64(w.Stamp), FreshNanos: int64(w.Fresh),
			BaseNanos: int64(w.Base), HasBase: w.HasBase,
		})
	}
	out, err := p.Marshal()
	if err != nil {
		panic(fmt.Sprintf("wire: encode a snapshot: %v", err)) // it has no field that could fail
	}
	return append(buf, out...)
}

// DecodeSnapshot reads what AppendSnapshot wrote, in this version or an earlier one. The
// error wraps ErrSnapshot.
func DecodeSnapshot(data []byte) (membership.Snapshot, error) {
	var p wirepb.Snapshot
	if err := p.Unmarshal(data); err != nil {
		return membership.Snapshot{}, fmt.Errorf("%w: %v", ErrSnapshot, err)
	}
	if p.Version < 1 || p.Version > snapshotVersion {
		return membership.Snapshot{}, fmt.Errorf("%w: version %d, this program knows 1 to %d", ErrSnapshot, p.Version, snapshotVersion)
	}
	var d decoder
	s := membership.Snapshot{
		Self: d.id(p.Self), Phase: membership.Phase(p.Phase), Epoch: time.Duration(p.EpochNanos),
		Seq: p.Seq, BeatSeq: p.BeatSeq, Beat: time.Duration(p.BeatNanos),
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		e := membership.Entry{
			ID:    membership.ID{Addr: d.addr(r.Entry.Addr), Incarnation: r.Entry.Incarnation},
			State: d.state(r.Entry.State),
		}
		s.Rows = append(s.Rows, membership.NewMember(e, time.Unix(0, r.SinceUnixNanos).UTC()))
	}
	for _, b := range p.Beats {
		s.Beats = append(s.Beats, membership.Beat{Addr: d.addr(b.Addr), At: time.Duration(b.AtNanos)})
	}
	for _, w := range p.Watched {
		s.Watched = append(s.Watched, membership.Watched{
			ID: d.id(w.Id), Stamp: time.Duration(w.StampNanos), Fresh: time.Duration(w.FreshNanos),
			Base: time.Duration(w.BaseNanos), HasBase: w.HasBase,
		})
	}
	if d.problem != nil {
		return membership.Snapshot{}, fmt.Errorf("%w: %v", ErrSnapshot, d.problem)
	}
	return s, sorted(s.Rows)
}

// sorted rejects rows that are not in strictly ascending ring order, which the list
// relies on.
func sorted(rows []*membership.Member) error {
	ascending := slices.IsSortedFunc(rows, func(a, b *membership.Member) int {
		if a.Position() == b.Position() {
			return 1
		}
		return cmp.Compare(a.Position(), b.Position())
	})
	if !ascending {
		return fmt.Errorf("%w: its members are not in ring order", ErrSnapshot)
	}
	return nil
}
