package files

import "sync/atomic"

// Progress shows how a search gets on. Anybody may look at it at any time.
type Progress struct {
	Bytes   atomic.Uint64 // that were read; some are read twice
	Matches atomic.Uint64 // selected lines
	// Steps are of work that neither reads text nor selects lines: names that are looked at, reads
	// of compressed files, states of slow automata.
	Steps atomic.Uint64
}

// Work is a number that is a higher one whenever the search has got on.
func (p *Progress) Work() uint64 { return p.Bytes.Load() + p.Matches.Load() + p.Steps.Load() }
