package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/aksinghdce/cluster-membership-service/grepd/internal/fields"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/tally"
	"github.com/aksinghdce/cluster-membership-service/grepd/internal/when"
	"github.com/aksinghdce/cluster-membership-service/shared/proto/greppb"
)

// find is what the options that grep does not have say of times, fields and order.
type find struct {
	since, until    string
	fields, countBy string
	sort            string
}

// byFields tells whether fields are asked for. Then all operands are files, and a pattern stands
// after -e or -f, if there is one.
func (p *parser) byFields() bool {
	return len(p.search().Where) > 0 || p.find.fields != "" || p.find.countBy != ""
}

// allLines is the pattern where there is none: every line matches it.
func (p *parser) allLines(files []string) ([]string, error) {
	if p.search().Invert {
		return nil, usageError{"-v inverts the pattern, and there is none: give one with -e, or put != into --where"}
	}
	// A FILE is mount/name, or with -r perhaps a mount alone.
	if len(files) > 1 && files[0] != "-" && p.search().Directories != greppb.Directories_DIRECTORIES_RECURSE && !strings.Contains(files[0], "/") {
		return nil, usageError{fmt.Sprintf("%q is no FILE: with --where, --fields and --count-by a pattern is given with -e", files[0])}
	}
	return []string{""}, nil
}

// assembleFind puts the options into the query. Times are turned into points of UTC here, once, so
// that all machines answer the same question, whatever their clocks and zones.
func (p *parser) assembleFind(now time.Time) error {
	s := p.search()
	for _, bound := range []struct {
		option, text string
		nanos        *int64
	}{{"since", p.find.since, &s.SinceUnixNanos}, {"until", p.find.until, &s.UntilUnixNanos}} {
		if bound.text == "" {
			continue
		}
		at, err := when.Parse(bound.text, now)
		if err != nil {
			return fmt.Errorf("--%s %q: %w", bound.option, bound.text, err)
		}
		*bound.nanos = at.UnixNano()
	}
	if s.SinceUnixNanos != 0 && s.UntilUnixNanos != 0 && s.SinceUnixNanos >= s.UntilUnixNanos {
		return fmt.Errorf("--since %s --until %s: no time lies between them", p.find.since, p.find.until)
	}
	if err := checkWhere(s.Where); err != nil {
		return err
	}
	if err := p.assembleColumns(); err != nil {
		return err
	}
	if err := p.assembleSort(); err != nil {
		return err
	}
	p.text.ByTime = s.ByTime
	p.query.Clocks = p.stats || s.ByTime
	return nil
}

// checkWhere says which condition is wrong, and which can hold of no line: @node and @file are columns of --count-by.
func checkWhere(conditions []string) error {
	if _, err := fields.NewFilter(conditions); err != nil {
		return fmt.Errorf("--where: %w", err)
	}
	for _, text := range conditions {
		switch c, _ := fields.ParseCondition(text); c.Name() {
		case tally.NodeColumn:
			return fmt.Errorf("--where %s: the machine is no field of a line: --nodes asks some machines only", text)
		case tally.FileColumn:
			return fmt.Errorf("--where %s: the file is no field of a line: name the FILE as operand", text)
		}
	}
	return nil
}

// assembleColumns reads the lists of fields.
func (p *parser) assembleColumns() error {
	s := p.search()
	option, list := "--fields", p.find.fields
	if p.find.countBy != "" {
		option, list, s.CountBy = "--count-by", p.find.countBy, true
	}
	if list == "" {
		return nil
	}
	switch {
	case p.find.fields != "" && p.find.countBy != "":
		return usageError{"--fields and --count-by exclude each other: name in --count-by all fields by which to count"}
	case s.Report != greppb.Report_LINES || s.BeforeContext > 0 || s.AfterContext > 0:
		return usageError{option + " is of selected lines, so it goes neither with -c, -l, -L, -o or -q, nor with context"}
	case p.json && !s.CountBy:
		return usageError{"--json holds whole lines, and all their fields; leave out " + option}
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		s.Fields = append(s.Fields, name)
		if err := fields.CheckName(name); err != nil {
			return fmt.Errorf("%s %s: %w", option, list, err)
		}
		if !s.CountBy && (name == tally.NodeColumn || name == tally.FileColumn) {
			return usageError{fmt.Sprintf("--fields %s: machine and file stand before the line, with -H", list)}
		}
	}
	s.Spans = false
	return nil
}

// assembleSort reads the order that is wanted.
func (p *parser) assembleSort() error {
	s := p.search()
	switch p.find.sort {
	case "":
	case "node":
		p.query.Sort = greppb.Sort_BY_NODE
	case "time":
		if s.Report != greppb.Report_LINES && s.Report != greppb.Report_PARTS || s.CountBy {
			return usageError{"--sort=time sorts lines, so it goes neither with -c, -l, -L, -q nor with --count-by"}
		}
		p.query.Sort, s.ByTime = greppb.Sort_BY_TIME, true
	default:
		return usageError{fmt.Sprintf("invalid argument '%s' for '--sort'; want 'time' or 'node'", p.find.sort)}
	}
	return nil
}
