package search

import (
	"context"
	"errors"
	"io"
)

// Run searches the files that paths name and hands the results to sink. What is wrong with a
// path goes to sink.Error and does not end the search; the error that Run returns is the
// sink's, or the context's, or says that the options are not valid.
func Run(ctx context.Context, m *Mounts, paths []string, o Options, sink Sink) (Stats, error) {
	return Stats{}, errors.ErrUnsupported
}

// Reader searches r, whose name is label, to its end. Lines are handed out as they arrive. When ctx
// ends Reader returns at once, although a Read that hangs goes on until it returns.
func Reader(ctx context.Context, r io.Reader, label string, o Options, sink Sink) (Stats, error) {
	return Stats{}, errors.ErrUnsupported
}
