// Package request says what may be asked, and turns what is asked into what package search takes.
//
// Whoever is asked goes through these steps:
//
//	err := request.Check(r)           // cheap: the limits, and what contradicts itself
//	bytes := request.Cost(r)          // what the patterns may take, where that is worth counting
//	o, err := request.Compile(r)      // takes up to seconds, and that memory
//
// Whoever asks can take the same steps before, and say at once what is wrong. Errors are worded for
// the person who wrote the command line.
//
// # Concurrency
//
// All functions may be called by any number of goroutines. What Compile returns may be used by any
// number of searches, one after the other or at once.
package request

import (
	"errors"
	"fmt"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

const (
	// CostMax bounds what the patterns of one request may take.
	CostMax = 1 << 28
	// CostMin is what is not counted, so that nobody has to make room for an ordinary pattern.
	CostMin = 1 << 20
)

// Check says which limit a search is beyond, or what in it contradicts itself.
func Check(request *greppb.SearchRequest) error {
	patternBytes := 0
	for _, pattern := range request.Pattern.Patterns {
		patternBytes += len(pattern) + 1
	}
	globBytes := 0
	for _, glob := range request.ExcludeDir {
		globBytes += len(glob)
	}
	for i := range request.Globs {
		globBytes += len(request.Globs[i].Pattern)
	}
	globs := len(request.ExcludeDir) + len(request.Globs)
	switch {
	case patternBytes > limits.PatternBytesMax:
		return fmt.Errorf("patterns of %d bytes, at most %d are possible", patternBytes, limits.PatternBytesMax)
	case len(request.Paths) > limits.PathsMax:
		return fmt.Errorf("%d paths named, at most %d are possible; a glob in quotes is one path", len(request.Paths), limits.PathsMax)
	case globs > limits.GlobsMax:
		return fmt.Errorf("%d globs to include or exclude, at most %d are possible", globs, limits.GlobsMax)
	case globBytes > limits.GlobBytesMax:
		return fmt.Errorf("globs to include or exclude of %d bytes, at most %d are possible", globBytes, limits.GlobBytesMax)
	case request.BeforeContext > limits.BeforeContextMax:
		return fmt.Errorf("%d lines of context before each match, at most %d are possible", request.BeforeContext, limits.BeforeContextMax)
	}
	if cost := Cost(request); cost > CostMax {
		return fmt.Errorf("patterns and conditions that may take %d MB of memory, at most %d are possible", cost>>20, CostMax>>20)
	}
	if err := checkPaths(request.Paths); err != nil {
		return err
	}
	if err := checkEnums(request); err != nil {
		return err
	}
	return checkFields(request)
}

// checkPaths says which path, or glob, cannot be asked for.
func checkPaths(paths []string) error {
	for _, path := range paths {
		if len(path) > limits.PathBytesMax {
			return fmt.Errorf("a path of %d bytes, at most %d are possible", len(path), limits.PathBytesMax)
		}
		if err := files.CheckGlob(path); err != nil {
			return err
		}
	}
	return nil
}

// checkEnums refuses values that a newer client may know, and this version does not.
func checkEnums(request *greppb.SearchRequest) error {
	if _, known := greppb.Report_name[int32(request.Report)]; !known {
		return fmt.Errorf("unknown report %d", request.Report)
	}
	if _, known := greppb.Binary_name[int32(request.Binary)]; !known {
		return fmt.Errorf("unknown treatment %d of binary files", request.Binary)
	}
	if _, known := greppb.Directories_name[int32(request.Directories)]; !known {
		return fmt.Errorf("unknown treatment %d of directories", request.Directories)
	}
	if _, known := greppb.Syntax_name[int32(request.Pattern.Syntax)]; !known {
		return fmt.Errorf("unknown syntax %d of patterns", request.Pattern.Syntax)
	}
	return nil
}

// checkFields checks what a request asks of times and fields.
func checkFields(request *greppb.SearchRequest) error {
	if len(request.Fields) > limits.FieldsMax {
		return fmt.Errorf("%d fields to show, at most %d are possible", len(request.Fields), limits.FieldsMax)
	}
	for _, name := range request.Fields {
		if err := fields.CheckName(name); err != nil {
			return err
		}
	}
	lines := request.Report == greppb.Report_LINES && request.BeforeContext == 0 && request.AfterContext == 0
	ordered := request.Report == greppb.Report_LINES || request.Report == greppb.Report_PARTS
	logs := request.SinceUnixNanos != 0 || request.UntilUnixNanos != 0 || len(request.Where) > 0 ||
		len(request.Fields) > 0 || request.ByTime
	switch {
	case request.NullData && logs:
		return errors.New("times and fields are of lines that end in newlines, so they do not go with -z")
	case len(request.Fields) > 0 && !lines:
		return errors.New("fields are of selected lines, so they go neither with matched parts, counts, names of files, nor with context")
	case request.CountBy && len(request.Fields) == 0:
		return errors.New("nothing to count by")
	case request.ByTime && (request.CountBy || !ordered):
		return errors.New("only lines have an order of time")
	}
	return nil
}

// Cost estimates how many bytes the patterns, globs and conditions of a request take at most while it is answered; 0: so
// few that they are not counted.
func Cost(request *greppb.SearchRequest) int64 {
	cost := match.Footprint(request.Pattern.Patterns, Syntax(request.Pattern.Syntax)) + fields.Footprint(request.Where)
	for _, glob := range request.ExcludeDir {
		cost += files.GlobFootprint(glob)
	}
	for i := range request.Globs {
		cost += files.GlobFootprint(request.Globs[i].Pattern)
	}
	if cost < CostMin {
		return 0
	}
	return cost
}
