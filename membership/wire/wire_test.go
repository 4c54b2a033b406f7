package wire

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aksinghdce/cluster-membership-service/membership"
	"github.com/aksinghdce/cluster-membership-service/membership/ring"
)

var seed = flag.Uint64("seed", rand.Uint64(), "seed of the random tests")

func random(t *testing.T) *rand.Rand {
	t.Logf("-seed=%d", *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

func randomAddr(r *rand.Rand) netip.AddrPort {
	if r.IntN(2) == 0 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), 1}), uint16(r.Uint32()))
	}
	ip := [16]byte{0: 0x20, 1: 0x01, 15: byte(r.Uint32())}
	return netip.AddrPortFrom(netip.AddrFrom16(ip), uint16(r.Uint32()))
}

func randomID(r *rand.Rand) membership.ID {
	return membership.ID{Addr: randomAddr(r), Incarnation: r.Uint64()}
}

// randomMessage fills exactly the fields that a message of the kind carries.
func randomMessage(r *rand.Rand, kind membership.Kind) membership.Message {
	m := membership.Message{Kind: kind, Seq: r.Uint64()}
	if kind != membership.Heartbeat {
		m.Sender = randomID(r)
	}
	micros := func() time.Duration { return time.Duration(r.Int64N(1<<50)) * time.Microsecond }
	position := func() ring.Position { return ring.Position(r.Uint64()) }
	entries := func() {
		for range r.IntN(4) {
			m.Entries = append(m.Entries, membership.Entry{ID: randomID(r), State: membership.State(r.IntN(3))})
		}
	}
	switch kind {
	case membership.Heartbeat:
		m.Short, m.Stamp, m.Digest = r.Uint32(), micros(), uint64(r.Uint32())
	case membership.Probe:
		m.Incarnation = r.Uint64()
	case membership.ProbeAck:
		m.Stamp, m.Digest = micros(), uint64(r.Uint32())
	case membership.Query:
		m.Target, m.Stamp = randomID(r), micros()
	case membership.Report:
		m.Target, m.Stamp, m.Age = randomID(r), micros(), micros()
	case membership.Update:
		m.From, m.To, m.Hops, m.Flood = position(), position(), r.IntN(100), r.IntN(2) == 0
		entries()
	case membership.Ranges:
		m.Flood = r.IntN(2) == 0
		ends := []ring.Position{position(), position(), position(), position(), position(), position()}
		slices.Sort(ends)
		for i := range r.IntN(4) {
			m.Ranges = append(m.Ranges, membership.Range{From: ends[2*i], To: ends[2*i+1], Digest: r.Uint64(), Count: r.IntN(20000)})
		}
	case membership.Entries:
		m.From, m.To, m.Reply, m.Flood = position(), position(), r.IntN(2) == 0, r.IntN(2) == 0
		entries()
	case membership.Welcome:
		m.Verdict, m.Incarnation = membership.Verdict(r.IntN(3)), r.Uint64()
		entries()
	case membership.Redirect:
		m.Leader = randomAddr(r)
	case membership.Recall:
		m.Seq, m.Incarnation, m.State = 0, r.Uint64(), membership.State(r.IntN(3))
	case membership.GatewayBeat:
		m.Digest, m.Count = r.Uint64(), r.IntN(20000)
	}
	return m
}

func TestEveryKindSurvivesTheWire(t *testing.T) {
	r := random(t)
	var got membership.Message
	for kind := membership.Heartbeat; kind <= membership.GatewayBeat; kind++ {
		for range 200 {
			want := randomMessage(r, kind)
			if err := Decode(Append(nil, &want), &got); err != nil {
				t.Fatalf("%v: %v", &want, err)
			}
			if got.String() != want.String() || !equal(got, want) {
				t.Fatalf("sent     %+v\nreceived %+v", want, got)
			}
		}
	}
}

// equal treats empty slices like absent ones.
func equal(a, b membership.Message) bool {
	for _, m := range []*membership.Message{&a, &b} {
		m.Entries = append([]membership.Entry(nil), m.Entries...)
		m.Ranges = append([]membership.Range(nil), m.Ranges...)
	}
	return reflect.DeepEqual(a, b)
}

func TestMessagesOfFullSizeFitIntoAPacket(t *testing.T) {
	r := random(t)
	addr := netip.MustParseAddrPort("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
	id := membership.ID{Addr: addr, Incarnation: ^uint64(0)}
	for kind := membership.Heartbeat; kind <= membership.GatewayBeat; kind++ {
		m := randomMessage(r, kind)
		m.Sender, m.Seq, m.From, m.To = id, ^uint64(0), ^ring.Position(0), ^ring.Position(0)
		if kind == membership.Update || kind == membership.Entries || kind == membership.Welcome {
			m.Entries = nil
			for range membership.EntriesMax {
				m.Entries = append(m.Entries, membership.Entry{ID: id, State: membership.Left})
			}
		}
		if kind == membership.Ranges {
			m.Ranges = nil
			for range membership.RangesMax {
				m.Ranges = append(m.Ranges, membership.Range{To: ^ring.Position(0), Digest: ^uint64(0), Count: 1 << 30})
			}
		}
		if size := len(Append(nil, &m)); size > PacketBytesMax {
			t.Errorf("%v: %d bytes", kind, size)
		}
	}
}

// TestHeartbeatIsSmall keeps the traffic budget: R9.
func TestHeartbeatIsSmall(t *testing.T) {
	for _, age := range []time.Duration{time.Minute, 9 * time.Hour, 24 * 365 * time.Hour} {
		m := membership.Message{
			Kind: membership.Heartbeat, Short: ^uint32(0), Stamp: age,
			Seq: uint64(age / (400 * time.Millisecond)), Digest: 0xffffffff,
		}
		size := len(Append(nil, &m))
		t.Logf("after %v: %d bytes", age, size)
		if size > 25 {
			t.Errorf("after %v a heartbeat has %d bytes, want at most 25", age, size)
		}
	}
}

func TestMalformedPacketsAreRejected(t *testing.T) {
	r := random(t)
	probe := randomMessage(r, membership.Probe)
	ack := randomMessage(r, membership.Ack)
	heartbeat := randomMessage(r, membership.Heartbeat)
	update, ranges := randomMessage(r, membership.Update), randomMessage(r, membership.Ranges)
	update.Sender = membership.ID{Addr: netip.MustParseAddrPort("10.0.0.1:1")}
	update.Entries = slices.Repeat([]membership.Entry{{ID: update.Sender}}, membership.EntriesMax+1)
	many, overlapping := ranges, ranges
	many.Ranges, overlapping.Ranges = nil, []membership.Range{{From: 1, To: 3}, {From: 3, To: 4}}
	for i := range membership.RangesMax + 1 {
		many.Ranges = append(many.Ranges, membership.Range{From: ring.Position(i), To: ring.Position(i)})
	}
	for name, packet := range map[string][]byte{
		"empty":                 {},
		"only a sender":         Append(nil, &probe)[len(Append(nil, &probe))-20:],
		"two messages":          append(Append(nil, &probe), Append(nil, &heartbeat)...),
		"truncated":             Append(nil, &ack)[:10],
		"too long":              make([]byte, PacketBytesMax+1),
		"text":                  []byte("GET / HTTP/1.1\r\n\r\n"),
		"probe without sender":  {0x12, 0x02, 0x08, 0x01},
		"too many entries":      Append(nil, &update),
		"too many ranges":       Append(nil, &many),
		"overlapping ranges":    Append(nil, &overlapping),
		"address of five bytes": {0x12, 0x02, 0x08, 0x01, 0x7a, 0x07, 0x0a, 0x05, 1, 2, 3, 4, 5},
	} {
		var m membership.Message
		if err := Decode(packet, &m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for kind := membership.Heartbeat; kind <= membership.GatewayBeat; kind++ {
		m := randomMessage(r, kind)
		f.Add(Append(nil, &m))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		var m, again membership.Message
		if err := Decode(packet, &m); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		// What is accepted has one meaning: encoding it and reading it back changes nothing.
		// Unknown fields and idle repetitions make the original longer, never shorter.
		packed := Append(nil, &m)
		if err := Decode(packed, &again); err != nil || !equal(m, again) {
			t.Fatalf("read %+v, then %+v, %v", m, again, err)
		}
		if !bytes.Equal(packed, Append(nil, &again)) {
			t.Fatal("two encodings of one message")
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(AppendSnapshot(nil, membership.Snapshot{Self: membership.ID{Addr: netip.MustParseAddrPort("10.0.0.1:1"), Incarnation: 1}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSnapshot(data)
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatal(err)
			}
			return
		}
		if _, err := DecodeSnapshot(AppendSnapshot(nil, s)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkAppendHeartbeat(b *testing.B) {
	m := randomMessage(rand.New(rand.NewPCG(1, 1)), membership.Heartbeat)
	buf := make([]byte, 0, PacketBytesMax)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], &m)
	}
}

func BenchmarkDecodeHeartbeat(b *testing.B) {
	m := randomMessage(rand.New(rand.NewPCG(1, 1)), membership.Heartbeat)
	packet := Append(nil, &m)
	b.ReportAllocs()
	for b.Loop() {
		if err := Decode(packet, &m); err != nil {
			b.Fatal(err)
		}
	}
}
