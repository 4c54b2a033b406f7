package request

import (
	"math"
	"slices"
	"strings"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/files"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/match"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/search"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/tally"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// Compile makes a request that was checked into the options of a search: it compiles patterns, globs
// and conditions.
func Compile(request *greppb.SearchRequest) (search.Options, error) {
	matcher, err := Matcher(request)
	if err != nil {
		return search.Options{}, err
	}
	return CompileWith(matcher, request)
}

// Matcher compiles the patterns of a request alone.
func Matcher(request *greppb.SearchRequest) (*match.Matcher, error) {
	p := &request.Pattern
	return match.Compile(p.Patterns, match.Options{
		Syntax: Syntax(p.Syntax), IgnoreCase: p.IgnoreCase, Word: p.Word, Line: p.Line, NullData: request.NullData,
	})
}

// CompileWith is Compile for a request whose patterns were compiled before.
func CompileWith(matcher *match.Matcher, request *greppb.SearchRequest) (search.Options, error) {
	selected, excludeDirs, err := globLists(request)
	if err != nil {
		return search.Options{}, err
	}
	o := search.Options{
		Matcher: matcher, Invert: request.Invert, Report: search.Report(request.Report), MaxCount: -1,
		Before: int(request.BeforeContext), After: int(request.AfterContext),
		Binary: search.Binary(request.Binary), NullData: request.NullData,
		Selection: files.Selection{
			Directories: files.Directories(request.Directories), Dereference: request.Dereference,
			SkipDevices: request.SkipDevices, Files: selected, ExcludeDirs: excludeDirs,
		},
		LineNumbers: request.LineNumbers, ByteOffsets: request.ByteOffsets, Spans: request.Spans,
		Columns: request.Fields,
	}
	if request.CountBy {
		o.Columns = tally.LineColumns(request.Fields)
	}
	if request.MaxCountSet {
		o.MaxCount = int64(min(request.MaxCount, math.MaxInt64))
	}
	if o.Invert && matchesAll(&request.Pattern) || !o.Invert && len(request.Pattern.Patterns) == 0 {
		o.MaxCount = 0 // as in grep, which does not even begin where nothing can be selected
	}
	if len(request.Where) > 0 {
		if o.Where, err = fields.NewFilter(request.Where); err != nil {
			return o, err
		}
		o.All = matchesAll(&request.Pattern) && !request.Invert
	}
	SetTimes(&o, request)
	return o, nil
}

// SetTimes gives options that were compiled the times of another request, which may differ in these
// alone.
func SetTimes(o *search.Options, request *greppb.SearchRequest) {
	o.Since, o.Until = request.SinceUnixNanos, request.UntilUnixNanos
}

// matchesAll reports whether every line matches because the only pattern is empty.
func matchesAll(pattern *greppb.Pattern) bool {
	return !pattern.Word && !pattern.Line && len(slices.Compact(slices.Clone(pattern.Patterns))) == 1 && pattern.Patterns[0] == ""
}

// globLists prepares --include and --exclude, and --exclude-dir.
func globLists(request *greppb.SearchRequest) (selected, excludeDirs *files.GlobList, err error) {
	globs := make([]files.Glob, len(request.Globs))
	for i, g := range request.Globs {
		globs[i] = files.Glob{Pattern: g.Pattern, Include: g.Include}
	}
	if selected, err = files.NewGlobList(globs); err != nil {
		return nil, nil, err
	}
	dirs := make([]files.Glob, len(request.ExcludeDir))
	for i, pattern := range request.ExcludeDir {
		dirs[i].Pattern = strings.TrimRight(pattern, "/")
	}
	excludeDirs, err = files.NewGlobList(dirs)
	return selected, excludeDirs, err
}
