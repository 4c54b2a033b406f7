package server

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/limits"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// What all requests together may take. What one may hold stands in package limits.
const (
	// matchersBytesMax bounds what the matchers of all searches that run may keep together, as patternCost estimates it, and what
	// those of all follows may. costBytesMax bounds that of one request; less than costBytesMin is not counted, so that nobody
	// has to make room for an ordinary pattern.
	matchersBytesMax = 1 << 30
	costBytesMax     = 1 << 28
	costBytesMin     = 1 << 20

	// longLinesBytesMax bounds what lines of more than 1 MiB take in all searches together.
	longLinesBytesMax = 1 << 30
)

// checkQuery says what is wrong with a query, before anybody is asked.
func checkQuery(request *greppb.QueryRequest) error {
	switch {
	case len(request.Nodes) > limits.NodesMax:
		return fmt.Errorf("%d nodes named, at most %d are possible", len(request.Nodes), limits.NodesMax)
	case request.TimeoutNanos < 0:
		return errors.New("negative timeout")
	case request.TimeoutNanos > int64(limits.TimeoutMax):
		return fmt.Errorf("timeout of %v, at most %v is possible", time.Duration(request.TimeoutNanos), limits.TimeoutMax)
	}
	if len(request.Search.Paths) == 0 {
		return errors.New("no file named")
	}
	if _, err := searchOptions(&request.Search); err != nil {
		return err
	}
	if request.Search.Follow != nil {
		if err := checkFollow(&request.Search); err != nil {
			return err
		}
	}
	if len(request.Resume) > limits.NodesMax {
		return fmt.Errorf("%d nodes to go on with, at most %d are possible", len(request.Resume), limits.NodesMax)
	}
	if _, known := greppb.Sort_name[int32(request.Sort)]; !known {
		return fmt.Errorf("unknown order %d", request.Sort)
	}
	if request.Sort == greppb.Sort_BY_TIME != request.Search.ByTime {
		return errors.New("the order of times needs the lines of each node in that order")
	}
	return nil
}

// checkSearch says which limit a search is beyond.
func checkSearch(request *greppb.SearchRequest) error {
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
	if cost := patternCost(request); cost > costBytesMax {
		return fmt.Errorf("patterns and conditions that may take %d MB of memory, at most %d are possible", cost>>20, costBytesMax>>20)
	}
	return checkPaths(request.Paths)
}

// patternCost estimates how many bytes the patterns, globs and conditions of a request take at most while it is answered; 0: so
// few that they are not counted.
func patternCost(request *greppb.SearchRequest) int64 {
	cost := match.Footprint(request.Pattern.Patterns, match.Syntax(request.Pattern.Syntax)) + fields.Footprint(request.Where)
	for _, glob := range request.ExcludeDir {
		cost += search.GlobFootprint(glob)
	}
	for i := range request.Globs {
		cost += search.GlobFootprint(request.Globs[i].Pattern)
	}
	if cost < costBytesMin {
		return 0
	}
	return cost
}

// checkPaths says which path, or glob, cannot be asked for.
func checkPaths(paths []string) error {
	for _, path := range paths {
		if len(path) > limits.PathBytesMax {
			return fmt.Errorf("a path of %d bytes, at most %d are possible", len(path), limits.PathBytesMax)
		}
		if err := search.CheckGlob(path); err != nil {
			return err
		}
	}
	return nil
}

// searchOptions checks a request and turns it into what package search takes.
func searchOptions(request *greppb.SearchRequest) (search.Options, error) {
	if err := checkSearch(request); err != nil {
		return search.Options{}, err
	}
	if _, known := greppb.Report_name[int32(request.Report)]; !known {
		return search.Options{}, fmt.Errorf("unknown report %d", request.Report)
	}
	if _, known := greppb.Binary_name[int32(request.Binary)]; !known {
		return search.Options{}, fmt.Errorf("unknown treatment %d of binary files", request.Binary)
	}
	if _, known := greppb.Directories_name[int32(request.Directories)]; !known {
		return search.Options{}, fmt.Errorf("unknown treatment %d of directories", request.Directories)
	}
	if _, known := greppb.Syntax_name[int32(request.Pattern.Syntax)]; !known {
		return search.Options{}, fmt.Errorf("unknown syntax %d of patterns", request.Pattern.Syntax)
	}
	matcher, err := match.Compile(request.Pattern.Patterns, match.Options{
		Syntax:     match.Syntax(request.Pattern.Syntax),
		IgnoreCase: request.Pattern.IgnoreCase,
		Word:       request.Pattern.Word,
		Line:       request.Pattern.Line,
		NullData:   request.NullData,
	})
	if err != nil {
		return search.Options{}, err
	}
	files, excludeDirs, err := globLists(request)
	if err != nil {
		return search.Options{}, err
	}
	o := search.Options{
		Matcher: matcher, Invert: request.Invert, Report: search.Report(request.Report), MaxCount: -1,
		Before: int(request.BeforeContext), After: int(request.AfterContext),
		Binary: search.Binary(request.Binary), NullData: request.NullData,
		Directories: search.Directories(request.Directories), Dereference: request.Dereference, SkipDevices: request.SkipDevices,
		Files: files, ExcludeDirs: excludeDirs,
		LineNumbers: request.LineNumbers, ByteOffsets: request.ByteOffsets, Spans: request.Spans,
	}
	if request.MaxCountSet {
		o.MaxCount = int64(min(request.MaxCount, math.MaxInt64))
	}
	if o.Invert && matchesAll(&request.Pattern) || !o.Invert && len(request.Pattern.Patterns) == 0 {
		o.MaxCount = 0 // as in grep, which does not even begin where nothing can be selected
	}
	err = fieldOptions(request, &o)
	return o, err
}

// fieldOptions checks what a request asks of times and fields, and puts it into o.
func fieldOptions(request *greppb.SearchRequest, o *search.Options) error {
	o.Since, o.Until, o.Columns = request.SinceUnixNanos, request.UntilUnixNanos, request.Fields
	if request.CountBy {
		o.Columns = lineColumns(request.Fields)
	}
	if len(request.Fields) > limits.FieldsMax {
		return fmt.Errorf("%d fields to show, at most %d are possible", len(request.Fields), limits.FieldsMax)
	}
	for _, name := range request.Fields {
		if err := fields.CheckName(name); err != nil {
			return err
		}
	}
	lines := o.Report == search.Lines && o.Before == 0 && o.After == 0
	logs := o.Since != 0 || o.Until != 0 || len(request.Where) > 0 || len(request.Fields) > 0 || request.ByTime
	switch {
	case request.NullData && logs:
		return errors.New("times and fields are of lines that end in newlines, so they do not go with -z")
	case len(request.Fields) > 0 && !lines:
		return errors.New("fields are of selected lines, so they go neither with matched parts, counts, names of files, nor with context")
	case request.CountBy && len(request.Fields) == 0:
		return errors.New("nothing to count by")
	case request.ByTime && (request.CountBy || o.Report != search.Lines && o.Report != search.Parts):
		return errors.New("only lines have an order of time")
	}
	if len(request.Where) > 0 {
		var err error
		if o.Where, err = fields.NewFilter(request.Where); err != nil {
			return err
		}
		o.All = matchesAll(&request.Pattern) && !request.Invert
	}
	return nil
}

// matchesAll tells whether every line matches because the only pattern is empty.
func matchesAll(pattern *greppb.Pattern) bool {
	return !pattern.Word && !pattern.Line && len(slices.Compact(slices.Clone(pattern.Patterns))) == 1 && pattern.Patterns[0] == ""
}

// globLists prepares --include and --exclude, and --exclude-dir.
func globLists(request *greppb.SearchRequest) (files, excludeDirs *search.GlobList, err error) {
	globs := make([]search.Glob, len(request.Globs))
	for i, g := range request.Globs {
		globs[i] = search.Glob{Pattern: g.Pattern, Include: g.Include}
	}
	if files, err = search.NewGlobList(globs); err != nil {
		return nil, nil, err
	}
	dirs := make([]search.Glob, len(request.ExcludeDir))
	for i, pattern := range request.ExcludeDir {
		dirs[i].Pattern = strings.TrimRight(pattern, "/")
	}
	excludeDirs, err = search.NewGlobList(dirs)
	return files, excludeDirs, err
}
