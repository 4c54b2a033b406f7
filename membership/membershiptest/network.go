package membershiptest

import (
	"math/rand/v2"
	"time"
)

// Network says how packets fare. Its fields may be changed while the simulation runs.
// Shares are from 0 to 1.
type Network struct {
	// LatencyMin and LatencyMax bound the base latency of a link, drawn once for each
	// direction of each pair of hosts.
	LatencyMin, LatencyMax time.Duration
	// Jitter is the most that a packet takes beyond the base latency of its link.
	Jitter time.Duration
	// Loss and Duplicate are the shares of packets lost, and delivered twice.
	Loss, Duplicate float64
	// Reorder is the share of packets held back by up to reorderMax, behind later ones.
	Reorder float64
	// SpikeLinks is the share of links that have latency spikes: in every other second,
	// on average, each packet takes up to SpikeMax longer.
	SpikeLinks float64
	SpikeMax   time.Duration
}

// LAN is a network without faults: a data centre, or a few of them.
var LAN = Network{LatencyMin: 100 * time.Microsecond, LatencyMax: 10 * time.Millisecond, Jitter: time.Millisecond}

const (
	reorderMax  = 200 * time.Millisecond
	spikePeriod = time.Second
)

// Link is one direction between two hosts, with what was done to it.
type Link struct {
	Cut     bool          // nothing gets through
	Latency time.Duration // in place of the base latency; zero leaves that
	Loss    float64       // in addition to the network's

	clogged bool
	held    []int32 // packets that wait for Unclog, at most clogPacketsMax
}

// clogPacketsMax is how many packets a clogged link holds; it loses those that follow.
const clogPacketsMax = 1024

type linkKey struct{ from, to int }

// fate decides how long a packet takes, or that it is lost.
type fate struct {
	network *Network
	rand    *rand.Rand
	seed    uint64
}

// lost reports whether a packet of this link is lost by chance.
func (f *fate) lost(link *Link) bool {
	return f.happens(f.network.Loss) || link != nil && f.happens(link.Loss)
}

func (f *fate) happens(share float64) bool {
	return share > 0 && f.rand.Float64() < share
}

// delay is how long the packet that is sent at the instant now takes.
func (f *fate) delay(now time.Duration, key linkKey, link *Link) time.Duration {
	delay := f.baseLatency(key)
	if link != nil && link.Latency > 0 {
		delay = link.Latency
	}
	delay += uniform(f.rand, 0, f.network.Jitter)
	if f.happens(f.network.Reorder) {
		delay += uniform(f.rand, 0, reorderMax)
	}
	if f.spiking(now, key) {
		delay += uniform(f.rand, 0, f.network.SpikeMax)
	}
	return delay
}

// Uses of the hash of a link; each is one independent draw.
const (
	drawLatency = iota
	drawSpiky
	drawSpike // plus the number of the spikePeriod
)

func (f *fate) baseLatency(key linkKey) time.Duration {
	span := f.network.LatencyMax - f.network.LatencyMin
	return f.network.LatencyMin + time.Duration(float64(span)*f.draw(key, drawLatency))
}

// spiky reports whether the link is one of those that have spikes, spiking whether it has
// one now.
func (f *fate) spiky(key linkKey) bool {
	return f.network.SpikeLinks > 0 && f.draw(key, drawSpiky) < f.network.SpikeLinks
}

func (f *fate) spiking(now time.Duration, key linkKey) bool {
	return f.spiky(key) && f.draw(key, drawSpike+uint64(now/spikePeriod)) < 0.5
}

// draw is a number from 0 to 1 that belongs to the link, so that nothing has to be
// remembered for each of N x N links.
func (f *fate) draw(key linkKey, use uint64) float64 {
	h := mix(f.seed ^ mix(uint64(key.from)<<32|uint64(key.to)) + mix(use))
	return float64(h>>11) / (1 << 53)
}

// mix is the output function of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
