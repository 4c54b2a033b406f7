package search

import "github.com/aksinghdce/cluster-membership-service/grepd/internal/match"

// sink gives the sink as the search is to use it. With NullData it searches data in which newlines
// and zero bytes are exchanged, so that no other part of it has to know.
func (o *Options) sink(s Sink) Sink {
	if o.NullData {
		return nullDataSink{s}
	}
	return s
}

// nullDataSink changes the data of chunks back.
type nullDataSink struct{ Sink }

func (s nullDataSink) Chunk(c *Chunk) error {
	match.Exchange(c.Data)
	return s.Sink.Chunk(c)
}
