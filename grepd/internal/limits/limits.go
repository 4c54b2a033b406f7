// Package limits is the table of what a request, and the answer to it, may hold. Whoever takes
// requests refuses what is beyond, and names the limit; whoever makes them can say so before.
//
// Limits of memory and of what runs at the same time are not here but where they are kept: they are
// a node's own matter, and no part of a request.
//
// # Concurrency
//
// There is nothing but constants.
package limits

import "time"

// What a search may be asked.
const (
	PatternBytesMax = 1 << 20 // all patterns together
	PathsMax        = 1_000   // operands: a glob is one, whatever it matches
	PathBytesMax    = 4_096   // Linux's PATH_MAX
	GlobsMax        = 1_000   // of --include, --exclude and --exclude-dir together
	GlobBytesMax    = 1 << 16 // of these together
	// BeforeContextMax bounds -B, whose lines have to be kept in memory. -A has no limit.
	BeforeContextMax = 100_000

	FieldsMax         = 100 // columns
	FieldNameBytesMax = 256
	ConditionsMax     = 100 // of --where
	ConditionBytesMax = 4 << 10
)

// What a follow may be asked besides.
const (
	// FollowedMax bounds the files that one follow has open on a node.
	FollowedMax = 1_000
	// FollowPlacesMax bounds the places that one node is asked to go on from: a file that was
	// rotated away has one beside that of its successor.
	FollowPlacesMax = 2 * FollowedMax
)

// What a query may be asked besides.
const (
	NodesMax       = 20_000
	TimeoutDefault = 10 * time.Second
	TimeoutMax     = time.Hour
)

// How large messages become.
const (
	// RequestBytesMax bounds a request as it travels, whatever of it is large: a daemon keeps that
	// much for whoever begins a request. It has room for all patterns that are possible, for 20,000
	// nodes, or for the places in some 15,000 files that are followed, but not for all of these.
	RequestBytesMax = 3 << 19
	// RetryBytesMax bounds the requests that gRPC keeps for as long as it may have to send them
	// again, as when a peer is replaced by a new process and closes its connections. What is larger
	// it would not keep.
	RetryBytesMax = 2 << 20
	// ReplyBytesMax bounds one step of an answer. It has to hold the longest line
	// (search.LineBytesMax) and what is said of it. What is said may not take more than
	// greppb.ReplyBytesMax.
	ReplyBytesMax = 80 << 20
)

// What one step of an answer holds at most.
const (
	PlacesMax = 20_000 // with those that are forgotten in the same step
	GroupsMax = 1_000
	MarksMax  = 100
)

// A request at its limit can be sent again.
const _ = uint(RetryBytesMax - RequestBytesMax)
