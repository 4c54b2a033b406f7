// Package answer carries out a request that was checked and compiled (package request), and turns
// what the search finds into the steps of an answer.
//
//	a := answer.New(r, options, send)
//	defer a.Close()
//	err := a.Search(ctx, mounts)
//
// Beside the steps of the search itself come Progress steps, for as long as it gets on. [Reader] does
// the same for a stream such as standard input.
//
// # Concurrency
//
// An Answer belongs to one goroutine; send is called by several, one call at a time. Close may be
// called while a search still runs, as on a disk that hangs: from then on nothing is sent.
package answer

import (
	"context"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	progressTimeDefault = time.Second
	progressTimeMin     = time.Millisecond
)

// Answer is one answer under way.
type Answer struct {
	request *greppb.SearchRequest
	options search.Options
	sink    *sink
	stop    func() // ends the Progress steps
}

// New begins an answer to r, of which o was compiled, with the Progress steps.
func New(r *greppb.SearchRequest, o search.Options, send func(*greppb.SearchReply) error) *Answer {
	if o.Progress == nil {
		o.Progress = &files.Progress{}
	}
	a := &Answer{request: r, options: o, sink: newSink(o, send)}
	a.stop = a.sink.showProgress(o.Progress, progressTime(r))
	return a
}

// Close returns when no step is being sent any more, and lets none be sent from then on.
func (a *Answer) Close() {
	a.stop()
	a.sink.close()
}

// Search searches files in mounts, and ends the answer if that came to its end.
func (a *Answer) Search(ctx context.Context, m *files.Mounts) error {
	results := a.sink.results(a.request)
	var stats search.Stats
	var err error
	if a.request.ByTime {
		stats, err = runByTime(ctx, m, a.request.Paths, a.options, a.sink)
	} else {
		stats, err = search.Run(ctx, m, a.request.Paths, a.options, results)
	}
	if err != nil {
		return err
	}
	return results.end(stats)
}

// progressTime is how often a search shows that it gets on.
func progressTime(r *greppb.SearchRequest) time.Duration {
	if r.ProgressNanos <= 0 {
		return progressTimeDefault
	}
	return max(time.Duration(r.ProgressNanos), progressTimeMin)
}
