package wire

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
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
		HeardNanos: int64(s.Heard), Held: s.Held, ListVersion: s.Version,
	}
	for _, row := range s.Rows {
		p.Rows = append(p.Rows, wirepb.Row{
			Entry: entry(row.Entry), SinceUnixNanos: row.Since.UnixNano(),
		})
	}
	for _, b := range s.Beats {
		p.Beats = append(p.Beats, wirepb.Beat{
			Addr: addr(b.Addr), AtNanos: int64(b.At), UnheardNanos: int64(b.Unheard),
		})
	}
	for _, w := range s.Watched {
		p.Watched = append(p.Watched, wirepb.Watched{
			Id: id(w.ID), StampNanos: int64(w.Stamp), FreshNanos: int64(w.Fresh),
			BaseNanos: int64(w.Base), HasBase: w.HasBase,
			TripNanos: int64(w.Trip), WrongedNanos: int64(w.Wronged),
			InVain: uint32(w.Doubt.InVain), Underway: uint32(w.Doubt.Underway),
			Rounds: uint32(w.Doubt.Rounds), LoneProbes: uint32(w.Doubt.Probes - w.Doubt.Rounds),
			SinceNanos: int64(w.Doubt.Since), NextProbeNanos: int64(w.Doubt.NextProbe), RipeNanos: int64(w.Doubt.Ripe),
		})
	}
	appendGray(&p, &s)
	for _, r := range s.Returns {
		p.Returns = append(p.Returns, wirepb.Returns{
			Addr: addr(r.Addr), Count: r.Count, AtNanos: int64(r.At),
		})
	}
	appendPending(&p, s.Pending)
	out, err := p.Marshal()
	if err != nil {
		panic(fmt.Sprintf("wire: encode a snapshot: %v", err)) // it has no field that could fail
	}
	return append(buf, out...)
}

func appendGray(p *wirepb.Snapshot, s *membership.Snapshot) {
	if !s.GraySince.IsZero() {
		p.GraySinceUnixNanos = s.GraySince.UnixNano()
	}
	for _, g := range s.GrayMembers {
		p.GrayMembers = append(p.GrayMembers, wirepb.GrayMember{
			Addr: addr(g.Addr), UntilNanos: int64(g.Until),
		})
	}
	for _, q := range s.Questions {
		p.Questions = append(p.Questions, wirepb.Question{
			Seq: q.Seq, To: uint64(q.To), SentNanos: int64(q.Sent), Answered: q.Answered,
		})
	}
	for _, t := range s.Tallies {
		p.Tallies = append(p.Tallies, wirepb.Tally{
			To: uint64(t.To), SinceNanos: int64(t.Since),
			Asked: uint32(max(0, t.Asked)), Answered: uint32(t.Answered),
		})
	}
}

func appendPending(p *wirepb.Snapshot, pending membership.Pending) {
	p.Batch = entries(pending.Batch)
	for _, e := range pending.Staged {
		p.Staged = append(p.Staged, wirepb.Staged{Entry: entry(e.Entry), DueNanos: int64(e.Due)})
	}
	for _, f := range pending.Flights {
		p.Flights = append(p.Flights, wirepb.Flight{
			Seq: f.Seq, Head: id(f.Head), ArcFrom: uint64(f.Arc.From), ArcTo: uint64(f.Arc.To),
			Entries: entries(f.Entries), Hops: uint32(f.Hops), Relayed: f.Relayed,
			Tries: uint32(f.Tries), RetryNanos: int64(f.Retry),
		})
	}
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
		Heard: time.Duration(p.HeardNanos), Held: p.Held, Version: p.ListVersion,
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		s.Rows = append(s.Rows, membership.NewMember(d.entry(&r.Entry), time.Unix(0, r.SinceUnixNanos).UTC()))
	}
	for _, b := range p.Beats {
		s.Beats = append(s.Beats, membership.Beat{
			Addr: d.addr(b.Addr), At: time.Duration(b.AtNanos), Unheard: time.Duration(b.UnheardNanos),
		})
	}
	for _, w := range p.Watched {
		s.Watched = append(s.Watched, membership.Watched{
			ID: d.id(w.Id), Stamp: time.Duration(w.StampNanos), Fresh: time.Duration(w.FreshNanos),
			Base: time.Duration(w.BaseNanos), HasBase: w.HasBase,
			Trip: time.Duration(w.TripNanos), Wronged: time.Duration(w.WrongedNanos),
			Doubt: membership.Doubt{
				Probes: int(min(uint64(w.Rounds)+uint64(w.LoneProbes), math.MaxUint16)),
				Rounds: int(min(w.Rounds, math.MaxUint16)), Since: time.Duration(w.SinceNanos),
				InVain: int(min(w.InVain, math.MaxUint16)), Underway: int(min(w.Underway, math.MaxUint16)),
				NextProbe: time.Duration(w.NextProbeNanos), Ripe: time.Duration(w.RipeNanos),
			},
		})
	}
	d.gray(&s, &p)
	for _, r := range p.Returns {
		s.Returns = append(s.Returns, membership.Returns{
			Addr: d.addr(r.Addr), Count: r.Count, At: time.Duration(r.AtNanos),
		})
	}
	s.Pending = d.pending(&p)
	if d.problem != nil {
		return membership.Snapshot{}, fmt.Errorf("%w: %v", ErrSnapshot, d.problem)
	}
	if !slices.IsSortedFunc(s.Questions, func(a, b membership.Question) int { return cmp.Compare(a.Seq, b.Seq) }) {
		return membership.Snapshot{}, fmt.Errorf("%w: its questions are not in order", ErrSnapshot)
	}
	return s, sorted(s.Rows)
}

func (d *decoder) gray(s *membership.Snapshot, p *wirepb.Snapshot) {
	if p.GraySinceUnixNanos != 0 {
		s.GraySince = time.Unix(0, p.GraySinceUnixNanos).UTC()
	}
	for _, g := range p.GrayMembers {
		s.GrayMembers = append(s.GrayMembers, membership.GrayMember{
			Addr: d.addr(g.Addr), Until: time.Duration(g.UntilNanos),
		})
	}
	for _, q := range p.Questions {
		s.Questions = append(s.Questions, membership.Question{
			Seq: q.Seq, To: ring.Position(q.To), Sent: time.Duration(q.SentNanos), Answered: q.Answered,
		})
	}
	for _, t := range p.Tallies {
		s.Tallies = append(s.Tallies, membership.Tally{
			To: ring.Position(t.To), Since: time.Duration(t.SinceNanos),
			Asked: int(min(t.Asked, math.MaxUint16)), Answered: int(min(t.Answered, t.Asked, math.MaxUint16)),
		})
	}
}

func (d *decoder) pending(p *wirepb.Snapshot) (pending membership.Pending) {
	for i := range p.Batch {
		pending.Batch = append(pending.Batch, d.entry(&p.Batch[i]))
	}
	for i := range p.Staged {
		pending.Staged = append(pending.Staged, membership.Staged{
			Entry: d.entry(&p.Staged[i].Entry), Due: time.Duration(p.Staged[i].DueNanos),
		})
	}
	for i := range p.Flights {
		f := &p.Flights[i]
		flight := membership.Flight{
			Seq: f.Seq, Head: d.id(f.Head), Arc: ring.Arc{From: ring.Position(f.ArcFrom), To: ring.Position(f.ArcTo)},
			Hops: int(min(f.Hops, math.MaxUint16)), Relayed: f.Relayed,
			Tries: int(min(f.Tries, math.MaxUint8)), Retry: time.Duration(f.RetryNanos),
		}
		for j := range f.Entries {
			flight.Entries = append(flight.Entries, d.entry(&f.Entries[j]))
		}
		pending.Flights = append(pending.Flights, flight)
	}
	return pending
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
